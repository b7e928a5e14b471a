//! What changes all legs: writes, writes of zeroes, unmaps; and flushes.
//!
//! A write is acknowledged when each leg has done it, or is out of the mirror: out of every thread's
//! sight, so that nobody reads older data from it.

use alloc::boxed::Box;
use core::time::Duration;

use barespdk::bdev::{self, IoError, IoType, Status};
use barespdk::module::{FanOut, Request};
use barespdk::{planted, runtime};

use crate::channel::Channel;
use crate::legs::{LegSet, Slot};
use crate::mirror::Mirror;
use crate::removal::{self, FAILED_FLUSH, FAILED_WRITE, UNREACHABLE};

/// How often a write is sent again to a leg that gave it up, as legs do while they are reset.
const ABORTED_RETRIES: u32 = 500;

/// How long to wait before that. With the number of tries, this is for how long a reset may last.
const ABORTED_PAUSE: Duration = Duration::from_millis(10);

pub(super) async fn write(mirror: &Mirror, channel: &Channel, request: &Request<'_>) -> Status {
    if let Some((passed, legs)) = request.in_vain() {
        let outcome = Outcome::of(&passed, LegSet::from_bits(legs as u16), LegSet::EMPTY);
        drop(passed);
        return Box::pin(settle(mirror, channel, request, outcome)).await;
    }
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
        if submit(&mut passed, leg, request) {
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
    let outcome = Outcome::of(&passed, legs, missing);
    drop(passed);
    Box::pin(settle(mirror, channel, request, outcome)).await
}

/// Passes a request on to a leg. Returns whether it was one for this leg.
#[inline(always)]
fn submit(passed: &mut FanOut<'_>, leg: &bdev::Channel, request: &Request<'_>) -> bool {
    let offset = request.offset_blocks();
    match request.io_type() {
        IoType::WRITE => passed.write(leg, offset),
        IoType::WRITE_ZEROES => passed.write_zeroes(leg, offset),
        IoType::UNMAP => passed.unmap(leg, offset),
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
}

impl Outcome {
    fn of(passed: &FanOut<'_>, legs: LegSet, missing: LegSet) -> Self {
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
        }
    }
}

/// What becomes of a request that some legs did not do.
async fn settle(
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
        if !planted::is("aborted_write_forgotten") && !send_again(channel, request, slot).await {
            outcome.failed.insert(slot);
        }
    }
    // The submitter learns of a failed unmap; the data of the leg is as good as before. What a leg does
    // not do that leaves is of no interest, once nobody reads from it. A leg that failed a flush may have
    // lost what it acknowledged, and say nothing of it when it is flushed again: so do files in Linux.
    let lenient = request.io_type() == IoType::UNMAP;
    if lenient && !outcome.failed.and(mirror.legs.lock().members()).is_empty() {
        return outcome.status;
    }
    let mut status = Status::Success;
    let forgives = planted::is("flush_error_ignored") && request.io_type() == IoType::FLUSH;
    if forgives || planted::is("write_error_ignored") {
        return status;
    }
    let failed = match request.io_type() {
        IoType::FLUSH => FAILED_FLUSH,
        _ => FAILED_WRITE,
    };
    for (mut legs, reason) in [(outcome.failed, failed), (outcome.missing, UNREACHABLE)] {
        while let Some(slot) = legs.pop_first() {
            if !removal::eject(mirror, slot, reason).await {
                status = outcome.status;
            }
        }
    }
    status
}

/// Sends a write again to one leg. Returns whether that did it.
async fn send_again(channel: &Channel, request: &Request<'_>, slot: Slot) -> bool {
    for _ in 0..ABORTED_RETRIES {
        let Ok(mut passed) = request.fan_out() else {
            return false;
        };
        let present = channel.with_leg(slot, |leg| {
            submit(&mut passed, leg, request);
        });
        if !present {
            // Taken out meanwhile: it is to be seen to that no thread has it.
            return false;
        }
        if (&mut passed).await.is_empty() {
            return true;
        }
        if passed.error(0) != Some(IoError::Failed(Status::Aborted)) {
            return false;
        }
        drop(passed);
        if runtime::sleep(ABORTED_PAUSE).await.is_err() {
            return false;
        }
    }
    false
}
