//! Which base bdevs are taken over, and as what.

use alloc::string::String;

use barespdk::uuid::Uuid;

use super::plan::{Found, Plan, Told, first_generation, plan};
use crate::format::{BaseState, BdevRaid};

const TWO_LEGS: &[u8] = include_bytes!("../../fuzz/corpus/import/spdk-26.01-two-legs");
const LEG_REMOVED: &[u8] = include_bytes!("../../fuzz/corpus/import/spdk-26.01-leg-removed");

const NOTHING: Told = Told {
    source: None,
    assume_clean: false,
};
const CLEAN: Told = Told {
    assume_clean: true,
    ..NOTHING
};

fn right_is(source: usize) -> Told {
    Told {
        source: Some(source),
        ..NOTHING
    }
}

fn array(bytes: &[u8]) -> BdevRaid {
    BdevRaid::parse(bytes).unwrap().unwrap()
}

/// The base bdev in a slot of an array, which has this on it.
fn leg(name: &'static str, slot: usize, array: &BdevRaid) -> Found<'static> {
    Found {
        name,
        uuid: array.bases[slot].unwrap().uuid,
        array: array.clone(),
    }
}

fn pair(first: &BdevRaid, second: &BdevRaid) -> [Found<'static>; 2] {
    [leg("a", 0, first), leg("b", 1, second)]
}

fn members(plan: &Plan) -> [Option<usize>; 2] {
    [plan.members[0], plan.members[1]]
}

fn refusal(found: &[Found<'_>], told: Told) -> String {
    plan(found, told).unwrap_err()
}

#[test]
fn equal_legs_are_taken_over_if_somebody_says_that_they_are() {
    let array = array(TWO_LEGS);
    let mut found = pair(&array, &array);
    assert!(refusal(&found, NOTHING).contains("'assume_clean': true"));
    let clean = plan(&found, CLEAN).unwrap();
    assert_eq!(members(&clean), [Some(0), Some(1)]);
    assert_eq!((clean.source, clean.stale.len()), (None, 0));
    assert_eq!(clean.data_offset_blocks, 2048);
    // By their uuids, in whatever order they are named.
    found.reverse();
    assert_eq!(members(&plan(&found, CLEAN).unwrap()), [Some(1), Some(0)]);
}

#[test]
fn the_source_is_below_all_that_are_made_equal_to_it() {
    let array = array(TWO_LEGS);
    let found = pair(&array, &array);
    for source in [0, 1] {
        let plan = plan(&found, right_is(source)).unwrap();
        assert_eq!(members(&plan), [Some(source), Some(1 - source)]);
        assert_eq!(plan.source, Some(0));
    }
    // Alone, it is equal to itself.
    let alone = plan(&found[1..], right_is(0)).unwrap();
    assert_eq!(members(&alone), [None, Some(0)]);
    assert_eq!(alone.source, None);
}

#[test]
fn one_that_was_taken_out_is_stale() {
    let (old, new) = (array(TWO_LEGS), array(LEG_REMOVED));
    let found = pair(&new, &old);
    let reason = refusal(&found, CLEAN);
    assert!(reason.contains("'b' is missing, says 'a'"), "{reason}");
    assert_eq!(plan(&found, right_is(0)).unwrap().stale, [1]);
    // The one that is left needs nobody's word.
    assert_eq!(
        members(&plan(&found[..1], NOTHING).unwrap()),
        [Some(0), None]
    );
    // The other one thinks that both are up to date, and is out of date itself.
    assert_eq!(plan(&found, right_is(1)).unwrap().stale, [0]);
}

#[test]
fn an_older_one_is_named_with_the_newer() {
    let old = array(TWO_LEGS);
    let mut new = old.clone();
    new.sequence += 1;
    for found in [pair(&new, &old), pair(&old, &new)] {
        for told in [NOTHING, CLEAN] {
            let reason = refusal(&found, told);
            assert!(reason.contains("number 1 of the array"), "{reason}");
            assert!(reason.contains("'a'") && reason.contains("'b'"), "{reason}");
        }
    }
}

#[test]
fn all_that_count_must_be_there() {
    let array = array(TWO_LEGS);
    let found = pair(&array, &array);
    let reason = refusal(&found[..1], CLEAN);
    assert!(reason.contains("one more base bdev"), "{reason}");
    assert!(refusal(&[], CLEAN).contains("there is no base bdev"));
}

#[test]
fn strangers_are_refused() {
    let one = array(TWO_LEGS);
    let mut other = one.clone();
    other.uuid = Uuid::from_bytes([7; 16]);
    let reason = refusal(&pair(&one, &other), right_is(0));
    assert!(reason.contains("'a' is of array 'Array0'"), "{reason}");

    // A copied image has the superblock, but not the uuid.
    let mut found = pair(&one, &one);
    found[1].uuid = Uuid::from_bytes([7; 16]);
    let reason = refusal(&found, CLEAN);
    assert!(
        reason.contains("not one of those that 'a' knows of"),
        "{reason}"
    );
    assert_eq!(plan(&found, right_is(0)).unwrap().stale, [1]);
    assert!(refusal(&found, right_is(1)).contains("base bdev 'b' is, by its uuid"));
}

#[test]
fn data_must_begin_at_one_offset() {
    let mut array = array(TWO_LEGS);
    for base in array.bases.iter_mut().skip(1).flatten() {
        base.data_offset_blocks += 8;
    }
    let reason = refusal(&pair(&array, &array), CLEAN);
    assert!(
        reason.contains("at block 2048, that of 'b' at block 2056"),
        "{reason}"
    );
}

#[test]
fn a_spare_has_no_data() {
    let mut array = array(TWO_LEGS);
    for base in array.bases.iter_mut().skip(1).flatten() {
        base.state = BaseState::Spare;
    }
    assert!(refusal(&pair(&array, &array), CLEAN).contains("'b' is a spare"));
}

#[test]
fn generations_begin_odd_and_above_what_was() {
    for sequence in [0, 1, 2, 7, (1 << 62) - 1] {
        let generation = first_generation(sequence);
        assert!(generation % 2 == 1 && generation > sequence);
    }
    assert_eq!(first_generation(u64::MAX), 1);
}
