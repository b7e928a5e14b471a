use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

use barespdk_sys::{
    SPDK_BDEV_IO_STATUS_ABORTED, SPDK_BDEV_IO_STATUS_FAILED, spdk_bdev_io, spdk_get_ticks,
};

use super::super::io::{Io, Outcome};
use super::super::poller::{Poll, Poller};
use super::{KINDS, Kind, ticks_mhz};

/// A request that is done but for the time it takes.
struct Delayed {
    io: Io,
    outcome: Outcome,
    /// In ticks.
    due: u64,
}

/// One thread's requests that wait for their time, and the timer of the first of them.
pub(super) struct Waiting(Rc<Queues>);

struct Queues {
    /// One of each kind, first come, first served: after a latency was lowered, new requests stay
    /// behind those of before.
    queues: RefCell<[VecDeque<Delayed>; KINDS]>,
    timer: RefCell<Option<Poller<Queues>>>,
    /// When the timer fires, in ticks.
    timer_due: Cell<u64>,
}

impl Waiting {
    pub(super) fn new() -> Self {
        Self(Rc::new(Queues {
            queues: RefCell::default(),
            timer: RefCell::new(None),
            timer_due: Cell::new(u64::MAX),
        }))
    }

    /// Completes a request when it is due.
    pub(super) fn push(&self, kind: Kind, io: Io, outcome: Outcome, now: u64, due: u64) {
        let delayed = Delayed { io, outcome, due };
        self.0.queues.borrow_mut()[kind as usize].push_back(delayed);
        if due < self.0.timer_due.get() {
            self.0.set_timer(now, due);
        }
    }

    /// Aborts a request if it waits here; whether it did.
    pub(super) fn abort(&self, io: *mut spdk_bdev_io) -> bool {
        let found = self.0.queues.borrow_mut().iter_mut().find_map(|queue| {
            let index = queue.iter().position(|delayed| delayed.io.as_ptr() == io)?;
            queue.remove(index)
        });
        let aborted = found.is_some();
        if let Some(delayed) = found {
            delayed.io.complete(SPDK_BDEV_IO_STATUS_ABORTED);
        }
        aborted
    }

    /// Aborts all requests that wait here.
    pub(super) fn abort_all(&self) {
        let queues = self.0.queues.take();
        self.0.clear_timer();
        for delayed in queues.into_iter().flatten() {
            delayed.io.complete(SPDK_BDEV_IO_STATUS_ABORTED);
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        // The timer holds the queues.
        self.0.clear_timer();
    }
}

impl Queues {
    fn set_timer(self: &Rc<Self>, now: u64, due: u64) {
        let period_us = due.saturating_sub(now).div_ceil(ticks_mhz());
        let timer = Poller::register(self, period_us, c"delay");
        if timer.is_none() {
            // The thread ends, or there is no memory: nothing would ever complete them.
            for delayed in self.queues.take().into_iter().flatten() {
                delayed.io.complete(SPDK_BDEV_IO_STATUS_FAILED);
            }
            return;
        }
        self.timer_due.set(due);
        let replaced = self.timer.replace(timer);
        drop(replaced);
    }

    fn clear_timer(&self) {
        self.timer_due.set(u64::MAX);
        let timer = self.timer.take();
        drop(timer);
    }

    fn pop_due(&self, now: u64) -> Option<Delayed> {
        self.queues
            .borrow_mut()
            .iter_mut()
            .find(|queue| queue.front().is_some_and(|delayed| delayed.due <= now))?
            .pop_front()
    }
}

impl Poll for Queues {
    fn poll(&self) -> bool {
        // SAFETY: no preconditions once the environment is initialised.
        let now = unsafe { spdk_get_ticks() };
        let mut busy = false;
        while let Some(delayed) = self.pop_due(now) {
            delayed.io.complete_as(delayed.outcome);
            busy = true;
        }
        let first = self
            .queues
            .borrow()
            .iter()
            .filter_map(|queue| Some(queue.front()?.due))
            .min();
        let timer = self.timer.borrow().as_ref().map(Poller::target);
        match (first, timer) {
            (Some(due), Some(this)) => this.set_timer(now, due),
            _ => self.clear_timer(),
        }
        busy
    }
}
