//! Legs that go, or that have to be copied to again.
//!
//! A leg goes in two rounds through the channels of all threads. In the first each stops to read from the
//! leg, but goes on to write to it: a thread that did not would acknowledge what others still read from
//! the leg as it was. Then its loss is recorded on the legs that stay, so that it is not believed after a
//! crash either. Only now may what it missed be acknowledged. In the second round each lets go of the leg.
//! Its bdev is closed when the last I/O to it has ended.
//!
//! ```text
//!  table       in ──leave──► leaving ───────────────────────► take_out ──► out
//!  channels       stop_reading, one by one │ record │ drop_leg, one by one
//!  new channels   read, write │ write                        │ neither
//! ```

use alloc::string::{String, ToString};
use alloc::sync::Arc;
use core::sync::atomic::Ordering;

use barespdk::errno::Errno;
use barespdk::{log_error, log_warn, planted, runtime};

use super::desk::{Job, Reason};
use super::{Keeper, Record, words};
use crate::format::{BitmapId, LegState};
use crate::legs::{LegSet, Slot, Standing, TakeOut};
use crate::mirror::Mirror;
use crate::mirrors;
use crate::news;

/// Why a leg is taken out: it did not write what another did.
pub(crate) const FAILED_WRITE: Reason = "it failed a write";
/// Why a leg is taken out: a thread cannot write to it.
pub(crate) const UNREACHABLE: Reason = "a thread has no channel to it";
/// Why a leg is taken out: it cannot hold what is known of the mirror.
const FAILED_RECORD: Reason = "it failed a write of metadata";
/// Why a leg is rebuilt: it may have lost what it was given, data too.
const FAILED_FLUSH: Reason = "it failed a flush of metadata";

/// Takes out a leg that lacks what another has. From any thread. When this says `true`, no thread reads
/// from the leg any more, and the others know that it is gone.
pub(crate) async fn eject(mirror: &Mirror, slot: Slot, reason: Reason) -> bool {
    let taken = mirror.desk.ask(|done| Job::Eject(slot, reason, done));
    if planted::is("ejected_leg_read_on") {
        return true;
    }
    match taken.await {
        Ok(Ok(TakeOut::Out | TakeOut::WasOut)) => true,
        Ok(Ok(TakeOut::Last)) => false,
        Ok(Err(errno)) | Err(errno) => {
            log_error!(
                "raid1 {}: the leg in slot {} not taken out: {errno}",
                mirror.name,
                slot.index()
            );
            false
        }
    }
}

/// Has a leg copied to again that may have lost what it had, says a flush that began when there were so many
/// [copies](Mirror::copies). From any thread. `true`: nobody reads from it until then, and that is recorded.
pub(crate) async fn demote(mirror: &Mirror, slot: Slot, reason: Reason, copies: u32) -> bool {
    let demoted = mirror
        .desk
        .ask(|done| Job::Demote(slot, reason, copies, done));
    demoted.await.unwrap_or(false)
}

/// Begins to take out legs, without waiting for the end: who needs that waits by [`eject`]. From any
/// thread.
pub(crate) fn begin_to_eject(mirror: &Mirror, slots: LegSet, reason: Reason) {
    for slot in slots.iter() {
        let _goes_on = mirror.desk.ask(|done| Job::Eject(slot, reason, done));
    }
}

/// A base bdev is about to go. On the app thread.
pub(crate) fn on_removed(mirror: &str, base: &str) {
    let (mirror, base) = (mirror.to_string(), base.to_string());
    if let Err(errno) = runtime::spawn_local(follow_removed(mirror, base)) {
        log_error!("raid1: a removed base bdev cannot be closed: {errno}");
    }
}

/// A base bdev has another size. On the app thread.
pub(crate) fn on_resized(mirror: &str) {
    if let Some(mirror) = mirrors::find(mirror) {
        mirror.device().desk.put(Job::Resized);
    }
}

async fn follow_removed(mirror: String, base: String) {
    // A mirror that is gone has closed its base bdevs, or is about to.
    let Some(mirror) = mirrors::find(&mirror) else {
        return;
    };
    let device = mirror.device();
    let Some(slot) = device.legs.lock().find(&base) else {
        return;
    };
    let removed = device
        .desk
        .ask(|done| Job::Eject(slot, "it was removed", done));
    let outcome = match removed.await {
        Ok(Ok(TakeOut::Last)) => {
            log_error!(
                "raid1 {}: its last base bdev '{base}' was removed: the mirror goes too",
                mirror.name()
            );
            mirror.unregister().await
        }
        Ok(other) => other.map(|_| ()),
        Err(errno) => Err(errno),
    };
    match outcome {
        // Busy or gone: somebody else takes the mirror away.
        Ok(()) | Err(Errno::EBUSY | Errno::ENODEV | Errno::ECANCELED) => {}
        Err(errno) => log_error!(
            "raid1 {}: removal of base bdev '{base}' not followed: {errno}",
            mirror.name()
        ),
    }
}

impl Keeper {
    pub(super) async fn eject(&mut self, slot: Slot, reason: Reason) -> Result<TakeOut, Errno> {
        let taken = self.leave(slot, reason);
        match taken {
            TakeOut::Last => return Ok(taken),
            TakeOut::WasOut if !self.unfinished.contains(slot) => return Ok(taken),
            TakeOut::Out | TakeOut::WasOut => {}
        }
        self.finish().await.map(|()| taken)
    }

    /// The first step of a leg's way out.
    fn leave(&mut self, slot: Slot, reason: Reason) -> TakeOut {
        let base = self.name_of(slot);
        let taken = self.device().legs.lock().leave(slot);
        if taken == TakeOut::Out {
            log_warn!(
                "raid1 {}: base bdev '{base}' is out: {reason}",
                self.mirror.name()
            );
            news::of_leg(news::LEG_OUT, self.mirror.name(), &base);
            self.unfinished.insert(slot);
            self.demoted.remove(slot);
            self.settled.remove(slot);
            self.stop_rebuild(slot);
            // What is dirty now may be clean before this can be recorded.
            self.note_missed(slot);
            self.note_source();
        }
        taken
    }

    /// Takes all legs that leave to their end, and rebuilds those that were demoted: nobody reads from them,
    /// and that is recorded. Where it fails they are still written to, and not read from, and it can be tried
    /// again.
    pub(super) async fn finish(&mut self) -> Result<(), Errno> {
        if planted::is("leg_dropped_at_once") {
            let leaving = self.unfinished;
            self.each(move |channel| leaving.iter().for_each(|slot| channel.drop_leg(slot)))
                .await?;
        }
        loop {
            let unread = self.unfinished.or(self.demoted);
            self.each(move |channel| unread.iter().for_each(|slot| channel.stop_reading(slot)))
                .await?;
            if planted::is("ack_before_record") {
                break;
            }
            let failed = self.record_state(LegSet::EMPTY).await;
            if !self.leave_all(failed)? {
                break;
            }
        }
        self.demoted = LegSet::EMPTY;
        let leaving = core::mem::take(&mut self.unfinished);
        for slot in leaving.iter() {
            if let Some(record) = &mut self.record {
                record.close(slot);
            }
            // What is dropped is dropped when the lock is free.
            let out = self.device().legs.lock().take_out(slot);
            if planted::is("leg_never_closed") {
                core::mem::forget(out);
            } else {
                drop(out);
            }
        }
        let dropped = self
            .each(move |channel| leaving.iter().for_each(|slot| channel.drop_leg(slot)))
            .await;
        self.take_up().await;
        dropped
    }

    /// Has legs leave that failed a write of metadata, or be rebuilt if it was but a flush after it, once.
    /// Whether there was one, and [`Keeper::finish`] is due; `EIO` where the last in sync is among them: then
    /// nothing can be recorded.
    pub(super) fn leave_all(&mut self, failed: LegSet) -> Result<bool, Errno> {
        let mut any = false;
        let record = self.record.as_mut();
        let unflushed = record.map_or(LegSet::EMPTY, Record::take_unflushed);
        for slot in failed.iter() {
            if unflushed.contains(slot) && self.device().legs.lock().demote(slot) {
                if self.copied_from.contains(slot) {
                    let _news = self.lose();
                }
                self.begin_demotion(slot, FAILED_FLUSH);
                any = true;
                continue;
            }
            match self.leave(slot, FAILED_RECORD) {
                TakeOut::Out => any = true,
                TakeOut::WasOut => {}
                TakeOut::Last => {
                    log_error!(
                        "raid1 {}: no base bdev can record what has failed: writes fail until one can",
                        self.mirror.name()
                    );
                    // It may have lost other things that it was to flush, and nobody else is told.
                    let _news = self.lose();
                    return Err(Errno::EIO);
                }
            }
        }
        Ok(any)
    }

    /// What was written lately may be lost, and nobody has asked: the next flush fails. What has it still is
    /// made equal to what has not. Whether that is news.
    pub(super) fn lose(&self) -> bool {
        let is_known = self.device().has_lost.swap(true, Ordering::Relaxed);
        if !is_known {
            let _goes_on = self.device().desk.ask(|done| Job::Suspect(None, done));
        }
        !is_known
    }

    /// Has what was copied from legs in sync survive on these, so that what they fail from now on is not what
    /// was copied. Where one fails already it is as if it had lost that: `false`, and it is to be copied again;
    /// but not for ever from the last leg, if that goes on to fail.
    pub(super) async fn settle_copies(&mut self) -> bool {
        let mirror = self.mirror.clone();
        let device = mirror.device();
        let in_sync = device.legs.lock().in_sync();
        let Some(record) = &mut self.record else {
            return true;
        };
        let failed = record.flush(in_sync).await;
        let mut are_settled = true;
        for slot in failed.iter() {
            let was_copied = self.copied_from.contains(slot);
            let demoted = self.demote(slot, "it failed a flush", device.copies());
            let demoted = demoted.await;
            let is_news = (!demoted || was_copied) && self.lose();
            are_settled &= !demoted && !is_news;
        }
        self.copied_from = LegSet::EMPTY;
        self.settled = self.settled.or(in_sync.without(failed));
        device.count_copies();
        are_settled
    }

    /// Has a leg that may have lost what it had be copied to again. Whether the others stand in for it: not
    /// where they may have been copied from it, what it had lost too.
    pub(super) async fn demote(&mut self, slot: Slot, reason: Reason, copies: u32) -> bool {
        let mirror = self.mirror.clone();
        let device = mirror.device();
        let standing = device.legs.lock().standing(slot);
        match standing {
            Standing::InSync if !device.legs.lock().demote(slot) => return false,
            Standing::InSync => {}
            // What was copied to it, and when, is not known as well as what is dirty.
            Standing::Rebuilding => {
                if let Some(missed) = &self.missed[slot.index()] {
                    missed.insert_all(device.all_regions());
                }
            }
            // Nobody reads from it, but it would be believed to lack only what it has missed.
            Standing::Leaving | Standing::Out => {
                if self.note_lost(slot) {
                    self.unfinished.insert(slot);
                }
                return !self.unfinished.contains(slot) || self.finish().await.is_ok();
            }
        }
        let was_copied = self.copied_from.contains(slot)
            || self.settled.contains(slot) && copies != device.copies();
        self.begin_demotion(slot, reason);
        self.finish().await.is_ok() && !(standing == Standing::InSync && was_copied)
    }

    /// The first step of a leg's way to its rebuild.
    fn begin_demotion(&mut self, slot: Slot, reason: Reason) {
        let base = self.name_of(slot);
        log_warn!(
            "raid1 {}: base bdev '{base}' is rebuilt: {reason}",
            self.mirror.name()
        );
        news::of_leg(news::LEG_REBUILDING, self.mirror.name(), &base);
        self.settled.remove(slot);
        // What was copied from it meanwhile may have been lost already.
        let copied_to = self.device().legs.lock().of_standing(Standing::Rebuilding);
        for slot in copied_to.iter() {
            self.stop_rebuild(slot);
            self.note_lost(slot);
        }
        self.demoted = self.demoted.or(copied_to);
        self.note_source();
    }

    /// Records what the legs are now, on those that are in sync or being rebuilt. `fresh`, and those that go or
    /// were demoted, were in sync until now: what they may lack is noted first. Which legs have failed.
    pub(super) async fn record_state(&mut self, fresh: LegSet) -> LegSet {
        let mirror = self.mirror.clone();
        let device = mirror.device();
        let fresh = fresh.or(self.unfinished).or(self.demoted);
        for slot in fresh.iter() {
            self.note_missed(slot);
        }
        let Some(record) = &mut self.record else {
            return LegSet::EMPTY;
        };
        let (in_sync, rebuilding) = {
            let legs = device.legs.lock();
            for slot in legs.slots() {
                let entry = &mut record.superblock.legs[slot.index()];
                entry.state = match (legs.standing(slot), entry.state) {
                    (Standing::InSync, _) => LegState::InSync,
                    (Standing::Rebuilding, _) => LegState::Rebuilding,
                    (Standing::Leaving | Standing::Out, LegState::Absent) => LegState::Absent,
                    (Standing::Leaving | Standing::Out, _) => LegState::Failed,
                };
            }
            (legs.in_sync(), legs.of_standing(Standing::Rebuilding))
        };
        let regions = device.regions.as_ref();
        let unequal = regions.is_some_and(|regions| !regions.unequal.is_empty());
        let superblock = &mut record.superblock;
        superblock.source = in_sync
            .iter()
            .next()
            .filter(|_| unequal)
            .map(|slot| slot.index() as u8);
        let missed = fresh.iter().map(|slot| BitmapId::missed(slot.index()));
        let units = record.units_of_bitmaps(missed);
        let word = words(device.dirty(), &self.missed);
        let failed = record.write_units(in_sync, &units, word).await;
        if !failed.is_empty() {
            return failed;
        }
        if fresh.is_empty() {
            return record.advance(in_sync, rebuilding).await;
        }
        // Both copies know who is out: a leg that loses the newer one does not believe in that leg again.
        record.advance_twice(in_sync, rebuilding).await
    }

    /// A leg lacks what is written now, and, without a bitmap, all.
    fn note_missed(&mut self, slot: Slot) {
        let mirror = self.mirror.clone();
        let device = mirror.device();
        let missed = self.missed[slot.index()].get_or_insert_with(|| Arc::new(device.region_map()));
        match &device.regions {
            Some(regions) => missed.insert_from(&regions.dirty),
            None => missed.insert_all(device.all_regions()),
        }
    }

    /// A leg has failed a flush: it lacks what was written not long ago, too. Whether that is new.
    pub(super) fn note_lost(&mut self, slot: Slot) -> bool {
        self.note_missed(slot);
        let Some(missed) = &self.missed[slot.index()] else {
            return false;
        };
        let before = missed.count();
        missed.insert_from(&self.quiet_lately);
        missed.insert_from(&self.quiet_before);
        missed.count() != before
    }
}
