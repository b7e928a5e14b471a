//! Blocks that a leg could not read, written again from a leg that could: most disks then put them
//! somewhere else.

use core::sync::atomic::Ordering;

use barespdk::bdev::{BufIo, Channel as Leg};
use barespdk::module::Request;
use barespdk::{log_notice, planted};

use crate::channel::Channel;
use crate::keeper;
use crate::legs::{LegSet, Slot};
use crate::mirror::Mirror;

/// Repairs the blocks of a read on the legs that failed it. Nobody writes to them meanwhile: what is read
/// here again is what is newest.
pub(super) async fn repair(
    mirror: &Mirror,
    channel: &Channel,
    request: &Request<'_>,
    good: Slot,
    bad: LegSet,
) {
    let (offset, num) = (request.offset_blocks(), request.num_blocks());
    let _held = if planted::is("repair_without_range") {
        None
    } else {
        Some(mirror.ranges.hold(offset, num).await)
    };
    // It may have had to wait, and be out, or have lost something, by now.
    let is_good = || channel.readable().contains(good);
    let is_plain = with(channel, good, |leg| leg.desc().md_size() == 0).unwrap_or(false);
    if !is_good() || !is_plain {
        return;
    }
    let at = offset + mirror.data_offset_blocks;
    let len = num.saturating_mul(request.block_size().into());
    let Ok(len) = usize::try_from(len) else {
        return;
    };
    let Some(buffer) = with(channel, good, |leg| leg.desc().buffer(len).ok()).flatten() else {
        return;
    };
    let Some(read) = with(channel, good, |leg| leg.read_buf(buffer, at)) else {
        return;
    };
    let (Ok(()), Some(mut buffer)) = read.await else {
        return;
    };
    if !is_good() {
        return;
    }
    for slot in bad.iter() {
        let Some(written) = with(channel, slot, |leg| leg.write_buf(buffer, at)) else {
            return;
        };
        let written: BufIo = written;
        let (outcome, back) = written.await;
        match outcome {
            Ok(()) => {
                let before = mirror.repairs.fetch_add(1, Ordering::Relaxed);
                // A bad disk has thousands of them.
                if (before + 1).is_power_of_two() {
                    log_notice!(
                        "raid1 {}: slot {}: {num} blocks from {offset} on, which it could not read, are \
                         repaired; repairs so far: {}",
                        mirror.name,
                        slot.index(),
                        before + 1
                    );
                }
            }
            // What it has there is as old as before, or half new: it goes, or is the last.
            Err(_) => {
                keeper::eject(mirror, slot, "it failed the repair of a read error").await;
            }
        }
        let Some(back) = back else {
            return;
        };
        buffer = back;
    }
}

/// What `ask` makes of a leg, if it is there.
fn with<T>(channel: &Channel, slot: Slot, ask: impl FnOnce(&Leg) -> T) -> Option<T> {
    let mut answer = None;
    channel.with_leg(slot, |leg| answer = Some(ask(leg)));
    answer
}
