//! One bit for each region of a mirror, which all threads see.
//!
//! A region is a piece of the mirror of fixed size; the last one may be shorter. What a bit says, its map's
//! owner knows: that the region is dirty, was touched, that a leg lacks it.
//!
//! **Order.** A bit that is changed publishes what its thread did before (Release), and who sees the
//! change, sees that too (Acquire): a write that finds its region dirty knows that the media say so. It
//! does not hold the other way round, as in "cleared, and nobody writes there": that is what the locks of
//! [`Ranges`](crate::ranges::Ranges) are for. Whole maps are read and changed word by word: others may
//! change bits in between.

use alloc::boxed::Box;
use core::sync::atomic::{AtomicU64, Ordering};

const WORD_BITS: usize = u64::BITS as usize;

/// A set of regions. See the [module](self). Regions beyond the last are never in it.
#[derive(Debug)]
pub(crate) struct RegionMap {
    words: Box<[AtomicU64]>,
    num_regions: usize,
}

impl RegionMap {
    /// An empty set of up to so many regions.
    pub(crate) fn new(num_regions: usize) -> Self {
        let num_words = num_regions.div_ceil(WORD_BITS);
        Self {
            words: (0..num_words).map(|_| AtomicU64::new(0)).collect(),
            num_regions,
        }
    }

    /// The word of a region, and its bit in there.
    #[inline]
    fn bit(&self, region: usize) -> Option<(&AtomicU64, u64)> {
        let word = self.words.get(region / WORD_BITS)?;
        (region < self.num_regions).then_some((word, 1 << (region % WORD_BITS)))
    }

    /// Whether a region is in.
    #[inline]
    pub(crate) fn contains(&self, region: usize) -> bool {
        self.bit(region)
            .is_some_and(|(word, bit)| word.load(Ordering::Acquire) & bit != 0)
    }

    /// Puts a region in. Returns whether it was in; then nothing is written, and nothing published, so
    /// that threads may do this all the time.
    #[inline]
    pub(crate) fn insert(&self, region: usize) -> bool {
        self.bit(region).is_some_and(|(word, bit)| {
            word.load(Ordering::Acquire) & bit != 0
                || word.fetch_or(bit, Ordering::AcqRel) & bit != 0
        })
    }

    /// Takes a region out. Returns whether it was in.
    pub(crate) fn remove(&self, region: usize) -> bool {
        self.bit(region)
            .is_some_and(|(word, bit)| word.fetch_and(!bit, Ordering::AcqRel) & bit != 0)
    }

    /// Puts regions in, as far as there are such.
    pub(crate) fn insert_all(&self, regions: core::ops::RangeInclusive<usize>) {
        let last = (*regions.end()).min(self.num_regions.saturating_sub(1));
        for region in *regions.start()..=last {
            self.insert(region);
        }
    }

    /// Takes all regions out.
    pub(crate) fn clear(&self) {
        for word in &self.words {
            word.store(0, Ordering::Release);
        }
    }

    /// The bits of a word that stand for regions.
    fn mask(&self, index: usize) -> u64 {
        match self.num_regions.saturating_sub(index * WORD_BITS) {
            0 => 0,
            bits if bits < WORD_BITS => (1 << bits) - 1,
            _ => u64::MAX,
        }
    }

    /// How many regions are in.
    pub(crate) fn count(&self) -> usize {
        let ones = |word: &AtomicU64| word.load(Ordering::Acquire).count_ones() as usize;
        self.words.iter().map(ones).sum()
    }

    /// Whether no region is in.
    pub(crate) fn is_empty(&self) -> bool {
        self.first_from(0).is_none()
    }

    /// The first region that is in, from this one on.
    pub(crate) fn first_from(&self, region: usize) -> Option<usize> {
        let first = region / WORD_BITS;
        let mut ignored = (1 << (region % WORD_BITS)) - 1;
        for (index, word) in self.words.iter().enumerate().skip(first) {
            let word = word.load(Ordering::Acquire) & !ignored;
            if word != 0 {
                return Some(index * WORD_BITS + word.trailing_zeros() as usize);
            }
            ignored = 0;
        }
        None
    }

    /// The regions that are in, in ascending order, each as it is when it is come to.
    pub(crate) fn iter(&self) -> impl Iterator<Item = usize> {
        let next = |region: &usize| self.first_from(region + 1);
        core::iter::successors(self.first_from(0), next)
    }

    /// Puts in what is in another map of this mirror.
    pub(crate) fn insert_from(&self, other: &Self) {
        for (index, (word, from)) in self.words.iter().zip(&other.words).enumerate() {
            let bits = from.load(Ordering::Acquire) & self.mask(index);
            if bits != 0 {
                word.fetch_or(bits, Ordering::AcqRel);
            }
        }
    }

    /// Keeps what is in another map of this mirror too.
    pub(crate) fn keep(&self, other: &Self) {
        for (word, from) in self.words.iter().zip(&other.words) {
            word.fetch_and(from.load(Ordering::Acquire), Ordering::AcqRel);
        }
    }

    /// A map of its own, with the same regions in.
    pub(crate) fn copy(&self) -> Self {
        let copy = Self::new(self.num_regions);
        copy.insert_from(self);
        copy
    }

    /// 64 regions, from `64 * index` on, the first as the lowest bit.
    pub(crate) fn word(&self, index: usize) -> u64 {
        let word = self.words.get(index);
        word.map_or(0, |word| word.load(Ordering::Acquire))
    }

    /// Makes these 64 regions what a word says.
    pub(crate) fn set_word(&self, index: usize, bits: u64) {
        if let Some(word) = self.words.get(index) {
            word.store(bits & self.mask(index), Ordering::Release);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    #[test]
    fn regions_go_in_and_out() {
        let map = RegionMap::new(130);
        assert!(map.is_empty());
        for region in [0, 63, 64, 129] {
            assert!(!map.contains(region) && !map.insert(region));
            assert!(map.contains(region) && map.insert(region));
        }
        assert_eq!(map.iter().collect::<Vec<_>>(), [0, 63, 64, 129]);
        assert_eq!(map.count(), 4);
        assert_eq!(map.first_from(1), Some(63));
        assert_eq!(map.first_from(65), Some(129));
        assert!(map.remove(64) && !map.remove(64));
        assert_eq!(map.first_from(64), Some(129));
        map.clear();
        assert!(map.is_empty());
    }

    #[test]
    fn there_is_nothing_beyond_the_last() {
        for num_regions in [0, 1, 63, 64, 65, 3967, 3968, 3969, 126_976] {
            let map = RegionMap::new(num_regions);
            for region in [num_regions, num_regions + 1, usize::MAX] {
                assert!(!map.insert(region) && !map.contains(region) && !map.remove(region));
                assert_eq!(map.first_from(region), None);
            }
            map.insert_all(0..=usize::MAX);
            assert_eq!(map.count(), num_regions);
            assert_eq!(map.iter().last(), num_regions.checked_sub(1));
        }
    }

    #[test]
    fn maps_are_joined() {
        let [a, b] = [(); 2].map(|()| RegionMap::new(200));
        a.insert_all(10..=100);
        b.insert_all(90..=150);
        let both = a.copy();
        both.insert_from(&b);
        assert_eq!(both.count(), 141);
        assert_eq!(a.count(), 91);
    }

    #[test]
    fn words_go_to_the_media_and_back() {
        let map = RegionMap::new(130);
        let regions = [0, 9, 63, 64, 129];
        for region in regions {
            map.insert(region);
        }
        assert_eq!(map.word(0), 1 | 1 << 9 | 1 << 63);
        assert_eq!([1, 2, 3].map(|index| map.word(index)), [1, 2, 0]);
        let back = RegionMap::new(130);
        (0..4).for_each(|index| back.set_word(index, map.word(index)));
        assert_eq!(back.iter().collect::<Vec<_>>(), regions);
        (0..4).for_each(|index| back.set_word(index, u64::MAX));
        assert_eq!(back.count(), 130);
    }
}
