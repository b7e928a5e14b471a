//! What becomes of the files of a mirror: made of nothing, a new mirror; else what their metadata says.
//! Pure; the files themselves are looked at, and changed, elsewhere.

use std::path::Path;

use crate::command_line::{CommandLine, SIZE_DEFAULT};
use crate::mirror_spec::MirrorSpec;
use crate::peek::{Content, METADATA_BYTES, Peek, PeekLeg, Uuid};
use crate::size;

/// What there is at the path of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    Nothing,
    There {
        size_bytes: u64,
        is_device: bool,
        content: Content,
    },
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
    /// Legs that it counts on and that are none of the files, by the names of their bdevs: it does not
    /// start by itself without them.
    pub(crate) absent: Vec<String>,
}

/// Decides on the files of a mirror.
///
/// # Errors
/// Says to the user what is wrong, by the name of the file.
pub(crate) fn plan(mirror: &MirrorSpec, seen: &[Seen], line: &CommandLine) -> Result<Plan, String> {
    let files: Vec<(&Path, &Seen)> = mirror.files.iter().map(AsRef::as_ref).zip(seen).collect();
    refuse_empty(&files)?;
    // Of several mirrors of that name the first file's counts, and of its legs the newest.
    let ours = files.iter().filter_map(|(_, seen)| leg_of(seen));
    let ours: Vec<&Peek> = ours.filter(|peek| peek.name == mirror.name).collect();
    let uuid = ours.first().map(|peek| peek.uuid);
    let same = ours.into_iter().filter(|peek| Some(peek.uuid) == uuid);
    match same.max_by_key(|peek| (peek.generation, u8::MAX - peek.own_slot)) {
        Some(authority) => again(authority, &mirror.name, &files, line),
        None => first(&mirror.name, &files, line),
    }
}

fn leg_of(seen: &Seen) -> Option<&Peek> {
    match seen {
        Seen::There {
            content: Content::Leg(peek),
            ..
        } => Some(peek),
        _ => None,
    }
}

fn refuse_empty(files: &[(&Path, &Seen)]) -> Result<(), String> {
    for (path, seen) in files {
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

/// What a file is that is no leg; `why` it has what it has.
fn no_leg(path: &Path, seen: &Seen, why: &str, line: &CommandLine) -> Result<Role, String> {
    let has = match seen {
        Seen::Nothing => return Ok(Role::New),
        Seen::There {
            content: Content::Blank,
            ..
        } => return Ok(Role::Blank),
        _ if line.force => return Ok(Role::Overwritten),
        Seen::There {
            content: Content::Other(what),
            ..
        } => format!("holds {what}"),
        Seen::There {
            content: Content::Leg(peek),
            ..
        } => format!("is a leg of mirror '{}' ({}){why}", peek.name, peek.uuid),
    };
    Err(format!(
        "{} {has}: with --force it would be overwritten, and what is on it lost",
        path.display()
    ))
}

/// A start on files none of which is a leg of it.
fn first(name: &str, files: &[(&Path, &Seen)], line: &CommandLine) -> Result<Plan, String> {
    let roles = files.iter().map(|(path, seen)| {
        let why = match leg_of(seen) {
            Some(peek) if peek.name != name => format!(", not of '{name}'"),
            _ => String::new(),
        };
        no_leg(path, seen, &why, line)
    });
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

fn size_of<'a>((path, seen): &(&'a Path, &Seen)) -> Option<(&'a Path, u64, bool)> {
    match seen {
        Seen::There {
            size_bytes,
            is_device,
            ..
        } => Some((path, *size_bytes, *is_device)),
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
    authority: &Peek,
    name: &str,
    files: &[(&Path, &Seen)],
    line: &CommandLine,
) -> Result<Plan, String> {
    if let Some(given) = line.block_size
        && given != authority.block_size
    {
        return Err(format!(
            "it has blocks of {} bytes, and --block-size says {given}: leave --block-size out",
            authority.block_size
        ));
    }
    let size_bytes = authority.size_bytes();
    if let Some(wanted) = line.size
        && wanted != size_bytes
    {
        return Err(format!(
            "it has {}, and --size says {}: leave --size out to use it as it is",
            size::show(size_bytes),
            size::show(wanted)
        ));
    }
    let leg_bytes = authority.leg_bytes();
    let mut roles = Vec::new();
    for (path, seen) in files {
        let role = match leg_of(seen).map(|peek| role_of(authority, peek, name, files)) {
            Some(Ok(role)) => role,
            Some(Err(why)) => no_leg(path, seen, &why, line)?,
            None => no_leg(path, seen, "", line)?,
        };
        if let Some((path, size_bytes, _)) = size_of(&(*path, *seen))
            && size_bytes < leg_bytes
        {
            return Err(format!(
                "{} has {size_bytes} bytes, a leg of this mirror needs {leg_bytes}",
                path.display()
            ));
        }
        roles.push(role);
    }
    let absent = authority.legs.iter().filter(|leg| {
        let mut here = files.iter().zip(&roles).filter(|(_, role)| role.is_leg());
        leg.is_counted_on()
            && !here.any(|((_, seen), _)| {
                let own = leg_of(seen).and_then(Peek::own_leg);
                own.is_some_and(|own| own.uuid == leg.uuid)
            })
    });
    let absent = absent.map(|leg| leg.base_name.clone()).collect();
    Ok(Plan {
        roles,
        existing: Some(Existing {
            uuid: authority.uuid,
            is_clean: authority.is_clean,
            absent,
        }),
        size_bytes,
        new_file_bytes: leg_bytes,
        block_size: authority.block_size,
    })
}

/// What a leg is, as the authority has it, or why it is none of this mirror.
fn role_of(
    authority: &Peek,
    peek: &Peek,
    name: &str,
    files: &[(&Path, &Seen)],
) -> Result<Role, String> {
    if peek.name != name {
        return Err(format!(", not of '{name}'"));
    }
    if peek.uuid != authority.uuid {
        return Err(format!(", not of the other '{name}' ({})", authority.uuid));
    }
    let own = peek.own_leg();
    let known = authority.legs.get(usize::from(peek.own_slot));
    let Some(known) = known.filter(|known| {
        peek.epoch == authority.epoch && own.is_some_and(|own| own.uuid == known.uuid)
    }) else {
        return Err(String::from(", which has another leg in its place by now"));
    };
    // Of two copies of one leg the newer is it, or else the first.
    let twins = files.iter().filter_map(|(path, seen)| {
        let twin = leg_of(seen)?;
        let is_twin =
            twin.uuid == peek.uuid && twin.own_leg().map(|leg| leg.uuid) == Some(known.uuid);
        is_twin.then_some((path, twin))
    });
    let best = twins.reduce(|best, twin| match twin.1.generation > best.1.generation {
        true => twin,
        false => best,
    });
    if let Some((path, best)) = best
        && !std::ptr::eq(best, peek)
    {
        return Err(format!(", a copy of {}", path.display()));
    }
    Ok(match known.state {
        PeekLeg::IN_SYNC | PeekLeg::REBUILDING
            if peek.generation.saturating_add(1) < authority.generation =>
        {
            Role::Lagging
        }
        PeekLeg::IN_SYNC => Role::InSync,
        PeekLeg::REBUILDING => Role::Rebuilding,
        _ => Role::Stale,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peek;

    fn there(size_bytes: u64, start: &[u8]) -> Seen {
        Seen::There {
            size_bytes,
            is_device: false,
            content: peek::content(start),
        }
    }

    fn leg(name: &str, mirror: u8, slot: u8, generation: u64, states: [u8; 2]) -> Seen {
        there(
            9 << 20,
            &peek::tests::leg(name, mirror, slot, generation, states),
        )
    }

    fn decide(seen: &[Seen], further: &[&str]) -> Result<Plan, String> {
        let files: Vec<_> = (0..seen.len()).map(|index| format!("/{index}")).collect();
        let mirror = format!("--mirror=m={}", files.join(","));
        let arguments = [&["raid1", &mirror], further].concat();
        let line = CommandLine::parse(arguments.into_iter().map(Into::into)).unwrap();
        plan(&line.mirrors[0], seen, &line)
    }

    #[test]
    fn new_mirrors() {
        let plan = decide(&[Seen::Nothing, Seen::Nothing], &["--size=8MiB"]).unwrap();
        assert_eq!(plan.roles, [Role::New; 2]);
        assert_eq!((plan.size_bytes, plan.new_file_bytes), (8 << 20, 9 << 20));
        assert_eq!((plan.existing, plan.block_size), (None, 4096));
        let blank = there(9 << 20, &[0; 4096]);
        let plan = decide(&[blank.clone(), Seen::Nothing], &[]).unwrap();
        assert_eq!(plan.roles, [Role::Blank, Role::New]);
        assert_eq!(plan.new_file_bytes, 9 << 20);
        let other = there(9 << 20, &[1; 4096]);
        let error = decide(&[blank.clone(), other.clone()], &[]).unwrap_err();
        assert!(
            error.starts_with("/1 holds data, and no metadata"),
            "{error}"
        );
        assert!(
            error.contains("with --force it would be overwritten"),
            "{error}"
        );
        let plan = decide(&[blank, other], &["--force"]).unwrap();
        assert_eq!(plan.roles, [Role::Blank, Role::Overwritten]);
        let error = decide(&[leg("n", 5, 0, 2, [1, 1]), Seen::Nothing], &[]).unwrap_err();
        assert!(error.contains("of mirror 'n' (05050505-"), "{error}");
    }

    #[test]
    fn a_mirror_that_is_there() {
        let whole = [leg("m", 5, 0, 4, [1, 1]), leg("m", 5, 1, 3, [1, 1])];
        let plan = decide(&whole, &[]).unwrap();
        assert_eq!(plan.roles, [Role::InSync; 2]);
        let existing = plan.existing.unwrap();
        assert!(existing.absent.is_empty() && existing.is_clean);
        for (further, part) in [
            ("--size=9MiB", "it has 8 MiB, and --size says 9 MiB"),
            ("--block-size=512", "blocks of 4096 bytes"),
        ] {
            let error = decide(&whole, &[further]).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
        assert!(decide(&whole, &["--size=8MiB", "--block-size=4096"]).is_ok());
    }

    #[test]
    fn legs_that_are_behind() {
        let roles = |seen: &[Seen]| decide(seen, &[]).unwrap().roles;
        let stale = [leg("m", 5, 0, 2, [1, 1]), leg("m", 5, 1, 4, [3, 1])];
        assert_eq!(roles(&stale), [Role::Stale, Role::InSync]);
        let lagging = [leg("m", 5, 0, 2, [1, 1]), leg("m", 5, 1, 4, [1, 1])];
        assert_eq!(roles(&lagging), [Role::Lagging, Role::InSync]);
        let rebuilt = [leg("m", 5, 0, 4, [2, 1]), leg("m", 5, 1, 4, [2, 1])];
        assert_eq!(roles(&rebuilt), [Role::Rebuilding, Role::InSync]);
    }

    #[test]
    fn files_that_are_missing() {
        let plan = decide(&[leg("m", 5, 0, 4, [1, 1]), Seen::Nothing], &[]).unwrap();
        assert_eq!(plan.roles, [Role::InSync, Role::New]);
        assert_eq!(plan.existing.unwrap().absent, ["m-leg1"]);
        assert_eq!(plan.new_file_bytes, 9 << 20);
        // It was out already.
        let plan = decide(&[leg("m", 5, 0, 4, [1, 3]), Seen::Nothing], &[]).unwrap();
        assert!(plan.existing.unwrap().absent.is_empty());
    }

    #[test]
    fn what_is_no_leg_of_it() {
        let good = leg("m", 5, 0, 4, [1, 1]);
        for (other, part) in [
            (leg("n", 6, 1, 4, [1, 1]), "of mirror 'n'"),
            (leg("m", 6, 1, 9, [1, 1]), "not of the other 'm' (0505"),
            (leg("m", 5, 0, 4, [1, 1]), "a copy of /0"),
            (there(9 << 20, &[1; 4096]), "holds data"),
        ] {
            let both = [good.clone(), other];
            let error = decide(&both, &[]).unwrap_err();
            assert!(error.starts_with("/1 ") && error.contains(part), "{error}");
            let plan = decide(&both, &["--force"]).unwrap();
            assert_eq!(plan.roles, [Role::InSync, Role::Overwritten]);
            assert_eq!(plan.existing.unwrap().absent, ["m-leg1"]);
        }
        let error = decide(&[good, there(4 << 20, &[0; 4096])], &[]).unwrap_err();
        assert!(
            error.contains("a leg of this mirror needs 9437184"),
            "{error}"
        );
    }
}
