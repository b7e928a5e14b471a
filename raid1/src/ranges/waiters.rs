//! Tasks to be woken, by what they wait for.

use alloc::vec::Vec;
use core::array;
use core::task::Waker;

use barespdk::mutex::Mutex;

use super::line::Ticket;

/// What is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Whatever is released in the bucket of this index.
    Bucket(usize),
    /// That one in line leaves it.
    Line(Ticket),
}

#[derive(Debug)]
struct Waiter {
    /// Never used twice.
    number: u64,
    place: Place,
    waker: Waker,
}

#[derive(Debug, Default)]
pub(super) struct Waiters {
    /// By number.
    list: Vec<Waiter>,
    next_number: u64,
}

/// How many are taken out under one lock.
const BATCH: usize = 16;

/// Wakes all who wait at a place, under no lock, in the order in which they came.
pub(super) fn wake(waiters: &Mutex<Waiters>, place: Place) {
    // Who is woken may wait again before this ends: those have higher numbers.
    let end = waiters.lock().next_number;
    loop {
        let mut batch: [Option<Waker>; BATCH] = array::from_fn(|_| None);
        {
            let mut waiters = waiters.lock();
            let woken = waiters
                .list
                .extract_if(.., |waiter| waiter.number < end && waiter.place == place);
            for (slot, waiter) in batch.iter_mut().zip(woken) {
                *slot = Some(waiter.waker);
            }
        }
        let is_last = batch.iter().any(Option::is_none);
        batch.into_iter().flatten().for_each(Waker::wake);
        if is_last {
            return;
        }
    }
}

/// What a task leaves where it finds that it has to wait.
#[derive(Debug, Default)]
pub(super) enum Note {
    /// Nothing: it tries, and does not wait.
    #[default]
    Blank,
    /// This, when it has to.
    Ready(Waker),
    /// Left, under this number.
    Left(u64),
}

impl Note {
    pub(super) fn of(waker: &Waker) -> Self {
        Self::Ready(waker.clone())
    }

    /// Leaves the note, if it has a waker. Returns whether it does.
    pub(super) fn leave(&mut self, waiters: &Mutex<Waiters>, place: Place) -> bool {
        let Self::Ready(waker) = core::mem::take(self) else {
            return false;
        };
        let mut waiters = waiters.lock();
        let number = waiters.next_number;
        waiters.next_number += 1;
        waiters.list.push(Waiter {
            number,
            place,
            waker,
        });
        *self = Self::Left(number);
        true
    }

    /// Takes the note back, if it lies there still.
    pub(super) fn take_back(&mut self, waiters: &Mutex<Waiters>) {
        let Self::Left(number) = core::mem::take(self) else {
            return;
        };
        // Not dropped under the lock: a waker may do anything.
        let taken = {
            let list = &mut waiters.lock().list;
            let index = list.binary_search_by_key(&number, |waiter| waiter.number);
            index.ok().map(|index| list.remove(index))
        };
        drop(taken);
    }
}

#[cfg(test)]
impl Waiters {
    pub(super) fn len(&self) -> usize {
        self.list.len()
    }
}
