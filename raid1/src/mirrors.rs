//! All mirrors of the process, in the order of their making. Used on the app thread.

use alloc::vec::Vec;

use barespdk::module::Bdev;
use barespdk::mutex::Mutex;

use crate::legs::Slot;
use crate::mirror::Mirror;

static MIRRORS: Mutex<Vec<Bdev<Mirror>>> = Mutex::new(Vec::new());

pub(crate) fn add(mirror: Bdev<Mirror>) {
    MIRRORS.lock().push(mirror);
}

pub(crate) fn remove(name: &str) {
    let mut removed = Vec::new();
    // What is dropped is dropped when the lock is free.
    removed.extend(
        MIRRORS
            .lock()
            .extract_if(.., |mirror| mirror.name() == name),
    );
}

pub(crate) fn clear() {
    let _dropped = core::mem::take(&mut *MIRRORS.lock());
}

pub(crate) fn find(name: &str) -> Option<Bdev<Mirror>> {
    MIRRORS
        .lock()
        .iter()
        .find(|mirror| mirror.name() == name)
        .cloned()
}

/// The mirror that a base bdev is a leg of, and the slot.
pub(crate) fn find_by_leg(base: &str) -> Option<(Bdev<Mirror>, Slot)> {
    all().into_iter().find_map(|mirror| {
        let slot = mirror.device().legs.lock().find(base)?;
        Some((mirror, slot))
    })
}

pub(crate) fn all() -> Vec<Bdev<Mirror>> {
    MIRRORS.lock().clone()
}
