//! Arrays whose legs have been seen, but that are not online. Used on the app thread.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::mem;
use core::sync::atomic::{AtomicBool, Ordering};

use barespdk::bdev::Desc;
use barespdk::mutex::Mutex;
use barespdk::uuid::Uuid;

use super::decision::Wish;
use super::retry::Retry;
use crate::format::Superblock;

/// A bdev that is a leg.
#[derive(Clone, Debug)]
pub(super) struct Candidate {
    /// Of the bdev.
    pub(super) name: String,
    pub(super) bdev_uuid: Uuid,
    pub(super) superblock: Box<Superblock>,
    /// It cannot be used, for now.
    pub(super) is_out_of_reach: bool,
    /// Why it could not be used when that was tried last.
    pub(super) trouble: String,
    /// It is about to go.
    is_removed: Arc<AtomicBool>,
    /// Open for reading, so that we hear when it goes.
    _desc: Desc,
}

impl Candidate {
    /// `is_removed` is set when the bdev is about to go.
    pub(super) fn new(
        desc: Desc,
        superblock: Box<Superblock>,
        is_removed: Arc<AtomicBool>,
    ) -> Self {
        Self {
            name: desc.name().into(),
            bdev_uuid: desc.uuid(),
            superblock,
            is_out_of_reach: false,
            trouble: String::new(),
            is_removed,
            _desc: desc,
        }
    }
}

/// An array that waits.
#[derive(Clone, Debug, Default)]
pub(crate) struct Array {
    pub(super) uuid: Uuid,
    /// In the order in which they came.
    pub(super) candidates: Vec<Candidate>,
    /// Since the first leg was seen.
    pub(super) waited_ms: u64,
    /// It was asked for, or has waited long enough: it may start without legs that are missing.
    pub(super) degraded: bool,
    /// The name of the bdev whose history was chosen.
    pub(super) source: Option<String>,
    /// By RPC: it does not start by itself.
    pub(super) stopped: bool,
    /// What was in vain, and is tried again.
    pub(super) retry: Option<Retry>,
    /// Somebody tries to bring it online; and is to try again.
    busy: bool,
    again: bool,
    /// Why it is not online.
    pub(super) waits_for: String,
}

impl Array {
    pub(crate) fn uuid(&self) -> Uuid {
        self.uuid
    }

    /// The superblock to go by in what is told of it.
    pub(super) fn authority(&self) -> Option<&Superblock> {
        let superblocks = self.candidates.iter().map(|leg| &*leg.superblock);
        superblocks.max_by_key(|superblock| superblock.generation)
    }

    pub(super) fn name(&self) -> &str {
        self.authority()
            .map_or("", |superblock| superblock.name.as_str())
    }

    /// It is online. What was said for this start does not count for another one.
    pub(super) fn started(&mut self) {
        self.degraded = false;
        self.source = None;
        self.waited_ms = 0;
    }

    /// All its legs are tried again.
    pub(super) fn within_reach(&mut self) {
        self.candidates
            .iter_mut()
            .for_each(|leg| leg.is_out_of_reach = false);
    }

    /// What whoever starts it has said, of these legs.
    pub(super) fn wish(&self) -> Wish {
        let source = self.source.as_ref().and_then(|source| {
            self.candidates
                .iter()
                .position(|candidate| candidate.name == *source)
        });
        Wish {
            degraded: self.degraded,
            source,
        }
    }
}

static ARRAYS: Mutex<Vec<Array>> = Mutex::new(Vec::new());

/// Notes a leg, unless it is about to go.
pub(super) fn insert(candidate: Candidate) {
    if candidate.is_removed.load(Ordering::Relaxed) {
        return;
    }
    let uuid = candidate.superblock.uuid;
    let mut arrays = ARRAYS.lock();
    let old = match arrays.iter_mut().find(|array| array.uuid == uuid) {
        Some(array) => {
            let place = array
                .candidates
                .iter_mut()
                .find(|other| other.name == candidate.name);
            match place {
                Some(place) => Some(mem::replace(place, candidate)),
                None => {
                    array.candidates.push(candidate);
                    None
                }
            }
        }
        None => {
            arrays.push(Array {
                uuid,
                candidates: alloc::vec![candidate],
                ..Array::default()
            });
            None
        }
    };
    drop(arrays);
    drop(old);
}

/// Forgets a leg, and its array with the last one.
pub(super) fn forget(name: &str) {
    let mut dropped = Vec::new();
    let mut arrays = ARRAYS.lock();
    for array in arrays.iter_mut() {
        dropped.extend(array.candidates.extract_if(.., |leg| leg.name == name));
    }
    arrays.retain(|array| !array.candidates.is_empty() || array.busy);
    drop(arrays);
    // What is dropped is dropped when the lock is free.
    drop(dropped);
}

pub(super) fn knows(uuid: Uuid, name: &str) -> bool {
    with(uuid, |array| {
        array.candidates.iter().any(|leg| leg.name == name)
    })
    .unwrap_or(false)
}

/// Does something with an array, if there is one. `change` must not drop legs.
pub(super) fn with<R>(uuid: Uuid, change: impl FnOnce(&mut Array) -> R) -> Option<R> {
    let mut arrays = ARRAYS.lock();
    arrays
        .iter_mut()
        .find(|array| array.uuid == uuid)
        .map(change)
}

/// Takes legs of an array, which stays as long as somebody works on it.
pub(super) fn take(uuid: Uuid, which: impl Fn(&Candidate) -> bool) -> Vec<Candidate> {
    with(uuid, |array| {
        let taken = array.candidates.extract_if(.., |leg| which(leg));
        taken.collect()
    })
    .unwrap_or_default()
}

/// All that wait, as they are now.
pub(crate) fn all() -> Vec<Array> {
    let waits = |array: &&Array| !array.candidates.is_empty();
    ARRAYS.lock().iter().filter(waits).cloned().collect()
}

/// One that waits, by its name or uuid.
pub(super) fn find(key: &str) -> Option<Array> {
    let uuid = Uuid::parse(key).ok();
    all()
        .into_iter()
        .find(|array| array.name() == key || Some(array.uuid) == uuid)
}

/// Lets the caller alone work on an array, or has whoever does so look again.
pub(super) fn begin(uuid: Uuid) -> bool {
    with(uuid, |array| {
        array.again |= array.busy;
        !mem::replace(&mut array.busy, true)
    })
    .unwrap_or(false)
}

/// Ends what [`begin`] began, unless there is a reason to look again.
pub(super) fn end(uuid: Uuid) -> bool {
    let ended = with(uuid, |array| {
        array.busy = mem::take(&mut array.again);
        !array.busy
    });
    ARRAYS
        .lock()
        .retain(|array| !array.candidates.is_empty() || array.busy);
    ended.unwrap_or(true)
}

pub(super) fn is_busy(uuid: Uuid) -> bool {
    with(uuid, |array| array.busy).unwrap_or(false)
}

/// Notes why a leg cannot be used, until that is tried again. Whether that is new.
pub(super) fn put_out_of_reach(uuid: Uuid, name: &str, reason: &str) -> bool {
    with(uuid, |array| {
        array.retry.get_or_insert_default();
        let leg = array.candidates.iter_mut().find(|leg| leg.name == name);
        leg.is_some_and(|leg| {
            leg.is_out_of_reach = true;
            let is_new = leg.trouble != reason;
            leg.trouble = reason.into();
            is_new
        })
    })
    .unwrap_or(false)
}

/// Makes whoever works on an array look again.
pub(super) fn look_again(uuid: Uuid) {
    let _gone = with(uuid, |array| array.again = true);
}

/// Forgets all.
pub(super) fn clear() {
    let dropped = mem::take(&mut *ARRAYS.lock());
    drop(dropped);
}
