//! The block ranges that are being written, shared by all threads of one mirror.
//!
//! A write holds its range from before the first leg gets it until the last one has ended it, and a copy
//! from leg to leg from before it reads until it has written. Who overlaps waits. So legs see overlapping
//! writes in one order, and no copy undoes a newer write.
//!
//! ```text
//!   try_hold ── within one chunk, nothing overlaps ──► a bucket, found by the chunk's number
//!       │ no, or wide
//!       ▼
//!     hold ──► the line: whoever waits, and whoever is wide, by order of arrival
//! ```
//!
//! - In a *bucket* stand only ranges that are held. Nobody waits there, so nothing there waits for others.
//! - In the *line* each waits for those before it that overlap, then for those in buckets that overlap; of
//!   these no more come, as newcomers look at the line and go behind. So there is no cycle, and nobody
//!   starves: a window of a copy gets its turn under any number of small writes.
//!
//! Locks are taken in the order bucket, line, waiters, and none while a task is woken.
//!
//! **Nobody overlooks the other.** A newcomer to a bucket looks at the line under the bucket's lock. One
//! in the line stands there before it locks the bucket. Whose turn at that lock is the second sees the first.
//!
//! **No wake is lost.** Who finds what it has to wait for notes its waker under the lock under which it
//! found it. The range is released under that lock, too: either before, and then it is not found, or
//! after, and then the note is.
//!
//! A task that waits for a range while it holds another may wait for ever: one at a time.

mod bucket;
mod line;
mod waiters;

#[cfg(test)]
mod tests;

use alloc::boxed::Box;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll};

use barespdk::mutex::Mutex;

use self::bucket::{Bucket, Found, NarrowRange};
use self::line::{Line, Ticket};
use self::waiters::{Note, Place, Waiters};

/// How many bytes a chunk has at most. Small writes rarely cross a border of chunks; and there are many.
const CHUNK_BYTES: u32 = 32 * 1024;

/// A power of two.
const BUCKETS: usize = 128;

/// The ranges that are held. See the [module](self).
#[derive(Debug)]
pub(crate) struct Ranges {
    /// Of blocks to a chunk.
    chunk_shift: u32,
    buckets: Box<[Bucket]>,
    line: Line,
    waiters: Mutex<Waiters>,
}

/// Blocks from `start` up to, and without, `end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Range {
    start: u64,
    end: u64,
}

impl Range {
    fn new(start: u64, len: u64) -> Self {
        Self {
            start,
            end: start.saturating_add(len),
        }
    }

    fn is_empty(self) -> bool {
        self.start >= self.end
    }

    fn overlaps(self, other: Self) -> bool {
        self.start < other.end && other.start < self.end
    }
}

impl Ranges {
    /// No range is held. `block_size` is in bytes.
    pub(crate) fn new(block_size: u32) -> Self {
        let chunk_blocks = (CHUNK_BYTES / block_size.max(1)).clamp(1, NarrowRange::CHUNK_BLOCKS);
        Self {
            chunk_shift: chunk_blocks.ilog2(),
            buckets: (0..BUCKETS).map(|_| Bucket::default()).collect(),
            line: Line::new(),
            waiters: Mutex::new(Waiters::default()),
        }
    }

    /// Holds a range, unless that would mean to wait, or to allocate memory. What is held is to be
    /// [released](Ranges::release).
    #[inline]
    pub(crate) fn try_hold(&self, start_blocks: u64, num_blocks: u64) -> bool {
        let range = Range::new(start_blocks, num_blocks);
        match NarrowRange::of(range, self.chunk_shift) {
            Some(narrow) => self.try_hold_narrow(range, narrow),
            None => self.try_hold_wide(range),
        }
    }

    #[inline]
    fn try_hold_narrow(&self, range: Range, narrow: NarrowRange) -> bool {
        let mut held = self.bucket(narrow.chunk()).lock();
        !held.overlaps(narrow) && !self.line.overlaps(range) && held.insert(narrow)
    }

    fn try_hold_wide(&self, range: Range) -> bool {
        if range.is_empty() {
            return true;
        }
        let Some(ticket) = self.line.try_join(range) else {
            return false;
        };
        let mut turn = Turn::new(ticket);
        let held = self.is_turn_of(range, &mut turn, &mut Note::default());
        if !held {
            self.leave_line(ticket);
        }
        held
    }

    /// Waits for what overlaps, and for that alone, and holds the range. Those who come later wait for
    /// this one. Dropped before its end it leaves nothing behind.
    pub(crate) fn hold(&self, start_blocks: u64, num_blocks: u64) -> Hold<'_> {
        Hold {
            ranges: self,
            start_blocks,
            num_blocks,
            step: Step::Outside,
            note: Note::default(),
        }
    }

    /// A guard for a range that [`Ranges::try_hold`] holds.
    pub(crate) fn adopt(&self, start_blocks: u64, num_blocks: u64) -> Held<'_> {
        Held {
            ranges: self,
            start_blocks,
            num_blocks,
        }
    }

    /// Releases a range that is held, and wakes who waits for it.
    #[inline]
    pub(crate) fn release(&self, start_blocks: u64, num_blocks: u64) {
        let range = Range::new(start_blocks, num_blocks);
        if let Some(narrow) = NarrowRange::of(range, self.chunk_shift) {
            let index = index_of(narrow.chunk());
            // The lock is free again behind this statement.
            let found = self.buckets[index].lock().remove(narrow);
            match found {
                Found::Unnoticed => return,
                Found::Awaited => return self.wake(Place::Bucket(index)),
                Found::Not => {}
            }
        }
        self.release_in_line(range);
    }

    #[cold]
    fn release_in_line(&self, range: Range) {
        if range.is_empty() {
            return;
        }
        // Of equal ranges it is the first in line that is held.
        let ticket = self.line.first_of(range);
        debug_assert!(ticket.is_some(), "released, but not held: {range:?}");
        if let Some(ticket) = ticket {
            self.leave_line(ticket);
        }
    }

    /// Whether a range that is held, or waited for, overlaps this one: as [`Ranges::for_each`] would see it.
    #[cfg(test)]
    fn is_busy(&self, start_blocks: u64, num_blocks: u64) -> bool {
        let range = Range::new(start_blocks, num_blocks);
        if range.is_empty() {
            return false;
        }
        self.line.find(range)
            || (0..)
                .map_while(|step| self.bucket_of(range, step))
                .any(|index| {
                    let held = self.buckets[index].lock();
                    held.overlap_range(range, self.chunk_shift)
                })
    }

    /// Calls `see` with start and length of each range that is held, or waited for.
    ///
    /// As locks order it: what the caller has stored before is seen by everyone who holds a range from now
    /// on that was not seen here. `see` is called under a lock, and must not use these ranges.
    pub(crate) fn for_each(&self, mut see: impl FnMut(u64, u64)) {
        let mut see = |range: Range| see(range.start, range.end - range.start);
        self.line.for_each(&mut see);
        for bucket in &self.buckets {
            bucket.lock().for_each(self.chunk_shift, &mut see);
        }
    }

    fn bucket(&self, chunk: u64) -> &Bucket {
        &self.buckets[index_of(chunk)]
    }

    /// The index of the bucket to look into at step `step` for what overlaps a range: those of its
    /// chunks, or all where it has more chunks than there are buckets.
    fn bucket_of(&self, range: Range, step: usize) -> Option<usize> {
        let first = range.start >> self.chunk_shift;
        let last = (range.end - 1) >> self.chunk_shift;
        let num_chunks = last - first + 1;
        if num_chunks >= BUCKETS as u64 {
            return (step < BUCKETS).then_some(step);
        }
        let step = step as u64;
        (step < num_chunks).then(|| index_of(first + step))
    }

    /// Whether nothing is left of what one in line has to wait for. Looks on where it stopped the last
    /// time; where there is something left, that is noted.
    fn is_turn_of(&self, range: Range, turn: &mut Turn, note: &mut Note) -> bool {
        if !turn.is_first {
            turn.is_first = self.line.is_first(range, turn.ticket, |before| {
                note.leave(&self.waiters, Place::Line(before))
            });
        }
        if !turn.is_first {
            return false;
        }
        while let Some(index) = self.bucket_of(range, turn.buckets_done) {
            let mut held = self.buckets[index].lock();
            if held.overlap_range(range, self.chunk_shift) {
                if note.leave(&self.waiters, Place::Bucket(index)) {
                    held.is_awaited = true;
                }
                return false;
            }
            turn.buckets_done += 1;
        }
        true
    }

    fn leave_line(&self, ticket: Ticket) {
        if self.line.leave(ticket) {
            self.wake(Place::Line(ticket));
        }
    }

    #[cold]
    fn wake(&self, place: Place) {
        waiters::wake(&self.waiters, place);
    }
}

/// The bucket of a chunk. Neighbours, and chunks at equal distances, spread.
fn index_of(chunk: u64) -> usize {
    let spread = chunk.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (spread >> (u64::BITS - BUCKETS.ilog2())) as usize % BUCKETS
}

/// How far one in line has come.
#[derive(Debug)]
struct Turn {
    ticket: Ticket,
    /// Nobody before it overlaps any more.
    is_first: bool,
    /// In how many buckets nothing overlaps any more.
    buckets_done: usize,
}

impl Turn {
    fn new(ticket: Ticket) -> Self {
        Self {
            ticket,
            is_first: false,
            buckets_done: 0,
        }
    }
}

/// Ends when the range is held. See [`Ranges::hold`].
#[must_use = "a future does nothing unless it is awaited"]
#[derive(Debug)]
pub(crate) struct Hold<'a> {
    ranges: &'a Ranges,
    start_blocks: u64,
    num_blocks: u64,
    step: Step,
    note: Note,
}

#[derive(Debug)]
enum Step {
    Outside,
    InLine(Turn),
    /// The range is held by the guard that was given out.
    Over,
}

impl<'a> Future for Hold<'a> {
    type Output = Held<'a>;

    /// Polled after its end, it waits for ever.
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Held<'a>> {
        let this = &mut *self;
        this.note.take_back(&this.ranges.waiters);
        // A waker is cloned, which may run anything, under no lock, and where somebody overlaps only.
        if !this.is_held() {
            this.note = Note::of(cx.waker());
            if !this.is_held() {
                return Poll::Pending;
            }
        }
        this.note = Note::default();
        this.step = Step::Over;
        Poll::Ready(this.ranges.adopt(this.start_blocks, this.num_blocks))
    }
}

impl Hold<'_> {
    fn is_held(&mut self) -> bool {
        let range = Range::new(self.start_blocks, self.num_blocks);
        if let Step::Outside = self.step {
            if range.is_empty() {
                return true;
            }
            let narrow = NarrowRange::of(range, self.ranges.chunk_shift);
            if narrow.is_some_and(|narrow| self.ranges.try_hold_narrow(range, narrow)) {
                return true;
            }
            self.step = Step::InLine(Turn::new(self.ranges.line.join(range)));
        }
        match &mut self.step {
            Step::InLine(turn) => self.ranges.is_turn_of(range, turn, &mut self.note),
            Step::Outside | Step::Over => false,
        }
    }
}

impl Drop for Hold<'_> {
    fn drop(&mut self) {
        self.note.take_back(&self.ranges.waiters);
        if let Step::InLine(turn) = &self.step {
            self.ranges.leave_line(turn.ticket);
        }
    }
}

/// A range that is held, until this is dropped.
#[must_use = "the range is released at once"]
#[derive(Debug)]
pub(crate) struct Held<'a> {
    ranges: &'a Ranges,
    start_blocks: u64,
    num_blocks: u64,
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.ranges.release(self.start_blocks, self.num_blocks);
    }
}
