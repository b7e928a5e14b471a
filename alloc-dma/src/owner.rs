//! What a buffer knows of its arena: enough to go back there, whatever its kind and backing.

use core::ptr::NonNull;

use crate::{
    backing::Physical,
    class::{BLOCK_BYTES_MIN, Class, Placement},
};

/// The start of every arena. Buffers point to it, and the arena outlives them.
#[derive(Debug)]
pub(crate) struct Owner {
    /// Takes a block back.
    ///
    /// # Safety
    ///
    /// The pointer is to the arena that the block came from, the block is in use, and no one uses it
    /// after the call. Any thread may call it.
    pub(crate) free: unsafe fn(NonNull<Owner>, Block),
    /// Looks up the physical address of memory of this arena.
    ///
    /// # Safety
    ///
    /// The pointer is to an arena with a block in use, which the address and the length lie in.
    pub(crate) translate: unsafe fn(NonNull<Owner>, NonNull<u8>, usize) -> Option<Physical>,
}

/// A block that is in use, and all that is needed to give it back.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Block {
    pub(crate) ptr: NonNull<u8>,
    /// The capacity in units of [`BLOCK_BYTES_MIN`].
    units: u32,
    /// The binary logarithm of the alignment.
    align_shift: u8,
    is_large: bool,
}

impl Block {
    #[inline(always)]
    pub(crate) const fn of_class(ptr: NonNull<u8>, class: Class) -> Self {
        let size = class.size();
        let units = (size / BLOCK_BYTES_MIN) as u32;
        Self {
            ptr,
            units,
            align_shift: size.trailing_zeros() as u8,
            is_large: false,
        }
    }

    /// `size` is a multiple of [`BLOCK_BYTES_MIN`] and at most `LARGE_BYTES_MAX`, which fits the units.
    pub(crate) const fn large(ptr: NonNull<u8>, size: usize, align: usize) -> Self {
        let units = (size / BLOCK_BYTES_MIN) as u32;
        Self {
            ptr,
            units,
            align_shift: align.trailing_zeros() as u8,
            is_large: true,
        }
    }

    #[inline]
    pub(crate) const fn capacity(self) -> usize {
        self.units as usize * BLOCK_BYTES_MIN
    }

    #[inline]
    pub(crate) const fn align(self) -> usize {
        1 << self.align_shift
    }

    /// Where it came from.
    #[inline(always)]
    pub(crate) const fn placement(self) -> Placement {
        let large = Placement::Large {
            size: self.capacity(),
            align: self.align(),
        };
        if self.is_large {
            return large;
        }
        // A block's size is its alignment, which is a class's.
        let shift = self.align_shift as usize - BLOCK_BYTES_MIN.trailing_zeros() as usize;
        match Class::from_index(shift) {
            Some(class) => Placement::Class(class),
            None => large,
        }
    }
}

static_assertions::const_assert_eq!(size_of::<Block>(), 16);
