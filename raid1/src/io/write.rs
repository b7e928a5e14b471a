//! What changes all legs: writes, writes of zeroes, unmaps; and flushes.
//!
//! A write is acknowledged when each leg has done it, or is out of the mirror: out of every thread's
//! sight, so that nobody reads older data from it.

use alloc::boxed::Box;
use core::sync::atomic::Ordering;
use core::time::Duration;

use barespdk::bdev::{self, IoError, IoType, Status};
use barespdk::module::{FanOut, Request};
use barespdk::{planted, runtime};

use super::HOLDS;
use crate::channel::Channel;
use crate::keeper::{self, FAILED_WRITE, Job, UNREACHABLE};
use crate::legs::{LegSet, Slot};
use crate::mirror::Mirror;

/// How often a write is sent again to a leg that gave it up, as legs do while they are reset.
pub(super) const ABORTED_RETRIES: u32 = 500;

/// How long to wait before that. With the number of tries, this is for how long a reset may last.
pub(super) const PAUSE: Duration = Duration::from_millis(10);

/// How often a write is sent again to a leg that failed it, before that is believed.
const FAILED_RETRIES: u32 = 3;

pub(super) async fn write(mirror: &Mirror, channel: &Channel, request: &Request<'_>) -> Status {
    let (offset, num) = (request.offset_blocks(), request.num_blocks());
    if let Some((passed, note)) = request.in_vain() {
        let _held = (note & HOLDS != 0).then(|| mirror.ranges.adopt(offset, num));
        let legs = LegSet::from_bits(note as u16);
        let outcome = Outcome::of(&passed, legs, LegSet::EMPTY, mirror.copies());
        drop(passed);
        return Box::pin(settle(mirror, channel, request, outcome)).await;
    }
    let ordered = channel.is_ordered() && request.io_type() != IoType::FLUSH;
    let _held = if ordered {
        let held = mirror.ranges.hold(offset, num).await;
        if !mark(mirror, offset, num).await {
            return Status::Failed;
        }
        Some(held)
    } else {
        None
    };
    if request.io_type() == IoType::FLUSH && mirror.has_lost.load(Ordering::Relaxed) {
        mirror.has_lost.store(false, Ordering::Relaxed);
        return Status::Failed;
    }
    let copies = mirror.copies();
    let Ok(mut passed) = request.fan_out() else {
        return Status::Failed;
    };
    let (mut legs, missing) = (LegSet::EMPTY, channel.missing());
    channel.for_each_leg(|slot, leg| {
        let skips = match request.io_type() {
            IoType::UNMAP => planted::is("unmap_skips_a_leg"),
            IoType::FLUSH => planted::is("flush_skips_a_leg"),
            _ => false,
        };
        if skips && slot.index() == 0 {
            return;
        }
        if submit(&mut passed, leg, request, mirror) {
            legs.insert(slot);
        }
    });
    if legs.is_empty() {
        return nobody(channel, request);
    }
    if (&mut passed).await.is_empty() && missing.is_empty() {
        return Status::Success;
    }
    // Rare, so its state is not part of each request.
    let mut outcome = Outcome::of(&passed, legs, missing, copies);
    drop(passed);
    if request.io_type() == IoType::FLUSH {
        // Legs that cannot flush have nothing to flush.
        outcome.done = outcome.done.or(channel.present().without(legs));
    }
    Box::pin(settle(mirror, channel, request, outcome)).await
}

/// Sees to it that blocks may be written. Whether they may.
async fn mark(mirror: &Mirror, offset_blocks: u64, num_blocks: u64) -> bool {
    let Some(regions) = &mirror.regions else {
        return true;
    };
    let written = regions.of(offset_blocks, num_blocks);
    if regions.admit(written.clone()) {
        return true;
    }
    let marked = mirror.desk.ask(|done| Job::Mark(written, done));
    marked.await.unwrap_or(false)
}

/// Passes a request on to a leg. Returns whether it was one for this leg.
#[inline(always)]
fn submit(
    passed: &mut FanOut<'_>,
    leg: &bdev::Channel,
    request: &Request<'_>,
    mirror: &Mirror,
) -> bool {
    let offset = request.offset_blocks() + mirror.data_offset_blocks;
    match request.io_type() {
        IoType::WRITE => passed.write(leg, offset),
        IoType::WRITE_ZEROES => passed.write_zeroes(leg, offset),
        IoType::UNMAP if leg.desc().supports(IoType::UNMAP) => passed.unmap(leg, offset),
        // One that came for another which could. The others may read as anything there; it may not.
        IoType::UNMAP => passed.write_zeroes(leg, offset),
        IoType::FLUSH if leg.desc().supports(IoType::FLUSH) => passed.flush(leg, offset),
        // A leg that cannot flush has nothing to flush.
        _ => return false,
    }
    true
}

/// No leg took the request.
#[cold]
fn nobody(channel: &Channel, request: &Request<'_>) -> Status {
    let flushed = request.io_type() == IoType::FLUSH && !channel.present().is_empty();
    if flushed {
        Status::Success
    } else {
        Status::Failed
    }
}

/// What the legs made of a write that not all of them did.
struct Outcome {
    done: LegSet,
    failed: LegSet,
    aborted: LegSet,
    /// Those that did not get it.
    missing: LegSet,
    status: Status,
    /// How many [copies](Mirror::copies) there were when it began.
    copies: u32,
}

impl Outcome {
    fn of(passed: &FanOut<'_>, legs: LegSet, missing: LegSet, copies: u32) -> Self {
        let (mut failed, mut aborted) = (0, 0);
        let mut status = Status::Failed;
        for lane in 0..passed.lanes() {
            match passed.error(lane) {
                None => {}
                Some(IoError::Failed(Status::Aborted)) => aborted |= 1 << lane,
                Some(_) => failed |= 1 << lane,
            }
            if let Some(error) = passed.error(lane) {
                status = error.status();
            }
        }
        let (failed, aborted) = (legs.pick(failed), legs.pick(aborted));
        Self {
            done: legs.without(failed).without(aborted),
            failed,
            aborted,
            missing,
            status,
            copies,
        }
    }
}

/// What becomes of a request that some legs did not do. Where it fails, each leg may have done all of it,
/// some, or nothing: they are made equal.
async fn settle(
    mirror: &Mirror,
    channel: &Channel,
    request: &Request<'_>,
    outcome: Outcome,
) -> Status {
    // A flush that a reset gave up has lost nothing.
    let only_given_up = request.io_type() == IoType::FLUSH && outcome.failed.is_empty();
    let status = outcome_of(mirror, channel, request, outcome).await;
    if status != Status::Success && !only_given_up {
        let regions = mirror.regions_of(request.offset_blocks(), request.num_blocks());
        let regions = Some(regions).filter(|_| request.io_type() != IoType::FLUSH);
        let _ = mirror.desk.ask(|done| Job::Suspect(regions, done)).await;
    }
    status
}

async fn outcome_of(
    mirror: &Mirror,
    channel: &Channel,
    request: &Request<'_>,
    mut outcome: Outcome,
) -> Status {
    // Of a write that none did, none is to blame more than another.
    if outcome.done.is_empty() {
        return outcome.status;
    }
    // A leg that was reset, or whose bdev goes, gave the write up, but another did it: they must not
    // differ.
    while let Some(slot) = outcome.aborted.pop_first() {
        if !planted::is("aborted_write_forgotten")
            && !send_again(mirror, channel, request, slot, ABORTED_RETRIES).await
        {
            outcome.failed.insert(slot);
        }
    }
    // The submitter learns of a failed unmap; the data of the leg is as good as before. What a leg does
    // not do that leaves is of no interest, once nobody reads from it.
    let lenient = request.io_type() == IoType::UNMAP;
    if lenient && !outcome.failed.and(mirror.legs.lock().staying()).is_empty() {
        return outcome.status;
    }
    let forgives = planted::is("flush_error_ignored") && request.io_type() == IoType::FLUSH;
    if forgives || planted::is("write_error_ignored") {
        return Status::Success;
    }
    let mut status = Status::Success;
    for slot in outcome.failed.iter() {
        let settled = if request.io_type() == IoType::FLUSH {
            // It may have lost what it had acknowledged, and say nothing of it when it is flushed again:
            // so do files in Linux.
            keeper::demote(mirror, slot, "it failed a flush", outcome.copies).await
        } else {
            // These faults are seen where legs are ejected often.
            let often = planted::is("ejected_leg_read_on") || planted::is("leg_dropped_at_once");
            let tries = if often { 0 } else { FAILED_RETRIES };
            send_again(mirror, channel, request, slot, tries).await
                || keeper::eject(mirror, slot, FAILED_WRITE).await
        };
        if !settled {
            status = outcome.status;
        }
    }
    for slot in outcome.missing.iter() {
        if !keeper::eject(mirror, slot, UNREACHABLE).await {
            status = outcome.status;
        }
    }
    status
}

/// Sends a write again to one leg, that often at most. Returns whether that did it.
async fn send_again(
    mirror: &Mirror,
    channel: &Channel,
    request: &Request<'_>,
    slot: Slot,
    tries: u32,
) -> bool {
    for _ in 0..tries {
        let Ok(mut passed) = request.fan_out() else {
            return false;
        };
        let present = channel.with_leg(slot, |leg| {
            submit(&mut passed, leg, request, mirror);
        });
        if !present {
            // Taken out meanwhile: it is to be seen to that no thread has it.
            return false;
        }
        if (&mut passed).await.is_empty() {
            return true;
        }
        let aborted = passed.error(0) == Some(IoError::Failed(Status::Aborted));
        if !aborted && tries == ABORTED_RETRIES {
            return false;
        }
        drop(passed);
        if runtime::sleep(PAUSE).await.is_err() {
            return false;
        }
    }
    false
}
