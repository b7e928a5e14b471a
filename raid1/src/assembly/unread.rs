//! Bdevs that could not be read when they were looked at: they may be legs. Used on the app thread.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use barespdk::log_warn;
use barespdk::mutex::Mutex;

use super::retry::Retry;

/// How often one is looked at again where no array waits for it.
const TRIES: u32 = 10;

struct Unread {
    /// Its own name.
    bdev: String,
    retry: Retry,
}

static ALL: Mutex<Vec<Unread>> = Mutex::new(Vec::new());

/// Notes one. It is told of once.
pub(super) fn insert(bdev: &str, reason: &str) {
    let mut all = ALL.lock();
    if all.iter().any(|unread| unread.bdev == bdev) {
        return;
    }
    all.push(Unread {
        bdev: bdev.to_string(),
        retry: Retry::default(),
    });
    drop(all);
    log_warn!("raid1: bdev '{bdev}', which may be a leg, {reason}: it is looked at again later");
}

/// Forgets one that could be read, or is gone.
pub(super) fn forget(bdev: &str) {
    ALL.lock().retain(|unread| unread.bdev != bdev);
}

pub(super) fn is_empty() -> bool {
    ALL.lock().is_empty()
}

/// Forgets all.
pub(super) fn clear() {
    ALL.lock().clear();
}

/// Some time has passed: those that it is time to look at. One that has been so often, without an array that
/// waits, is left alone.
pub(super) fn due(passed_ms: u64, arrays_wait: bool) -> Vec<String> {
    let mut due = Vec::new();
    let mut left = Vec::new();
    ALL.lock().retain_mut(|unread| {
        if unread.retry.is_due(passed_ms) {
            if unread.retry.tries() > TRIES && !arrays_wait {
                left.push(core::mem::take(&mut unread.bdev));
                return false;
            }
            due.push(unread.bdev.clone());
        }
        true
    });
    for bdev in left {
        log_warn!("raid1: bdev '{bdev}' cannot be read: it is left alone");
    }
    due
}
