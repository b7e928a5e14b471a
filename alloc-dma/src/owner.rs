//! What a buffer knows of its arena: enough to go back there, whatever its kind and backing.

use core::ptr::NonNull;

use crate::{
    backing::Physical,
    class::{BLOCK_BYTES_MIN, Class, LARGE_BYTES_MAX, Placement},
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

/// A block that is in use, and all that is needed to give it back: two words, so that it travels in
/// registers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Block {
    pub(crate) ptr: NonNull<u8>,
    shape: Shape,
}

/// From the lowest bit: 8 bits for the binary logarithm of the alignment, [`LARGE`](Self::LARGE), and
/// from bit 32 on the capacity in units of [`BLOCK_BYTES_MIN`].
#[derive(Clone, Copy, Debug)]
struct Shape(u64);

impl Shape {
    const LARGE: u64 = 1 << 8;
    const UNITS_SHIFT: u32 = 32;

    /// `size` is a multiple of [`BLOCK_BYTES_MIN`], at most `LARGE_BYTES_MAX`; `align` a power of two.
    #[inline(always)]
    const fn new(size: usize, align: usize) -> Self {
        let units = (size / BLOCK_BYTES_MIN) as u64;
        Self(units << Self::UNITS_SHIFT | align.trailing_zeros() as u64)
    }

    #[inline(always)]
    const fn align_shift(self) -> u32 {
        (self.0 & 0xff) as u32
    }
}

impl Block {
    #[inline(always)]
    pub(crate) const fn of_class(ptr: NonNull<u8>, class: Class) -> Self {
        Self {
            ptr,
            shape: Shape::new(class.size(), class.size()),
        }
    }

    /// `size` is a multiple of [`BLOCK_BYTES_MIN`] and at most `LARGE_BYTES_MAX`, which fits the shape.
    pub(crate) const fn large(ptr: NonNull<u8>, size: usize, align: usize) -> Self {
        Self {
            ptr,
            shape: Shape(Shape::new(size, align).0 | Shape::LARGE),
        }
    }

    #[inline]
    pub(crate) const fn capacity(self) -> usize {
        (self.shape.0 >> Shape::UNITS_SHIFT) as usize * BLOCK_BYTES_MIN
    }

    #[inline]
    pub(crate) const fn align(self) -> usize {
        1 << self.shape.align_shift()
    }

    /// Where it came from.
    #[inline(always)]
    pub(crate) const fn placement(self) -> Placement {
        if self.shape.0 & Shape::LARGE != 0 {
            return Placement::Large {
                size: self.capacity(),
                align: self.align(),
            };
        }
        // A block's size is its alignment.
        Placement::Class(Class::of_shift(self.shape.align_shift()))
    }
}

static_assertions::const_assert_eq!(size_of::<Block>(), 16);
static_assertions::const_assert!(LARGE_BYTES_MAX / BLOCK_BYTES_MIN <= u32::MAX as usize);
