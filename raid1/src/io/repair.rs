//! Blocks that a leg could not read, written again from a leg that could: most disks then put them
//! somewhere else.

use core::sync::atomic::Ordering;

use barespdk::bdev::Channel as Leg;
use barespdk::module::Request;
use barespdk::{log_notice, planted};

use super::read::differs;
use crate::buffer::Buffer;
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
    // Where legs may differ another one stands in for those blocks alone that cannot be read, and which those
    // are is not known here: the resync sees to them.
    if differs(mirror, channel, request) {
        return;
    }
    // It may have had to wait, and be out, or have lost something, by now.
    let is_good = || channel.readable().contains(good);
    let Some(source) = leg(channel, good).filter(|_| is_good()) else {
        return;
    };
    let at = (offset + mirror.data_offset_blocks, num);
    let Ok(mut buffer) = Buffer::new(source.desc(), num) else {
        return;
    };
    if buffer.read(&source, at).await.is_err() || !is_good() {
        return;
    }
    for slot in bad.iter() {
        let Some(target) = leg(channel, slot) else {
            continue;
        };
        match buffer.write(&target, at).await {
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
    }
}

/// This thread's way to a leg, if it is there.
fn leg(channel: &Channel, slot: Slot) -> Option<Leg> {
    let mut leg = None;
    channel.with_leg(slot, |there| leg = Some(there.clone()));
    leg
}
