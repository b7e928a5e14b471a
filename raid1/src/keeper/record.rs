//! What is known of a mirror, and how that gets onto its legs.

use alloc::vec::Vec;

use barespdk::clock;
use barespdk::errno::Errno;
use barespdk::uuid::Uuid;
use barespdk::{log_error, planted};

use super::media::Medium;
use super::{Missed, words};
use crate::format::{BitmapId, Layout, SUPERBLOCK_BYTES, Superblock, encode_unit, newest};
use crate::join::join;
use crate::leg::Leg;
use crate::legs::{LEGS_MAX, LegSet, Slot};

/// The metadata of a mirror, and the legs that it is on.
pub(crate) struct Record {
    pub(crate) superblock: Superblock,
    pub(super) layout: Layout,
    media: [Option<Medium>; LEGS_MAX],
    /// Legs that took what was written, but failed the flush after it.
    unflushed: LegSet,
}

impl Record {
    pub(crate) fn new(superblock: Superblock, layout: Layout) -> Self {
        Self {
            superblock,
            layout,
            media: [const { None }; LEGS_MAX],
            unflushed: LegSet::EMPTY,
        }
    }

    /// Writes to one more leg.
    ///
    /// # Errors
    /// It cannot be written to.
    pub(crate) fn open(&mut self, slot: Slot, leg: &Leg) -> Result<(), Errno> {
        self.media[slot.index()] = Some(Medium::open(leg, &self.layout)?);
        Ok(())
    }

    /// Lets go of a leg.
    pub(super) fn close(&mut self, slot: Slot) {
        self.media[slot.index()] = None;
        self.unflushed.remove(slot);
    }

    /// The legs of those that failed writes which took them, but failed the flush after them.
    pub(super) fn take_unflushed(&mut self) -> LegSet {
        core::mem::take(&mut self.unflushed)
    }

    /// Has what was written survive. Which legs have failed.
    async fn seal(&mut self, written: LegSet) -> LegSet {
        let failed = self.flush(written).await;
        self.unflushed = self.unflushed.or(failed);
        failed
    }

    /// Writes units of leaves to legs, and has them survive. `word` gives the words of bitmaps. Which legs
    /// have failed.
    pub(crate) async fn write_units(
        &mut self,
        legs: LegSet,
        units: &[usize],
        word: impl Fn(BitmapId, usize) -> u64,
    ) -> LegSet {
        if units.is_empty() {
            return LegSet::EMPTY;
        }
        let (layout, epoch, word) = (self.layout, self.superblock.epoch, &word);
        let failed = self
            .on_each(legs, async |_, medium: &mut Medium| {
                for unit in units {
                    let fill = |out: &mut [u8]| encode_unit(&layout, *unit, epoch, word, out);
                    medium.write(layout.unit(*unit), fill).await.ok()?;
                }
                Some(())
            })
            .await;
        failed.or(self.seal(legs.without(failed)).await)
    }

    /// Does something on some legs, at the same time. Which have failed it, as they have no medium, or as
    /// `act` says by `None`.
    async fn on_each(
        &mut self,
        legs: LegSet,
        act: impl AsyncFn(Slot, &mut Medium) -> Option<()>,
    ) -> LegSet {
        let slots = (0..).map_while(Slot::of);
        let media = self.media.iter_mut().zip(slots);
        let acts = media
            .filter(|(_, slot)| legs.contains(*slot))
            .map(async |(medium, slot)| {
                let done = match medium {
                    Some(medium) => act(slot, medium).await,
                    None => None,
                };
                done.map_or(LegSet::of(slot), |()| LegSet::EMPTY)
            });
        let failed = join(acts).await;
        failed.into_iter().fold(LegSet::EMPTY, LegSet::or)
    }

    /// Writes the superblock to legs, to the older of the two copies, and has it survive. Which legs have
    /// failed.
    pub(crate) async fn write_superblock(&mut self, legs: LegSet) -> LegSet {
        let generation = match planted::is("one_superblock_copy") {
            true => 0,
            false => self.superblock.generation,
        };
        let extent = self.layout.superblock(generation);
        let superblock = self.superblock.clone();
        let failed = self
            .on_each(legs, async |slot, medium: &mut Medium| {
                let own = Superblock {
                    own_slot: slot.index() as u8,
                    ..superblock.clone()
                };
                let mut encoded = [0; SUPERBLOCK_BYTES];
                if let Err(error) = own.encode(&mut encoded) {
                    log_error!("a superblock of raid1 that cannot be: {error}");
                    return None;
                }
                let fill = |out: &mut [u8]| {
                    out.fill(0);
                    out.iter_mut()
                        .zip(encoded)
                        .for_each(|(to, from)| *to = from);
                };
                medium.write(extent, fill).await.ok()
            })
            .await;
        failed.or(self.seal(legs.without(failed)).await)
    }

    /// Goes on to the next generation: on stable media of legs in sync first, then of those that are copied
    /// to. One of these that had it alone would, after a crash, have gone on without the others. Which legs
    /// have failed.
    pub(crate) async fn advance(&mut self, in_sync: LegSet, copied_to: LegSet) -> LegSet {
        self.superblock.generation += 1;
        self.superblock.update_time = clock::unix_time_s();
        let generation = self.superblock.generation;
        for slot in in_sync.or(copied_to).iter() {
            self.superblock.legs[slot.index()].left_generation = generation;
        }
        let failed = self.write_superblock(in_sync).await;
        if in_sync.without(failed).is_empty() {
            // The next try goes to the same copy: this one may be torn, and the other is all there is.
            self.superblock.generation += 1;
            return failed;
        }
        failed.or(self.write_superblock(copied_to).await)
    }

    /// Goes on by two generations: a leg that is one behind was written to a moment before a crash, one that
    /// is further behind is an image from before this. Which legs have failed; then it may have been one.
    pub(crate) async fn advance_twice(&mut self, in_sync: LegSet, copied_to: LegSet) -> LegSet {
        let failed = self.advance(in_sync, copied_to).await;
        if !failed.is_empty() {
            return failed;
        }
        self.advance(in_sync, copied_to).await
    }

    /// Writes all there is of a mirror that begins, to both copies of the superblock. Which legs have failed.
    pub(crate) async fn begin(
        &mut self,
        in_sync: LegSet,
        copied_to: LegSet,
        missed: &Missed,
    ) -> LegSet {
        let legs = in_sync.or(copied_to);
        // A copy of another array, beside one of this, would not be understood.
        let mut failed = self.wipe(legs).await;
        let units: Vec<usize> = (0..self.layout.num_units()).collect();
        failed = failed.or(self.write_units(legs, &units, words(None, missed)).await);
        if !failed.is_empty() {
            return failed;
        }
        self.advance_twice(in_sync, copied_to).await
    }

    /// The uuid that a leg has by what is on it; `None` where nothing is.
    ///
    /// # Errors
    /// It cannot be read, or understood.
    pub(super) async fn uuid_on(&self, slot: Slot) -> Result<Option<Uuid>, Errno> {
        let medium = self.media[slot.index()].as_ref().ok_or(Errno::ENODEV)?;
        let len = self.layout.write_unit as usize;
        let [a, b] = [0, 1].map(|copy| medium.read(self.layout.superblock(copy), len));
        let (a, b) = (a.await, b.await);
        let (Ok(a), Ok(b)) = (a, b) else {
            return Err(Errno::EIO);
        };
        let found = newest(a.as_slice(), b.as_slice()).map_err(|_| Errno::EIO)?;
        let superblock = found.map(|found| found.superblock);
        Ok(superblock.and_then(|superblock| Some(superblock.own_leg()?.uuid)))
    }

    /// Has what was written to legs survive, data too. Which legs have failed.
    pub(crate) async fn flush(&mut self, legs: LegSet) -> LegSet {
        self.on_each(legs, async |_, medium: &mut Medium| {
            medium.flush().await.ok()
        })
        .await
    }

    /// Makes legs forget that they were part of a mirror. Which have failed.
    pub(crate) async fn wipe(&mut self, legs: LegSet) -> LegSet {
        let layout = self.layout;
        let failed = self
            .on_each(legs, async |_, medium: &mut Medium| {
                let mut are_wiped = true;
                for copy in [0, 1] {
                    let wiped = medium.write(layout.superblock(copy), |out| out.fill(0));
                    are_wiped &= wiped.await.is_ok();
                }
                are_wiped.then_some(())
            })
            .await;
        failed.or(self.flush(legs.without(failed)).await)
    }

    /// The units that have the bits of regions in a bitmap.
    pub(super) fn units_of(&self, bitmap: BitmapId, regions: &[usize]) -> Vec<usize> {
        let mut units: Vec<usize> = regions
            .iter()
            .map(|region| self.layout.unit_of(bitmap, *region as u32))
            .collect();
        units.sort_unstable();
        units.dedup();
        units
    }

    /// The units of the bitmaps that count: of what is written to, and of what each of some legs has missed.
    pub(crate) fn units_in_use(&self, missed: &Missed) -> Vec<usize> {
        let of_legs = (0..LEGS_MAX).filter(|slot| missed[*slot].is_some());
        self.units_of_bitmaps(
            [BitmapId::INTENT]
                .into_iter()
                .chain(of_legs.map(BitmapId::missed)),
        )
    }

    /// The units of whole bitmaps.
    pub(super) fn units_of_bitmaps(
        &self,
        bitmaps: impl IntoIterator<Item = BitmapId>,
    ) -> Vec<usize> {
        let last = self.layout.num_regions.saturating_sub(1);
        let of = |bitmap| self.layout.unit_of(bitmap, 0)..=self.layout.unit_of(bitmap, last);
        let mut units: Vec<usize> = bitmaps.into_iter().flat_map(of).collect();
        units.sort_unstable();
        units.dedup();
        units
    }
}
