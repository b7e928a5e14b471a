//! Reads: from the leg that has the least to do, and on an error from the next.

use barespdk::bdev::Status;
use barespdk::module::Request;

use crate::channel::Channel;
use crate::legs::LegSet;

#[inline]
pub(super) async fn read(channel: &Channel, request: &Request<'_>) -> Status {
    if request.buffer().await.is_err() {
        return Status::Failed;
    }
    let mut tried = LegSet::EMPTY;
    let mut status = Status::Failed;
    // Each round tries one leg more.
    while let Some(slot) = channel.least_read(tried) {
        let Some(io) = channel.to_leg(slot, |leg| {
            Some(leg.read(&request.data(), request.offset_blocks()))
        }) else {
            break;
        };
        let reading = channel.reading(slot);
        reading.set(reading.get() + request.num_blocks());
        let outcome = io.await;
        reading.set(reading.get() - request.num_blocks());
        match outcome {
            Ok(()) => return Status::Success,
            Err(error) => {
                tried.insert(slot);
                status = error.status();
            }
        }
    }
    status
}
