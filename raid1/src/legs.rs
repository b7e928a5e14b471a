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
    /// The place of this number, if there can be one.
    pub(crate) fn of(index: usize) -> Option<Self> {
        let number = u8::try_from(index).ok()?;
        (index < LEGS_MAX).then_some(Self(number))
    }

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

    /// The members of either.
    pub(crate) const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// How many members there are.
    pub(crate) const fn len(self) -> usize {
        self.0.count_ones() as usize
    }

    /// The members, from the lowest.
    pub(crate) fn iter(mut self) -> impl Iterator<Item = Slot> {
        core::iter::from_fn(move || self.pop_first())
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

/// What a leg is to its mirror.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Written to and read from: it has all that was acknowledged.
    InSync,
    /// Written to, and being copied to; it has what it was written since, and what was copied.
    Rebuilding,
    /// No longer read from, but written to until no thread reads from it and its loss is recorded.
    Leaving,
    /// Neither; the slot is kept for it, or for another.
    Out,
}

#[derive(Debug)]
struct Place {
    leg: Option<Leg>,
    /// The bdev of the leg that was taken out last. It may not be closed yet.
    taken_out: Option<String>,
    standing: Standing,
}

/// The legs of a mirror by slot. A slot whose leg is lost stays, empty.
#[derive(Debug)]
pub(crate) struct Legs {
    places: Vec<Place>,
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
    /// Legs by slot, with what they are; none where a slot has lost its leg.
    pub(crate) fn new(legs: Vec<(Option<Leg>, Standing)>) -> Self {
        let place = |(leg, standing): (Option<Leg>, Standing)| Place {
            standing: match leg {
                Some(_) => standing,
                None => Standing::Out,
            },
            leg,
            taken_out: None,
        };
        Self {
            places: legs.into_iter().map(place).collect(),
        }
    }

    /// How many slots there are.
    pub(crate) fn num_slots(&self) -> usize {
        self.places.len()
    }

    /// The slots, from the first.
    pub(crate) fn slots(&self) -> impl Iterator<Item = Slot> + use<> {
        (0..self.places.len()).filter_map(Slot::of)
    }

    fn place(&self, slot: Slot) -> Option<&Place> {
        self.places.get(slot.index())
    }

    fn place_mut(&mut self, slot: Slot) -> Option<&mut Place> {
        self.places.get_mut(slot.index())
    }

    /// What a leg is.
    pub(crate) fn standing(&self, slot: Slot) -> Standing {
        self.place(slot)
            .map_or(Standing::Out, |place| place.standing)
    }

    /// The leg of a slot, in whatever standing.
    pub(crate) fn get(&self, slot: Slot) -> Option<&Leg> {
        self.place(slot)?.leg.as_ref()
    }

    /// The legs that are written to, with their slots.
    pub(crate) fn open(&self) -> impl Iterator<Item = (Slot, &Leg)> {
        self.slots()
            .filter_map(|slot| Some((slot, self.get(slot)?)))
    }

    /// The slots of the legs of a standing.
    pub(crate) fn of_standing(&self, standing: Standing) -> LegSet {
        let mut set = LegSet::EMPTY;
        self.slots()
            .filter(|slot| self.standing(*slot) == standing)
            .for_each(|slot| set.insert(slot));
        set
    }

    /// The slots of the legs that may be read from.
    pub(crate) fn in_sync(&self) -> LegSet {
        self.of_standing(Standing::InSync)
    }

    /// The slots of the legs that are in, or being rebuilt.
    pub(crate) fn staying(&self) -> LegSet {
        self.in_sync().or(self.of_standing(Standing::Rebuilding))
    }

    /// The slot of the first leg that is in, or being rebuilt, and fits.
    pub(crate) fn find_by(&self, fits: impl Fn(&Leg) -> bool) -> Option<Slot> {
        self.open()
            .find(|(slot, leg)| self.standing(*slot) != Standing::Leaving && fits(leg))
            .map(|(slot, _)| slot)
    }

    /// The slot of a leg that is in, or being rebuilt, by the name that the mirror was told.
    pub(crate) fn find(&self, name: &str) -> Option<Slot> {
        self.find_by(|leg| leg.name == name)
    }

    /// Whether it is the only leg that may be read from.
    fn is_last(&self, slot: Slot) -> bool {
        self.in_sync() == LegSet::of(slot)
    }

    /// Lets a leg leave, unless it is the last in sync: new channels write to it, but do not read.
    pub(crate) fn leave(&mut self, slot: Slot) -> TakeOut {
        match self.standing(slot) {
            Standing::Leaving | Standing::Out => return TakeOut::WasOut,
            Standing::InSync if self.is_last(slot) => return TakeOut::Last,
            Standing::InSync | Standing::Rebuilding => {}
        }
        self.set_standing(slot, Standing::Leaving);
        TakeOut::Out
    }

    /// Has a leg in sync be rebuilt, unless it is the last. Whether it was.
    pub(crate) fn demote(&mut self, slot: Slot) -> bool {
        let yes = self.standing(slot) == Standing::InSync && !self.is_last(slot);
        if yes {
            self.set_standing(slot, Standing::Rebuilding);
        }
        yes
    }

    /// A leg that was rebuilt may be read from. Whether it was being rebuilt.
    pub(crate) fn promote(&mut self, slot: Slot) -> bool {
        let yes = self.standing(slot) == Standing::Rebuilding;
        if yes {
            self.set_standing(slot, Standing::InSync);
        }
        yes
    }

    fn set_standing(&mut self, slot: Slot, standing: Standing) {
        if let Some(place) = self.place_mut(slot) {
            place.standing = standing;
        }
    }

    /// Takes out a leg that is leaving, when no thread reads from it: new channels do not have it. Its
    /// bdev is closed when the channels of all threads have let go of it.
    pub(crate) fn take_out(&mut self, slot: Slot) -> Option<Leg> {
        let place = self.place_mut(slot)?;
        if place.standing != Standing::Leaving {
            return None;
        }
        place.standing = Standing::Out;
        let leg = place.leg.take()?;
        place.taken_out = Some(leg.desc.name().into());
        Some(leg)
    }

    /// Whether a bdev, by its own name, is on its way out, or was taken out last of a slot.
    pub(crate) fn parts_with(&self, bdev: &str) -> bool {
        self.places.iter().any(|place| match &place.leg {
            Some(leg) => place.standing == Standing::Leaving && leg.is(bdev),
            None => place.taken_out.as_deref() == Some(bdev),
        })
    }

    /// A slot for one more leg: one that is out and not in `kept`, or a new one.
    pub(crate) fn free_slot(&self, kept: LegSet) -> Option<Slot> {
        self.slots()
            .find(|slot| self.standing(*slot) == Standing::Out && !kept.contains(*slot))
            .or_else(|| Slot::of(self.places.len()))
    }

    /// Puts a leg that is to be rebuilt into a slot that is out, or the first that there is not yet. Gives
    /// it back where it is neither.
    pub(crate) fn put(&mut self, slot: Slot, leg: Leg) -> Result<(), Leg> {
        let place = Place {
            leg: None,
            taken_out: None,
            standing: Standing::Out,
        };
        if slot.index() == self.places.len() {
            self.places.push(place);
        }
        match self.place_mut(slot) {
            Some(place) if place.standing == Standing::Out => {
                place.leg = Some(leg);
                place.standing = Standing::Rebuilding;
                Ok(())
            }
            _ => Err(leg),
        }
    }

    /// Lets go of all legs.
    pub(crate) fn clear(&mut self) -> Vec<Leg> {
        self.places
            .iter_mut()
            .filter_map(|place| {
                place.standing = Standing::Out;
                place.leg.take()
            })
            .collect()
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
