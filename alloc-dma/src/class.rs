//! Size classes: the powers of two that blocks come in.

use crate::error::{AllocError, Reason};

/// The smallest block, and the smallest alignment, in bytes: a cache line.
pub const BLOCK_BYTES_MIN: usize = 64;
/// The largest block served from free lists, and the largest alignment, in bytes: a huge page.
pub const BLOCK_BYTES_MAX: usize = 2 << 20;
/// The longest buffer, in bytes.
pub const LARGE_BYTES_MAX: usize = ((u32::MAX as usize) * BLOCK_BYTES_MIN) & !(LARGE_UNIT - 1);

/// Lengths beyond [`BLOCK_BYTES_MAX`] are rounded up to this, and aligned to it at least.
pub(crate) const LARGE_UNIT: usize = 4096;

/// A size class: blocks of `64 << index` bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Class(u8);

impl Class {
    /// How many classes there are.
    pub(crate) const COUNT: usize = 16;
    /// The class of whole 2 MiB blocks.
    pub(crate) const MAX: Self = Self(Self::COUNT as u8 - 1);

    /// The class that serves a request, or `None` if no class does; [`Placement::of`] says why.
    #[inline(always)]
    pub(crate) const fn of(len: usize, align: usize) -> Option<Self> {
        if len == 0 || !align.is_power_of_two() {
            return None;
        }
        let need = if len > align { len } else { align };
        if need > BLOCK_BYTES_MAX {
            return None;
        }
        // The number of bits of the largest offset into the block, less those of the smallest block.
        let bits = usize::BITS - ((need - 1) | (BLOCK_BYTES_MIN - 1)).leading_zeros();
        Some(Self((bits - BLOCK_BYTES_MIN.trailing_zeros()) as u8))
    }

    /// The class at `index`, if there is one.
    pub(crate) const fn from_index(index: usize) -> Option<Self> {
        if index < Self::COUNT {
            Some(Self(index as u8))
        } else {
            None
        }
    }

    /// The class of blocks of `1 << shift` bytes, which there must be.
    #[inline(always)]
    pub(crate) const fn of_shift(shift: u32) -> Self {
        Self((shift - BLOCK_BYTES_MIN.trailing_zeros()) as u8)
    }

    /// The position among the classes. The mask costs nothing and lets the compiler drop bounds checks.
    #[inline(always)]
    pub(crate) const fn index(self) -> usize {
        self.0 as usize & (Self::COUNT - 1)
    }

    /// The size and alignment of the class's blocks, in bytes.
    #[inline(always)]
    pub(crate) const fn size(self) -> usize {
        BLOCK_BYTES_MIN << self.index()
    }

    /// All classes, smallest first.
    pub(crate) fn all() -> impl DoubleEndedIterator<Item = Self> {
        (0..Self::COUNT as u8).map(Self)
    }
}

/// Where a request is served from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Placement {
    /// A free list.
    Class(Class),
    /// The backing itself: this many bytes, aligned so.
    Large { size: usize, align: usize },
}

impl Placement {
    /// Decides where `len` bytes aligned to `align` come from.
    pub(crate) const fn of(len: usize, align: usize) -> Result<Self, AllocError> {
        if let Some(class) = Class::of(len, align) {
            return Ok(Self::Class(class));
        }
        let reason = if len == 0 {
            Reason::ZeroLength
        } else if !align.is_power_of_two() {
            Reason::AlignNotPowerOfTwo
        } else if align > BLOCK_BYTES_MAX {
            Reason::AlignTooLarge
        } else if len > LARGE_BYTES_MAX {
            Reason::LengthTooLarge
        } else {
            // Cannot overflow: `len` is at most `LARGE_BYTES_MAX`, a multiple of the unit.
            let size = (len + (LARGE_UNIT - 1)) & !(LARGE_UNIT - 1);
            let align = if align > LARGE_UNIT {
                align
            } else {
                LARGE_UNIT
            };
            return Ok(Self::Large { size, align });
        };
        Err(AllocError { len, align, reason })
    }
}

static_assertions::const_assert_eq!(BLOCK_BYTES_MIN << (Class::COUNT - 1), BLOCK_BYTES_MAX);
static_assertions::const_assert!(matches!(Class::of(1, 1), Some(Class(0))));
static_assertions::const_assert!(matches!(Class::of(64, 64), Some(Class(0))));
static_assertions::const_assert!(matches!(Class::of(65, 1), Some(Class(1))));
static_assertions::const_assert!(matches!(Class::of(1, 4096), Some(Class(6))));
static_assertions::const_assert!(matches!(Class::of(BLOCK_BYTES_MAX, 1), Some(Class::MAX)));
static_assertions::const_assert!(Class::of(BLOCK_BYTES_MAX + 1, 1).is_none());
