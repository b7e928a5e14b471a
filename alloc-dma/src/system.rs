//! Memory from the C library, for tests and for programs without SPDK.

use core::ptr::NonNull;

use crate::{backing::Backing, context::OsThread};

/// Ordinary memory by `posix_memalign`. No device knows it: it has no physical address.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemBacking;

// SAFETY: `posix_memalign` gives `size` bytes at a multiple of `align`, which stay ours until `free`,
// and they are zeroed here. It does not go through Rust's global allocator, so an arena over it can be
// that. Neither function unwinds; both are thread-safe.
unsafe impl Backing for SystemBacking {
    type Context = OsThread;

    fn reserve(&self, size: usize, align: usize) -> Option<NonNull<u8>> {
        let mut ptr = core::ptr::null_mut();
        // SAFETY: `ptr` is a valid place for the result. An `align` that is no power of two or no
        // multiple of a pointer's size is an error that is returned, not undefined behaviour.
        let rc = unsafe { libc::posix_memalign(&mut ptr, align, size) };
        if rc != 0 {
            return None;
        }
        let ptr = NonNull::new(ptr.cast::<u8>())?;
        // SAFETY: the call succeeded, so these `size` bytes are ours to write.
        unsafe { ptr.write_bytes(0, size) };
        Some(ptr)
    }

    unsafe fn release(&self, ptr: NonNull<u8>, _size: usize, _align: usize) {
        // SAFETY: from `posix_memalign`, and not freed before, as the caller promises.
        unsafe { libc::free(ptr.as_ptr().cast()) }
    }
}
