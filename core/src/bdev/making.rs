//! Channels that are being made, so that none is used before it is there.
//!
//! SPDK hands out the channel of a thread while its callback still makes it. A bdev of ours that opens
//! a channel to itself, straight or by way of another one of ours, would do I/O through garbage.

use alloc::vec::Vec;

use barespdk_sys as ffi;

use crate::errno::Errno;
use crate::mutex::Mutex;

/// The bdevs whose channels are being made, and on which thread, by address.
static ALL: Mutex<Vec<(usize, usize)>> = Mutex::new(Vec::new());

fn entry(bdev: *const ffi::spdk_bdev) -> (usize, usize) {
    // SAFETY: callable from any thread.
    (bdev.addr(), unsafe { ffi::spdk_get_thread() }.addr())
}

/// A channel of the current thread is being made, until this is dropped there.
pub(crate) struct Making((usize, usize));

impl Making {
    pub(crate) fn begin(bdev: *const ffi::spdk_bdev) -> Result<Self, Errno> {
        let mut all = ALL.lock();
        all.try_reserve(1).map_err(|_| Errno::ENOMEM)?;
        let entry = entry(bdev);
        all.push(entry);
        Ok(Self(entry))
    }
}

impl Drop for Making {
    fn drop(&mut self) {
        let mut all = ALL.lock();
        if let Some(index) = all.iter().position(|entry| *entry == self.0) {
            all.swap_remove(index);
        }
    }
}

/// Whether the current thread's channel to a bdev is being made.
pub(super) fn is_being_made(bdev: *const ffi::spdk_bdev) -> bool {
    let entry = entry(bdev);
    ALL.lock().contains(&entry)
}
