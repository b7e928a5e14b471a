//! Which base bdevs a mirror has, and which it has lost: what all its threads agree on.

use alloc::string::String;
use alloc::vec::Vec;

use crate::leg::Leg;

/// How many legs a mirror can have.
pub(crate) const LEGS_MAX: usize = 16;

/// A set of legs, by slot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct LegSet(u16);

const _: () = assert!(LEGS_MAX <= u16::BITS as usize);

impl LegSet {
    pub(crate) const EMPTY: Self = Self(0);

    pub(crate) fn insert(&mut self, slot: u8) {
        self.0 |= 1 << slot;
    }

    pub(crate) fn contains(self, slot: u8) -> bool {
        self.0 & (1 << slot) != 0
    }

    pub(crate) fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Takes out the highest slot.
    pub(crate) fn pop(&mut self) -> Option<u8> {
        let highest = self.0.checked_ilog2()? as u8;
        self.0 &= !(1 << highest);
        Some(highest)
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
    pub(crate) fn present(&self) -> impl Iterator<Item = (u8, &Leg)> {
        (0..)
            .zip(&self.slots)
            .filter_map(|(slot, leg)| Some((slot, leg.as_ref()?)))
    }

    /// All slots, the empty ones too.
    pub(crate) fn slots(&self) -> impl Iterator<Item = Option<&Leg>> {
        self.slots.iter().map(Option::as_ref)
    }

    /// The slot of a leg that is in, by the name of its base bdev.
    pub(crate) fn find(&self, name: &str) -> Option<u8> {
        self.present()
            .find(|(_, leg)| leg.name == name)
            .map(|(slot, _)| slot)
    }

    /// Takes a leg out, unless it is the last. Its bdev is closed when the channels of all threads
    /// have let go of it.
    pub(crate) fn take_out(&mut self, slot: u8) -> (TakeOut, Option<String>) {
        let others = self.present().filter(|(other, _)| *other != slot).count();
        match self.slots.get_mut(usize::from(slot)) {
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
    fn a_set_gives_back_what_was_put_in_highest_first() {
        let mut set = LegSet::EMPTY;
        for slot in [3, 0, 15] {
            set.insert(slot);
        }
        assert!(set.contains(15) && !set.contains(14));
        assert_eq!(
            [set.pop(), set.pop(), set.pop(), set.pop()],
            [Some(15), Some(3), Some(0), None]
        );
        assert!(set.is_empty());
    }
}
