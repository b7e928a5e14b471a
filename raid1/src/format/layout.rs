//! Where things are on a leg, in blocks.

use core::ops::RangeInclusive;

use super::error::FormatError;
use super::leaf::{BitmapId, LEAF_BYTES, REGIONS_PER_LEAF};
use super::superblock::Superblock;
use super::{
    BITMAPS, BLOCK_SIZES, DATA_OFFSET_MIN, LEAVES_OFFSET, LEAVES_PER_BITMAP, REGIONS_MAX,
    SUPERBLOCK_OFFSETS,
};

/// Smallest region that is chosen where none is asked for, in bytes.
const REGION_BYTES_DEFAULT: u64 = 1 << 20;

/// What metadata is written in, at least, in bytes: disks of 512-byte blocks have pages of this size.
const WRITE_UNIT_MIN: u32 = 4096;

/// Where things are on a leg, and how its data is cut into regions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    /// Bytes of data in a block.
    pub(crate) block_size: u32,
    /// Bytes that metadata is written in: a multiple of the block size.
    pub(crate) write_unit: u32,
    /// Where data begins.
    pub(crate) data_offset_blocks: u64,
    /// How much data there is: the size of the mirror.
    pub(crate) data_size_blocks: u64,
    /// A power of two.
    pub(crate) region_size_blocks: u64,
    /// At most [`REGIONS_MAX`]; the last one may be shorter.
    pub(crate) num_regions: u32,
}

/// Blocks of a leg.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Extent {
    pub(crate) offset_blocks: u64,
    pub(crate) num_blocks: u64,
}

impl Layout {
    /// Of a mirror whose smallest leg has `leg_blocks`. `optimal_io_boundary` is in blocks, 0 for none,
    /// `region_bytes` the size that was asked for.
    ///
    /// # Errors
    /// The block or region size is not possible, or the leg has no room for data.
    pub(crate) fn new(
        leg_blocks: u64,
        block_size: u32,
        optimal_io_boundary: u32,
        region_bytes: Option<u64>,
    ) -> Result<Self, FormatError> {
        let offset = data_offset_blocks(block_size, optimal_io_boundary)?;
        let size = leg_blocks
            .checked_sub(offset)
            .filter(|size| *size > 0)
            .ok_or(FormatError::LegTooSmall {
                blocks: leg_blocks,
                need: offset + 1,
            })?;
        Self::with_data(block_size, offset, size, region_bytes)
    }

    /// Of a leg whose data is in a given place.
    ///
    /// # Errors
    /// As of [`Layout::new`]; or the data overlaps the metadata, or ends where no leg can.
    pub(crate) fn with_data(
        block_size: u32,
        data_offset_blocks: u64,
        data_size_blocks: u64,
        region_bytes: Option<u64>,
    ) -> Result<Self, FormatError> {
        check_block_size(block_size)?;
        let offset = check_data_offset(block_size, data_offset_blocks)?;
        let bytes = check_data_size(block_size, data_size_blocks)?;
        if offset.checked_add(bytes).is_none() {
            return Err(FormatError::Value {
                field: "the offset of the data, in blocks,",
                value: data_offset_blocks,
                why: "the data ends beyond 2^64 bytes",
            });
        }
        let region_bytes = match region_bytes {
            None => *region_bounds(block_size, bytes)
                .start()
                .max(&REGION_BYTES_DEFAULT),
            Some(asked) => check_region_bytes(block_size, bytes, asked)?,
        };
        Ok(Self {
            block_size,
            write_unit: block_size.max(WRITE_UNIT_MIN),
            data_offset_blocks,
            data_size_blocks,
            region_size_blocks: region_bytes / u64::from(block_size),
            // Below REGIONS_MAX by the bounds of a region's size.
            num_regions: bytes.div_ceil(region_bytes) as u32,
        })
    }

    /// Of the leg that this superblock was read from.
    ///
    /// # Errors
    /// None, if the superblock was parsed.
    pub(crate) fn of(superblock: &Superblock) -> Result<Self, FormatError> {
        let own = superblock.own_leg().ok_or(FormatError::Value {
            field: "own slot",
            value: superblock.own_slot.into(),
            why: "there is no such slot",
        })?;
        Self::with_data(
            superblock.block_size,
            own.data_offset_blocks,
            superblock.data_size_blocks,
            Some(region_bytes(
                superblock.block_size,
                superblock.region_size_blocks,
            )?),
        )
    }

    /// The copy of the superblock that a generation goes to.
    pub(crate) fn superblock(&self, generation: u64) -> Extent {
        let [a, b] = SUPERBLOCK_OFFSETS;
        self.unit_at(if generation.is_multiple_of(2) { a } else { b })
    }

    /// All leaves of all bitmaps, what [`read_bitmap`](super::read_bitmap) takes.
    pub(crate) fn leaves(&self) -> Extent {
        let unit = self.unit_at(LEAVES_OFFSET);
        Extent {
            num_blocks: unit.num_blocks * self.num_units() as u64,
            ..unit
        }
    }

    /// In how many units all leaves are written. With large blocks a unit has leaves of several bitmaps.
    pub(crate) fn num_units(&self) -> usize {
        (BITMAPS * LEAVES_PER_BITMAP).div_ceil(self.leaves_per_unit())
    }

    /// Where a unit of leaves is.
    pub(crate) fn unit(&self, unit: usize) -> Extent {
        self.unit_at(LEAVES_OFFSET + unit as u64 * u64::from(self.write_unit))
    }

    /// Which unit has the bit of a region.
    pub(crate) fn unit_of(&self, bitmap: BitmapId, region: u32) -> usize {
        let leaf = region as usize / REGIONS_PER_LEAF;
        (bitmap.index() * LEAVES_PER_BITMAP + leaf) / self.leaves_per_unit()
    }

    pub(super) fn leaves_per_unit(&self) -> usize {
        self.write_unit as usize / LEAF_BYTES
    }

    fn unit_at(&self, offset: u64) -> Extent {
        Extent {
            offset_blocks: offset / u64::from(self.block_size),
            num_blocks: (self.write_unit / self.block_size).into(),
        }
    }
}

/// Where the data of a new leg begins: at 1 MiB, rounded up to its optimal boundary (in blocks, 0 for
/// none).
///
/// # Errors
/// The block size is not possible.
pub(crate) fn data_offset_blocks(
    block_size: u32,
    optimal_io_boundary: u32,
) -> Result<u64, FormatError> {
    check_block_size(block_size)?;
    let boundary = u64::from(optimal_io_boundary.max(1));
    let offset = DATA_OFFSET_MIN / u64::from(block_size);
    Ok(offset.div_ceil(boundary) * boundary)
}

pub(super) fn check_block_size(block_size: u32) -> Result<(), FormatError> {
    if block_size.is_power_of_two() && BLOCK_SIZES.contains(&block_size) {
        return Ok(());
    }
    Err(FormatError::Value {
        field: "the block size",
        value: block_size.into(),
        why: "it must be a power of two from 512 to 65536",
    })
}

/// The offset in bytes.
fn check_data_offset(block_size: u32, blocks: u64) -> Result<u64, FormatError> {
    let refused = |why| FormatError::Value {
        field: "the offset of the data, in blocks,",
        value: blocks,
        why,
    };
    let bytes = blocks
        .checked_mul(block_size.into())
        .ok_or(refused("it is beyond 2^64 bytes"))?;
    if bytes < DATA_OFFSET_MIN {
        return Err(refused("the data overlaps the metadata in the first MiB"));
    }
    Ok(bytes)
}

/// The size in bytes.
fn check_data_size(block_size: u32, blocks: u64) -> Result<u64, FormatError> {
    let refused = |why| FormatError::Value {
        field: "the size of the data, in blocks,",
        value: blocks,
        why,
    };
    if blocks == 0 {
        return Err(refused("there is no data"));
    }
    blocks
        .checked_mul(block_size.into())
        .ok_or(refused("it is beyond 2^64 bytes"))
}

fn region_bytes(block_size: u32, blocks: u64) -> Result<u64, FormatError> {
    blocks
        .checked_mul(block_size.into())
        .ok_or(FormatError::Value {
            field: "the size of a region, in blocks,",
            value: blocks,
            why: "it is beyond 2^64 bytes",
        })
}

fn check_region_bytes(block_size: u32, data_bytes: u64, asked: u64) -> Result<u64, FormatError> {
    let bounds = region_bounds(block_size, data_bytes);
    if asked.is_power_of_two() && bounds.contains(&asked) {
        return Ok(asked);
    }
    let (min, max) = bounds.into_inner();
    Err(FormatError::RegionSize {
        value: asked,
        min,
        max,
    })
}

/// Sizes in bytes that a region can have, powers of two: not so small that there are more regions than
/// bits, nor larger than all data, unless 1 MiB is.
fn region_bounds(block_size: u32, data_bytes: u64) -> RangeInclusive<u64> {
    const POWER_MAX: u64 = 1 << 63;
    let up = |bytes: u64| bytes.checked_next_power_of_two().unwrap_or(POWER_MAX);
    let min = up(data_bytes.div_ceil(REGIONS_MAX)).max(block_size.max(WRITE_UNIT_MIN).into());
    min..=up(data_bytes).max(REGION_BYTES_DEFAULT)
}
