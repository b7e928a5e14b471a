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

/// The timers of one thread. A few dozen at most, so a sorted list beats a heap: what a tick pays is
/// one comparison with the earliest deadline.
///
/// Wakers are foreign code, which may come back to these timers from a clone, a wake or a drop: the
/// list is never borrowed while one of the three runs.
pub(crate) struct Timers {
    /// Those due last come first; among equals, those inserted last.
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

    /// Whether no timer will ever be due. One for `u64::MAX` never is.
    pub(crate) fn is_empty(&self) -> bool {
        self.earliest_ticks.get() == u64::MAX
    }

    /// When the first timer is due; `u64::MAX`: never.
    pub(crate) fn earliest_ticks(&self) -> u64 {
        self.earliest_ticks.get()
    }

    /// Wakes `waker` once the clock is at `deadline_ticks`.
    pub(crate) fn insert(&self, deadline_ticks: u64, waker: Waker) -> Result<TimerId, TimersFull> {
        let id = TimerId(self.next_id.get());
        let timer = Timer {
            id,
            deadline_ticks,
            waker,
        };
        let refused = {
            let mut list = self.list.borrow_mut();
            let index = list.partition_point(|other| other.deadline_ticks > deadline_ticks);
            let refused = list.insert(index, timer);
            self.note_earliest(&list);
            refused
        };
        match refused {
            Ok(()) => {
                self.next_id.set(id.0.wrapping_add(1));
                Ok(id)
            }
            Err(_) => Err(TimersFull),
        }
    }

    /// Makes a timer wake another waker. No effect where it has fired.
    pub(crate) fn set_waker(&self, id: TimerId, waker: &Waker) {
        let differs = |timer: &Timer| timer.id == id && !timer.waker.will_wake(waker);
        if !self.list.borrow().iter().any(differs) {
            return;
        }
        let mut waker = waker.clone();
        // Looked up again: the clone may have moved the timer, or taken it out.
        let mut list = self.list.borrow_mut();
        if let Some(timer) = list.iter_mut().find(|timer| timer.id == id) {
            core::mem::swap(&mut timer.waker, &mut waker);
        }
        drop(list);
        drop(waker);
    }

    /// Takes a timer out. No effect where it has fired.
    pub(crate) fn remove(&self, id: TimerId) {
        let removed = {
            let mut list = self.list.borrow_mut();
            let removed = list
                .iter()
                .position(|timer| timer.id == id)
                .map(|index| list.remove(index));
            self.note_earliest(&list);
            removed
        };
        drop(removed);
    }

    /// Wakes those whose deadline has come, the earliest first.
    pub(crate) fn expire(&self, now_ticks: u64) {
        // A waker may insert timers that are due at once: those beyond the count wait for the next
        // tick, so that this ends.
        for _ in 0..TIMERS {
            if self.earliest_ticks.get() > now_ticks {
                return;
            }
            let due = {
                let mut list = self.list.borrow_mut();
                let due = list.pop();
                self.note_earliest(&list);
                due
            };
            match due {
                Some(timer) => timer.waker.wake(),
                None => return,
            }
        }
    }

    fn note_earliest(&self, list: &[Timer]) {
        let earliest = list.last().map(|timer| timer.deadline_ticks);
        self.earliest_ticks.set(earliest.unwrap_or(u64::MAX));
    }
}
