//! Ranges that are wide, and those that wait, by order of arrival.

use alloc::vec::Vec;
use core::sync::atomic::{AtomicUsize, Ordering};

use barespdk::mutex::Mutex;

use super::Range;

/// How many there is room for from the start.
const ROOM: usize = 64;

/// The place of one in line: lower ones came before. Never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Ticket(u64);

#[derive(Debug)]
struct Entry {
    ticket: Ticket,
    range: Range,
    /// When it leaves, those who wait for it are to be woken.
    is_awaited: bool,
}

#[derive(Debug)]
struct Entries {
    /// In no order.
    list: Vec<Entry>,
    next_ticket: u64,
}

/// Those in line: all that wait, and of those that hold their range all that are wide.
#[derive(Debug)]
pub(super) struct Line {
    entries: Mutex<Entries>,
    /// How many there are. Changed under the lock.
    len: AtomicUsize,
}

impl Line {
    pub(super) fn new() -> Self {
        Self {
            entries: Mutex::new(Entries {
                list: Vec::with_capacity(ROOM),
                next_ticket: 0,
            }),
            len: AtomicUsize::new(0),
        }
    }

    /// Whether one in line overlaps. To be called under the lock of the bucket into which the caller is
    /// about to put the range: who joins the line, and then looks into that bucket, is seen here, or
    /// sees what is put there.
    #[inline]
    pub(super) fn overlaps(&self, range: Range) -> bool {
        // Nobody is overlooked by the bucket's lock alone: see above. Acquire: who held a range, and is
        // gone, has left the count with Release, and its writes are to be seen.
        self.len.load(Ordering::Acquire) != 0 && self.find(range)
    }

    /// Whether one in line overlaps, by the line's lock.
    pub(super) fn find(&self, range: Range) -> bool {
        let entries = self.entries.lock();
        entries.list.iter().any(|entry| entry.range.overlaps(range))
    }

    pub(super) fn for_each(&self, see: &mut impl FnMut(Range)) {
        self.entries
            .lock()
            .list
            .iter()
            .for_each(|entry| see(entry.range));
    }

    /// Joins, behind all others.
    pub(super) fn join(&self, range: Range) -> Ticket {
        self.push(&mut self.entries.lock(), range)
    }

    /// Joins where nobody in line overlaps, and there is room.
    pub(super) fn try_join(&self, range: Range) -> Option<Ticket> {
        let mut entries = self.entries.lock();
        let list = &entries.list;
        let is_free =
            list.len() < list.capacity() && !list.iter().any(|entry| entry.range.overlaps(range));
        is_free.then(|| self.push(&mut entries, range))
    }

    fn push(&self, entries: &mut Entries, range: Range) -> Ticket {
        let ticket = Ticket(entries.next_ticket);
        entries.next_ticket += 1;
        entries.list.push(Entry {
            ticket,
            range,
            is_awaited: false,
        });
        self.len.store(entries.list.len(), Ordering::Release);
        ticket
    }

    /// Whether nobody before overlaps. Else calls `note`, under the lock, with the last of those: they get
    /// their turns one after the other, and so each wakes one.
    pub(super) fn is_first(
        &self,
        range: Range,
        ticket: Ticket,
        note: impl FnOnce(Ticket) -> bool,
    ) -> bool {
        let mut entries = self.entries.lock();
        let before = entries
            .list
            .iter_mut()
            .filter(|entry| entry.ticket < ticket && entry.range.overlaps(range))
            .max_by_key(|entry| entry.ticket);
        let Some(before) = before else { return true };
        if note(before.ticket) {
            before.is_awaited = true;
        }
        false
    }

    /// The first of those with this very range.
    pub(super) fn first_of(&self, range: Range) -> Option<Ticket> {
        let entries = self.entries.lock();
        let equal = entries.list.iter().filter(|entry| entry.range == range);
        equal.map(|entry| entry.ticket).min()
    }

    /// Leaves the line. Returns whether somebody waits for it.
    pub(super) fn leave(&self, ticket: Ticket) -> bool {
        let mut entries = self.entries.lock();
        let list = &mut entries.list;
        let Some(index) = list.iter().position(|entry| entry.ticket == ticket) else {
            return false;
        };
        let left = list.swap_remove(index);
        self.len.store(list.len(), Ordering::Release);
        left.is_awaited
    }
}
