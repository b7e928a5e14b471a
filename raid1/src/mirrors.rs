//! All mirrors of the process, in the order of their making. Used on the app thread.

use alloc::vec::Vec;

use barespdk::bdev::{Access, Desc};
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

/// The mirror that a base bdev is a leg of, and the slot; by its name or an alias, whichever the mirror
/// was told.
pub(crate) fn find_by_leg(base: &str) -> Option<(Bdev<Mirror>, Slot)> {
    let bdev = Desc::open(base, Access::Read, |_| ());
    // Where it cannot be opened, as it goes, it is found by its name still.
    let name = bdev.as_ref().map_or(base, Desc::name);
    all().into_iter().find_map(|mirror| {
        let slot = mirror.device().legs.lock().find_by(|leg| leg.is(name))?;
        Some((mirror, slot))
    })
}

/// Whether a bdev, by its own name, is a leg of a mirror.
pub(crate) fn is_leg(bdev: &str) -> bool {
    let is_one = |mirror: &Bdev<Mirror>| {
        let legs = mirror.device().legs.lock();
        legs.open().any(|(_, leg)| leg.is(bdev))
    };
    all().iter().any(is_one)
}

pub(crate) fn all() -> Vec<Bdev<Mirror>> {
    MIRRORS.lock().clone()
}
