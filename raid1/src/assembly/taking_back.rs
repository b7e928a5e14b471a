//! Legs that come when their array is online.

use alloc::format;
use alloc::string::String;
use core::time::Duration;

use barespdk::module::Bdev;
use barespdk::{log_notice, log_warn, runtime};

use super::decision::{Relation, relation};
use super::start::{Trouble, claim};
use super::table::Candidate;
use crate::format::{LegState, Superblock};
use crate::keeper::{Arrival, Job, Lacks};
use crate::legs::Slot;
use crate::mirror::Mirror;
use crate::mirrors;

/// How often, and how long each time, one waits for the mirror to lose a leg that is back already.
const LOSS: (u32, Duration) = (100, Duration::from_millis(20));

/// What becomes of a leg that was to be taken back.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Return {
    /// There is nothing more to do with it.
    Over,
    /// It went on alone, and somebody has to choose.
    Alone,
    /// It is to be tried again; why it was in vain.
    Later(String),
}

/// Takes a leg back, if it is one.
pub(super) async fn take_back(
    mirror: &Bdev<Mirror>,
    candidate: &Candidate,
    lacks: Lacks,
) -> Return {
    let name = &candidate.name;
    if mirrors::is_leg(name) {
        return Return::Over;
    }
    let taken = match slot_for(mirror, candidate, lacks).await {
        Ok((slot, lacks)) => add(mirror, candidate, slot, lacks).await,
        Err(refused) => Err(refused),
    };
    match taken {
        Ok(()) => Return::Over,
        Err(Refused::Alone) => Return::Alone,
        Err(Refused::Later(reason)) => Return::Later(reason),
        Err(Refused::Useless(reason)) => {
            log_warn!("raid1 {}: bdev '{name}' {reason}", mirror.name());
            Return::Over
        }
    }
}

/// Why a leg does not come back.
enum Refused {
    /// It went on alone.
    Alone,
    Useless(String),
    /// Not now.
    Later(String),
}

/// The slot that a leg comes back to, and what it lacks then; or why it does not.
async fn slot_for(
    mirror: &Bdev<Mirror>,
    candidate: &Candidate,
    lacks: Lacks,
) -> Result<(Slot, Lacks), Refused> {
    let useless = |reason: String| Err(Refused::Useless(reason));
    let own = &candidate.superblock;
    let Some(slot) = Slot::of(own.own_slot.into()) else {
        return useless(String::from("has no slot"));
    };
    let (tries, pause) = LOSS;
    for _ in 0..tries {
        let open = {
            let legs = mirror.device().legs.lock();
            legs.get(slot).map(|leg| leg.name.clone())
        };
        // It has begun a moment ago.
        let authority = mirror.device().superblock();
        let Some(authority) = authority else {
            let _tried_again = runtime::sleep(pause).await;
            continue;
        };
        if authority.epoch != own.epoch {
            return useless(String::from(
                "is a leg of an array that had the same uuid in another life: it is left alone",
            ));
        }
        let relation = match lacks {
            Lacks::WhatItMissed => relation(&authority, own),
            Lacks::All => Relation::Stale,
        };
        match (relation, open) {
            (Relation::Replaced, _) => {
                return useless(format!(
                    "was in slot {}, which has another leg now: it is left alone",
                    slot.index()
                ));
            }
            (_, Some(open)) => {
                return useless(format!(
                    "is a copy of base bdev '{open}', which is in slot {}: it is left alone",
                    slot.index()
                ));
            }
            (Relation::Alone, None) => return Err(Refused::Alone),
            // From before it left, an old image perhaps: nobody knows what that lacks.
            (Relation::Lagging, None) if is_out(&authority, slot) => {
                return Ok((slot, Lacks::All));
            }
            (Relation::Stale, None) => return Ok((slot, lacks)),
            // What has gone a moment ago is not recorded yet.
            (_, None) => {}
        }
        let _tried_again = runtime::sleep(pause).await;
    }
    Err(Refused::Later(String::from(
        "is not taken back: the mirror still counts on it",
    )))
}

/// Has the keeper write to a leg, and have it copied to.
async fn add(
    mirror: &Bdev<Mirror>,
    candidate: &Candidate,
    slot: Slot,
    lacks: Lacks,
) -> Result<(), Refused> {
    let Some(authority) = mirror.device().superblock() else {
        let reason = "comes too early: the mirror has just begun";
        return Err(Refused::Later(String::from(reason)));
    };
    let leg = claim(candidate, &authority, slot).await;
    let leg = leg.map_err(|trouble| match trouble {
        Trouble::OutOfReach(_, reason) | Trouble::Array(reason) => Refused::Later(reason),
        Trouble::Useless(_, reason) => Refused::Useless(reason),
        Trouble::Changed(..) => Refused::Useless(String::from("has changed meanwhile")),
    })?;
    log_notice!(
        "raid1 {}: base bdev '{}' is back",
        mirror.name(),
        candidate.name
    );
    let arrival = Arrival {
        leg,
        // Its own, so that another one which is out as well finds its own free.
        slot: Some(slot),
        lacks,
    };
    let desk = &mirror.device().desk;
    match desk.ask(|done| Job::Add(arrival, done)).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err((_, reason))) => Err(Refused::Later(format!("is not taken back: {reason}"))),
        Err(_) => {
            let reason = "is not taken back: the mirror goes offline";
            Err(Refused::Later(String::from(reason)))
        }
    }
}

/// Whether the leg of a slot has left.
fn is_out(authority: &Superblock, slot: Slot) -> bool {
    authority.legs[slot.index()].state == LegState::Failed
}
