//! What the keeper tells of its work, for those who ask.

use alloc::boxed::Box;
use alloc::sync::Arc;

use super::Keeper;
use crate::format::Superblock;
use crate::legs::LEGS_MAX;
use crate::recovery::Progress;

/// What stands in `raid1_get_bdevs`.
#[derive(Default)]
pub(crate) struct Report {
    /// As it is recorded; `None` without metadata.
    pub(crate) superblock: Option<Box<Superblock>>,
    /// How many regions each leg lacks.
    pub(crate) missed_regions: [u64; LEGS_MAX],
    /// How far the rebuild of each leg has come.
    pub(crate) rebuilds: [Option<Arc<Progress>>; LEGS_MAX],
    pub(crate) resync: Option<Arc<Progress>>,
}

impl Report {
    /// Of the superblocks; 0 without metadata.
    pub(crate) fn generation(&self) -> u64 {
        self.superblock
            .as_ref()
            .map_or(0, |superblock| superblock.generation)
    }
}

impl Keeper {
    /// Tells how things stand.
    pub(super) fn tell(&self) {
        let mut report = self.device().report.lock();
        let record = self.record.as_ref();
        if let Some(record) =
            record.filter(|record| record.superblock.generation != report.generation())
        {
            report.superblock = Some(Box::new(record.superblock.clone()));
        }
        for (count, missed) in report.missed_regions.iter_mut().zip(&self.missed) {
            *count = missed.as_ref().map_or(0, |missed| missed.count() as u64);
        }
        for (told, rebuild) in report.rebuilds.iter_mut().zip(&self.rebuilds) {
            *told = rebuild.as_ref().map(|rebuild| rebuild.progress());
        }
        report.resync = self.resync.as_ref().map(|resync| resync.progress());
    }
}
