//! What legs make of an array: pure, whatever the order in which they were found.
//!
//! The leg of the highest generation is right about the others: its superblock is the *authority*. What
//! another leg is follows from what the authority says of it, and from how far it has come itself:
//!
//! ```text
//!  the authority says     the leg's own generation              it is
//!  in sync, rebuilding    the same, but another superblock      of another history
//!                         the same, or 1 less (a crash)         that
//!                         less                                  lagging: an old copy of itself
//!  failed                 2 or more below that in which it left lagging: an old copy of itself
//!                         up to the one in which it left        stale
//!                         1 more, and it blames nobody          stale: the write was in flight
//!                         more                                  of another history
//!  nothing of it          it shares a leg in sync with it       replaced
//!                         it does not                           of another history
//! ```
//!
//! Legs of more than one history went on alone, each without the other: a split brain, which somebody has
//! to decide.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::cmp::Reverse;

use barespdk::planted;

use crate::format::{LegState, Superblock};
use crate::legs::{LEGS_MAX, LegSet, Slot};

/// What one leg is to the authority.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Relation {
    InSync,
    Rebuilding,
    /// The authority believes in it, but it is older than that: all has to be copied to it.
    Lagging,
    /// It was left behind, and what it lacks is known.
    Stale,
    /// Its slot has another leg now.
    Replaced,
    /// It went on without the authority.
    Alone,
}

/// How legs come online.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Plan {
    /// Which leg is right, as an index.
    pub(super) authority: usize,
    pub(super) in_sync: LegSet,
    pub(super) rebuilding: LegSet,
    pub(super) lagging: LegSet,
    pub(super) stale: LegSet,
    /// Of another history than that which was chosen.
    pub(super) losers: LegSet,
    /// The authority counts on them, but they are not there.
    pub(super) absent: LegSet,
    /// The legs of all these by slot, as indices.
    pub(super) by_slot: [Option<usize>; LEGS_MAX],
}

/// What is to be done with the legs that are there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Decision {
    /// Legs are missing.
    Wait {
        missing: LegSet,
        /// Of those that are there, some are in sync: it could start without the others.
        could_start: bool,
        authority: usize,
    },
    Online(Box<Plan>),
    /// Histories that went apart, each with its legs, as indices.
    SplitBrain(Vec<Vec<usize>>),
    /// Legs of several arrays that have the same uuid, none of them complete, as indices.
    SeveralLives(Vec<Vec<usize>>),
    /// All legs are there, but none of those in sync is up to date.
    NoneUpToDate,
}

/// Why a leg is of no use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Useless {
    /// It is a copy of this one.
    CopyOf(usize),
    /// Its slot has another leg now.
    Replaced,
    /// It is of an array that had this uuid in another life.
    OtherLife,
}

/// The decision, and legs that have no part in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    pub(super) decision: Decision,
    pub(super) useless: Vec<(usize, Useless)>,
}

/// What whoever starts an array has said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Wish {
    /// It may start without legs that are missing.
    pub(super) degraded: bool,
    /// This leg's history is the right one.
    pub(super) source: Option<usize>,
}

/// Decides what becomes of the legs of one array. What those that are out of reach say of the others counts;
/// but they are as good as not there.
pub(super) fn decide(found: &[&Superblock], out_of_reach: &[usize], wish: Wish) -> Verdict {
    let (mut legs, mut useless) = without_copies(found, wish.source);
    legs.sort_by_key(|leg| rank(found[*leg]));
    legs.reverse();
    let lives = apart(&legs, |leg, other| found[leg].epoch == found[other].epoch);
    let life = match lives.as_slice() {
        [] => Vec::new(),
        [life] => life.clone(),
        lives => match choose_life(found, out_of_reach, lives, wish) {
            Some(life) => {
                let others = lives.iter().filter(|other| **other != life).flatten();
                useless.extend(others.map(|leg| (*leg, Useless::OtherLife)));
                life
            }
            None => {
                let decision = Decision::SeveralLives(lives.to_vec());
                return Verdict { decision, useless };
            }
        },
    };
    decide_life(found, out_of_reach, &life, wish, useless)
}

/// The higher, the more a leg is to be believed. Of equals that blame others those who were left behind by
/// a crash blame nobody. What follows makes the order total.
fn rank(superblock: &Superblock) -> impl Ord + use<> {
    let in_sync = superblock
        .present()
        .filter(|(_, leg)| leg.state == LegState::InSync)
        .count();
    (
        superblock.generation,
        Reverse(in_sync),
        Reverse(superblock.own_slot),
        superblock.own_leg().map(|leg| *leg.uuid.as_bytes()),
        superblock.epoch,
    )
}

/// One of each leg; of two that are the same one is a copy of the other.
fn without_copies(
    found: &[&Superblock],
    source: Option<usize>,
) -> (Vec<usize>, Vec<(usize, Useless)>) {
    let identity = |leg: usize| (found[leg].epoch, found[leg].own_leg().map(|leg| leg.uuid));
    let mut legs = Vec::<usize>::new();
    let mut useless = Vec::new();
    for leg in 0..found.len() {
        let Some(place) = legs
            .iter()
            .position(|other| identity(*other) == identity(leg))
        else {
            legs.push(leg);
            continue;
        };
        // Who is asked for by name, or has come further, is the original, else who came first.
        let first = legs[place];
        let better = source == Some(leg)
            || source != Some(first) && found[leg].generation > found[first].generation;
        let (original, copy) = if better { (leg, first) } else { (first, leg) };
        legs[place] = original;
        useless.push((copy, Useless::CopyOf(original)));
    }
    (legs, useless)
}

/// Cuts legs, the most believed first, into sets; `same` says whether one belongs to the first of a set.
fn apart(legs: &[usize], same: impl Fn(usize, usize) -> bool) -> Vec<Vec<usize>> {
    let mut sets = Vec::<Vec<usize>>::new();
    for leg in legs {
        let set = sets
            .iter_mut()
            .find(|set| set.first().is_some_and(|first| same(*first, *leg)));
        match set {
            Some(set) => set.push(*leg),
            None => sets.push(alloc::vec![*leg]),
        }
    }
    sets
}

/// The life that was asked for, or else the only one that is complete.
fn choose_life(
    found: &[&Superblock],
    out_of_reach: &[usize],
    lives: &[Vec<usize>],
    wish: Wish,
) -> Option<Vec<usize>> {
    if let Some(source) = wish.source {
        return lives.iter().find(|life| life.contains(&source)).cloned();
    }
    let mut complete = lives.iter().filter(|life| {
        let verdict = decide_life(found, out_of_reach, life, Wish::default(), Vec::new());
        matches!(verdict.decision, Decision::Online(_))
    });
    let life = complete.next()?;
    complete.next().is_none().then(|| life.clone())
}

fn decide_life(
    found: &[&Superblock],
    out_of_reach: &[usize],
    life: &[usize],
    wish: Wish,
    mut useless: Vec<(usize, Useless)>,
) -> Verdict {
    let histories = apart(life, |authority, leg| {
        relation(found[authority], found[leg]) != Relation::Alone
    });
    let chosen = match (histories.as_slice(), wish.source) {
        ([history], _) => Some(history),
        (histories, Some(source)) => histories.iter().find(|legs| legs.contains(&source)),
        _ => None,
    };
    let Some(chosen) = chosen else {
        let decision = Decision::SplitBrain(histories);
        return Verdict { decision, useless };
    };
    // A history is never empty.
    let authority = chosen.first().copied().unwrap_or_default();
    let mut plan = Plan {
        authority,
        ..Plan::default()
    };
    let slot_of = |leg: usize| Slot::of(found[leg].own_slot.into());
    for leg in chosen {
        let Some(slot) = slot_of(*leg) else { continue };
        let set = match relation(found[authority], found[*leg]) {
            Relation::InSync => &mut plan.in_sync,
            Relation::Rebuilding => &mut plan.rebuilding,
            Relation::Lagging => &mut plan.lagging,
            Relation::Stale => &mut plan.stale,
            Relation::Replaced | Relation::Alone => {
                useless.push((*leg, Useless::Replaced));
                continue;
            }
        };
        if out_of_reach.contains(leg) {
            continue;
        }
        set.insert(slot);
        plan.by_slot[slot.index()] = Some(*leg);
    }
    for leg in life.iter().filter(|leg| !chosen.contains(leg)) {
        let known = slot_of(*leg).filter(|slot| {
            is_same_leg(found[authority], found[*leg], *slot)
                && plan.by_slot[slot.index()].is_none()
        });
        match known {
            Some(_) if out_of_reach.contains(leg) => {}
            Some(slot) => {
                plan.losers.insert(slot);
                plan.by_slot[slot.index()] = Some(*leg);
            }
            None => useless.push((*leg, Useless::Replaced)),
        }
    }
    let here = plan.in_sync.or(plan.rebuilding).or(plan.lagging);
    plan.absent = expected(found[authority])
        .without(here)
        .without(plan.losers);
    let decision = match (plan.in_sync.is_empty(), plan.absent.is_empty()) {
        (false, true) => Decision::Online(Box::new(plan)),
        (false, false) if wish.degraded => Decision::Online(Box::new(plan)),
        (true, true) => Decision::NoneUpToDate,
        (none, false) => Decision::Wait {
            missing: plan.absent,
            could_start: !none,
            authority,
        },
    };
    Verdict { decision, useless }
}

/// The legs that an array counts on.
fn expected(authority: &Superblock) -> LegSet {
    let mut set = LegSet::EMPTY;
    authority
        .present()
        .filter(|(_, leg)| matches!(leg.state, LegState::InSync | LegState::Rebuilding))
        .filter_map(|(slot, _)| Slot::of(slot.into()))
        .for_each(|slot| set.insert(slot));
    set
}

fn is_same_leg(authority: &Superblock, leg: &Superblock, slot: Slot) -> bool {
    let uuid = |superblock: &Superblock| superblock.legs[slot.index()].uuid;
    uuid(authority) == uuid(leg)
}

/// What a leg is to an authority of the same life.
pub(super) fn relation(authority: &Superblock, leg: &Superblock) -> Relation {
    let slot = Slot::of(leg.own_slot.into()).filter(|slot| is_same_leg(authority, leg, *slot));
    let Some(entry) = slot.map(|slot| &authority.legs[slot.index()]) else {
        return match shares_a_leg(authority, leg) {
            true => Relation::Replaced,
            false => Relation::Alone,
        };
    };
    let believed = match entry.state {
        LegState::InSync => Relation::InSync,
        LegState::Rebuilding => Relation::Rebuilding,
        LegState::Absent | LegState::Failed | LegState::Spare => {
            if planted::is("stale_leg_accepted") {
                return Relation::InSync;
            }
            let in_flight = entry.left_generation.saturating_add(1);
            // What it lacks is known from where it left; this is an image of it from before.
            if leg.generation.saturating_add(1) < entry.left_generation {
                return Relation::Lagging;
            }
            return if leg.generation <= entry.left_generation
                || leg.generation == in_flight && shares_a_leg(authority, leg)
            {
                Relation::Stale
            } else {
                Relation::Alone
            };
        }
    };
    match authority.generation.checked_sub(leg.generation) {
        Some(0) if says_the_same(authority, leg) => believed,
        Some(1) => believed,
        None | Some(0) => Relation::Alone,
        Some(_) => Relation::Lagging,
    }
}

/// Whether there is a leg in sync for both: it has all that was acknowledged by either.
fn shares_a_leg(one: &Superblock, other: &Superblock) -> bool {
    one.legs.iter().zip(&other.legs).any(|(one, other)| {
        one.uuid == other.uuid && one.state == LegState::InSync && other.state == LegState::InSync
    })
}

fn says_the_same(one: &Superblock, other: &Superblock) -> bool {
    let mut other = other.clone();
    other.own_slot = one.own_slot;
    *one == other
}
