//! Room in file systems: files are made without any, and take it as they are written to.

use std::ffi::CString;
use std::fs;
use std::mem::MaybeUninit;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use crate::command_line::CommandLine;
use crate::plan::{Plan, Role};
use crate::size;

/// What new files of mirrors may come to take on a file system.
struct Need<'a> {
    device: u64,
    directory: &'a Path,
    bytes: u64,
}

/// What to tell of file systems that the new files do not fit on once they are full.
pub(crate) fn warnings(line: &CommandLine, plans: &[Plan]) -> Vec<String> {
    let mut needs: Vec<Need<'_>> = Vec::new();
    for (mirror, plan) in line.mirrors.iter().zip(plans) {
        let new = mirror.files.iter().zip(&plan.roles);
        let new = new.filter(|(_, role)| **role == Role::New);
        let bytes = plan.new_file_bytes;
        for directory in new.filter_map(|(file, _)| file.parent()) {
            let Ok(metadata) = fs::metadata(directory) else {
                continue;
            };
            let device = metadata.dev();
            match needs.iter_mut().find(|need| need.device == device) {
                Some(need) => need.bytes = need.bytes.saturating_add(bytes),
                None => needs.push(Need {
                    device,
                    directory,
                    bytes,
                }),
            }
        }
    }
    let warning = |need: &Need<'_>| {
        let free = free_bytes(need.directory)?;
        let (wanted, free_shown) = (size::show(need.bytes), size::show(free));
        (free < need.bytes).then(|| {
            format!(
                "the file system of {} has {free_shown} left, and the new files come to take \
                 {wanted} when they are full",
                need.directory.display()
            )
        })
    };
    needs.iter().filter_map(warning).collect()
}

/// What a user may still write on the file system of a directory.
fn free_bytes(directory: &Path) -> Option<u64> {
    let directory = CString::new(directory.as_os_str().as_bytes()).ok()?;
    let mut stat = MaybeUninit::<libc::statvfs>::uninit();
    // SAFETY: the path ends in NUL and is only read; the structure is written to.
    if unsafe { libc::statvfs(directory.as_ptr(), stat.as_mut_ptr()) } != 0 {
        return None;
    }
    // SAFETY: the call has filled it.
    let stat = unsafe { stat.assume_init() };
    Some(stat.f_bavail.saturating_mul(stat.f_frsize))
}
