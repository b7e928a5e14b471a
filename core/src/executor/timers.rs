//! Timers: wakers with a deadline, as many as fit.

use core::cell::{Cell, RefCell};
use core::fmt;
use core::task::Waker;

/// How many timers a thread can have at one time.
pub(crate) const TIMERS: usize = 128;

/// All timers of this thread are in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimersFull;

impl fmt::Display for TimersFull {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "all {TIMERS} timers of this thread are in use")
    }
}

impl core::error::Error for TimersFull {}

/// Names one timer of one thread. Never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TimerId(u64);

struct Timer {
    id: TimerId,
    deadline_ticks: u64,
    waker: Waker,
}

/// The timers of one thread. A few dozen at most, so a list in no order beats a heap: what a tick
/// pays is one comparison with the earliest deadline.
pub(crate) struct Timers {
    list: RefCell<heapless::Vec<Timer, TIMERS>>,
    earliest_ticks: Cell<u64>,
    next_id: Cell<u64>,
}

impl Timers {
    pub(crate) fn new() -> Self {
        Self {
            list: RefCell::new(heapless::Vec::new()),
            earliest_ticks: Cell::new(u64::MAX),
            next_id: Cell::new(0),
        }
    }

    /// Whether there is a timer due at any time.
    pub(crate) fn is_empty(&self) -> bool {
        self.earliest_ticks.get() == u64::MAX
    }

    /// Wakes `waker` once the clock is at `deadline_ticks`.
    pub(crate) fn insert(&self, deadline_ticks: u64, waker: Waker) -> Result<TimerId, TimersFull> {
        let id = TimerId(self.next_id.get());
        let timer = Timer {
            id,
            deadline_ticks,
            waker,
        };
        self.list.borrow_mut().push(timer).map_err(|_| TimersFull)?;
        self.next_id.set(id.0.wrapping_add(1));
        self.earliest_ticks
            .set(self.earliest_ticks.get().min(deadline_ticks));
        Ok(id)
    }

    /// Makes a timer wake another waker. No effect where it has fired.
    pub(crate) fn set_waker(&self, id: TimerId, waker: &Waker) {
        let old = {
            let mut list = self.list.borrow_mut();
            let Some(timer) = list.iter_mut().find(|timer| timer.id == id) else {
                return;
            };
            if timer.waker.will_wake(waker) {
                return;
            }
            core::mem::replace(&mut timer.waker, waker.clone())
        };
        // A waker's drop is foreign code: the list is not borrowed any more.
        drop(old);
    }

    /// Takes a timer out. No effect where it has fired.
    pub(crate) fn remove(&self, id: TimerId) {
        let removed = {
            let mut list = self.list.borrow_mut();
            let removed = list
                .iter()
                .position(|timer| timer.id == id)
                .map(|index| list.swap_remove(index));
            self.note_earliest(&list);
            removed
        };
        drop(removed);
    }

    /// Wakes all whose deadline has come.
    pub(crate) fn expire(&self, now_ticks: u64) {
        while self.earliest_ticks.get() <= now_ticks {
            let due = {
                let mut list = self.list.borrow_mut();
                let due = list
                    .iter()
                    .position(|timer| timer.deadline_ticks <= now_ticks)
                    .map(|index| list.swap_remove(index));
                self.note_earliest(&list);
                due
            };
            // A waker is foreign code and may insert timers: the list is not borrowed any more.
            match due {
                Some(timer) => timer.waker.wake(),
                None => return,
            }
        }
    }

    fn note_earliest(&self, list: &[Timer]) {
        let earliest = list.iter().map(|timer| timer.deadline_ticks).min();
        self.earliest_ticks.set(earliest.unwrap_or(u64::MAX));
    }
}
