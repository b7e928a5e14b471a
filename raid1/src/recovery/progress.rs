//! How far a copy has come.

use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::region_map::RegionMap;

/// How far a copy has come, for whoever asks; and the wish that it end. Plain numbers, which order nothing.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    /// All that is to be copied, what was copied included.
    total_blocks: AtomicU64,
    done_blocks: AtomicU64,
    read_blocks: AtomicU64,
    /// Windows that could not be copied, and are tried again.
    failed_windows: AtomicU64,
    is_waiting: AtomicBool,
    is_stopped: AtomicBool,
}

impl Progress {
    /// How many blocks are to be copied, those that were copied included. It grows when more are to be.
    pub(crate) fn total_blocks(&self) -> u64 {
        self.total_blocks.load(Ordering::Relaxed)
    }

    /// How many blocks were copied, in regions that are done.
    pub(crate) fn done_blocks(&self) -> u64 {
        self.done_blocks.load(Ordering::Relaxed)
    }

    /// How many blocks were read, for whatever came of it.
    pub(crate) fn read_blocks(&self) -> u64 {
        self.read_blocks.load(Ordering::Relaxed)
    }

    /// How often a window could not be copied.
    pub(crate) fn failed_windows(&self) -> u64 {
        self.failed_windows.load(Ordering::Relaxed)
    }

    /// Whether what could not be copied is to be tried again, and nothing is copied until then.
    pub(crate) fn is_waiting(&self) -> bool {
        self.is_waiting.load(Ordering::Relaxed)
    }

    /// Begins no more windows; those that were begun are copied.
    pub(crate) fn stop(&self) {
        self.is_stopped.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.is_stopped.load(Ordering::Relaxed)
    }

    /// Regions are about to be walked through.
    pub(super) fn count(&self, regions: &RegionMap, shape: Shape) {
        let left = regions.iter().map(|region| shape.blocks_of(region).1).sum();
        let total = self.done_blocks().saturating_add(left);
        self.total_blocks.store(total, Ordering::Relaxed);
    }

    pub(super) fn add_done(&self, num_blocks: u64) {
        self.done_blocks.fetch_add(num_blocks, Ordering::Relaxed);
    }

    pub(super) fn add_read(&self, num_blocks: u64) {
        self.read_blocks.fetch_add(num_blocks, Ordering::Relaxed);
    }

    pub(super) fn add_failed(&self) {
        self.failed_windows.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn set_waiting(&self, is_waiting: bool) {
        self.is_waiting.store(is_waiting, Ordering::Relaxed);
    }
}

/// How a mirror is cut into regions.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub(crate) num_blocks: u64,
    pub(crate) region_blocks: u64,
}

impl Shape {
    /// Start and length of a region. The last one may be shorter; beyond it they have no blocks.
    pub(super) fn blocks_of(self, region: usize) -> (u64, u64) {
        let start = (region as u64).saturating_mul(self.region_blocks);
        let left = self.num_blocks.saturating_sub(start);
        (start, left.min(self.region_blocks))
    }
}
