//! Legs that come when their array is online.

use alloc::format;
use alloc::string::{String, ToString};
use core::time::Duration;

use barespdk::bdev::Channel;
use barespdk::module::Bdev;
use barespdk::{log_error, log_notice, log_warn, runtime};

use super::decision::{Relation, relation};
use super::start::{Trouble, claim};
use super::table::Candidate;
use crate::format::{SUPERBLOCK_BYTES, SUPERBLOCK_OFFSETS};
use crate::keeper::{Arrival, Job};
use crate::leg::Leg;
use crate::legs::{LegSet, Slot};
use crate::mirror::Mirror;
use crate::mirrors;

/// How often, and how long each time, one waits for the mirror to lose a leg that is back already.
const LOSS: (u32, Duration) = (100, Duration::from_millis(20));

/// Takes a leg back, if it is one. `losers` are copied to as a whole, whatever they think that they are.
pub(super) async fn take_back(mirror: &Bdev<Mirror>, candidate: &Candidate, losers: LegSet) {
    let name = &candidate.name;
    if mirrors::is_leg(name) {
        return;
    }
    let slot = match slot_for(mirror, candidate, losers).await {
        Ok(slot) => slot,
        Err(reason) => {
            log_warn!("raid1 {}: bdev '{name}' {reason}", mirror.name());
            return;
        }
    };
    let leg = match open(mirror, candidate, slot, losers).await {
        Ok(leg) => leg,
        Err(reason) => {
            log_error!("raid1 {}: base bdev '{name}' {reason}", mirror.name());
            return;
        }
    };
    log_notice!(
        "raid1 {}: base bdev '{name}' is back, in slot {}",
        mirror.name(),
        slot.index()
    );
    let arrival = Arrival {
        leg,
        returns_to: Some(slot),
    };
    let desk = &mirror.device().desk;
    match desk.ask(|done| Job::Add(arrival, done)).await {
        Ok(Ok(_)) => {}
        Ok(Err((_, reason))) => log_error!("raid1 {}: {reason}", mirror.name()),
        // The mirror ends.
        Err(_) => {}
    }
}

/// The slot that a leg comes back to, or why it does not.
async fn slot_for(
    mirror: &Bdev<Mirror>,
    candidate: &Candidate,
    losers: LegSet,
) -> Result<Slot, String> {
    let own = &candidate.superblock;
    let slot = Slot::of(own.own_slot.into()).ok_or("has no slot")?;
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
            return Err(String::from(
                "is a leg of an array that had the same uuid in another life: it is left alone",
            ));
        }
        let relation = match losers.contains(slot) {
            true => Relation::Stale,
            false => relation(&authority, own),
        };
        match (relation, open) {
            (Relation::Replaced, _) => {
                return Err(format!(
                    "was in slot {}, which has another leg now: it is left alone",
                    slot.index()
                ));
            }
            (_, Some(open)) => {
                return Err(format!(
                    "is a copy of base bdev '{open}', which is in slot {}: it is left alone",
                    slot.index()
                ));
            }
            (Relation::Alone, None) => {
                return Err(format!(
                    "went on alone, to generation {} (the array is at {}, the leg was last told {}): \
                     split brain, it is left alone",
                    own.generation,
                    authority.generation,
                    authority.legs[slot.index()].left_generation
                ));
            }
            (Relation::Stale, None) => return Ok(slot),
            // What has gone a moment ago is not recorded yet.
            (_, None) => {}
        }
        let _tried_again = runtime::sleep(pause).await;
    }
    Err(String::from(
        "is not taken back: the mirror still counts on it",
    ))
}

async fn open(
    mirror: &Bdev<Mirror>,
    candidate: &Candidate,
    slot: Slot,
    losers: LegSet,
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
    if losers.contains(slot) {
        wipe(&leg)
            .await
            .map_err(|error| format!("cannot be written to: {error}"))?;
    }
    Ok(leg)
}

/// Removes both superblocks of a leg whose history does not count: they may have higher generations.
async fn wipe(leg: &Leg) -> Result<(), String> {
    let channel = Channel::new(&leg.desc).map_err(|errno| errno.to_string())?;
    let block_size = leg.desc.block_size();
    for offset in SUPERBLOCK_OFFSETS {
        let len = SUPERBLOCK_BYTES.max(block_size as usize);
        let mut buffer = leg.desc.buffer(len).map_err(|error| error.to_string())?;
        buffer.as_mut_slice().fill(0);
        let (outcome, _) = channel
            .write_buf(buffer, offset / u64::from(block_size))
            .await;
        outcome.map_err(|error| error.to_string())?;
    }
    Ok(())
}
