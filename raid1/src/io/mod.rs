//! What a mirror does with each request.

mod read;
mod repair;
mod reset;
mod write;

use barespdk::bdev::{IoType, Status};
use barespdk::module::{Pass, Request};
use barespdk::planted;

use crate::channel::Channel;
use crate::legs::LegSet;
use crate::mirror::Mirror;

/// In the note of a write that was passed on: it holds its blocks. The other bits are the legs'.
const HOLDS: u32 = 1 << 16;

/// Passes the common requests on to the legs, in the hope that all goes well; else `serve` looks
/// after them, and is told which legs had a lane.
#[inline]
pub(crate) fn pass(mirror: &Mirror, channel: &Channel, request: &mut Pass<'_>) {
    let offset = request.offset_blocks() + mirror.data_offset_blocks;
    match request.io_type() {
        IoType::READ if !channel.is_resyncing() => {
            let offset = offset ^ u64::from(planted::is("read_of_another_block"));
            let slot = channel.with_least_loaded(LegSet::EMPTY, |leg| request.read(leg, offset));
            if let Some(slot) = slot {
                request.note(LegSet::of(slot).bits().into());
            }
        }
        IoType::WRITE if channel.missing().is_empty() => {
            let holds = channel.is_ordered();
            if holds && !begin_to_write(mirror, request) {
                return;
            }
            channel.for_each_leg(|slot, leg| {
                if !(planted::is("write_skips_a_leg") && slot.index() == 1) {
                    request.write(leg, offset);
                }
            });
            let mut note = channel.present().bits().into();
            if holds {
                if request.lanes() == 0 {
                    return mirror.end_write(request.offset_blocks(), request.num_blocks());
                }
                request.tell();
                note |= HOLDS;
            }
            request.note(note);
        }
        _ => {}
    }
}

/// Holds the blocks of a write, if it may go on at once.
#[inline]
fn begin_to_write(mirror: &Mirror, request: &Pass<'_>) -> bool {
    let (offset, num) = (request.offset_blocks(), request.num_blocks());
    if !mirror.ranges.try_hold(offset, num) {
        return false;
    }
    let admitted = match &mirror.regions {
        Some(regions) => regions.admit(regions.of(offset, num)),
        None => true,
    };
    if !admitted {
        mirror.end_write(offset, num);
    }
    admitted
}

/// Serves a request. The output completes it.
pub(crate) async fn serve<'a>(
    mirror: &'a Mirror,
    channel: &'a Channel,
    request: Request<'a>,
) -> Status {
    match request.io_type() {
        IoType::READ => read::read(mirror, channel, &request).await,
        IoType::WRITE | IoType::WRITE_ZEROES | IoType::UNMAP | IoType::FLUSH => {
            write::write(mirror, channel, &request).await
        }
        IoType::RESET => reset::reset(mirror, channel, &request).await,
        // The bdev layer does not submit what `supports` denies.
        _ => Status::Failed,
    }
}
