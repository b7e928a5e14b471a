//! A thread's way to the legs of a mirror.

use core::cell::{Cell, RefCell};

use barespdk::bdev;
use barespdk::errno::Errno;

use crate::legs::{LEGS_MAX, LegSet, Legs, Slot};

/// A thread's channels to the legs that are in, by slot.
pub(crate) struct Channel {
    legs: RefCell<[Option<bdev::Channel>; LEGS_MAX]>,
    present: Cell<LegSet>,
    /// How many blocks this thread reads from each leg now.
    reading_blocks: [Cell<u64>; LEGS_MAX],
}

impl Channel {
    /// Opens a channel to each leg that is in.
    pub(crate) fn open(legs: &Legs) -> Result<Self, Errno> {
        let mut channels = <[_; LEGS_MAX]>::default();
        let mut present = LegSet::EMPTY;
        for (slot, leg) in legs.present() {
            channels[slot.index()] = Some(bdev::Channel::new(&leg.desc)?);
            present.insert(slot);
        }
        Ok(Self {
            legs: RefCell::new(channels),
            present: Cell::new(present),
            reading_blocks: Default::default(),
        })
    }

    /// Lets go of a leg. What is in flight to it goes on, and keeps its channel until it ends.
    pub(crate) fn drop_leg(&self, slot: Slot) {
        let mut present = self.present.get();
        present.remove(slot);
        self.present.set(present);
        // Requests borrow the legs while they submit, never while they wait; and this is called by a
        // message, so not from inside of a request.
        let dropped = match self.legs.try_borrow_mut() {
            Ok(mut legs) => legs[slot.index()].take(),
            Err(_) => None,
        };
        drop(dropped);
    }

    /// Which legs are in.
    #[inline]
    pub(crate) fn present(&self) -> LegSet {
        self.present.get()
    }

    /// Submits something to one leg, if it is in.
    #[inline]
    pub(crate) fn to_leg(
        &self,
        slot: Slot,
        submit: impl FnOnce(&bdev::Channel) -> Option<bdev::Io>,
    ) -> Option<bdev::Io> {
        submit(self.legs.borrow()[slot.index()].as_ref()?)
    }

    /// Submits something to all legs that are in, in the order of their slots. Returns which.
    #[inline]
    pub(crate) fn to_all(
        &self,
        ios: &mut heapless::Vec<bdev::Io, LEGS_MAX>,
        mut submit: impl FnMut(&bdev::Channel) -> Option<bdev::Io>,
    ) -> LegSet {
        let legs = self.legs.borrow();
        let mut left = self.present.get();
        let mut submitted = LegSet::EMPTY;
        while let Some(slot) = left.pop_first() {
            if let Some(leg) = &legs[slot.index()]
                && let Some(io) = submit(leg)
                && ios.push(io).is_ok()
            {
                submitted.insert(slot);
            }
        }
        submitted
    }

    /// The leg that this thread reads the least from now, leaving out those that were tried.
    #[inline]
    pub(crate) fn least_read(&self, tried: LegSet) -> Option<Slot> {
        let mut candidates = self.present.get().without(tried);
        let mut least = candidates.pop_first()?;
        while let Some(slot) = candidates.pop_first() {
            if self.reading(slot).get() < self.reading(least).get() {
                least = slot;
            }
        }
        Some(least)
    }

    /// How many blocks this thread reads from a leg now.
    #[inline]
    pub(crate) fn reading(&self, slot: Slot) -> &Cell<u64> {
        &self.reading_blocks[slot.index()]
    }
}
