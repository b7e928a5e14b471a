//! Which regions may be written to: marked on the legs before they are, and cleared when they are quiet.

use alloc::vec::Vec;
use core::ops::RangeInclusive;

use barespdk::message::Sender;
use barespdk::planted;

use super::{Keeper, words};
use crate::format::BitmapId;
use crate::legs::{LEGS_MAX, LegSet, Slot, Standing};
use crate::regions::Regions;

/// Regions that somebody is about to write to.
type Mark = (RangeInclusive<usize>, Sender<bool>);

impl Keeper {
    /// Marks regions, all at once, and tells those who wait.
    pub(super) async fn mark(&mut self, marks: Vec<Mark>) {
        let mirror = self.mirror.clone();
        let Some(regions) = &mirror.device().regions else {
            marks.into_iter().for_each(|(_, done)| {
                let _ = done.send(true);
            });
            return;
        };
        let mut new: Vec<usize> = marks
            .iter()
            .flat_map(|(range, _)| range.clone())
            .filter(|region| !regions.dirty.contains(*region))
            .collect();
        new.sort_unstable();
        new.dedup();
        if planted::is("mark_after_write") {
            new.iter().for_each(|region| {
                regions.dirty.insert(*region);
            });
            for (_, done) in marks {
                let _ = done.send(true);
            }
            self.write_marks(regions, &new).await;
            return;
        }
        let marked = self.write_marks(regions, &new).await;
        if marked {
            for region in &new {
                regions.touched.insert(*region);
                regions.dirty.insert(*region);
            }
        }
        for (_, done) in marks {
            let _ = done.send(marked);
        }
    }

    /// Writes marks to the legs in sync: that the regions may be written to, and that the legs which are out
    /// miss that. Whether there is a leg that has them, and none that lacks them is read from.
    pub(super) async fn write_marks(&mut self, regions: &Regions, new: &[usize]) -> bool {
        if new.is_empty() {
            return true;
        }
        loop {
            let (in_sync, out) = self.in_sync_and_out();
            let Some(record) = &mut self.record else {
                return true;
            };
            let mut units = record.units_of(BitmapId::INTENT, new);
            for slot in out.iter() {
                if let Some(missed) = &self.missed[slot.index()] {
                    new.iter().for_each(|region| {
                        missed.insert(*region);
                    });
                    units.extend(record.units_of(BitmapId::missed(slot.index()), new));
                }
            }
            units.sort_unstable();
            units.dedup();
            let word = words(Some(&regions.dirty), &self.missed);
            let word = move |bitmap, index| {
                let set = if bitmap == BitmapId::INTENT {
                    let first = new.partition_point(|region| *region < index * 64);
                    let here = new[first..]
                        .iter()
                        .take_while(|region| **region / 64 == index);
                    here.fold(0, |bits, region| bits | 1 << (region % 64))
                } else {
                    0
                };
                word(bitmap, index) | set
            };
            let failed = record.write_units(in_sync, &units, word).await;
            match self.leave_all(failed) {
                Ok(false) => return true,
                Ok(true) if self.finish().await.is_ok() => {}
                Ok(true) | Err(_) => return false,
            }
        }
    }

    /// Legs that are read from, and slots of legs that are not written to, or not for long.
    fn in_sync_and_out(&self) -> (LegSet, LegSet) {
        let legs = self.device().legs.lock();
        let out = legs.of_standing(Standing::Out);
        (legs.in_sync(), out.or(legs.of_standing(Standing::Leaving)))
    }

    /// Clears the marks of regions that nobody has written to since the last time.
    pub(super) async fn sweep(&mut self) {
        let mirror = self.mirror.clone();
        let device = mirror.device();
        let Some(regions) = &device.regions else {
            return;
        };
        // What legs lack that go is not recorded yet: the marks are what a crash would find.
        if !self.unfinished.or(self.demoted).is_empty() {
            return;
        }
        let quiet: Vec<usize> = regions
            .dirty
            .iter()
            .filter(|region| {
                let touched = regions.touched.remove(*region);
                (!touched || planted::is("clear_early")) && !regions.unequal.contains(*region)
            })
            .collect();
        core::mem::swap(&mut self.quiet_before, &mut self.quiet_lately);
        self.quiet_lately.clear();
        if quiet.is_empty() {
            return;
        }
        // Who holds blocks from now on sees that the region is not dirty any more, and asks for a mark;
        // who held them before is found.
        quiet.iter().for_each(|region| {
            regions.dirty.remove(*region);
        });
        device.ranges.for_each(|start, len| {
            for region in regions.of(start, len) {
                if quiet.binary_search(&region).is_ok() && !planted::is("clear_early") {
                    regions.touched.insert(region);
                    regions.dirty.insert(region);
                }
            }
        });
        let cleared: Vec<usize> = quiet
            .into_iter()
            .filter(|region| !regions.dirty.contains(*region))
            .collect();
        cleared.iter().for_each(|region| {
            self.quiet_lately.insert(*region);
        });
        let written = self.written();
        let Some(record) = &mut self.record else {
            return;
        };
        // What the marks stand for may be in the caches of the legs still.
        let failed = record.flush(written).await;
        if !failed.is_empty() {
            cleared.iter().for_each(|region| {
                regions.dirty.insert(*region);
            });
            let failed: Vec<Slot> = failed.iter().collect();
            for slot in failed {
                if !self
                    .demote(slot, "it failed a flush", device.copies())
                    .await
                {
                    let _news = self.lose();
                }
            }
            return;
        }
        let in_sync = device.legs.lock().in_sync();
        let units = record.units_of(BitmapId::INTENT, &cleared);
        let word = words(device.dirty(), &self.missed);
        let failed = record.write_units(in_sync, &units, word).await;
        if let Ok(true) = self.leave_all(failed) {
            let _tried_again_next_time = self.finish().await;
        }
    }

    /// Legs that have what is written now.
    pub(super) fn written(&self) -> LegSet {
        self.device().legs.lock().staying()
    }
}

const _: () = assert!(LEGS_MAX == crate::format::LEGS_MAX);
