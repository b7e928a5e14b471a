//! Lists of requests, linked through the requests themselves.

use std::cell::Cell;
use std::marker::PhantomData;

use super::io::Io;

/// The place of a request in a list.
#[repr(C)]
pub(super) struct Links {
    next: Option<Io>,
    previous: Option<Io>,
}

impl Links {
    pub(super) const NONE: Self = Self {
        next: None,
        previous: None,
    };
}

/// Which of its links a request is in a list by: it has one for the lists of its channel and one
/// for queues.
pub(super) trait Link {
    /// The links, which belong to the list that the request is in.
    fn of(io: Io) -> *mut Links;
}

/// A list of requests, first in, first out. All of them, and the list, are of one thread.
pub(super) struct List<L> {
    first: Cell<Option<Io>>,
    last: Cell<Option<Io>>,
    _link: PhantomData<fn() -> L>,
}

impl<L: Link> List<L> {
    pub(super) const fn new() -> Self {
        Self {
            first: Cell::new(None),
            last: Cell::new(None),
            _link: PhantomData,
        }
    }

    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.first.get().is_none()
    }

    #[inline]
    pub(super) fn first(&self) -> Option<Io> {
        self.first.get()
    }

    /// The request behind `io`, which is in this list.
    #[inline]
    pub(super) fn after(&self, io: Io) -> Option<Io> {
        // SAFETY: the request is alive, and its links belong to this list, of this thread.
        unsafe { (*L::of(io)).next }
    }

    #[inline]
    pub(super) fn push_back(&self, io: Io) {
        let last = self.last.replace(Some(io));
        // SAFETY: the request is alive and in no list by this link, so the links are ours.
        unsafe {
            L::of(io).write(Links {
                next: None,
                previous: last,
            });
        }
        match last {
            // SAFETY: in this list, so alive.
            Some(last) => unsafe { (*L::of(last)).next = Some(io) },
            None => self.first.set(Some(io)),
        }
    }

    pub(super) fn push_front(&self, io: Io) {
        let first = self.first.replace(Some(io));
        // SAFETY: as in `push_back`.
        unsafe {
            L::of(io).write(Links {
                next: first,
                previous: None,
            });
        }
        match first {
            // SAFETY: in this list, so alive.
            Some(first) => unsafe { (*L::of(first)).previous = Some(io) },
            None => self.last.set(Some(io)),
        }
    }

    /// Takes a request out that is in this list.
    #[inline]
    pub(super) fn remove(&self, io: Io) {
        // SAFETY: it and its neighbours are in this list, so alive, and their links are the list's.
        unsafe {
            let Links { next, previous } = L::of(io).replace(Links::NONE);
            match previous {
                Some(previous) => (*L::of(previous)).next = next,
                None => self.first.set(next),
            }
            match next {
                Some(next) => (*L::of(next)).previous = previous,
                None => self.last.set(previous),
            }
        }
    }

    pub(super) fn pop_front(&self) -> Option<Io> {
        let first = self.first.get()?;
        self.remove(first);
        Some(first)
    }

    pub(super) fn contains(&self, io: Io) -> bool {
        self.iter().any(|other| other == io)
    }

    /// All requests, in their order. The one that was given out last may be taken out of the list;
    /// others may not while this goes on.
    pub(super) fn iter(&self) -> Iter<'_, L> {
        Iter {
            next: self.first.get(),
            list: self,
        }
    }

    /// Takes out all requests.
    pub(super) fn take(&self) -> List<L> {
        List {
            first: Cell::new(self.first.take()),
            last: Cell::new(self.last.take()),
            _link: PhantomData,
        }
    }
}

pub(super) struct Iter<'a, L> {
    next: Option<Io>,
    list: &'a List<L>,
}

impl<L: Link> Iterator for Iter<'_, L> {
    type Item = Io;

    fn next(&mut self) -> Option<Io> {
        let io = self.next?;
        self.next = self.list.after(io);
        Some(io)
    }
}
