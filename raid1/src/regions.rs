//! Where the legs of a mirror with metadata may differ, by regions: what all threads look at.
//!
//! ```text
//!             mark (media first)              quiet for a while (memory first)
//!   clean ────────────────────────► dirty ────────────────────────────────────► clean
//!                                     ▲ begins so after a crash, and is unequal until copied
//! ```
//!
//! A region is dirty on the media of all legs in sync before it is here, and no longer here before it is
//! there no more: a crash finds on the media at least what is written to.

use alloc::sync::Arc;
use core::ops::RangeInclusive;

use crate::format::REGIONS_MAX;
use crate::region_map::RegionMap;

/// The regions of a mirror.
pub(crate) struct Regions {
    /// In blocks, as a power of two.
    shift: u32,
    /// Regions that are written to, or were not long ago.
    pub(crate) dirty: RegionMap,
    /// Dirty regions that were written to since somebody looked.
    pub(crate) touched: RegionMap,
    /// Dirty regions that legs may have differently: a crash came while they were written to, or they were
    /// never written.
    pub(crate) unequal: Arc<RegionMap>,
}

impl Regions {
    /// Clean regions of `1 << shift` blocks; with room for those that a mirror which grows may get.
    pub(crate) fn new(shift: u32) -> Self {
        let num_regions = REGIONS_MAX as usize;
        Self {
            shift,
            dirty: RegionMap::new(num_regions),
            touched: RegionMap::new(num_regions),
            unequal: Arc::new(RegionMap::new(num_regions)),
        }
    }

    /// The regions of some blocks, of which there is at least one.
    #[inline]
    pub(crate) fn of(&self, offset_blocks: u64, num_blocks: u64) -> RangeInclusive<usize> {
        let last = offset_blocks.saturating_add(num_blocks.saturating_sub(1));
        // The bdev layer checks the blocks, and a map has a bit for each region.
        (offset_blocks >> self.shift) as usize..=(last >> self.shift) as usize
    }

    /// Whether all these regions are dirty, so that their blocks may be written. The caller
    /// [holds](crate::ranges::Ranges) the blocks.
    #[inline]
    pub(crate) fn admit(&self, regions: RangeInclusive<usize>) -> bool {
        for region in regions {
            if !self.dirty.contains(region) {
                return false;
            }
            if !self.touched.contains(region) {
                self.touched.insert(region);
            }
        }
        true
    }

    /// Whether legs may differ in some of these regions.
    pub(crate) fn any_unequal(&self, mut regions: RangeInclusive<usize>) -> bool {
        regions.any(|region| self.unequal.contains(region))
    }
}
