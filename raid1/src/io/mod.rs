//! What a mirror does with each request.

mod read;
mod reset;
mod write;

use barespdk::bdev::{IoType, Status};
use barespdk::module::{Pass, Request};
use barespdk::planted;

use crate::channel::Channel;
use crate::legs::LegSet;
use crate::mirror::Mirror;

/// Passes the common requests on to the legs, in the hope that all goes well; else `serve` looks
/// after them, and is told which legs had a lane.
#[inline]
pub(crate) fn pass(channel: &Channel, request: &mut Pass<'_>) {
    let offset = request.offset_blocks();
    match request.io_type() {
        IoType::READ => {
            let offset = offset ^ u64::from(planted::is("read_of_another_block"));
            let slot = channel.with_least_loaded(LegSet::EMPTY, |leg| request.read(leg, offset));
            if let Some(slot) = slot {
                request.note(LegSet::of(slot).bits().into());
            }
        }
        IoType::WRITE if channel.missing().is_empty() => {
            channel.for_each_leg(|slot, leg| {
                if !(planted::is("write_skips_a_leg") && slot.index() == 1) {
                    request.write(leg, offset);
                }
            });
            request.note(channel.present().bits().into());
        }
        _ => {}
    }
}

/// Serves a request. The output completes it.
pub(crate) async fn serve<'a>(
    mirror: &'a Mirror,
    channel: &'a Channel,
    request: Request<'a>,
) -> Status {
    match request.io_type() {
        IoType::READ => read::read(channel, &request).await,
        IoType::WRITE | IoType::WRITE_ZEROES | IoType::UNMAP | IoType::FLUSH => {
            write::write(mirror, channel, &request).await
        }
        IoType::RESET => reset::reset(mirror, channel, &request).await,
        // The bdev layer does not submit what `supports` denies.
        _ => Status::Failed,
    }
}
