//! A thread's way to the legs of a mirror.

use core::cell::{Cell, RefCell};

use barespdk::bdev;
use barespdk::errno::Errno;

use crate::legs::{LEGS_MAX, LegSet, Legs};

/// A thread's channels to the legs that are in, in the order of their slots.
pub(crate) struct Channel {
    legs: RefCell<heapless::Vec<LegChannel, LEGS_MAX>>,
    /// How many blocks this thread reads from each leg now.
    reading_blocks: [Cell<u64>; LEGS_MAX],
}

struct LegChannel {
    slot: u8,
    channel: bdev::Channel,
}

impl Channel {
    /// Opens a channel to each leg that is in.
    pub(crate) fn open(legs: &Legs) -> Result<Self, Errno> {
        let mut channels = heapless::Vec::new();
        for (slot, leg) in legs.present() {
            let channel = bdev::Channel::new(&leg.desc)?;
            channels
                .push(LegChannel { slot, channel })
                .map_err(|_| Errno::E2BIG)?;
        }
        Ok(Self {
            legs: RefCell::new(channels),
            reading_blocks: Default::default(),
        })
    }

    /// Lets go of a leg. What is in flight to it goes on, and keeps its channel until it ends.
    pub(crate) fn drop_leg(&self, slot: u8) {
        let mut dropped = None;
        // Requests borrow the legs while they submit, never while they wait; and this is called by a
        // message, so not from inside of a request.
        if let Ok(mut legs) = self.legs.try_borrow_mut()
            && let Some(index) = legs.iter().position(|leg| leg.slot == slot)
        {
            dropped = Some(legs.remove(index));
        }
        drop(dropped);
    }

    /// Whether no leg is in.
    pub(crate) fn is_empty(&self) -> bool {
        self.legs.borrow().is_empty()
    }

    /// Submits something to one leg, if it is in.
    pub(crate) fn to_leg(
        &self,
        slot: u8,
        submit: impl FnOnce(&bdev::Channel) -> Option<bdev::Io>,
    ) -> Option<bdev::Io> {
        let legs = self.legs.borrow();
        let leg = legs.iter().find(|leg| leg.slot == slot)?;
        submit(&leg.channel)
    }

    /// Submits something to all legs that are in, in the order of their slots. Returns which.
    #[inline]
    pub(crate) fn to_all(
        &self,
        ios: &mut heapless::Vec<bdev::Io, LEGS_MAX>,
        mut submit: impl FnMut(&bdev::Channel) -> Option<bdev::Io>,
    ) -> LegSet {
        let mut submitted = LegSet::EMPTY;
        for leg in self.legs.borrow().iter() {
            if let Some(io) = submit(&leg.channel)
                && ios.push(io).is_ok()
            {
                submitted.insert(leg.slot);
            }
        }
        submitted
    }

    /// Submits a read of `num_blocks` to the leg that has the least to read, leaving out those that
    /// were tried. [`Channel::end_read`] is to follow.
    #[inline]
    pub(crate) fn read(
        &self,
        num_blocks: u64,
        tried: LegSet,
        submit: impl FnOnce(&bdev::Channel) -> bdev::Io,
    ) -> Option<(u8, bdev::Io)> {
        let legs = self.legs.borrow();
        let mut least: Option<(&LegChannel, &Cell<u64>)> = None;
        for leg in legs.iter().filter(|leg| !tried.contains(leg.slot)) {
            let blocks = self.reading_of(leg.slot)?;
            if least.is_none_or(|(_, fewer)| blocks.get() < fewer.get()) {
                least = Some((leg, blocks));
            }
        }
        let (leg, blocks) = least?;
        blocks.set(blocks.get() + num_blocks);
        Some((leg.slot, submit(&leg.channel)))
    }

    /// Says that a read has ended.
    #[inline]
    pub(crate) fn end_read(&self, slot: u8, num_blocks: u64) {
        if let Some(blocks) = self.reading_of(slot) {
            blocks.set(blocks.get() - num_blocks);
        }
    }

    #[inline]
    fn reading_of(&self, slot: u8) -> Option<&Cell<u64>> {
        self.reading_blocks.get(usize::from(slot))
    }
}
