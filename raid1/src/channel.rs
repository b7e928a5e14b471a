//! A thread's way to the legs of a mirror.

use core::cell::{Cell, RefCell};

use barespdk::bdev::{self, DifChecks};
use barespdk::errno::Errno;
use barespdk::log_error;

use crate::leg::Leg;
use crate::legs::{LEGS_MAX, LegSet, Legs, Slot, Standing};

/// How a channel begins to serve.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Modes {
    pub(crate) ordered: bool,
    pub(crate) resyncing: bool,
    /// What legs do not check of the mirror's data.
    pub(crate) left_out: DifChecks,
}

fn unreachable(mirror: &str, leg: &Leg, errno: Errno) {
    log_error!(
        "raid1 {mirror}: no channel to base bdev '{}' on this thread: {errno}",
        leg.name
    );
}

/// A thread's channels to the legs that are in, by slot.
pub(crate) struct Channel {
    legs: RefCell<[Option<bdev::Channel>; LEGS_MAX]>,
    /// Which legs are written to.
    present: Cell<LegSet>,
    /// Which of them are read from, too.
    readable: Cell<LegSet>,
    /// Whether writes hold their blocks, so that those that overlap reach all legs in one order.
    ordered: Cell<bool>,
    /// Whether legs may differ somewhere, so that reads have to look where.
    resyncing: Cell<bool>,
    /// What legs do not check.
    left_out: DifChecks,
    /// Which legs this thread cannot reach, though others may read from them: what is written here
    /// can be acknowledged only when those are out.
    missing: Cell<LegSet>,
}

impl Channel {
    /// Opens a channel to each leg that is in, or leaving; those that cannot be reached from here are
    /// [missing](Channel::missing).
    ///
    /// # Errors
    /// That of a leg, where none is left to read from.
    pub(crate) fn open(mirror: &str, legs: &Legs, modes: Modes) -> Result<Self, Errno> {
        let mut channels = <[_; LEGS_MAX]>::default();
        let [mut present, mut readable, mut missing] = [LegSet::EMPTY; 3];
        let mut refused = Errno::ENODEV;
        for (slot, leg) in legs.open() {
            match bdev::Channel::leaving_out(modes.left_out, &leg.desc) {
                Ok(channel) => {
                    channels[slot.index()] = Some(channel);
                    present.insert(slot);
                    if legs.standing(slot) == Standing::InSync {
                        readable.insert(slot);
                    }
                }
                Err(errno) => {
                    unreachable(mirror, leg, errno);
                    missing.insert(slot);
                    refused = errno;
                }
            }
        }
        if readable.is_empty() {
            return Err(refused);
        }
        Ok(Self {
            legs: RefCell::new(channels),
            present: Cell::new(present),
            readable: Cell::new(readable),
            ordered: Cell::new(modes.ordered),
            resyncing: Cell::new(modes.resyncing),
            left_out: modes.left_out,
            missing: Cell::new(missing),
        })
    }

    /// Writes to one more leg, which is not read from. One that cannot be reached is
    /// [missing](Channel::missing). Whether it can.
    pub(crate) fn add_leg(&self, mirror: &str, slot: Slot, leg: &Leg) -> bool {
        // As in `drop_leg`.
        let added = bdev::Channel::leaving_out(self.left_out, &leg.desc)
            .and_then(|channel| {
                Ok((
                    channel,
                    self.legs.try_borrow_mut().map_err(|_| Errno::EBUSY)?,
                ))
            })
            .map(|(channel, mut legs)| legs[slot.index()].replace(channel));
        match &added {
            Ok(_before) => self.present.set(self.present.get().or(LegSet::of(slot))),
            Err(errno) => {
                unreachable(mirror, leg, *errno);
                self.missing.set(self.missing.get().or(LegSet::of(slot)));
            }
        }
        added.is_ok()
    }

    /// Reads from a leg, too, that was written to.
    pub(crate) fn start_reading(&self, slot: Slot) {
        let readable = self.readable.get().or(LegSet::of(slot));
        self.readable.set(readable.and(self.present.get()));
    }

    /// Whether writes hold their blocks.
    #[inline]
    pub(crate) fn is_ordered(&self) -> bool {
        self.ordered.get()
    }

    pub(crate) fn set_ordered(&self, ordered: bool) {
        self.ordered.set(ordered);
    }

    /// Whether legs may differ somewhere.
    #[inline]
    pub(crate) fn is_resyncing(&self) -> bool {
        self.resyncing.get()
    }

    pub(crate) fn set_resyncing(&self, resyncing: bool) {
        self.resyncing.set(resyncing);
    }

    /// Reads from a leg no more; what is in flight goes on. Writes go to it still: another thread may
    /// read from it.
    pub(crate) fn stop_reading(&self, slot: Slot) {
        let mut readable = self.readable.get();
        readable.remove(slot);
        self.readable.set(readable);
    }

    /// Lets go of a leg, from which no thread reads any more. What is in flight to it goes on, and
    /// keeps its channel until it ends.
    pub(crate) fn drop_leg(&self, slot: Slot) {
        self.stop_reading(slot);
        let mut present = self.present.get();
        present.remove(slot);
        self.present.set(present);
        let mut missing = self.missing.get();
        missing.remove(slot);
        self.missing.set(missing);
        // Requests borrow the legs while they submit, never while they wait; and this is called by a
        // message, so not from inside of a request.
        let dropped = match self.legs.try_borrow_mut() {
            Ok(mut legs) => legs[slot.index()].take(),
            Err(_) => None,
        };
        drop(dropped);
    }

    /// Which legs are written to.
    #[inline]
    pub(crate) fn present(&self) -> LegSet {
        self.present.get()
    }

    /// Which legs are read from.
    pub(crate) fn readable(&self) -> LegSet {
        self.readable.get()
    }

    /// Which legs are not written to, though other threads may read from them.
    #[inline]
    pub(crate) fn missing(&self) -> LegSet {
        self.missing.get()
    }

    /// Calls `submit` with one leg, if it is in. Returns whether it is.
    #[inline]
    pub(crate) fn with_leg(&self, slot: Slot, submit: impl FnOnce(&bdev::Channel)) -> bool {
        match &self.legs.borrow()[slot.index()] {
            Some(leg) => {
                submit(leg);
                true
            }
            None => false,
        }
    }

    /// Calls `submit` with each leg that is in, in the order of their slots.
    #[inline]
    pub(crate) fn for_each_leg(&self, mut submit: impl FnMut(Slot, &bdev::Channel)) {
        let legs = self.legs.borrow();
        let mut left = self.present.get();
        while let Some(slot) = left.pop_first() {
            if let Some(leg) = &legs[slot.index()] {
                submit(slot, leg);
            }
        }
    }

    /// Calls `submit` with the first leg that is read from and was not tried: all threads take the same.
    pub(crate) fn with_source(
        &self,
        tried: LegSet,
        submit: impl FnOnce(&bdev::Channel),
    ) -> Option<Slot> {
        let slot = self.readable.get().without(tried).pop_first()?;
        self.with_leg(slot, submit).then_some(slot)
    }

    /// Calls `submit` with the leg to which this thread has the least in flight, leaving out those
    /// that were tried.
    #[inline]
    pub(crate) fn with_least_loaded(
        &self,
        tried: LegSet,
        submit: impl FnOnce(&bdev::Channel),
    ) -> Option<Slot> {
        let legs = self.legs.borrow();
        let mut candidates = self.readable.get().without(tried);
        let mut slot = candidates.pop_first()?;
        let mut least = legs[slot.index()].as_ref()?;
        while let Some(other) = candidates.pop_first() {
            let leg = legs[other.index()].as_ref()?;
            if leg.load() < least.load() {
                (slot, least) = (other, leg);
            }
        }
        submit(least);
        Some(slot)
    }
}
