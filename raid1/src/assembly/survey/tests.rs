//! What files are.

use alloc::vec;
use alloc::vec::Vec;

use super::*;
use crate::format::{LEGS_MAX, LegEntry, LegState, MdFormat, Name};

use LegState::{Failed, InSync, Rebuilding};

fn uuid(byte: u8) -> Uuid {
    Uuid::from_bytes([byte; 16])
}

/// Of a mirror 'm': its legs by slot, each with its number, what it is, and the generation that it was last
/// told.
fn leg(own_slot: u8, generation: u64, legs: [(u8, LegState, u64); 2]) -> Superblock {
    let mut entries = [LegEntry::default(); LEGS_MAX];
    for (entry, (number, state, left_generation)) in entries.iter_mut().zip(&legs) {
        *entry = LegEntry {
            // Not nil.
            uuid: uuid(0x10 + number),
            state: *state,
            data_offset_blocks: 256,
            left_generation: *left_generation,
            base_name: Name::cut(&format!("m-leg{number}")),
            ..LegEntry::default()
        };
    }
    Superblock {
        generation,
        epoch: 7,
        uuid: uuid(5),
        name: Name::cut("m"),
        clean: true,
        num_legs: legs.len() as u8,
        own_slot,
        source: None,
        block_size: 4096,
        md: MdFormat::default(),
        data_size_blocks: 2048,
        region_size_blocks: 256,
        update_time: 0,
        legs: entries,
    }
}

/// Two legs in sync.
fn healthy(own_slot: u8, generation: u64) -> Superblock {
    let legs = [(0, InSync, generation), (1, InSync, generation)];
    leg(own_slot, generation, legs)
}

/// The first MiB of a file, as the driver would write it.
fn start(superblock: &Superblock) -> Vec<u8> {
    let mut start = vec![0; METADATA_BYTES as usize];
    let at = SUPERBLOCK_OFFSETS[(superblock.generation % 2) as usize] as usize;
    let copy = &mut start[at..at + SUPERBLOCK_BYTES];
    superblock.encode(copy).unwrap();
    start
}

fn surveyed(superblocks: &[Superblock]) -> Survey {
    let starts: Vec<_> = superblocks.iter().map(start).collect();
    let starts: Vec<&[u8]> = starts.iter().map(Vec::as_slice).collect();
    survey("m", &starts)
}

fn roles(survey: &Survey) -> Vec<Leg> {
    let role = |content: &Content| match content {
        Content::Leg(leg) => *leg,
        other => panic!("{other:?}"),
    };
    survey.files.iter().map(role).collect()
}

fn starts(survey: &Survey) -> &Start {
    match survey.mirror.as_ref().map(|mirror| &mirror.outcome) {
        Some(Outcome::Starts(start)) => start,
        other => panic!("{other:?}"),
    }
}

fn outcome(survey: Survey) -> Outcome {
    survey.mirror.expect("a mirror").outcome
}

#[test]
fn what_is_no_leg() {
    let foreign = |start: &[u8]| match survey("m", &[start]).files.remove(0) {
        Content::Foreign(what) => what,
        other => panic!("{other:?}"),
    };
    assert_eq!(
        survey("m", &[&[0; 8192], &[]]),
        Survey {
            files: vec![Content::Blank; 2],
            mirror: None
        }
    );
    assert_eq!(foreign(&[1; 8192]), "data, and no metadata of a mirror");
    assert_eq!(foreign(b"LUKS\xba\xbe"), "a LUKS encrypted volume");
    // It is cut off where nobody would expect it.
    for part in [8, 4095] {
        let what = foreign(&start(&healthy(0, 4))[..part]);
        assert!(what.contains("of no use (copy A"), "{what}");
    }
    let mut damaged = start(&healthy(0, 4));
    damaged[2000] ^= 1;
    let what = foreign(&damaged);
    assert!(what.contains("of no use (copy A"), "{what}");
    // The copy that is left counts.
    damaged[64 << 10..].copy_from_slice(&start(&healthy(0, 3))[64 << 10..]);
    assert_eq!(roles(&survey("m", &[&damaged])), [Leg::InSync]);
    let mut two = start(&healthy(0, 4));
    two[64 << 10..].copy_from_slice(&start(&healthy(1, 3))[64 << 10..]);
    let what = foreign(&two);
    assert!(what.contains("of different arrays"), "{what}");
}

#[test]
fn a_mirror() {
    let survey = surveyed(&[healthy(0, 3), healthy(1, 4)]);
    assert_eq!(roles(&survey), [Leg::InSync; 2]);
    let expected = Start {
        authority: 1,
        absent: vec![],
        block_size: 4096,
        size_bytes: 8 << 20,
        leg_bytes: 9 << 20,
        is_clean: true,
    };
    assert_eq!(starts(&survey), &expected);
    assert_eq!(survey.mirror.map(|mirror| mirror.uuid), Some(uuid(5)));
}

#[test]
fn legs_of_other_mirrors() {
    let other_name = Superblock {
        name: Name::cut("n"),
        ..healthy(1, 9)
    };
    let other_uuid = Superblock {
        uuid: uuid(6),
        ..healthy(1, 9)
    };
    let of = |name: &str, byte| Content::OfAnother {
        name: name.into(),
        uuid: uuid(byte),
    };
    for (other, content) in [(other_name, of("n", 5)), (other_uuid, of("m", 6))] {
        let files = [healthy(0, 4), other];
        let survey = surveyed(&files);
        assert_eq!(survey.files, [Content::Leg(Leg::InSync), content]);
        assert_eq!(starts(&survey).absent, ["m-leg1"]);
    }
    assert_eq!(survey("x", &[&start(&healthy(0, 4))]).mirror, None);
}

#[test]
fn legs_that_are_behind() {
    let with = |own_slot, generation, state, left| {
        let legs = [(0, state, left), (1, InSync, generation)];
        leg(own_slot, generation, legs)
    };
    for (files, expected) in [
        ([healthy(0, 2), with(1, 4, Failed, 3)], Leg::Stale),
        ([healthy(0, 2), healthy(1, 4)], Leg::Lagging),
        (
            [with(0, 3, Rebuilding, 3), with(1, 4, Rebuilding, 4)],
            Leg::Rebuilding,
        ),
    ] {
        let survey = surveyed(&files);
        assert_eq!(roles(&survey), [expected, Leg::InSync]);
        assert_eq!(starts(&survey).authority, 1);
        assert_eq!(starts(&survey).absent, [""; 0]);
    }
}

/// One that would start without the others, if it was seen first.
#[test]
fn an_old_state_that_counts_on_nobody_is_not_believed() {
    let legs = [(0, InSync, 4), (1, Failed, 3)];
    let old = leg(0, 4, legs);
    let survey = surveyed(&[old, healthy(1, 9)]);
    assert_eq!(roles(&survey), [Leg::Lagging, Leg::InSync]);
    assert_eq!(starts(&survey).authority, 1);
}

#[test]
fn legs_that_are_not_there() {
    let survey = surveyed(&[healthy(1, 4)]);
    assert_eq!(starts(&survey).absent, ["m-leg0"]);
    // Those that were out already are not missed.
    let legs = [(0, Failed, 3), (1, InSync, 4)];
    let survey = surveyed(&[leg(1, 4, legs)]);
    assert_eq!(starts(&survey).absent, [""; 0]);
}

#[test]
fn legs_that_are_of_no_use() {
    let survey = surveyed(&[healthy(0, 3), healthy(1, 4), healthy(0, 4), healthy(1, 4)]);
    let expected = [Leg::CopyOf(2), Leg::InSync, Leg::InSync, Leg::CopyOf(1)];
    assert_eq!(roles(&survey), expected);
    let legs = [(0, InSync, 6), (2, InSync, 6)];
    let survey = surveyed(&[leg(0, 6, legs), healthy(1, 4)]);
    assert_eq!(roles(&survey), [Leg::InSync, Leg::Replaced]);
    assert_eq!(starts(&survey).absent, ["m-leg2"]);
    let other_life = Superblock {
        epoch: 8,
        ..healthy(1, 9)
    };
    let survey = surveyed(&[other_life, healthy(0, 4), healthy(1, 4)]);
    assert_eq!(roles(&survey), [Leg::OtherLife, Leg::InSync, Leg::InSync]);
}

#[test]
fn split_brain() {
    let history = |files: &[usize], generation, is_clean| History {
        files: files.to_vec(),
        generation,
        is_clean,
    };
    // Each has ejected the other.
    let blames = |own_slot, generation| {
        let mut legs = [(0, Failed, 4), (1, Failed, 4)];
        legs[usize::from(own_slot)] = (own_slot, InSync, generation);
        leg(own_slot, generation, legs)
    };
    let crashed = Superblock {
        clean: false,
        ..blames(1, 9)
    };
    let survey = surveyed(&[blames(0, 6), crashed]);
    assert_eq!(roles(&survey), [Leg::Undecided; 2]);
    let expected = [history(&[1], 9, false), history(&[0], 6, true)];
    assert_eq!(outcome(survey), Outcome::SplitBrain(expected.to_vec()));
    // Each has another leg in the place of the other, and one of them is there.
    let new = |own_slot, generation, numbers: [u8; 2]| {
        let legs = numbers.map(|number| (number, InSync, generation));
        leg(own_slot, generation, legs)
    };
    let files = [new(0, 6, [0, 3]), new(1, 6, [4, 1]), new(1, 6, [0, 3])];
    let expected = [history(&[0, 2], 6, true), history(&[1], 6, true)];
    assert_eq!(
        outcome(surveyed(&files)),
        Outcome::SplitBrain(expected.to_vec())
    );
}

#[test]
fn several_lives() {
    let other_life = Superblock {
        epoch: 8,
        ..healthy(1, 9)
    };
    let found = outcome(surveyed(&[healthy(0, 4), other_life]));
    let Outcome::SeveralLives(lives) = found else {
        panic!("{found:?}");
    };
    let files: Vec<_> = lives.into_iter().map(|life| life.files).collect();
    assert_eq!(files, [[1], [0]]);
}

#[test]
fn no_leg_has_all_data() {
    let legs = [(0, Rebuilding, 4), (1, InSync, 4)];
    let rebuilt = leg(0, 4, legs);
    let none = |missing: &[&str]| Outcome::NoneInSync {
        missing: missing.iter().map(|name| String::from(*name)).collect(),
    };
    assert_eq!(
        outcome(surveyed(core::slice::from_ref(&rebuilt))),
        none(&["m-leg1"])
    );
    // The one in sync is an old state of itself.
    assert_eq!(outcome(surveyed(&[rebuilt, healthy(1, 2)])), none(&[]));
}
