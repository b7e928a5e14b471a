//! Time passes: arrays have waited long enough, and what was in vain is tried again.

use core::sync::atomic::{AtomicBool, Ordering};
use core::time::Duration;

use barespdk::{log_error, runtime};

use super::table::{self, Array};
use super::{all, drive, ends, examine, online, unread};
use crate::mirrors;
use crate::rpc::options;

/// How often one looks at the time.
const TICK_MS: u64 = 250;

/// Whether there is a task that looks at the time.
static WATCHED: AtomicBool = AtomicBool::new(false);

/// The application begins.
pub(super) fn begin() {
    WATCHED.store(false, Ordering::Relaxed);
}

/// Looks at the time as long as there is an array that waits, or a bdev that could not be read.
pub(super) fn watch() {
    if WATCHED.swap(true, Ordering::Relaxed) {
        return;
    }
    let tick = Duration::from_millis(TICK_MS);
    let spawned = runtime::spawn_local(async move {
        while !ends() && runtime::sleep(tick).await.is_ok() {
            let arrays = all();
            if arrays.is_empty() && unread::is_empty() {
                break;
            }
            for bdev in unread::due(TICK_MS, !arrays.is_empty()) {
                examine(bdev).await;
            }
            for array in arrays {
                look_at(&array);
            }
        }
        WATCHED.store(false, Ordering::Relaxed);
    });
    if let Err(errno) = spawned {
        WATCHED.store(false, Ordering::Relaxed);
        log_error!("raid1: arrays that wait are not looked after: {errno}");
    }
}

fn look_at(array: &Array) {
    // What has become a leg in another way.
    for leg in &array.candidates {
        if mirrors::is_leg(&leg.name) && !table::is_busy(array.uuid) {
            table::forget(&leg.name);
        }
    }
    let timeout_ms = u64::from(options::assemble_timeout_s()) * 1000;
    // Legs that wait beside their mirror do not wait for others.
    let passed_ms = online(array.uuid).map_or(TICK_MS, |_| 0);
    let due = table::with(array.uuid, |array| {
        array.waited_ms = array.waited_ms.saturating_add(passed_ms);
        let has_waited = passed_ms != 0
            && timeout_ms != 0
            && array.waited_ms >= timeout_ms
            && !array.degraded
            && !array.stopped;
        array.degraded |= has_waited;
        let again = array
            .retry
            .as_mut()
            .is_some_and(|retry| retry.is_due(TICK_MS));
        if again {
            array.within_reach();
        }
        has_waited || again
    });
    if due != Some(true) {
        return;
    }
    // Each by itself: the bdevs of one may take their time.
    let uuid = array.uuid;
    if let Err(errno) = runtime::spawn_local(async move { drive(uuid).await }) {
        log_error!("raid1 {}: not looked after: {errno}", array.name());
    }
}
