//! Reads: from the leg that has the least to do, and on an error from the next.

use alloc::boxed::Box;

use barespdk::bdev::{self, Status};
use barespdk::module::Request;
use barespdk::{planted, runtime};

use super::repair;
use super::write::{ABORTED_RETRIES, PAUSE};
use crate::channel::Channel;
use crate::legs::LegSet;
use crate::mirror::Mirror;

pub(super) async fn read(mirror: &Mirror, channel: &Channel, request: &Request<'_>) -> Status {
    let (mut tried, mut bad) = (LegSet::EMPTY, LegSet::EMPTY);
    let mut status = Status::Failed;
    let mut waits = 0;
    if let Some((passed, legs)) = request.in_vain() {
        tried = LegSet::from_bits(legs as u16);
        if planted::is("read_error_ignored") {
            return Status::Success;
        }
        status = passed.error(0).map_or(status, |error| error.status());
        if planted::is("read_not_tried_again") {
            return status;
        }
        if status != Status::Aborted {
            bad = tried;
        } else if differs(mirror, channel, request) {
            tried = LegSet::EMPTY;
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
        let offset = request.offset_blocks() + mirror.data_offset_blocks;
        let read = |leg: &bdev::Channel| passed.read(leg, offset);
        let slot = if differs(mirror, channel, request) {
            channel.with_source(tried, read)
        } else {
            channel.with_least_loaded(tried, read)
        };
        let Some(slot) = slot else {
            return status;
        };
        if (&mut passed).await.is_empty() {
            drop(passed);
            // Rare, so its state is not part of each request.
            if !bad.is_empty() && channel.is_ordered() {
                Box::pin(repair::repair(mirror, channel, request, slot, bad)).await;
            }
            return Status::Success;
        }
        status = passed.error(0).map_or(status, |error| error.status());
        drop(passed);
        if status != Status::Aborted {
            bad.insert(slot);
        } else if differs(mirror, channel, request) && waits < ABORTED_RETRIES {
            // A leg that was reset can read; another may have it differently.
            waits += 1;
            if runtime::sleep(PAUSE).await.is_ok() {
                continue;
            }
        }
        tried.insert(slot);
    }
}

/// Whether legs may have these blocks differently: then all threads read them from the same one.
pub(super) fn differs(mirror: &Mirror, channel: &Channel, request: &Request<'_>) -> bool {
    let Some(regions) = mirror.regions.as_ref().filter(|_| channel.is_resyncing()) else {
        return false;
    };
    regions.any_unequal(regions.of(request.offset_blocks(), request.num_blocks()))
}
