use std::ffi::c_int;
use std::ptr::{self, NonNull};

use barespdk_sys::{SPDK_MALLOC_DMA, spdk_free, spdk_zmalloc};

/// Memory that devices can reach, zeroed at first. Shared by threads as a disk is: what concurrent
/// accesses to the same bytes find is not defined.
pub(super) struct Memory {
    start: NonNull<u8>,
    len: usize,
}

// SAFETY: no thread owns the memory, and it is only accessed through pointers.
unsafe impl Send for Memory {}
// SAFETY: as above.
unsafe impl Sync for Memory {}

impl Memory {
    /// `len` bytes on a NUMA node, or on any for -1. None if there is none.
    pub(super) fn new(len: usize, align: usize, numa_id: c_int) -> Option<Self> {
        // SAFETY: an allocation; NULL is checked.
        let start = unsafe { spdk_zmalloc(len, align, ptr::null_mut(), numa_id, SPDK_MALLOC_DMA) };
        Some(Self {
            start: NonNull::new(start.cast())?,
            len,
        })
    }

    /// The address of `len` bytes at `offset`. None if they are not within it.
    pub(super) fn at(&self, offset: u64, len: u64) -> Option<*mut u8> {
        if offset.checked_add(len)? > self.len as u64 {
            return None;
        }
        // SAFETY: within the allocation.
        Some(unsafe { self.start.as_ptr().add(offset as usize) })
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: from `spdk_zmalloc`, freed once.
        unsafe { spdk_free(self.start.as_ptr().cast()) };
    }
}
