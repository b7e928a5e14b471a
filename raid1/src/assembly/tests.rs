//! Decisions.

use alloc::vec;
use alloc::vec::Vec;

use barespdk::uuid::Uuid;
use proptest::prelude::*;

use super::decision::{Decision, Plan, Relation, Useless, Verdict, Wish, decide, relation};
use super::retry::Retry;
use crate::format::{LEGS_MAX, LegEntry, LegState, MdFormat, Name, Superblock};
use crate::legs::{LegSet, Slot};

use LegState::{Absent, Failed, InSync, Rebuilding};

fn uuid(byte: u8) -> Uuid {
    Uuid::from_bytes([byte; 16])
}

/// Of the leg in a slot: what each leg is, and the generation that it was last told.
fn superblock(own_slot: u8, generation: u64, states: &[(LegState, u64)]) -> Superblock {
    let mut legs = [LegEntry::default(); LEGS_MAX];
    for (slot, (entry, (state, left_generation))) in (1..).zip(legs.iter_mut().zip(states)) {
        if *state != Absent {
            *entry = LegEntry {
                uuid: uuid(slot),
                state: *state,
                data_offset_blocks: 2048,
                left_generation: *left_generation,
                ..LegEntry::default()
            };
        }
    }
    Superblock {
        generation,
        epoch: 1,
        uuid: uuid(0xaa),
        name: Name::cut("M"),
        clean: false,
        num_legs: states.len() as u8,
        own_slot,
        source: None,
        block_size: 512,
        md: MdFormat::default(),
        data_size_blocks: 8192,
        region_size_blocks: 2048,
        update_time: 0,
        legs,
    }
}

/// All legs in sync.
fn healthy(own_slot: u8, generation: u64, num_legs: usize) -> Superblock {
    superblock(own_slot, generation, &vec![(InSync, generation); num_legs])
}

fn slots(slots: &[usize]) -> LegSet {
    let mut set = LegSet::EMPTY;
    slots
        .iter()
        .filter_map(|slot| Slot::of(*slot))
        .for_each(|slot| set.insert(slot));
    set
}

fn decided(found: &[Superblock], wish: Wish) -> Verdict {
    decided_without(found, &[], wish)
}

fn decided_without(found: &[Superblock], out_of_reach: &[usize], wish: Wish) -> Verdict {
    decide(&found.iter().collect::<Vec<_>>(), out_of_reach, wish)
}

const PATIENT: Wish = Wish {
    degraded: false,
    source: None,
};
const NOW: Wish = Wish {
    degraded: true,
    source: None,
};

fn plan(found: &[Superblock], wish: Wish) -> Plan {
    match decided(found, wish).decision {
        Decision::Online(plan) => *plan,
        other => panic!("{other:?}"),
    }
}

#[test]
fn all_legs() {
    let found = [healthy(1, 5, 2), healthy(0, 5, 2)];
    let plan = plan(&found, PATIENT);
    assert_eq!(plan.in_sync, slots(&[0, 1]));
    assert_eq!((plan.by_slot[0], plan.by_slot[1]), (Some(1), Some(0)));
    assert!(plan.absent.is_empty() && plan.stale.is_empty());
}

#[test]
fn a_leg_is_missing() {
    let found = [healthy(1, 5, 3), healthy(2, 5, 3)];
    assert_eq!(
        decided(&found, PATIENT).decision,
        Decision::Wait {
            missing: slots(&[0]),
            could_start: true,
            authority: 0,
        }
    );
    let plan = plan(&found, NOW);
    assert_eq!((plan.in_sync, plan.absent), (slots(&[1, 2]), slots(&[0])));
}

#[test]
fn a_leg_out_of_reach_is_missing_but_believed() {
    let found = [healthy(0, 5, 2), healthy(1, 5, 2)];
    let wait = Decision::Wait {
        missing: slots(&[1]),
        could_start: true,
        authority: 0,
    };
    assert_eq!(decided_without(&found, &[1], PATIENT).decision, wait);
    let Decision::Online(plan) = decided_without(&found, &[1], NOW).decision else {
        panic!("it could start");
    };
    assert_eq!((plan.in_sync, plan.absent), (slots(&[0]), slots(&[1])));
    // What was left behind does not start because the one that knows is out of reach.
    let found = [
        healthy(0, 5, 2),
        superblock(1, 6, &[(Failed, 5), (InSync, 6)]),
    ];
    assert_eq!(
        decided_without(&found, &[1], NOW).decision,
        Decision::Wait {
            missing: slots(&[1]),
            could_start: false,
            authority: 1,
        }
    );
    // Nor is the choice made by that.
    let found = [
        superblock(0, 6, &[(InSync, 6), (Failed, 5)]),
        superblock(1, 9, &[(Failed, 5), (InSync, 9)]),
    ];
    assert!(matches!(
        decided_without(&found, &[0], NOW).decision,
        Decision::SplitBrain(_)
    ));
    let wish = Wish {
        degraded: true,
        source: Some(1),
    };
    let Decision::Online(plan) = decided_without(&found, &[0], wish).decision else {
        panic!("it was chosen");
    };
    assert!(plan.losers.is_empty());
}

#[test]
fn one_that_is_rebuilt_is_counted_on() {
    let states = [(InSync, 5), (Rebuilding, 5)];
    let found = [superblock(0, 5, &states), superblock(1, 5, &states)];
    let both = plan(&found, PATIENT);
    assert_eq!((both.in_sync, both.rebuilding), (slots(&[0]), slots(&[1])));
    assert!(matches!(
        decided(&found[..1], PATIENT).decision,
        Decision::Wait {
            could_start: true,
            ..
        }
    ));
    // By itself it is of no use.
    for wish in [PATIENT, NOW] {
        assert!(matches!(
            decided(&found[1..], wish).decision,
            Decision::Wait {
                could_start: false,
                ..
            }
        ));
    }
}

#[test]
fn a_leg_that_failed_is_not_waited_for() {
    let alone = [(InSync, 6), (Failed, 5)];
    let found = [superblock(0, 6, &alone)];
    let one = plan(&found, PATIENT);
    assert_eq!((one.in_sync, one.absent), (slots(&[0]), LegSet::EMPTY));
    let found = [healthy(1, 5, 2), superblock(0, 6, &alone)];
    let with_stale = plan(&found, PATIENT);
    assert_eq!(
        (with_stale.authority, with_stale.in_sync, with_stale.stale),
        (1, slots(&[0]), slots(&[1]))
    );
}

#[test]
fn a_crash_leaves_one_leg_one_generation_behind() {
    let found = [healthy(0, 6, 2), healthy(1, 5, 2)];
    assert_eq!(plan(&found, PATIENT).in_sync, slots(&[0, 1]));
    // Further behind it is an old copy of itself.
    let found = [healthy(0, 7, 2), healthy(1, 5, 2)];
    let old = plan(&found, PATIENT);
    assert_eq!((old.in_sync, old.lagging), (slots(&[0]), slots(&[1])));
}

#[test]
fn an_image_from_before_a_start_or_a_stop_is_copied_to() {
    let stopped = |slot, generation| Superblock {
        clean: true,
        ..healthy(slot, generation, 2)
    };
    // Each writes two generations. The bits of what the image lacks may be gone, since the other had it.
    for found in [
        [stopped(0, 7), healthy(1, 5, 2)],
        [healthy(0, 7, 2), stopped(1, 5)],
    ] {
        let old = plan(&found, PATIENT);
        assert_eq!((old.in_sync, old.lagging), (slots(&[0]), slots(&[1])));
    }
    // A crash in between leaves legs that are equal, as does one of an export.
    for found in [
        [stopped(0, 6), healthy(1, 5, 2)],
        [healthy(0, 6, 2), stopped(1, 5)],
        [stopped(0, 6), stopped(1, 5)],
    ] {
        assert_eq!(plan(&found, PATIENT).in_sync, slots(&[0, 1]));
    }
}

#[test]
fn nothing_up_to_date() {
    // The one that is rebuilt knows of later generations than the one in sync.
    let states = [(InSync, 9), (Rebuilding, 9)];
    let found = [healthy(0, 5, 2), superblock(1, 9, &states)];
    assert_eq!(decided(&found, NOW).decision, Decision::NoneUpToDate);
}

#[test]
fn each_went_on_alone() {
    let found = [
        superblock(0, 6, &[(InSync, 6), (Failed, 5)]),
        superblock(1, 9, &[(Failed, 5), (InSync, 9)]),
    ];
    for wish in [PATIENT, NOW] {
        let split = Decision::SplitBrain(vec![vec![1], vec![0]]);
        assert_eq!(decided(&found, wish).decision, split);
    }
    for source in [0, 1] {
        let wish = Wish {
            degraded: true,
            source: Some(source),
        };
        let plan = plan(&found, wish);
        assert_eq!(plan.authority, source);
        assert_eq!(
            (plan.in_sync, plan.losers),
            (slots(&[source]), slots(&[1 - source]))
        );
    }
    // As many generations make no difference.
    let found = [
        superblock(0, 6, &[(InSync, 6), (Failed, 5)]),
        superblock(1, 6, &[(Failed, 5), (InSync, 6)]),
    ];
    let split = Decision::SplitBrain(vec![vec![0], vec![1]]);
    assert_eq!(decided(&found, NOW).decision, split);
}

#[test]
fn a_record_in_flight_is_not_a_history() {
    // The first was told of generation 6 when all stopped; the second then started alone, as 6, or later.
    for generation in [6, 7, 20] {
        let found = [
            healthy(0, 6, 2),
            superblock(1, generation, &[(Failed, 5), (InSync, generation)]),
        ];
        let plan = plan(&found, PATIENT);
        assert_eq!(
            (plan.authority, plan.in_sync, plan.stale),
            (1, slots(&[1]), slots(&[0]))
        );
    }
    // Two more are not in flight at once.
    let found = [
        healthy(0, 7, 2),
        superblock(1, 9, &[(Failed, 5), (InSync, 9)]),
    ];
    assert!(matches!(
        decided(&found, NOW).decision,
        Decision::SplitBrain(_)
    ));
}

#[test]
fn legs_of_one_generation_agree() {
    let mut other = healthy(1, 5, 2);
    other.source = Some(0);
    assert_eq!(relation(&healthy(0, 5, 2), &other), Relation::Alone);
    assert!(matches!(
        decided(&[healthy(0, 5, 2), other], NOW).decision,
        Decision::SplitBrain(_)
    ));
}

#[test]
fn copies() {
    let found = [healthy(0, 5, 2), healthy(0, 5, 2), healthy(1, 5, 2)];
    let verdict = decided(&found, PATIENT);
    assert_eq!(verdict.useless, [(1, Useless::CopyOf(0))]);
    assert!(matches!(verdict.decision, Decision::Online(_)));
    // The one that has come further is the original.
    let found = [healthy(0, 3, 2), healthy(0, 5, 2), healthy(1, 5, 2)];
    let verdict = decided(&found, PATIENT);
    assert_eq!(verdict.useless, [(0, Useless::CopyOf(1))]);
    // Whatever was asked for.
    let wish = Wish {
        degraded: true,
        source: Some(0),
    };
    let verdict = decided(&found, wish);
    assert_eq!(verdict.useless, [(1, Useless::CopyOf(0))]);
}

#[test]
fn a_slot_that_has_another_leg() {
    let mut old = healthy(1, 5, 2);
    let found = [healthy(0, 9, 2), healthy(1, 9, 2)];
    old.legs[1].uuid = uuid(77);
    let verdict = decided(&[found.as_slice(), &[old.clone()]].concat(), PATIENT);
    assert_eq!(verdict.useless, [(2, Useless::Replaced)]);
    assert!(matches!(verdict.decision, Decision::Online(_)));
    // It went on without the others after that.
    old.generation = 7;
    old.legs[0].state = Failed;
    let verdict = decided(&[found.as_slice(), &[old]].concat(), PATIENT);
    assert!(matches!(verdict.decision, Decision::SplitBrain(_)));
}

#[test]
fn other_lives() {
    let life = |slot, epoch| Superblock {
        epoch,
        ..healthy(slot, 5 + epoch, 2)
    };
    let found = [life(0, 1), life(1, 1), life(0, 2)];
    let verdict = decided(&found, PATIENT);
    assert_eq!(verdict.useless, [(2, Useless::OtherLife)]);
    assert!(matches!(verdict.decision, Decision::Online(plan) if plan.authority < 2));
    // None is complete, or both are.
    let both = [life(0, 1), life(1, 1), life(0, 2), life(1, 2)];
    for found in [&[life(0, 1), life(1, 2)][..], &both] {
        assert!(matches!(
            decided(found, NOW).decision,
            Decision::SeveralLives(_)
        ));
    }
    let wish = Wish {
        degraded: true,
        source: Some(0),
    };
    assert_eq!(plan(&both, wish).authority, 0);
}

#[test]
fn nothing_at_all() {
    // Nobody asks; but nothing breaks.
    let _ = decided(&[], NOW);
}

/// What there can be of an array of three legs, right or wrong.
fn any_leg() -> impl Strategy<Value = Superblock> {
    let state = prop_oneof![
        4 => Just(InSync),
        2 => Just(Failed),
        1 => Just(Rebuilding),
        1 => Just(LegState::Spare),
    ];
    (
        0..3_u8,
        1..8_u64,
        proptest::collection::vec((state, 0..8_u64), 3),
        1..3_u64,
        0..8_u8,
    )
        .prop_map(|(slot, generation, mut states, epoch, stranger)| {
            for (_, left) in &mut states {
                *left = (*left).min(generation);
            }
            let mut leg = superblock(slot, generation, &states);
            leg.epoch = if epoch == 2 && stranger > 4 { 2 } else { 1 };
            if stranger == 0 {
                leg.legs[usize::from(slot)].uuid = uuid(99);
            }
            leg
        })
}

/// A decision by legs, not by indices.
fn by_leg(found: &[Superblock], verdict: &Verdict) -> alloc::string::String {
    let leg = |index: &usize| {
        let leg = &found[*index];
        (
            leg.epoch,
            leg.own_slot,
            leg.legs[usize::from(leg.own_slot)].uuid,
            leg.generation,
        )
    };
    let mut useless: Vec<_> = verdict
        .useless
        .iter()
        .map(|(index, why)| alloc::format!("{:?} {:?}", leg(index), core::mem::discriminant(why)))
        .collect();
    useless.sort();
    let sets = |sets: &[Vec<usize>]| -> Vec<Vec<_>> {
        sets.iter()
            .map(|set| set.iter().map(leg).collect())
            .collect()
    };
    let decision = match &verdict.decision {
        Decision::Online(plan) => alloc::format!(
            "online {:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?}",
            leg(&plan.authority),
            plan.in_sync,
            plan.rebuilding,
            plan.lagging,
            plan.stale,
            plan.losers,
            plan.absent,
            plan.by_slot.map(|index| index.as_ref().map(leg)),
        ),
        Decision::Wait {
            missing,
            could_start,
            authority,
        } => {
            alloc::format!("wait {missing:?} {could_start} {:?}", leg(authority))
        }
        Decision::SplitBrain(histories) => alloc::format!("split {:?}", sets(histories)),
        Decision::SeveralLives(lives) => alloc::format!("lives {:?}", sets(lives)),
        Decision::NoneUpToDate => "none".into(),
    };
    alloc::format!("{decision} {useless:?}")
}

proptest! {
    #[test]
    fn the_order_does_not_matter(
        (legs, turned) in proptest::collection::vec(any_leg(), 1..5)
            .prop_map(|legs| {
                // Of copies the first is the original where nothing else tells them apart.
                let mut unique = Vec::<Superblock>::new();
                for leg in legs {
                    let key = |leg: &Superblock| {
                        (leg.epoch, leg.legs[usize::from(leg.own_slot)].uuid, leg.generation)
                    };
                    if unique.iter().all(|other| key(other) != key(&leg)) {
                        unique.push(leg);
                    }
                }
                unique
            })
            .prop_flat_map(|legs| (Just(legs.clone()), Just(legs).prop_shuffle())),
        degraded: bool,
    ) {
        let wish = Wish { degraded, source: None };
        let (one, other) = (decided(&legs, wish), decided(&turned, wish));
        prop_assert_eq!(by_leg(&legs, &one), by_leg(&turned, &other));
    }

    #[test]
    fn what_comes_online_is_sound(
        legs in proptest::collection::vec(any_leg(), 1..5),
        degraded: bool,
        source in proptest::option::of(0..5_usize),
    ) {
        let source = source.filter(|source| *source < legs.len());
        let verdict = decided(&legs, Wish { degraded, source });
        if let Decision::Online(plan) = verdict.decision {
            let authority = &legs[plan.authority];
            prop_assert!(!plan.in_sync.is_empty());
            prop_assert!(degraded || plan.absent.is_empty());
            for slot in plan.in_sync.iter() {
                let leg = &legs[plan.by_slot[slot.index()].unwrap()];
                prop_assert_eq!(authority.legs[slot.index()].state, InSync);
                prop_assert_eq!(usize::from(leg.own_slot), slot.index());
                prop_assert_eq!(leg.epoch, authority.epoch);
                prop_assert!(leg.generation <= authority.generation);
                prop_assert!(leg.generation + 1 >= authority.generation);
            }
            // Without a choice nothing that went on alone is overwritten.
            prop_assert!(source.is_some() || plan.losers.is_empty());
            for slot in plan.stale.iter() {
                let leg = &legs[plan.by_slot[slot.index()].unwrap()];
                prop_assert!(leg.generation <= authority.legs[slot.index()].left_generation + 1);
            }
        }
    }
}

#[test]
fn pauses_become_longer() {
    let mut retry = Retry::default();
    let due: Vec<u64> = (1..=200).filter(|_| retry.is_due(250)).collect();
    assert_eq!(due[..6], [1, 3, 7, 15, 31, 63]);
    assert_eq!(due[6..9], [95, 127, 159]);
    assert_eq!(retry.tries() as usize, due.len());
}
