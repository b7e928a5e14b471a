//! What becomes of the files of a mirror: made of nothing, a new mirror; else what the survey says of them.
//! Pure; the files themselves are looked at, and changed, elsewhere.

use std::path::Path;
use std::time::SystemTime;

use barespdk::uuid::Uuid;
use barespdk_raid1::survey::{Content, Leg, METADATA_BYTES, Outcome, Start, Survey};

use crate::command_line::{CommandLine, SIZE_DEFAULT};
use crate::histories;
use crate::mirror_spec::MirrorSpec;
use crate::size;

/// What there is at the path of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    Nothing,
    There {
        size_bytes: u64,
        is_device: bool,
        /// When it was written to, if that is known.
        written: Option<SystemTime>,
    },
}

/// A file, and what is known of it.
#[derive(Clone, Copy)]
struct File<'a> {
    path: &'a Path,
    seen: &'a Seen,
    content: &'a Content,
}

/// What is to be done for a mirror.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) roles: Vec<Role>,
    /// The mirror that is on the files already.
    pub(crate) existing: Option<Existing>,
    /// Size of the mirror.
    pub(crate) size_bytes: u64,
    /// Size of the files that are made.
    pub(crate) new_file_bytes: u64,
    pub(crate) block_size: u32,
}

/// What a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Made, of zeros.
    New,
    /// It was there, and has nothing on it.
    Blank,
    /// It has something on it that `--force` gives up.
    Overwritten,
    /// A leg, with all that the others have.
    InSync,
    /// A leg whose rebuild goes on.
    Rebuilding,
    /// A leg that was out: it gets what it has missed.
    Stale,
    /// A leg that is older than the others believe: it gets all.
    Lagging,
}

impl Role {
    /// Whether it is a leg of the existing mirror.
    pub(crate) fn is_leg(self) -> bool {
        !matches!(self, Self::New | Self::Blank | Self::Overwritten)
    }
}

/// A mirror that is on files already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Existing {
    pub(crate) uuid: Uuid,
    pub(crate) is_clean: bool,
    /// The file that the driver is to see first.
    pub(crate) authority: usize,
    /// Legs that it counts on and that are none of the files, by the names of their bdevs: it does not
    /// start by itself without them.
    pub(crate) absent: Vec<String>,
}

/// Decides on the files of a mirror.
///
/// # Errors
/// Says to the user what is wrong, by the name of the file.
pub(crate) fn plan(
    mirror: &MirrorSpec,
    seen: &[Seen],
    survey: &Survey,
    line: &CommandLine,
) -> Result<Plan, String> {
    let files = mirror.files.iter().zip(seen).zip(&survey.files);
    let files = files.map(|((path, seen), content)| File {
        path,
        seen,
        content,
    });
    let files: Vec<File<'_>> = files.collect();
    refuse_empty(&files)?;
    let Some(known) = &survey.mirror else {
        return first(&mirror.name, &files, line);
    };
    match &known.outcome {
        Outcome::Starts(start) => again(start, known.uuid, &mirror.name, &files, line),
        Outcome::NoneInSync { missing } => Err(none_in_sync(missing)),
        Outcome::SplitBrain(all) => Err(histories::split_brain(all, &mirror.files, seen)),
        Outcome::SeveralLives(all) => Err(histories::several_lives(all, &mirror.files, seen)),
    }
}

fn none_in_sync(missing: &[String]) -> String {
    let why = match missing {
        [] => String::from("those that had it are old states of themselves"),
        missing => format!("missing: {}", missing.join(", ")),
    };
    format!("no leg among its files has all data, {why}")
}

fn refuse_empty(files: &[File<'_>]) -> Result<(), String> {
    for File { path, seen, .. } in files {
        if let Seen::There {
            size_bytes: 0,
            is_device: false,
            ..
        } = seen
        {
            return Err(format!(
                "{} exists and is empty: remove it, and it is made anew",
                path.display()
            ));
        }
    }
    Ok(())
}

/// What a file is that is no leg of the mirror `name`, which has the UUID `uuid` if it is there.
fn no_leg(
    file: &File<'_>,
    name: &str,
    uuid: Option<Uuid>,
    files: &[File<'_>],
    line: &CommandLine,
) -> Result<Role, String> {
    if *file.seen == Seen::Nothing {
        return Ok(Role::New);
    }
    if *file.content == Content::Blank {
        return Ok(Role::Blank);
    }
    if line.force {
        return Ok(Role::Overwritten);
    }
    let leg_of = |other: &str, uuid| format!("is a leg of mirror '{other}' ({uuid})");
    let has = match (file.content, uuid) {
        (Content::Foreign(what), _) => format!("holds {what}"),
        (Content::OfAnother { name: of, uuid }, _) if of != name => {
            format!("{}, not of '{name}'", leg_of(of, *uuid))
        }
        (Content::OfAnother { name: of, uuid }, Some(ours)) => {
            format!("{}, not of the other '{name}' ({ours})", leg_of(of, *uuid))
        }
        (Content::Leg(leg), Some(uuid)) => {
            format!("{}{}", leg_of(name, uuid), why_useless(*leg, files))
        }
        _ => String::from("holds something"),
    };
    Err(format!(
        "{} {has}: with --force it would be overwritten, and what is on it lost",
        file.path.display()
    ))
}

fn why_useless(leg: Leg, files: &[File<'_>]) -> String {
    match leg {
        Leg::CopyOf(original) => match files.get(original) {
            Some(original) => format!(", a copy of {}", original.path.display()),
            None => String::new(),
        },
        Leg::Replaced => String::from(", which has another leg in its place by now"),
        Leg::OtherLife => String::from(", but of another life of that"),
        _ => String::new(),
    }
}

/// A start on files none of which is a leg of it.
fn first(name: &str, files: &[File<'_>], line: &CommandLine) -> Result<Plan, String> {
    let roles = files
        .iter()
        .map(|file| no_leg(file, name, None, files, line));
    let roles: Vec<_> = roles.collect::<Result<_, _>>()?;
    let block_size = line.new_block_size();
    let there: Vec<(&Path, u64, bool)> = files.iter().filter_map(size_of).collect();
    for (path, size_bytes, is_device) in &there {
        check_new_size(path, *size_bytes, *is_device, line)?;
    }
    let mut regular = there.iter().filter(|(_, _, is_device)| !is_device);
    if let Some((first, size_bytes, _)) = regular.next()
        && let Some((other, size_other, _)) = regular.find(|(_, other, _)| other != size_bytes)
    {
        return Err(format!(
            "{} has {size_bytes} bytes and {} has {size_other}: legs of a mirror are of one size",
            first.display(),
            other.display()
        ));
    }
    let smallest = there.iter().map(|(_, size_bytes, _)| *size_bytes).min();
    let new_file_bytes = match smallest {
        Some(size_bytes) => size_bytes,
        None => (line.size.unwrap_or(SIZE_DEFAULT)).saturating_add(METADATA_BYTES),
    };
    Ok(Plan {
        roles,
        existing: None,
        size_bytes: new_file_bytes.saturating_sub(METADATA_BYTES) / u64::from(block_size)
            * u64::from(block_size),
        new_file_bytes,
        block_size,
    })
}

fn size_of<'a>(file: &File<'a>) -> Option<(&'a Path, u64, bool)> {
    match file.seen {
        Seen::There {
            size_bytes,
            is_device,
            ..
        } => Some((file.path, *size_bytes, *is_device)),
        Seen::Nothing => None,
    }
}

/// Checks the size of what exists and becomes a leg of a new mirror.
fn check_new_size(
    path: &Path,
    size_bytes: u64,
    is_device: bool,
    line: &CommandLine,
) -> Result<(), String> {
    let (path, shown) = (path.display(), size::show(size_bytes));
    let block_size = line.new_block_size();
    if size_bytes < METADATA_BYTES + u64::from(block_size) {
        return Err(format!(
            "{path} has {shown}, of which metadata takes 1 MiB: there is no room for data"
        ));
    }
    if is_device {
        return Ok(());
    }
    if let Some(wanted) = line.size
        && wanted != size_bytes - METADATA_BYTES
    {
        return Err(format!(
            "{path} exists and has {shown}, and --size says {} and 1 MiB of metadata: leave --size \
             out to use it as it is",
            size::show(wanted)
        ));
    }
    if !size_bytes.is_multiple_of(block_size.into()) {
        let hint = match block_size {
            4096 if size_bytes.is_multiple_of(512) => ": --block-size 512 would do",
            _ => "",
        };
        return Err(format!(
            "{path} has {size_bytes} bytes, not a multiple of blocks of {block_size} bytes{hint}"
        ));
    }
    Ok(())
}

/// A start on legs of it.
fn again(
    start: &Start,
    uuid: Uuid,
    name: &str,
    files: &[File<'_>],
    line: &CommandLine,
) -> Result<Plan, String> {
    if let Some(given) = line.block_size
        && given != start.block_size
    {
        return Err(format!(
            "it has blocks of {} bytes, and --block-size says {given}: leave --block-size out",
            start.block_size
        ));
    }
    if let Some(wanted) = line.size
        && wanted != start.size_bytes
    {
        return Err(format!(
            "it has {}, and --size says {}: leave --size out to use it as it is",
            size::show(start.size_bytes),
            size::show(wanted)
        ));
    }
    let mut roles = Vec::new();
    for file in files {
        let role = match file.content {
            Content::Leg(Leg::InSync) => Role::InSync,
            Content::Leg(Leg::Rebuilding) => Role::Rebuilding,
            Content::Leg(Leg::Stale) => Role::Stale,
            Content::Leg(Leg::Lagging) => Role::Lagging,
            _ => no_leg(file, name, Some(uuid), files, line)?,
        };
        if let Some((path, size_bytes, _)) = size_of(file)
            && size_bytes < start.leg_bytes
        {
            return Err(format!(
                "{} has {size_bytes} bytes, a leg of this mirror needs {}",
                path.display(),
                start.leg_bytes
            ));
        }
        roles.push(role);
    }
    Ok(Plan {
        roles,
        existing: Some(Existing {
            uuid,
            is_clean: start.is_clean,
            authority: start.authority,
            absent: start.absent.clone(),
        }),
        size_bytes: start.size_bytes,
        new_file_bytes: start.leg_bytes,
        block_size: start.block_size,
    })
}

#[cfg(test)]
pub(crate) mod tests;
