//! What can go wrong, as values.

use core::fmt;

/// Why an allocation failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// The length is zero.
    ZeroLength,
    /// The length is beyond [`LARGE_BYTES_MAX`](crate::LARGE_BYTES_MAX).
    LengthTooLarge,
    /// The alignment is zero or no power of two.
    AlignNotPowerOfTwo,
    /// The alignment is beyond [`BLOCK_BYTES_MAX`](crate::BLOCK_BYTES_MAX).
    AlignTooLarge,
    /// The backing has no more memory, or the arena's limit is reached, and nothing that is free fits.
    Exhausted,
    /// A [`LocalArena`](crate::LocalArena) was used outside the thread that made it.
    ForeignThread,
}

/// An allocation that failed: what was asked for and why it could not be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AllocError {
    /// The length asked for, in bytes.
    pub len: usize,
    /// The alignment asked for, in bytes.
    pub align: usize,
    /// Why.
    pub reason: Reason,
}

impl fmt::Display for AllocError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let why = match self.reason {
            Reason::ZeroLength => "the length is zero",
            Reason::LengthTooLarge => "the length is too large",
            Reason::AlignNotPowerOfTwo => "the alignment is no power of two",
            Reason::AlignTooLarge => "the alignment is larger than 2 MiB",
            Reason::Exhausted => "memory is exhausted",
            Reason::ForeignThread => "the arena belongs to another thread",
        };
        write!(
            f,
            "no DMA memory of {} bytes aligned to {}: {why}",
            self.len, self.align
        )
    }
}

impl core::error::Error for AllocError {}

/// A copy or a new length that does not fit a buffer. Nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OverrunError {
    /// Where the access begins, in bytes from the start of the buffer.
    pub offset: usize,
    /// How many bytes were to be accessed.
    pub len: usize,
    /// How many bytes there are.
    pub available: usize,
}

impl fmt::Display for OverrunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            offset,
            len,
            available,
        } = self;
        write!(
            f,
            "{len} bytes at offset {offset} do not fit a buffer of {available} bytes"
        )
    }
}

impl core::error::Error for OverrunError {}

/// An arena that contradicts itself: something wrote into memory that it did not own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CheckError {
    /// A free block is not aligned to its size, or lies outside every chunk.
    StrayBlock {
        /// The block's address.
        address: usize,
        /// The size of the list it was found in, in bytes.
        size: usize,
    },
    /// A free list holds more bytes than the arena has: it has a cycle.
    Cycle {
        /// The list's size, in bytes.
        size: usize,
    },
    /// Free bytes and used bytes do not add up to the bytes of the chunks.
    Sum {
        /// Bytes in free lists.
        free: usize,
        /// Bytes in blocks that are in use.
        used: usize,
        /// Bytes in chunks.
        chunks: usize,
    },
}

impl fmt::Display for CheckError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::StrayBlock { address, size } => {
                write!(
                    f,
                    "free list of {size} bytes holds a stray block at {address:#x}"
                )
            }
            Self::Cycle { size } => write!(f, "free list of {size} bytes has a cycle"),
            Self::Sum { free, used, chunks } => {
                write!(
                    f,
                    "{free} bytes free and {used} in use, but {chunks} in chunks"
                )
            }
        }
    }
}

impl core::error::Error for CheckError {}
