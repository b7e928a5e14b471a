//! The end of a mirror: nothing is in flight any more.

use barespdk::log_warn;

use super::desk::Ending;
use super::{Keeper, words};
use crate::format::BitmapId;
use crate::legs::{LEGS_MAX, LegSet, Slot};

impl Keeper {
    /// Leaves on the legs what is to be left.
    pub(super) async fn end(&mut self, ending: Ending) {
        for slot in (0..LEGS_MAX).filter_map(Slot::of) {
            self.stop_rebuild(slot);
        }
        if let Some(resync) = self.resync.take() {
            resync.stop();
        }
        let mirror = self.mirror.clone();
        let device = mirror.device();
        // What is being copied ends; windows hold their blocks.
        let _all = device.ranges.hold(0, device.num_blocks()).await;
        let legs = self.written();
        if self.record.is_none() {
            return;
        }
        if ending == Ending::Wipe {
            let failed = match &mut self.record {
                Some(record) => record.wipe(legs).await,
                None => return,
            };
            for slot in failed.iter() {
                log_warn!(
                    "raid1 {}: metadata on base bdev '{}' not wiped",
                    mirror.name(),
                    self.name_of(slot)
                );
            }
            return;
        }
        let Some(regions) = &device.regions else {
            return;
        };
        let Some(record) = &mut self.record else {
            return;
        };
        // A leg that cannot be flushed is not to be copied from at the next start. Where none can, all stays
        // dirty.
        let failed = record.flush(legs).await;
        if self.leave_all(failed).is_err() {
            return;
        }
        // What legs lack that have left, or failed a flush, is not recorded yet where threads could not be
        // told any more. With the one below there are two generations to a stop, so that an image of a leg from
        // before it is not taken for the leg.
        let unrecorded = self.record_state(LegSet::EMPTY).await;
        if self.leave_all(unrecorded).is_err() {
            return;
        }
        let in_sync = device.legs.lock().in_sync();
        let Some(record) = &mut self.record else {
            return;
        };
        regions.dirty.clear();
        regions.dirty.insert_from(&regions.unequal);
        let units = record.units_of_bitmaps([BitmapId::INTENT]);
        let word = words(device.dirty(), &self.missed);
        if !record.write_units(in_sync, &units, word).await.is_empty() {
            return;
        }
        record.superblock.clean = regions.unequal.count() == 0;
        let _what_is_not_clean_is_made_equal_next_time = self.record_state(LegSet::EMPTY).await;
    }
}
