//! Which base bdevs a mirror has, and which it has lost: what all its threads agree on.

use alloc::string::String;
use alloc::vec::Vec;

use crate::leg::Leg;

/// How many legs a mirror can have.
pub(crate) const LEGS_MAX: usize = 16;

/// The place of a leg in its mirror.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slot(u8);

impl Slot {
    /// The place as an index below [`LEGS_MAX`].
    #[inline]
    pub(crate) const fn index(self) -> usize {
        // Says to the compiler what all makers of slots see to, and spares a check.
        self.0 as usize % LEGS_MAX
    }
}

/// A set of legs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct LegSet(u16);

const _: () = assert!(LEGS_MAX <= u16::BITS as usize);

impl LegSet {
    pub(crate) const EMPTY: Self = Self(0);

    #[inline]
    pub(crate) fn insert(&mut self, slot: Slot) {
        self.0 |= 1 << slot.index();
    }

    pub(crate) fn remove(&mut self, slot: Slot) {
        self.0 &= !(1 << slot.index());
    }

    #[cfg(test)]
    pub(crate) fn contains(self, slot: Slot) -> bool {
        self.0 & (1 << slot.index()) != 0
    }

    #[inline]
    pub(crate) fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Of the members, counted from the lowest, those whose bit is set in `picks`.
    pub(crate) fn pick(mut self, picks: u16) -> Self {
        let mut picked = Self::EMPTY;
        let mut lane = 0;
        while let Some(slot) = self.pop_first() {
            if picks & 1 << lane != 0 {
                picked.insert(slot);
            }
            lane += 1;
        }
        picked
    }

    #[inline]
    pub(crate) fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Takes out the lowest slot.
    #[inline]
    pub(crate) fn pop_first(&mut self) -> Option<Slot> {
        let first = Slot(u8::try_from(self.0.trailing_zeros()).ok()?);
        if self.is_empty() {
            return None;
        }
        self.0 &= self.0 - 1;
        Some(first)
    }
}

/// The legs of a mirror by slot. A slot whose leg is lost stays, empty.
#[derive(Debug)]
pub(crate) struct Legs {
    slots: Vec<Option<Leg>>,
}

/// What became of the wish to take a leg out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TakeOut {
    /// It is out.
    Out,
    /// It was out before.
    WasOut,
    /// It is the last one, and stays.
    Last,
}

impl Legs {
    pub(crate) fn new(legs: Vec<Leg>) -> Self {
        Self {
            slots: legs.into_iter().map(Some).collect(),
        }
    }

    /// How many slots there are.
    pub(crate) fn num_slots(&self) -> usize {
        self.slots.len()
    }

    /// The legs that are in, with their slots.
    pub(crate) fn present(&self) -> impl Iterator<Item = (Slot, &Leg)> {
        (0..)
            .map(Slot)
            .zip(&self.slots)
            .filter_map(|(slot, leg)| Some((slot, leg.as_ref()?)))
    }

    /// All slots, the empty ones too.
    pub(crate) fn slots(&self) -> impl Iterator<Item = Option<&Leg>> {
        self.slots.iter().map(Option::as_ref)
    }

    /// The slot of a leg that is in, by the name of its base bdev.
    pub(crate) fn find(&self, name: &str) -> Option<Slot> {
        self.present()
            .find(|(_, leg)| leg.name == name)
            .map(|(slot, _)| slot)
    }

    /// Takes a leg out, unless it is the last. Its bdev is closed when the channels of all threads
    /// have let go of it.
    pub(crate) fn take_out(&mut self, slot: Slot) -> (TakeOut, Option<String>) {
        let others = self.present().filter(|(other, _)| *other != slot).count();
        match self.slots.get_mut(slot.index()) {
            Some(Some(_)) if others == 0 => (TakeOut::Last, None),
            Some(leg @ Some(_)) => (TakeOut::Out, leg.take().map(|leg| leg.name)),
            _ => (TakeOut::WasOut, None),
        }
    }

    /// Lets go of all legs.
    pub(crate) fn clear(&mut self) {
        self.slots.fill_with(|| None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_gives_back_what_was_put_in() {
        let all = [0, 3, 15].map(Slot);
        let mut set = LegSet::EMPTY;
        for slot in all {
            set.insert(slot);
        }
        assert!(set.contains(Slot(15)) && !set.contains(Slot(14)));
        let mut ascending = set;
        assert_eq!(
            [(); 4].map(|()| ascending.pop_first()),
            [Some(all[0]), Some(all[1]), Some(all[2]), None]
        );
        set.remove(Slot(3));
        let mut low = LegSet::EMPTY;
        low.insert(Slot(0));
        assert_eq!(set.without(low).pop_first(), Some(Slot(15)));
        // Of slots 0 and 15, the second.
        assert_eq!(set.pick(0b10).pop_first(), Some(Slot(15)));
    }
}
