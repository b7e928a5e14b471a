//! Legs that come: new ones, and such as were part of the mirror before. They are written to, and copied
//! to; when they have all, they are read from.

use alloc::format;
use alloc::string::ToString;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops::RangeInclusive;
use core::sync::atomic::AtomicBool;
use core::sync::atomic::Ordering::Relaxed;
use core::time::Duration;

use barespdk::errno::Errno;
use barespdk::uuid::Uuid;
use barespdk::{log_error, log_notice, log_warn, planted, runtime};

use super::desk::{Job, Refusal};
use super::recovery::{Goal, Recovery};
use super::{Keeper, words};
use crate::format::{BitmapId, LegEntry, LegState, Name};
use crate::leg::Leg;
use crate::legs::{LEGS_MAX, LegSet, Slot, Standing};
use crate::news;
use crate::region_map::RegionMap;

/// A bdev, open and claimed, that becomes a leg.
pub(crate) struct Arrival {
    pub(crate) leg: Leg,
    /// The slot that it had; `None`: any.
    pub(crate) slot: Option<Slot>,
    pub(crate) lacks: Lacks,
}

/// What a leg is copied that comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lacks {
    /// What its slot has missed, if that is known and it is that leg still.
    WhatItMissed,
    /// All: it is new, or its history does not count.
    All,
}

/// How long to wait before what memory was short for is tried again.
const AGAIN: Duration = Duration::from_secs(1);

/// Whether writes of a mirror without metadata are ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ordering {
    Not,
    /// New ones are; others may be in flight.
    Asked,
    Done,
}

impl Keeper {
    pub(super) async fn add(&mut self, arrival: Arrival) -> Result<Slot, Refusal> {
        let Arrival { leg, slot, lacks } = arrival;
        let mirror = self.mirror.clone();
        let device = mirror.device();
        let refused = |errno, reason: &str| (errno, format!("bdev '{}' {reason}", leg.name));
        let slot = {
            let legs = device.legs.lock();
            let free = |slot: &Slot| legs.standing(*slot) == Standing::Out;
            match slot {
                Some(slot) => Some(slot).filter(free),
                None => legs.free_slot(LegSet::EMPTY),
            }
        };
        let Some(slot) = slot else {
            return Err(refused(Errno::ENOSPC, "finds no free slot"));
        };
        let mut is_known = lacks == Lacks::WhatItMissed && self.missed[slot.index()].is_some();
        if let Some(record) = &mut self.record {
            record
                .open(slot, &leg)
                .map_err(|errno| refused(errno, "cannot be written to"))?;
            if is_known {
                // Another leg may have come, and gone, since this one was looked at: then what the slot has
                // missed is what that one has.
                let wanted = record.superblock.legs[slot.index()].uuid;
                match record.uuid_on(slot).await {
                    Ok(Some(uuid)) if uuid == wanted => {}
                    Ok(None) => is_known = false,
                    Ok(Some(_)) => {
                        record.close(slot);
                        return Err(refused(
                            Errno::EEXIST,
                            "was in a slot that had another leg since",
                        ));
                    }
                    Err(errno) => {
                        record.close(slot);
                        return Err(refused(errno, "cannot be read"));
                    }
                }
            }
            if !is_known && !record.wipe(LegSet::of(slot)).await.is_empty() {
                record.close(slot);
                return Err(refused(Errno::EIO, "failed a write of metadata"));
            }
            let superblock = &mut record.superblock;
            let entry = &mut superblock.legs[slot.index()];
            let uuid = match is_known {
                true => entry.uuid,
                false => Uuid::random(),
            };
            *entry = LegEntry {
                uuid,
                state: LegState::Rebuilding,
                write_mostly: entry.write_mostly,
                data_offset_blocks: device.data_offset_blocks,
                // Until it is told, what it was told last counts.
                left_generation: match is_known {
                    true => entry.left_generation,
                    false => superblock.generation,
                },
                checkpoint_blocks: 0,
                base_name: Name::cut(&leg.name),
            };
            superblock.num_legs = superblock.num_legs.max(slot.index() as u8 + 1);
        }
        if device.legs.lock().put(slot, leg.clone()).is_err() {
            if let Some(record) = &mut self.record {
                record.close(slot);
            }
            return Err(refused(Errno::EBUSY, "finds its slot taken"));
        }
        if leg.is_removed() {
            super::on_removed(mirror.name(), &leg.name);
        }
        if let Err(errno) = self.have_written(slot, &leg).await {
            let _ = self.eject(slot, "not all threads write to it").await;
            return Err(refused(errno, "cannot be reached by all threads"));
        }
        // What was written meanwhile is dirty still, and may have missed it.
        if !is_known {
            let all = device.region_map();
            all.insert_all(device.all_regions());
            self.missed[slot.index()] = Some(Arc::new(all));
        }
        let failed = self.record_state(LegSet::of(slot)).await;
        if let Ok(true) = self.leave_all(failed) {
            let _tried_again = self.finish().await;
        }
        log_notice!(
            "raid1 {}: base bdev '{}' is in slot {}: {} of {} regions are copied to it",
            mirror.name(),
            leg.name,
            slot.index(),
            self.missed[slot.index()]
                .as_ref()
                .map_or(0, |missed| missed.count()),
            device.num_regions()
        );
        news::of_leg(news::LEG_REBUILDING, mirror.name(), &leg.name);
        self.start_rebuild(slot).await;
        Ok(slot)
    }

    /// Has all threads write to a leg.
    async fn have_written(&self, slot: Slot, leg: &Leg) -> Result<(), Errno> {
        let (leg, name) = (leg.clone(), self.mirror.name().to_string());
        let is_missing = Arc::new(AtomicBool::new(false));
        let misses = Arc::clone(&is_missing);
        self.each(move |channel| {
            if !channel.add_leg(&name, slot, &leg) {
                misses.store(true, Relaxed);
            }
        })
        .await?;
        match is_missing.load(Relaxed) {
            true => Err(Errno::ENODEV),
            false => Ok(()),
        }
    }

    /// Has all threads hold what they write, and then waits for what they wrote before that; not here, as
    /// a write may wait for the keeper. For mirrors without metadata, whose writes need not be ordered else.
    /// Whether that was done before.
    async fn order_writes(&mut self) -> bool {
        let mirror = self.mirror.clone();
        if self.ordering == Ordering::Done {
            return true;
        }
        if self.ordering == Ordering::Asked {
            return false;
        }
        mirror.device().set_ordered(true);
        if self
            .each(|channel| channel.set_ordered(true))
            .await
            .is_err()
        {
            return false;
        }
        let drained = runtime::spawn_local(async move {
            let drained = loop {
                match mirror.drain().await {
                    Err(Errno::ENOMEM | Errno::EBUSY) => {}
                    done => break done.is_ok(),
                }
                if runtime::sleep(AGAIN).await.is_err() {
                    break false;
                }
            };
            mirror.device().desk.put(Job::Ordered(drained));
        });
        if drained.is_ok() {
            self.ordering = Ordering::Asked;
        }
        false
    }

    /// Nothing is in flight that does not hold its blocks.
    pub(super) async fn ordered(&mut self, done: bool) {
        if done {
            self.ordering = Ordering::Done;
            self.take_up().await;
        } else {
            log_error!(
                "raid1 {}: nothing is rebuilt: the mirror cannot be held for a moment",
                self.mirror.name()
            );
            self.ordering = Ordering::Not;
        }
    }

    /// Has a leg copied to what it lacks.
    pub(super) async fn start_rebuild(&mut self, slot: Slot) {
        if let Some(missed) = &self.missed[slot.index()] {
            let left = missed.copy();
            self.start_rebuild_of(slot, left).await;
        }
    }

    /// Has these regions copied to a leg. The map of what it lacks is that of the media, from which regions go
    /// at checkpoints; what is copied leaves this one.
    async fn start_rebuild_of(&mut self, slot: Slot, left: RegionMap) {
        self.stop_rebuild(slot);
        if self.device().regions.is_none() && !self.order_writes().await {
            return;
        }
        if planted::is("rebuild_misses_windows") {
            let odd: Vec<usize> = left.iter().filter(|region| region % 2 == 1).collect();
            odd.into_iter().for_each(|region| {
                left.remove(region);
            });
        }
        self.last_number += 1;
        let goal = Goal::Rebuild(slot, self.last_number);
        self.rebuilds[slot.index()] = self.recover(goal, Arc::new(left));
    }

    pub(super) fn start_resync(&mut self) {
        let mirror = self.mirror.clone();
        let Some(regions) = &mirror.device().regions else {
            return;
        };
        if planted::is("resync_skipped") {
            regions.unequal.clear();
            self.device().desk.put(Job::Resynced(0));
            return;
        }
        self.last_number += 1;
        self.resync = self.recover(Goal::Resync(self.last_number), Arc::clone(&regions.unequal));
        self.note_source();
    }

    /// Notes from which leg those in sync are made equal now, if they are.
    pub(super) fn note_source(&mut self) {
        let source = self.device().legs.lock().in_sync().iter().next();
        if let Some(source) = source.filter(|_| self.resync.is_some()) {
            self.copied_from.insert(source);
        }
    }

    fn recover(&self, goal: Goal, map: Arc<RegionMap>) -> Option<Recovery> {
        match Recovery::start(self.mirror.clone(), goal, map) {
            Ok(recovery) => Some(recovery),
            Err(errno) => {
                log_error!("raid1 {}: nothing is copied: {errno}", self.mirror.name());
                None
            }
        }
    }

    pub(super) fn stop_rebuild(&mut self, slot: Slot) {
        if let Some(rebuild) = self.rebuilds[slot.index()].take() {
            rebuild.stop();
        }
    }

    /// Whether this is the rebuild that goes on.
    fn is_current(&self, slot: Slot, number: u64) -> bool {
        self.rebuilds[slot.index()]
            .as_ref()
            .is_some_and(|rebuild| rebuild.number() == number)
    }

    /// A leg has all that the others have.
    pub(super) async fn rebuilt(&mut self, slot: Slot, number: u64) {
        if !self.is_current(slot, number) {
            return;
        }
        let mirror = self.mirror.clone();
        let device = mirror.device();
        if let Some(record) = &mut self.record {
            // It is not in sync before it holds what it would be believed with.
            let units: Vec<usize> = (0..record.layout.num_units()).collect();
            let word = words(device.dirty(), &self.missed);
            let failed = record.write_units(LegSet::of(slot), &units, word).await;
            if !failed.is_empty() {
                let _ = self
                    .eject(slot, "it failed at the end of its rebuild")
                    .await;
                return;
            }
        }
        if !self.settle_copies().await {
            // It may have been copied what they had lost.
            self.note_lost(slot);
            return self.start_rebuild(slot).await;
        }
        self.rebuilds[slot.index()] = None;
        // What was copied since the last checkpoint may be lost, if a flush has failed whose submitter is
        // about to tell: the one above then found nothing more to fail.
        if let Some(missed) = self.missed[slot.index()].take() {
            self.quiet_lately.insert_from(&missed);
        }
        self.demoted.remove(slot);
        if !device.legs.lock().promote(slot) {
            return;
        }
        self.note_source();
        let failed = self.record_state(LegSet::EMPTY).await;
        if let Ok(true) = self.leave_all(failed) {
            let _tried_again = self.finish().await;
        }
        if device.legs.lock().standing(slot) != Standing::InSync {
            return;
        }
        let told = self.each(move |channel| channel.start_reading(slot)).await;
        if let Err(errno) = told {
            log_warn!(
                "raid1 {}: not read from on all threads: {errno}",
                mirror.name()
            );
        }
        log_notice!(
            "raid1 {}: base bdev '{}' is in sync",
            mirror.name(),
            self.name_of(slot)
        );
        news::of_leg(news::LEG_IN_SYNC, mirror.name(), &self.name_of(slot));
        let idle = self.rebuilds.iter().all(Option::is_none);
        if device.regions.is_none() && idle && self.ordering == Ordering::Done {
            self.ordering = Ordering::Not;
            device.set_ordered(false);
            let _ordered_for_nothing = self.each(|channel| channel.set_ordered(false)).await;
        }
    }

    /// Records how far all rebuilds have come.
    pub(super) async fn checkpoint_all(&mut self) {
        for slot in (0..LEGS_MAX).filter_map(Slot::of) {
            if self.rebuilds[slot.index()].is_some() {
                self.checkpoint(slot).await;
            }
        }
    }

    async fn checkpoint(&mut self, slot: Slot) {
        let mirror = self.mirror.clone();
        let device = mirror.device();
        let (Some(rebuild), Some(missed)) = (
            &self.rebuilds[slot.index()],
            self.missed[slot.index()].clone(),
        ) else {
            return;
        };
        let Some(record) = &mut self.record else {
            return;
        };
        // As it is before the flush: what is copied after it is not safe on the leg yet.
        let left = rebuild.left().copy();
        if !record.flush(LegSet::of(slot)).await.is_empty() {
            let reason = "it failed a flush while it was rebuilt";
            self.demote(slot, reason, device.copies()).await;
            return;
        }
        missed.keep(&left);
        let in_sync = device.legs.lock().in_sync();
        let units = record.units_of_bitmaps([BitmapId::missed(slot.index())]);
        let word = words(device.dirty(), &self.missed);
        let failed = record.write_units(in_sync, &units, word).await;
        if let Ok(true) = self.leave_all(failed) {
            let _tried_again = self.finish().await;
        }
    }

    /// Has regions copied from one leg to the others, and read from that one until then. `None`: what a flush
    /// that failed may have lost.
    pub(super) async fn suspect(&mut self, regions: Option<RangeInclusive<usize>>) {
        let mirror = self.mirror.clone();
        let device = mirror.device();
        let suspected = device.region_map();
        match (regions, &device.regions) {
            (Some(regions), _) => suspected.insert_all(regions),
            (None, None) => suspected.insert_all(device.all_regions()),
            (None, Some(map)) => {
                suspected.insert_from(&self.quiet_lately);
                suspected.insert_from(&self.quiet_before);
                // Clean by now, but a crash must find them.
                let clean: Vec<usize> = suspected
                    .iter()
                    .filter(|region| !map.dirty.contains(*region))
                    .collect();
                if self.write_marks(map, &clean).await {
                    map.dirty.insert_from(&suspected);
                }
                suspected.insert_from(&map.dirty);
            }
        }
        // Who copies may have been at that place before the request failed. What is copied elsewhere, stays.
        let rebuilding = device.legs.lock().of_standing(Standing::Rebuilding);
        for slot in rebuilding.iter() {
            let Some(missed) = self.missed[slot.index()].clone() else {
                continue;
            };
            missed.insert_from(&suspected);
            let left = match &self.rebuilds[slot.index()] {
                Some(rebuild) => rebuild.left().copy(),
                None => missed.copy(),
            };
            left.insert_from(&suspected);
            self.start_rebuild_of(slot, left).await;
        }
        if let Some(map) = &device.regions {
            if let Some(resync) = self.resync.take() {
                resync.stop();
            }
            map.unequal.insert_from(&suspected);
            device.set_resyncing(true);
            let _others_are_told_later = self.each(|channel| channel.set_resyncing(true)).await;
            self.start_resync();
        }
    }

    /// Legs are equal everywhere, but for what failed meanwhile.
    pub(super) async fn resynced(&mut self, number: u64) {
        let current = self.resync.as_ref().map_or(0, |resync| resync.number());
        if current != number {
            return;
        }
        let mirror = self.mirror.clone();
        self.resync = None;
        let device = mirror.device();
        if device
            .regions
            .as_ref()
            .is_some_and(|regions| !regions.unequal.is_empty())
        {
            return self.start_resync();
        }
        // What may be lost is told, and copied again.
        let _all_the_same = self.settle_copies().await;
        mirror.device().set_resyncing(false);
        let _looks_for_nothing = self.each(|channel| channel.set_resyncing(false)).await;
        let failed = self.record_state(LegSet::EMPTY).await;
        if let Ok(true) = self.leave_all(failed) {
            let _tried_again = self.finish().await;
        }
        log_notice!("raid1 {}: its base bdevs are equal", mirror.name());
        news::of_mirror(news::RESYNCED, mirror.name());
    }
}
