//! What changes all legs: writes, writes of zeroes, unmaps; and flushes.
//!
//! A write is acknowledged when each leg has done it, or is out of the mirror: out of every thread's
//! sight, so that nobody reads older data from it.

use alloc::boxed::Box;

use barespdk::bdev::{self, IoError, IoType, Status};
use barespdk::module::Request;

use crate::channel::Channel;
use crate::legs::{LegSet, Slot};
use crate::mirror::Mirror;
use crate::removal;

/// How often a write is sent again to a leg that gave it up, as legs do when they are reset.
const ABORTED_RETRIES: u32 = 3;

#[inline]
pub(super) async fn write(mirror: &Mirror, channel: &Channel, request: &Request<'_>) -> Status {
    let mut ios = heapless::Vec::new();
    let mut legs = channel.to_all(&mut ios, |leg| submit(leg, request));
    if legs.is_empty() {
        return nobody(channel, request);
    }
    let mut tally = Tally::default();
    // The last one first: where legs end in order, the task is polled once.
    while let (Some(io), Some(slot)) = (ios.pop(), legs.pop_last()) {
        tally.count(slot, io.await);
    }
    if tally.failed.is_empty() && tally.aborted.is_empty() {
        return Status::Success;
    }
    // Rare, so its state is not part of each request.
    Box::pin(settle(mirror, channel, request, tally)).await
}

/// What each leg made of a write.
#[derive(Default)]
struct Tally {
    done: LegSet,
    failed: LegSet,
    aborted: LegSet,
    error: Option<IoError>,
}

impl Tally {
    #[inline]
    fn count(&mut self, slot: Slot, outcome: Result<(), IoError>) {
        match outcome {
            Ok(()) => self.done.insert(slot),
            Err(error) => self.count_error(slot, error),
        }
    }

    #[cold]
    fn count_error(&mut self, slot: Slot, error: IoError) {
        match error {
            IoError::Failed(Status::Aborted) => self.aborted.insert(slot),
            _ => self.failed.insert(slot),
        }
        self.error = Some(error);
    }

    fn status(&self) -> Status {
        self.error.map_or(Status::Failed, IoError::status)
    }
}

#[inline]
fn submit(leg: &bdev::Channel, request: &Request<'_>) -> Option<bdev::Io> {
    let (offset, count) = (request.offset_blocks(), request.num_blocks());
    match request.io_type() {
        IoType::WRITE => Some(leg.write(&request.data(), offset)),
        IoType::WRITE_ZEROES => Some(leg.write_zeroes(offset, count)),
        IoType::UNMAP => Some(leg.unmap(offset, count)),
        // A leg that cannot flush has nothing to flush.
        _ => leg
            .desc()
            .supports(IoType::FLUSH)
            .then(|| leg.flush(offset, count)),
    }
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

/// What becomes of a request that some legs did not do.
async fn settle(
    mirror: &Mirror,
    channel: &Channel,
    request: &Request<'_>,
    mut tally: Tally,
) -> Status {
    if matches!(request.io_type(), IoType::UNMAP | IoType::FLUSH) {
        // The submitter learns of it; the data of the leg is as good as before.
        return tally.status();
    }
    if tally.done.is_empty() {
        // It is as if no leg had it, or none is to blame more than another.
        return tally.status();
    }
    // A leg that was reset gave the write up, but another did it: they must not differ.
    while let Some(slot) = tally.aborted.pop_last() {
        for _ in 0..ABORTED_RETRIES {
            let Some(io) = channel.to_leg(slot, |leg| submit(leg, request)) else {
                // Taken out meanwhile.
                break;
            };
            match io.await {
                Ok(()) => {
                    tally.done.insert(slot);
                    break;
                }
                Err(IoError::Failed(Status::Aborted)) => {}
                Err(error) => {
                    tally.error = Some(error);
                    break;
                }
            }
        }
        if !tally.done.contains(slot) {
            tally.failed.insert(slot);
        }
    }
    let status = tally.status();
    while let Some(slot) = tally.failed.pop_last() {
        if !removal::eject(mirror, slot).await {
            return status;
        }
    }
    Status::Success
}
