//! The files that mirrors stand on: looked at, made if they are missing, and locked. Never changed
//! otherwise.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use crate::command_line::{CommandLine, SIZE_DEFAULT};
use crate::mirror_spec::MirrorSpec;
use crate::size;

/// The files of all mirrors, ready to be used. They are locked as long as this lives.
#[derive(Debug)]
pub(crate) struct Files {
    pub(crate) mirrors: Vec<MirrorFiles>,
    _locked: Vec<File>,
}

/// The files of a mirror.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct MirrorFiles {
    /// Whether they were made now: else they were there.
    pub(crate) are_new: bool,
    /// Of each, in bytes; unknown where it is a device.
    pub(crate) size_bytes: Option<u64>,
}

/// What there is at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Found {
    Nothing,
    File { size_bytes: u64, id: (u64, u64) },
    Device { id: u64 },
}

impl Files {
    /// Makes what is missing. Nothing is left of that if anything is wrong.
    ///
    /// # Errors
    /// Says to the user what is wrong, by the names of the option and the file.
    pub(crate) fn prepare(line: &CommandLine) -> Result<Self, String> {
        refuse_shared(&line.mirrors)?;
        let plans = line.mirrors.iter().map(|mirror| {
            let plan = plan(mirror, line);
            plan.map_err(|error| format!("--mirror {}: {error}", mirror.name))
        });
        let plans: Vec<_> = plans.collect::<Result<_, _>>()?;
        let mut made = Vec::new();
        let locked = open_all(line, &plans, &mut made).inspect_err(|_| {
            for path in &made {
                // What cannot be removed is an empty file that the error does not hide.
                let _ = fs::remove_file(path);
            }
        })?;
        Ok(Self {
            mirrors: plans,
            _locked: locked,
        })
    }
}

fn open_all(
    line: &CommandLine,
    plans: &[MirrorFiles],
    made: &mut Vec<PathBuf>,
) -> Result<Vec<File>, String> {
    let mut locked = Vec::new();
    for (mirror, plan) in line.mirrors.iter().zip(plans) {
        for path in &mirror.files {
            let named = |error: String| format!("--mirror {}: {error}", mirror.name);
            let file = if plan.are_new {
                let size_bytes = plan.size_bytes.unwrap_or(SIZE_DEFAULT);
                make(path, size_bytes, made)
            } else {
                let opened = OpenOptions::new().read(true).write(true).open(path);
                opened.map_err(|error| format!("{} cannot be opened: {error}", path.display()))
            };
            let file = file.map_err(named)?;
            lock(&file, path).map_err(named)?;
            locked.push(file);
        }
        if plan.are_new {
            mirror.files.iter().try_for_each(|path| {
                sync_directory(path).map_err(|error| format!("--mirror {}: {error}", mirror.name))
            })?;
        }
    }
    Ok(locked)
}

/// Makes the name of a new file as durable as the file: without it, what is flushed to that would be
/// lost with the machine.
fn sync_directory(path: &Path) -> Result<(), String> {
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    match File::open(directory).and_then(|opened| opened.sync_all()) {
        // Not all file systems do that for directories, nor may all be read that may be written to.
        Err(error)
            if !matches!(
                error.kind(),
                io::ErrorKind::InvalidInput | io::ErrorKind::PermissionDenied
            ) =>
        {
            Err(format!("{} cannot be synced: {error}", directory.display()))
        }
        _ => Ok(()),
    }
}

/// Makes a file of zeros that takes no room yet.
fn make(path: &Path, size_bytes: u64, made: &mut Vec<PathBuf>) -> Result<File, String> {
    let failed = |error: io::Error| {
        let hint = match error.kind() {
            io::ErrorKind::NotFound => ": there is no such directory",
            io::ErrorKind::FileTooLarge => ": its file system has no files of that size",
            _ => "",
        };
        let (path, size) = (path.display(), size::show(size_bytes));
        format!("{path} cannot be made, with {size}{hint}: {error}")
    };
    let mut options = OpenOptions::new();
    options.read(true).write(true).create_new(true).mode(0o600);
    let file = options.open(path).map_err(failed)?;
    made.push(path.to_owned());
    file.set_len(size_bytes).map_err(failed)?;
    file.sync_all().map_err(failed)?;
    Ok(file)
}

/// Keeps other raid1s away.
fn lock(file: &File, path: &Path) -> Result<(), String> {
    // SAFETY: takes numbers, one of them that of an open file.
    if unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) } == 0 {
        return Ok(());
    }
    match io::Error::last_os_error() {
        error if error.kind() == io::ErrorKind::WouldBlock => Err(format!(
            "{} is in use: by another raid1, or something else that has locked it",
            path.display()
        )),
        // Not all file systems have locks; it was worth a try.
        _ => Ok(()),
    }
}

/// What is to be done for a mirror.
fn plan(mirror: &MirrorSpec, line: &CommandLine) -> Result<MirrorFiles, String> {
    let found = mirror.files.iter().map(|path| look(path));
    let found: Vec<_> = found.collect::<Result<_, _>>()?;
    let files: Vec<_> = mirror.files.iter().zip(&found).collect();
    let is_missing = |found: &Found| *found == Found::Nothing;
    if found.iter().all(is_missing) {
        return Ok(MirrorFiles {
            are_new: true,
            size_bytes: Some(line.size.unwrap_or(SIZE_DEFAULT)),
        });
    }
    let there = files.iter().find(|(_, found)| !is_missing(found));
    let missing = files.iter().find(|(_, found)| is_missing(found));
    if let (Some((there, _)), Some((missing, _))) = (there, missing) {
        let (there, missing) = (there.display(), missing.display());
        return Err(format!(
            "{there} exists and {missing} does not: a new one would hold other data\n  \
             copy it first:  cp --sparse=always {there} {missing}"
        ));
    }
    let sizes = files.iter().filter_map(|(path, found)| match found {
        Found::File { size_bytes, .. } => Some((path.as_path(), *size_bytes)),
        _ => None,
    });
    let sizes: Vec<_> = sizes.collect();
    check_sizes(&sizes, line)?;
    Ok(MirrorFiles {
        are_new: false,
        size_bytes: sizes.first().map(|(_, size_bytes)| *size_bytes),
    })
}

/// Checks the sizes of files that exist.
fn check_sizes(sizes: &[(&Path, u64)], line: &CommandLine) -> Result<(), String> {
    for (path, size_bytes) in sizes {
        let (path, shown) = (path.display(), size::show(*size_bytes));
        if *size_bytes == 0 {
            return Err(format!(
                "{path} exists and is empty: remove it, and it is made anew"
            ));
        }
        if let Some(wanted) = line.size
            && wanted != *size_bytes
        {
            return Err(format!(
                "{path} exists and has {shown}, and --size says {}: leave --size out to use it as \
                 it is",
                size::show(wanted)
            ));
        }
        if !size_bytes.is_multiple_of(line.block_size.into()) {
            let hint = match line.block_size {
                4096 if size_bytes.is_multiple_of(512) => ": --block-size 512 would do",
                _ => "",
            };
            return Err(format!(
                "{path} has {size_bytes} bytes, not a multiple of blocks of {} bytes{hint}",
                line.block_size
            ));
        }
    }
    if let [(first, size_bytes), others @ ..] = sizes
        && let Some((other, size_other)) = others.iter().find(|(_, other)| other != size_bytes)
    {
        return Err(format!(
            "{} has {size_bytes} bytes and {} has {size_other}: legs of a mirror are of one size",
            first.display(),
            other.display()
        ));
    }
    Ok(())
}

fn look(path: &Path) -> Result<Found, String> {
    let metadata = match fs::metadata(path) {
        Ok(metadata) => metadata,
        // A link to nowhere is not one to a new file.
        Err(error) if error.kind() == io::ErrorKind::NotFound && !path.is_symlink() => {
            return Ok(Found::Nothing);
        }
        Err(error) => return Err(format!("{}: {error}", path.display())),
    };
    let kind = metadata.file_type();
    if kind.is_file() {
        Ok(Found::File {
            size_bytes: metadata.len(),
            id: (metadata.dev(), metadata.ino()),
        })
    } else if kind.is_block_device() {
        Ok(Found::Device {
            id: metadata.rdev(),
        })
    } else {
        let what = if kind.is_dir() {
            "a directory"
        } else {
            "something else"
        };
        Err(format!(
            "{} is {what}: expected a file or a block device",
            path.display()
        ))
    }
}

/// Refuses what is two legs under one name, or under two.
fn refuse_shared(mirrors: &[MirrorSpec]) -> Result<(), String> {
    let mut seen: Vec<(&MirrorSpec, &Path, Found)> = Vec::new();
    for mirror in mirrors {
        for path in &mirror.files {
            // What cannot be looked at is an error later.
            let found = look(path).unwrap_or(Found::Nothing);
            let same = |(_, other, other_found): &&(&MirrorSpec, &Path, Found)| match &found {
                Found::Nothing => spelled(path) == spelled(other),
                found => found_is_same(found, other_found),
            };
            if let Some((first, other, _)) = seen.iter().find(same) {
                let in_other = if first.name == mirror.name {
                    String::new()
                } else {
                    format!(" ({}, {})", first.name, mirror.name)
                };
                let as_other = if *other == path {
                    String::new()
                } else {
                    format!(" and {}", other.display())
                };
                return Err(format!(
                    "--mirror {}: {}{as_other} is one file, and is given twice{in_other}",
                    mirror.name,
                    path.display()
                ));
            }
            seen.push((mirror, path, found));
        }
    }
    Ok(())
}

fn found_is_same(one: &Found, other: &Found) -> bool {
    match (one, other) {
        (Found::File { id, .. }, Found::File { id: other, .. }) => id == other,
        (Found::Device { id }, Found::Device { id: other }) => id == other,
        _ => false,
    }
}

/// The path of a file that does not exist, without links and detours.
fn spelled(path: &Path) -> PathBuf {
    let parent = path.parent().and_then(|parent| parent.canonicalize().ok());
    match (parent, path.file_name()) {
        (Some(parent), Some(name)) => parent.join(name),
        _ => path.to_owned(),
    }
}
