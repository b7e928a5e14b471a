//! Owned DMA memory.

use core::{
    fmt,
    ops::{Deref, DerefMut},
    ptr::NonNull,
};

use crate::{
    backing::Physical,
    error::OverrunError,
    owner::{Block, Owner},
};

/// An owned buffer of DMA memory, from a [`LocalArena`](crate::LocalArena) or a
/// [`SharedArena`](crate::SharedArena). It goes back there when it is dropped, on whatever thread.
///
/// The memory is always initialised: zeroed if asked for, else what its last owner left.
#[must_use = "the memory goes back to its arena at once"]
pub struct DmaBuf {
    block: Block,
    /// At most the block's capacity.
    len: usize,
    owner: NonNull<Owner>,
}

// SAFETY: a buffer owns its bytes, and its owner takes blocks back from any thread, see `Owner::free`.
unsafe impl Send for DmaBuf {}
// SAFETY: through a shared reference the bytes can only be read, and `Owner::translate` may be called
// from any thread.
unsafe impl Sync for DmaBuf {}

static_assertions::assert_impl_all!(DmaBuf: Send, Sync, Unpin);
static_assertions::const_assert_eq!(size_of::<DmaBuf>(), 32);
static_assertions::const_assert_eq!(size_of::<Option<DmaBuf>>(), 32);

impl DmaBuf {
    /// # Safety
    ///
    /// `block` is in use, from the arena that `owner` starts, initialised in its whole capacity, and
    /// given to the buffer. `len` is at most its capacity.
    #[inline(always)]
    pub(crate) const unsafe fn new_in(block: Block, len: usize, owner: NonNull<Owner>) -> Self {
        Self { block, len, owner }
    }

    /// The length in bytes. Never 0, unless [`set_len`](Self::set_len) made it so.
    #[inline]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether the length is 0.
    #[inline]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How far [`set_len`](Self::set_len) can go, in bytes.
    #[inline]
    pub const fn capacity(&self) -> usize {
        self.block.capacity()
    }

    /// The alignment that the start has, in bytes: at least what was asked for.
    #[inline]
    pub const fn alignment(&self) -> usize {
        self.block.align()
    }

    /// The address of the first byte, for reading.
    #[inline]
    pub const fn as_ptr(&self) -> *const u8 {
        self.block.ptr.as_ptr()
    }

    /// The address of the first byte, for writing by C or a device while the buffer is not used here.
    #[inline]
    pub const fn as_mut_ptr(&mut self) -> *mut u8 {
        self.block.ptr.as_ptr()
    }

    /// The bytes.
    #[inline]
    pub const fn as_slice(&self) -> &[u8] {
        // SAFETY: `len` bytes of the block are ours and initialised, and are not written while `self`
        // is borrowed: who has a device write them needs the buffer itself, see `as_mut_ptr`.
        unsafe { core::slice::from_raw_parts(self.as_ptr(), self.len) }
    }

    /// The bytes, to be changed.
    #[inline]
    pub const fn as_mut_slice(&mut self) -> &mut [u8] {
        // SAFETY: as in `as_slice`, and `self` is borrowed mutably, so no one else reads them.
        unsafe { core::slice::from_raw_parts_mut(self.block.ptr.as_ptr(), self.len) }
    }

    /// Changes the length, up to the capacity. Bytes that this adds are initialised, but not zeroed.
    ///
    /// # Errors
    ///
    /// `len` is beyond the capacity; the length stays.
    pub const fn set_len(&mut self, len: usize) -> Result<(), OverrunError> {
        let available = self.capacity();
        if len > available {
            return Err(OverrunError {
                offset: 0,
                len,
                available,
            });
        }
        self.len = len;
        Ok(())
    }

    /// Copies `from` to the start of the buffer, which may be longer; the rest stays.
    ///
    /// # Errors
    ///
    /// `from` is longer than the buffer; nothing is copied.
    pub fn copy_from_slice(&mut self, from: &[u8]) -> Result<(), OverrunError> {
        self.write_at(0, from)
    }

    /// Copies `from` to `offset` bytes from the start.
    ///
    /// # Errors
    ///
    /// `from` does not fit there; nothing is copied.
    pub fn write_at(&mut self, offset: usize, from: &[u8]) -> Result<(), OverrunError> {
        let (len, available) = (from.len(), self.len);
        let error = OverrunError {
            offset,
            len,
            available,
        };
        let end = offset.checked_add(len).ok_or(error)?;
        self.as_mut_slice()
            .get_mut(offset..end)
            .ok_or(error)?
            .copy_from_slice(from);
        Ok(())
    }

    /// Copies from `offset` bytes from the start to the whole of `to`.
    ///
    /// # Errors
    ///
    /// The buffer ends before `to` is full; nothing is copied.
    pub fn read_at(&self, offset: usize, to: &mut [u8]) -> Result<(), OverrunError> {
        let (len, available) = (to.len(), self.len);
        let error = OverrunError {
            offset,
            len,
            available,
        };
        let end = offset.checked_add(len).ok_or(error)?;
        to.copy_from_slice(self.as_slice().get(offset..end).ok_or(error)?);
        Ok(())
    }

    /// The physical address of the byte at `offset`, and how many bytes from there on are contiguous
    /// and within the buffer. C: `spdk_vtophys`.
    ///
    /// `None` if `offset` is beyond the buffer, or if the memory has no address that is known, as under
    /// `--no-huge`, in an environment without PCI, or from [`SystemBacking`](crate::SystemBacking).
    pub fn physical(&self, offset: usize) -> Option<Physical> {
        let rest = self
            .as_slice()
            .get(offset..)
            .filter(|rest| !rest.is_empty())?;
        let start = NonNull::from(rest).cast();
        // SAFETY: our block is in use and contains the rest.
        unsafe {
            // The owner is not borrowed for the call: it is called by its pointer.
            ((*self.owner.as_ptr()).translate)(self.owner, start, rest.len())
        }
    }

    /// Gives up the buffer without freeing it, for a C callback to carry. [`from_raw`](Self::from_raw)
    /// turns it back; without that the memory leaks (and with it the chunks of a local arena that is
    /// dropped meanwhile), which is safe.
    #[inline]
    pub const fn into_raw(self) -> RawDmaBuf {
        let raw = RawParts {
            block: self.block,
            len: self.len,
            owner: self.owner,
        };
        core::mem::forget(self);
        RawDmaBuf(raw)
    }

    /// Takes up a buffer again.
    ///
    /// # Safety
    ///
    /// `raw` came from [`into_raw`](Self::into_raw), and this is the first and only time that it or a
    /// copy of it is turned back: a second buffer of the same memory would be freed twice. Nothing
    /// else, no device either, writes the memory from now on.
    #[inline]
    pub const unsafe fn from_raw(raw: RawDmaBuf) -> Self {
        let RawParts { block, len, owner } = raw.0;
        Self { block, len, owner }
    }
}

impl Drop for DmaBuf {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: the block is ours and goes back to the arena that it came from, which outlives it; it
        // is not used after this. The function pointer is copied out: the call may free the owner.
        unsafe {
            let free = (*self.owner.as_ptr()).free;
            free(self.owner, self.block);
        }
    }
}

impl Deref for DmaBuf {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        self.as_slice()
    }
}

impl DerefMut for DmaBuf {
    #[inline]
    fn deref_mut(&mut self) -> &mut [u8] {
        self.as_mut_slice()
    }
}

impl AsRef<[u8]> for DmaBuf {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl AsMut<[u8]> for DmaBuf {
    fn as_mut(&mut self) -> &mut [u8] {
        self
    }
}

impl fmt::Debug for DmaBuf {
    /// The place and the length; not the content, which may be secret and long.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DmaBuf")
            .field("ptr", &self.block.ptr)
            .field("len", &self.len)
            .field("capacity", &self.capacity())
            .finish_non_exhaustive()
    }
}

/// A [`DmaBuf`] that nobody owns: plain data, to be kept where C code keeps a context.
#[derive(Clone, Copy, Debug)]
#[must_use = "the memory leaks unless it is turned back into a buffer"]
pub struct RawDmaBuf(RawParts);

#[derive(Clone, Copy, Debug)]
struct RawParts {
    block: Block,
    len: usize,
    owner: NonNull<Owner>,
}

// SAFETY: plain data. What it stands for is `Send`, and turning it back is unsafe.
unsafe impl Send for RawDmaBuf {}
// SAFETY: as above.
unsafe impl Sync for RawDmaBuf {}

impl RawDmaBuf {
    /// The address of the first byte.
    #[inline]
    pub const fn as_ptr(&self) -> *mut u8 {
        self.0.block.ptr.as_ptr()
    }

    /// The length in bytes.
    #[inline]
    pub const fn len(&self) -> usize {
        self.0.len
    }

    /// Whether the length is 0.
    #[inline]
    pub const fn is_empty(&self) -> bool {
        self.0.len == 0
    }
}
