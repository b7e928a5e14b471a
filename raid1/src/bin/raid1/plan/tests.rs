//! What becomes of files. What the files are is said here as the survey would: it has tests of its own.

use super::*;
use barespdk_raid1::survey::{History, Mirror};

type Found = (Seen, Content);

const MISSING: Found = (Seen::Nothing, Content::Blank);

fn there(size_bytes: u64, content: Content) -> Found {
    let seen = Seen::There {
        size_bytes,
        is_device: false,
        written: None,
    };
    (seen, content)
}

fn data() -> Found {
    there(9 << 20, Content::Foreign("data, and no metadata".into()))
}

fn blank() -> Found {
    there(9 << 20, Content::Blank)
}

fn leg(leg: Leg) -> Found {
    there(9 << 20, Content::Leg(leg))
}

fn of_another(name: &str, uuid: u8) -> Found {
    let (name, uuid) = (name.to_owned(), Uuid::from_bytes([uuid; 16]));
    there(9 << 20, Content::OfAnother { name, uuid })
}

/// A mirror of 8 MiB, as one of its legs has it.
pub(crate) fn starts(authority: usize, absent: &[&str]) -> Outcome {
    Outcome::Starts(Start {
        authority,
        absent: absent.iter().map(|name| String::from(*name)).collect(),
        block_size: 4096,
        size_bytes: 8 << 20,
        leg_bytes: 9 << 20,
        is_clean: true,
    })
}

/// What the survey says of a mirror that is there.
pub(crate) fn surveyed(files: Vec<Content>, outcome: Outcome) -> Survey {
    let uuid = Uuid::from_bytes([5; 16]);
    Survey {
        files,
        mirror: Some(Mirror { uuid, outcome }),
    }
}

fn decide(found: &[Found], outcome: Option<Outcome>, further: &[&str]) -> Result<Plan, String> {
    let files: Vec<_> = (0..found.len()).map(|index| format!("/{index}")).collect();
    let mirror = format!("--mirror=m={}", files.join(","));
    let arguments = [&["raid1", &mirror], further].concat();
    let line = CommandLine::parse(arguments.into_iter().map(Into::into)).unwrap();
    let (seen, files): (Vec<_>, Vec<_>) = found.iter().cloned().unzip();
    let survey = match outcome {
        Some(outcome) => surveyed(files, outcome),
        None => Survey {
            files,
            mirror: None,
        },
    };
    plan(&line.mirrors[0], &seen, &survey, &line)
}

#[test]
fn new_mirrors() {
    let plan = decide(&[MISSING, MISSING], None, &["--size=8MiB"]).unwrap();
    assert_eq!(plan.roles, [Role::New; 2]);
    assert_eq!((plan.size_bytes, plan.new_file_bytes), (8 << 20, 9 << 20));
    assert_eq!((plan.existing, plan.block_size), (None, 4096));
    let plan = decide(&[blank(), MISSING], None, &[]).unwrap();
    assert_eq!(plan.roles, [Role::Blank, Role::New]);
    assert_eq!(plan.new_file_bytes, 9 << 20);
    let error = decide(&[blank(), data()], None, &[]).unwrap_err();
    assert!(
        error.starts_with("/1 holds data, and no metadata"),
        "{error}"
    );
    assert!(
        error.contains("with --force it would be overwritten"),
        "{error}"
    );
    let plan = decide(&[blank(), data()], None, &["--force"]).unwrap();
    assert_eq!(plan.roles, [Role::Blank, Role::Overwritten]);
    let error = decide(&[of_another("n", 5), MISSING], None, &[]).unwrap_err();
    assert!(
        error.starts_with("/0 is a leg of mirror 'n' (05050505-"),
        "{error}"
    );
    assert!(error.contains(", not of 'm': "), "{error}");
}

#[test]
fn a_mirror_that_is_there() {
    let whole = [leg(Leg::InSync), leg(Leg::InSync)];
    let decide = |further: &[&str]| decide(&whole, Some(starts(1, &[])), further);
    let plan = decide(&[]).unwrap();
    assert_eq!(plan.roles, [Role::InSync; 2]);
    let existing = plan.existing.unwrap();
    assert!(existing.absent.is_empty() && existing.is_clean);
    assert_eq!(existing.authority, 1);
    for (further, part) in [
        ("--size=9MiB", "it has 8 MiB, and --size says 9 MiB"),
        ("--block-size=512", "blocks of 4096 bytes"),
    ] {
        let error = decide(&[further]).unwrap_err();
        assert!(error.contains(part), "{error}");
    }
    assert!(decide(&["--size=8MiB", "--block-size=4096"]).is_ok());
}

#[test]
fn legs_that_are_behind() {
    for (is, role) in [
        (Leg::Stale, Role::Stale),
        (Leg::Lagging, Role::Lagging),
        (Leg::Rebuilding, Role::Rebuilding),
    ] {
        let files = [leg(is), leg(Leg::InSync)];
        let plan = decide(&files, Some(starts(1, &[])), &[]).unwrap();
        assert_eq!(plan.roles, [role, Role::InSync]);
    }
}

#[test]
fn files_that_are_missing() {
    let files = [leg(Leg::InSync), MISSING];
    let plan = decide(&files, Some(starts(0, &["m-leg1"])), &[]).unwrap();
    assert_eq!(plan.roles, [Role::InSync, Role::New]);
    assert_eq!(plan.existing.unwrap().absent, ["m-leg1"]);
    assert_eq!(plan.new_file_bytes, 9 << 20);
}

#[test]
fn what_is_no_leg_of_it() {
    let decide = |other: Found, further: &[&str]| {
        let files = [leg(Leg::InSync), other];
        decide(&files, Some(starts(0, &["m-leg1"])), further)
    };
    for (other, part) in [
        (of_another("n", 6), "of mirror 'n' (0606"),
        (of_another("n", 5), ", not of 'm': "),
        (of_another("m", 6), ", not of the other 'm' (0505"),
        (leg(Leg::CopyOf(0)), "of mirror 'm' (0505"),
        (leg(Leg::CopyOf(0)), ", a copy of /0: "),
        (leg(Leg::Replaced), ", which has another leg in its place"),
        (leg(Leg::OtherLife), ", but of another life of that"),
        (data(), "holds data"),
    ] {
        let error = decide(other.clone(), &[]).unwrap_err();
        assert!(error.starts_with("/1 ") && error.contains(part), "{error}");
        let plan = decide(other, &["--force"]).unwrap();
        assert_eq!(plan.roles, [Role::InSync, Role::Overwritten]);
        assert_eq!(plan.existing.unwrap().absent, ["m-leg1"]);
    }
    let small = there(4 << 20, Content::Blank);
    let error = decide(small, &[]).unwrap_err();
    assert!(
        error.contains("a leg of this mirror needs 9437184"),
        "{error}"
    );
}

#[test]
fn what_cannot_start_is_refused_with_force_as_well() {
    let history = |file, generation| History {
        files: vec![file],
        generation,
        is_clean: true,
    };
    let histories = vec![history(1, 9), history(0, 7)];
    let none_in_sync = |missing: &[&str]| Outcome::NoneInSync {
        missing: missing.iter().map(|name| String::from(*name)).collect(),
    };
    for (outcome, part) in [
        (Outcome::SplitBrain(histories.clone()), "split brain: "),
        (
            Outcome::SplitBrain(histories.clone()),
            "\n  /1: generation 9, ",
        ),
        (Outcome::SeveralLives(histories), "in several lives:\n"),
        (none_in_sync(&["m-leg1"]), "has all data, missing: m-leg1"),
        (none_in_sync(&[]), "old states of themselves"),
    ] {
        let files = [leg(Leg::Undecided), leg(Leg::Undecided)];
        for further in [&[][..], &["--force"]] {
            let error = decide(&files, Some(outcome.clone()), further).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }
}
