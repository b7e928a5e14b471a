//! Reads: from the leg that has the least to do, and on an error from the next.

use barespdk::bdev::Status;
use barespdk::module::Request;
use barespdk::planted;

use crate::channel::Channel;
use crate::legs::LegSet;

pub(super) async fn read(channel: &Channel, request: &Request<'_>) -> Status {
    let mut tried = LegSet::EMPTY;
    let mut status = Status::Failed;
    if let Some((passed, legs)) = request.in_vain() {
        tried = LegSet::from_bits(legs as u16);
        if planted::is("read_error_ignored") {
            return Status::Success;
        }
        status = passed.error(0).map_or(status, |error| error.status());
        if planted::is("read_not_tried_again") {
            return status;
        }
    }
    // Where memory is short this waits. What it refuses is too large for any buffer, or was given up
    // by its submitter: to say "no memory" would have SPDK submit it again for ever.
    if request.buffer().await.is_err() {
        return Status::Failed;
    }
    // Each round tries one leg more.
    loop {
        let Ok(mut passed) = request.fan_out() else {
            return status;
        };
        let offset = request.offset_blocks();
        let Some(slot) = channel.with_least_loaded(tried, |leg| passed.read(leg, offset)) else {
            return status;
        };
        if (&mut passed).await.is_empty() {
            return Status::Success;
        }
        tried.insert(slot);
        status = passed.error(0).map_or(status, |error| error.status());
    }
}
