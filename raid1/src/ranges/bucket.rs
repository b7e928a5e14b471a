//! Ranges within one chunk that are held, by chunk.

use barespdk::mutex::{Mutex, MutexGuard};

use super::Range;

/// A range within one chunk: the chunk's number, and the first and last of its blocks, in one word.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct NarrowRange(u64);

const CHUNK_BITS: u32 = 48;
const BLOCK_BITS: u32 = 8;

const _: () = assert!(CHUNK_BITS + 2 * BLOCK_BITS == u64::BITS);

impl NarrowRange {
    /// How many blocks a chunk can have.
    pub(super) const CHUNK_BLOCKS: u32 = 1 << BLOCK_BITS;

    /// The range, where it is one within one chunk.
    #[inline]
    pub(super) fn of(range: Range, chunk_shift: u32) -> Option<Self> {
        if range.is_empty() {
            return None;
        }
        let last = range.end - 1;
        let chunk = range.start >> chunk_shift;
        if last >> chunk_shift != chunk || chunk >> CHUNK_BITS != 0 {
            return None;
        }
        let mask = (1 << chunk_shift) - 1;
        let blocks = (range.start & mask) << BLOCK_BITS | last & mask;
        Some(Self(chunk << (2 * BLOCK_BITS) | blocks))
    }

    #[inline]
    pub(super) fn chunk(self) -> u64 {
        self.0 >> (2 * BLOCK_BITS)
    }

    #[inline]
    fn first(self) -> u64 {
        self.0 >> BLOCK_BITS & 0xff
    }

    #[inline]
    fn last(self) -> u64 {
        self.0 & 0xff
    }

    #[inline]
    fn overlaps(self, other: Self) -> bool {
        self.chunk() == other.chunk()
            && self.first() <= other.last()
            && other.first() <= self.last()
    }

    fn range(self, chunk_shift: u32) -> Range {
        let start = self.chunk() << chunk_shift;
        Range {
            start: start + self.first(),
            end: start + self.last() + 1,
        }
    }
}

/// How many ranges a bucket can have. One more takes the way of wide ones.
pub(super) const BUCKET_RANGES: usize = 14;

/// The ranges of some chunks, in two cache lines of their own.
#[derive(Debug, Default)]
#[repr(align(64))]
pub(super) struct Bucket(Mutex<Ranges>);

const _: () = assert!(size_of::<Bucket>() == 128);

/// What a locked bucket holds.
#[derive(Debug, Default)]
pub(super) struct Ranges {
    /// Who releases a range here has to wake those who wait for it.
    pub(super) is_awaited: bool,
    len: u8,
    ranges: [NarrowRange; BUCKET_RANGES],
}

/// What was there to be removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    Not,
    /// The range, for which nobody waits.
    Unnoticed,
    /// The range, for which somebody may wait: all those are to be woken.
    Awaited,
}

impl Bucket {
    #[inline]
    pub(super) fn lock(&self) -> MutexGuard<'_, Ranges> {
        self.0.lock()
    }
}

impl Ranges {
    #[inline]
    fn held(&self) -> &[NarrowRange] {
        self.ranges.get(..self.len.into()).unwrap_or_default()
    }

    #[inline]
    pub(super) fn overlaps(&self, range: NarrowRange) -> bool {
        self.held().iter().any(|held| held.overlaps(range))
    }

    pub(super) fn overlap_range(&self, range: Range, chunk_shift: u32) -> bool {
        self.held()
            .iter()
            .any(|held| held.range(chunk_shift).overlaps(range))
    }

    pub(super) fn for_each(&self, chunk_shift: u32, see: &mut impl FnMut(Range)) {
        self.held()
            .iter()
            .for_each(|held| see(held.range(chunk_shift)));
    }

    /// Returns whether there was room.
    #[inline]
    pub(super) fn insert(&mut self, range: NarrowRange) -> bool {
        let Some(place) = self.ranges.get_mut(usize::from(self.len)) else {
            return false;
        };
        *place = range;
        self.len += 1;
        true
    }

    #[inline]
    pub(super) fn remove(&mut self, range: NarrowRange) -> Found {
        let Some(index) = self.held().iter().position(|held| *held == range) else {
            return Found::Not;
        };
        self.len -= 1;
        self.ranges.swap(index, self.len.into());
        if core::mem::take(&mut self.is_awaited) {
            Found::Awaited
        } else {
            Found::Unnoticed
        }
    }
}
