//! Where arenas take their memory from.

use core::ptr::NonNull;

use crate::context::Context;

/// A physical (or I/O virtual) address that devices understand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Physical {
    /// The address.
    pub address: u64,
    /// For how many bytes from there the memory is contiguous, as far as was asked.
    pub contiguous_bytes: usize,
}

/// A source of memory in large pieces.
///
/// Arenas call it seldom: for chunks, for buffers beyond
/// [`BLOCK_BYTES_MAX`](crate::BLOCK_BYTES_MAX), and for a few small pages for their own records. It may
/// be slow. It is called without any lock or borrow held that its own use of the arena would need.
///
/// # Safety
///
/// [`reserve`](Self::reserve) must return memory that
/// - is `size` bytes long, valid for reads and writes from any thread, and **initialised to zero**,
/// - starts at a multiple of `align`,
/// - overlaps nothing else, and stays so until [`release`](Self::release) is called for it.
///
/// What goes wrong otherwise: too short or released early, and safe code writes out of bounds; not
/// zeroed, and safe code reads uninitialised memory through [`DmaBuf`](crate::DmaBuf); misaligned, and
/// blocks are joined that belong to different chunks, so that two buffers overlap; handed out twice,
/// and two buffers are one.
///
/// [`translate`](Self::translate) must tell the truth: what it returns is given to devices, which write
/// there.
///
/// `size` is never 0, and `align` is a power of two of at least 64 and at most 2 MiB.
///
/// No method may unwind. All may be called from any thread, at the same time.
pub unsafe trait Backing: Send + Sync + 'static {
    /// How threads are told apart where this memory is used.
    type Context: Context;

    /// Takes zeroed memory, or returns `None` if there is none.
    fn reserve(&self, size: usize, align: usize) -> Option<NonNull<u8>>;

    /// Gives memory back.
    ///
    /// # Safety
    ///
    /// `ptr` came from [`reserve`](Self::reserve) of this backing with the same `size` and `align`, was
    /// not released since, and no one uses it any more.
    unsafe fn release(&self, ptr: NonNull<u8>, size: usize, align: usize);

    /// The physical address of `ptr`, and for how much of the `len` bytes from there memory is
    /// contiguous. `None` if the memory has none that is known.
    fn translate(&self, ptr: NonNull<u8>, len: usize) -> Option<Physical> {
        let _ = (ptr, len);
        None
    }
}
