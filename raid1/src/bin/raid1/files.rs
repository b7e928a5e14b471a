//! The files that mirrors stand on: looked at, made if they are missing, and locked. Never changed
//! otherwise, unless `--force` says so.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use barespdk_raid1::survey::{METADATA_BYTES, survey};

use crate::command_line::CommandLine;
use crate::mirror_spec::MirrorSpec;
use crate::plan::{Plan, Role, Seen, plan};
use crate::size;

/// What there is at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Found {
    Nothing,
    File { id: (u64, u64) },
    Device { id: u64 },
}

/// Says what is to be done with the files of each mirror. Changes nothing.
///
/// # Errors
/// Says to the user what is wrong, by the names of the option and the file.
pub(crate) fn plans(line: &CommandLine) -> Result<Vec<Plan>, String> {
    refuse_shared(&line.mirrors)?;
    let plans = line.mirrors.iter().map(|mirror| {
        let plan = plan_of(mirror, line);
        plan.map_err(|error| format!("--mirror {}: {error}", mirror.name))
    });
    plans.collect()
}

fn plan_of(mirror: &MirrorSpec, line: &CommandLine) -> Result<Plan, String> {
    let files = mirror.files.iter().map(|path| see(path));
    let (seen, starts): (Vec<Seen>, Vec<Vec<u8>>) =
        files.collect::<Result<Vec<_>, _>>()?.into_iter().unzip();
    let starts: Vec<&[u8]> = starts.iter().map(Vec::as_slice).collect();
    plan(mirror, &seen, &survey(&mirror.name, &starts), line)
}

/// Carries plans out: makes what is missing, overwrites what may be. The files are locked as long as what
/// this returns lives. Nothing is left of what was made if anything is wrong.
///
/// # Errors
/// As those of [`plans`].
pub(crate) fn prepare(line: &CommandLine, plans: &[Plan]) -> Result<Vec<File>, String> {
    let mut made = Vec::new();
    open_all(line, plans, &mut made).inspect_err(|_| {
        for path in &made {
            // What cannot be removed is an empty file that the error does not hide.
            let _ = fs::remove_file(path);
        }
    })
}

fn open_all(
    line: &CommandLine,
    planned: &[Plan],
    made: &mut Vec<PathBuf>,
) -> Result<Vec<File>, String> {
    let files = line.mirrors.iter().zip(planned).flat_map(|(mirror, plan)| {
        let files = mirror.files.iter().zip(&plan.roles);
        files.map(move |(path, role)| (mirror, plan, path.as_path(), *role))
    });
    let files: Vec<_> = files.collect();
    let named = |mirror: &MirrorSpec, error| format!("--mirror {}: {error}", mirror.name);
    let mut locked = Vec::new();
    for (mirror, _, path, role) in &files {
        if *role != Role::New {
            let file = open(path).map_err(|error| named(mirror, error))?;
            lock(&file, path).map_err(|error| named(mirror, error))?;
            locked.push((file, *path, *role));
        }
    }
    // Another raid1 may have ended, or begun and ended, since they were looked at.
    if plans(line)? != planned {
        return Err("the files of --mirror have changed just now: try again".into());
    }
    for (mirror, plan, path, role) in &files {
        if *role == Role::New {
            let file = make(path, plan.new_file_bytes, made).and_then(|file| {
                lock(&file, path)?;
                sync_directory(path)?;
                Ok(file)
            });
            locked.push((file.map_err(|error| named(mirror, error))?, *path, *role));
        }
    }
    for (file, path, role) in &locked {
        if *role == Role::Overwritten {
            wipe(file, path)?;
        }
    }
    Ok(locked.into_iter().map(|(file, ..)| file).collect())
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

/// What there is at the path of a file, and as much of its beginning as says what it is.
fn see(path: &Path) -> Result<(Seen, Vec<u8>), String> {
    let is_device = match look(path)? {
        Found::Nothing => return Ok((Seen::Nothing, Vec::new())),
        Found::File { .. } => false,
        Found::Device { .. } => true,
    };
    let failed = |error: io::Error| format!("{} cannot be read: {error}", path.display());
    let mut file = open(path)?;
    // The metadata of a device says nothing of its size.
    let size_bytes = file.seek(SeekFrom::End(0)).map_err(failed)?;
    file.rewind().map_err(failed)?;
    // That of a device is when somebody has made its node.
    let written = file.metadata().and_then(|metadata| metadata.modified());
    let written = written.ok().filter(|_| !is_device);
    let mut start = Vec::new();
    file.take(METADATA_BYTES)
        .read_to_end(&mut start)
        .map_err(failed)?;
    let seen = Seen::There {
        size_bytes,
        is_device,
        written,
    };
    Ok((seen, start))
}

fn open(path: &Path) -> Result<File, String> {
    let opened = OpenOptions::new().read(true).write(true).open(path);
    opened.map_err(|error| format!("{} cannot be opened: {error}", path.display()))
}

/// Removes what somebody else has at the beginning of a file.
fn wipe(mut file: &File, path: &Path) -> Result<(), String> {
    let failed = |error: io::Error| format!("{} cannot be written to: {error}", path.display());
    file.rewind().map_err(failed)?;
    let zeros = [0; 64 << 10];
    for _ in 0..METADATA_BYTES / zeros.len() as u64 {
        file.write_all(&zeros).map_err(failed)?;
    }
    file.sync_all().map_err(failed)
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
        (Found::File { id }, Found::File { id: other }) => id == other,
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
