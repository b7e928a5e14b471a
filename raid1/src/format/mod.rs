//! What is on the legs: the metadata of a mirror, byte by byte as `raid1/FORMAT.md` has it.
//!
//! Bytes in, values out, and back: no bdevs, nothing that waits, no `unsafe`. Whatever the bytes are,
//! nothing here panics, and nothing absurd comes out: who gets a [`Superblock`] need not doubt its
//! numbers, and who reads a bitmap gets at least the regions that were set when it was written.
//!
//! ```text
//!   0          64 KiB     128 KiB        144 KiB   ..  384 KiB    400 KiB      1 MiB, or more
//!   ├─ copy A ─┼─ copy B ─┼─ intent ─────┼─ missed 0 .. missed 15 ─┼─ unused ───┼─ data ──►
//!   superblock superblock  one bit a region; leaves of 512 bytes
//! ```
//!
//! This module uses nothing else of the driver, so that `raid1/fuzz` can include it.

mod bdev_raid;
mod bytes;
mod copies;
mod crc32c;
mod error;
mod foreign;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod layout;
mod leaf;
mod leg_entry;
mod name;
mod superblock;
#[cfg(test)]
mod tests;

pub(crate) use bdev_raid::{Base, BaseState, BdevRaid};
pub(crate) use copies::newest;
pub(crate) use foreign::{LOOKED_AT_BYTES, recognise};
pub(crate) use layout::{Extent, Layout};
pub(crate) use leaf::{BitmapId, LEAF_BYTES, REGIONS_PER_LEAF, encode_unit, read_bitmap};
pub(crate) use leg_entry::{LegEntry, LegState};
pub(crate) use name::Name;
pub(crate) use superblock::{MdFormat, Superblock};
#[cfg(any(test, fuzzing))]
pub(crate) use {
    error::FormatError,
    layout::data_offset_blocks,
    leaf::{encode_leaf, parse_leaf},
};

/// How many legs a mirror can have: entries of a superblock.
pub(crate) const LEGS_MAX: usize = 16;

/// Where the copies of the superblock begin, in bytes from the start of a leg. Generation `g` goes to
/// copy `g % 2`.
pub(crate) const SUPERBLOCK_OFFSETS: [u64; 2] = [0, 64 << 10];

/// What one copy of the superblock takes. It is written in units of [`Layout::write_unit`] bytes.
pub(crate) const SUPERBLOCK_BYTES: usize = 4096;

/// Where the leaves of all bitmaps begin, in bytes from the start of a leg.
pub(crate) const LEAVES_OFFSET: u64 = 128 << 10;

/// Leaves of one bitmap.
pub(crate) const LEAVES_PER_BITMAP: usize = 32;

/// Bitmaps of a leg: that of intended writes, and for each slot that of what its leg has missed.
pub(crate) const BITMAPS: usize = 1 + LEGS_MAX;

/// The most regions that a mirror can have.
pub(crate) const REGIONS_MAX: u64 = (LEAVES_PER_BITMAP * REGIONS_PER_LEAF) as u64;

/// Where data begins at the earliest, in bytes from the start of a leg: as in SPDK's `bdev_raid`, so
/// that its arrays can be taken over where they are.
pub(crate) const DATA_OFFSET_MIN: u64 = 1 << 20;

/// Block sizes that a mirror with metadata can have, in bytes; powers of two.
pub(crate) const BLOCK_SIZES: core::ops::RangeInclusive<u32> = 512..=65536;

const _: () = assert!(
    LEAVES_OFFSET as usize + BITMAPS * LEAVES_PER_BITMAP * LEAF_BYTES == 400 << 10
        && 400 << 10 <= DATA_OFFSET_MIN as usize - *BLOCK_SIZES.end() as usize,
    "leaves, rounded up to whole blocks, end before the data"
);
