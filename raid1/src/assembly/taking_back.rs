//! Legs that come when their array is online.

use alloc::format;
use alloc::string::String;
use core::time::Duration;

use barespdk::module::Bdev;
use barespdk::{log_error, log_notice, log_warn, runtime};

use super::decision::{Relation, relation};
use super::start::{Trouble, claim};
use super::table::Candidate;
use crate::format::{LegState, Superblock};
use crate::keeper::{Arrival, Job};
use crate::leg::Leg;
use crate::legs::Slot;
use crate::mirror::Mirror;
use crate::mirrors;
use crate::offline;

/// How often, and how long each time, one waits for the mirror to lose a leg that is back already.
const LOSS: (u32, Duration) = (100, Duration::from_millis(20));

/// What a leg is copied that comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lacks {
    /// What it has missed, if it was left behind.
    WhatItMissed,
    /// All, as its history does not count; the mirror knows that already.
    All,
    /// The same, but the mirror does not know: it becomes a new leg.
    AllAsNew,
}

/// Takes a leg back, if it is one. `false`: it went on alone, and somebody has to choose.
pub(super) async fn take_back(mirror: &Bdev<Mirror>, candidate: &Candidate, lacks: Lacks) -> bool {
    let name = &candidate.name;
    if mirrors::is_leg(name) {
        return true;
    }
    let (slot, lacks) = match slot_for(mirror, candidate, lacks).await {
        Ok(found) => found,
        Err(Refused::Alone) => return false,
        Err(Refused::Useless(reason)) => {
            log_warn!("raid1 {}: bdev '{name}' {reason}", mirror.name());
            return true;
        }
    };
    let leg = match open(mirror, candidate, slot, lacks).await {
        Ok(leg) => leg,
        Err(reason) => {
            log_error!("raid1 {}: base bdev '{name}' {reason}", mirror.name());
            return true;
        }
    };
    log_notice!("raid1 {}: base bdev '{name}' is back", mirror.name());
    let arrival = Arrival {
        leg,
        returns_to: Some(slot).filter(|_| lacks != Lacks::AllAsNew),
    };
    let desk = &mirror.device().desk;
    match desk.ask(|done| Job::Add(arrival, done)).await {
        Ok(Ok(_)) => {}
        Ok(Err((_, reason))) => log_error!("raid1 {}: {reason}", mirror.name()),
        // The mirror ends.
        Err(_) => {}
    }
    true
}

/// Why a leg does not come back.
enum Refused {
    /// It went on alone.
    Alone,
    Useless(String),
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
            Lacks::All | Lacks::AllAsNew => Relation::Stale,
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
                return Ok((slot, Lacks::AllAsNew));
            }
            (Relation::Stale, None) => return Ok((slot, lacks)),
            // What has gone a moment ago is not recorded yet.
            (_, None) => {}
        }
        let _tried_again = runtime::sleep(pause).await;
    }
    useless(String::from(
        "is not taken back: the mirror still counts on it",
    ))
}

async fn open(
    mirror: &Bdev<Mirror>,
    candidate: &Candidate,
    slot: Slot,
    lacks: Lacks,
) -> Result<Leg, String> {
    let authority = mirror
        .device()
        .superblock()
        .ok_or("comes too early: the mirror has just begun")?;
    let leg = claim(candidate, &authority, slot)
        .await
        .map_err(|trouble| match trouble {
            Trouble::Leg(_, reason) | Trouble::Array(reason) => reason,
            Trouble::Changed(..) => String::from("has changed meanwhile"),
        })?;
    if lacks != Lacks::WhatItMissed {
        // Its history does not count, but may have higher generations.
        offline::wipe(&leg.desc)
            .await
            .map_err(|error| format!("cannot be written to: {error}"))?;
    }
    Ok(leg)
}

/// Whether the leg of a slot has left.
fn is_out(authority: &Superblock, slot: Slot) -> bool {
    authority.legs[slot.index()].state == LegState::Failed
}
