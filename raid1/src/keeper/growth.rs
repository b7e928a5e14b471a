//! A mirror that grows with its legs.

use alloc::vec::Vec;
use core::sync::atomic::Ordering;

use barespdk::{log_error, log_notice, log_warn};

use super::{Keeper, words};
use crate::format::{Layout, REGIONS_MAX};
use crate::legs::{LegSet, Standing};
use crate::news;
use crate::region_map::RegionMap;

impl Keeper {
    /// Follows the smallest leg, if that has grown.
    pub(super) async fn resized(&mut self) {
        let mirror = self.mirror.clone();
        let device = mirror.device();
        let smallest = {
            let legs = device.legs.lock();
            let sizes = legs.open().map(|(_, leg)| leg.desc.num_blocks());
            sizes.min().unwrap_or(0)
        };
        let old = device.num_blocks();
        let mut new = smallest.saturating_sub(device.data_offset_blocks);
        if device.regions.is_some() {
            new = new.min(REGIONS_MAX.saturating_mul(device.region_blocks()));
        }
        if new < old {
            log_warn!(
                "raid1 {}: a base bdev has {smallest} blocks, too few: what is beyond its end fails there",
                mirror.name()
            );
        }
        if new <= old {
            return;
        }
        // The last region may have been shorter than others.
        let regions =
            (old / device.region_blocks()) as usize..=((new - 1) / device.region_blocks()) as usize;
        // They went by the old size.
        let rebuilding = device.legs.lock().of_standing(Standing::Rebuilding);
        for slot in rebuilding.iter() {
            self.stop_rebuild(slot);
        }
        for missed in self.missed.iter().flatten() {
            missed.insert_all(regions.clone());
        }
        if let (Some(record), Some(maps)) = (&mut self.record, &device.regions) {
            let region_bytes = device.region_blocks() * u64::from(record.layout.block_size);
            let layout = record.layout;
            let grown = Layout::with_data(
                layout.block_size,
                layout.data_offset_blocks,
                new,
                Some(region_bytes),
            );
            record.layout = match grown {
                Ok(layout) => layout,
                Err(error) => {
                    log_error!(
                        "raid1 {}: it does not grow to {new} blocks: {error}",
                        mirror.name()
                    );
                    return;
                }
            };
            record.superblock.data_size_blocks = new;
            // What was the last region is written to already.
            let new: Vec<usize> = regions
                .clone()
                .filter(|region| !maps.dirty.contains(*region))
                .collect();
            if !self.write_marks(maps, &new).await {
                if let Some(record) = &mut self.record {
                    (record.layout, record.superblock.data_size_blocks) = (layout, old);
                }
                log_error!(
                    "raid1 {}: it does not grow: no leg records it",
                    mirror.name()
                );
                return;
            }
            maps.dirty.insert_all(regions.clone());
            let Some(record) = &mut self.record else {
                return;
            };
            let units = record.units_in_use(&self.missed);
            let in_sync = device.legs.lock().in_sync();
            let word = words(device.dirty(), &self.missed);
            let mut failed = record.write_units(in_sync, &units, word).await;
            failed = failed.or(self.record_state(LegSet::EMPTY).await);
            match self.leave_all(failed) {
                Ok(false) => {}
                Ok(true) if self.finish().await.is_ok() => {}
                Ok(true) | Err(_) => return,
            }
        }
        device.num_blocks.store(new, Ordering::Relaxed);
        for quiet in [&mut self.quiet_lately, &mut self.quiet_before] {
            let grown = RegionMap::new(device.num_regions());
            grown.insert_from(quiet);
            *quiet = grown;
        }
        self.suspect(Some(regions)).await;
        match mirror.resize(new) {
            Ok(()) => {
                log_notice!(
                    "raid1 {}: it has {new} blocks now, {old} before",
                    mirror.name()
                );
                news::of_mirror(news::GROWN, mirror.name());
            }
            Err(errno) => log_error!("raid1 {}: it does not grow: {errno}", mirror.name()),
        }
    }
}
