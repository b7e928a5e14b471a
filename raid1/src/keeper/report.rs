//! What the keeper tells of its work, for those who ask.

use alloc::sync::Arc;

use super::Keeper;
use super::recovery::Progress;
use crate::legs::LEGS_MAX;

/// What stands in `raid1_get_bdevs`.
#[derive(Default)]
pub(crate) struct Report {
    /// Of the superblocks; 0 without metadata.
    pub(crate) generation: u64,
    /// How many regions each leg lacks.
    pub(crate) missed_regions: [u64; LEGS_MAX],
    /// How far the rebuild of each leg has come.
    pub(crate) rebuilds: [Option<Arc<Progress>>; LEGS_MAX],
    pub(crate) resync: Option<Arc<Progress>>,
}

impl Keeper {
    /// Tells how things stand.
    pub(super) fn tell(&self) {
        let report = Report {
            generation: self
                .record
                .as_ref()
                .map_or(0, |record| record.superblock.generation),
            missed_regions: core::array::from_fn(|slot| {
                self.missed[slot]
                    .as_ref()
                    .map_or(0, |missed| missed.count() as u64)
            }),
            rebuilds: core::array::from_fn(|slot| {
                self.rebuilds[slot]
                    .as_ref()
                    .map(|rebuild| rebuild.progress())
            }),
            resync: self.resync.as_ref().map(|resync| resync.progress()),
        };
        let old = core::mem::replace(&mut *self.device().report.lock(), report);
        drop(old);
    }
}
