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
    pub(crate) const fn of(slot: Slot) -> Self {
        Self(1 << slot.index())
    }

    #[inline]
    pub(crate) const fn bits(self) -> u16 {
        self.0
    }

    pub(crate) const fn from_bits(bits: u16) -> Self {
        Self(bits)
    }

    #[inline]
    pub(crate) fn insert(&mut self, slot: Slot) {
        self.0 |= 1 << slot.index();
    }

    pub(crate) fn remove(&mut self, slot: Slot) {
        self.0 &= !(1 << slot.index());
    }

    pub(crate) fn contains(self, slot: Slot) -> bool {
        self.0 & (1 << slot.index()) != 0
    }

    #[inline]
    pub(crate) fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// The members of both.
    pub(crate) fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
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
    pub(crate) const fn is_empty(self) -> bool {
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
    /// Which of them are leaving: no longer read from, but written to until no thread reads from them.
    leaving: LegSet,
}

/// What became of the wish to take a leg out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TakeOut {
    /// It is leaving.
    Out,
    /// It was leaving, or out, before.
    WasOut,
    /// It is the last one, and stays.
    Last,
}

impl Legs {
    pub(crate) fn new(legs: Vec<Leg>) -> Self {
        Self {
            slots: legs.into_iter().map(Some).collect(),
            leaving: LegSet::EMPTY,
        }
    }

    /// How many slots there are.
    pub(crate) fn num_slots(&self) -> usize {
        self.slots.len()
    }

    /// The legs that are in, with their slots.
    pub(crate) fn present(&self) -> impl Iterator<Item = (Slot, &Leg)> {
        self.open()
            .filter(|(slot, _)| !self.leaving.contains(*slot))
    }

    /// The legs that are in, and those that are leaving.
    pub(crate) fn open(&self) -> impl Iterator<Item = (Slot, &Leg)> {
        (0..)
            .map(Slot)
            .zip(&self.slots)
            .filter_map(|(slot, leg)| Some((slot, leg.as_ref()?)))
    }

    /// The slots of the legs that are in.
    pub(crate) fn members(&self) -> LegSet {
        let mut members = LegSet::EMPTY;
        self.present().for_each(|(slot, _)| members.insert(slot));
        members
    }

    /// Whether a leg may be read from.
    pub(crate) fn is_in(&self, slot: Slot) -> bool {
        !self.leaving.contains(slot)
    }

    /// The name of a leg that is in, or leaving.
    pub(crate) fn name(&self, slot: Slot) -> Option<String> {
        let leg = self.slots.get(slot.index())?.as_ref()?;
        Some(leg.name.clone())
    }

    /// All slots; the leg of those where it is in.
    pub(crate) fn slots(&self) -> impl Iterator<Item = Option<&Leg>> {
        (0..)
            .map(Slot)
            .zip(&self.slots)
            .map(|(slot, leg)| leg.as_ref().filter(|_| self.is_in(slot)))
    }

    /// The slot of a leg that is in, by the name that the mirror was told.
    pub(crate) fn find(&self, name: &str) -> Option<Slot> {
        self.find_by(|leg| leg.name == name)
    }

    /// The slot of the first leg that is in and fits.
    pub(crate) fn find_by(&self, fits: impl Fn(&Leg) -> bool) -> Option<Slot> {
        self.present()
            .find(|(_, leg)| fits(leg))
            .map(|(slot, _)| slot)
    }

    /// Lets a leg leave, unless it is the last that is in: new channels write to it, but do not read.
    /// Returns the name of a leg that was in.
    pub(crate) fn leave(&mut self, slot: Slot) -> (TakeOut, Option<String>) {
        let left = self.present().find(|(of, _)| *of == slot);
        let Some(name) = left.map(|(_, leg)| leg.name.clone()) else {
            return (TakeOut::WasOut, None);
        };
        if self.present().nth(1).is_none() {
            return (TakeOut::Last, None);
        }
        self.leaving.insert(slot);
        (TakeOut::Out, Some(name))
    }

    /// Takes out a leg that is leaving, when no thread reads from it: new channels do not have it. Its
    /// bdev is closed when the channels of all threads have let go of it.
    pub(crate) fn take_out(&mut self, slot: Slot) -> Option<Leg> {
        if self.is_in(slot) {
            return None;
        }
        self.slots.get_mut(slot.index())?.take()
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
