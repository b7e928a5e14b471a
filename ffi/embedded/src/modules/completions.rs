use std::cell::RefCell;
use std::collections::VecDeque;
use std::ffi::c_int;
use std::mem;
use std::rc::Rc;

use barespdk_sys::{SPDK_BDEV_IO_STATUS_ABORTED, spdk_bdev_io, spdk_bdev_io_status};

use super::channel::{ChannelRef, IoDevice};
use super::io::Io;
use super::poller::{Poll, Poller};

/// Room for requests that one round of a thread completes, before the queue has to grow.
const BATCH_EXPECTED: usize = 128;

/// Requests that are done already, of the modules that need no time for them. They are completed in
/// the next round: never within the call that submitted them.
struct Queue {
    waiting: RefCell<VecDeque<(Io, spdk_bdev_io_status)>>,
    // The other half of the double buffer; empty except while it is drained.
    draining: RefCell<VecDeque<(Io, spdk_bdev_io_status)>>,
}

impl Poll for Queue {
    fn poll(&self) -> bool {
        // A completion callback that runs a nested round finds the queue being drained.
        let Ok(mut draining) = self.draining.try_borrow_mut() else {
            return false;
        };
        mem::swap(&mut *self.waiting.borrow_mut(), &mut *draining);
        let busy = !draining.is_empty();
        for (io, status) in draining.drain(..) {
            io.complete(status);
        }
        busy
    }
}

/// One thread's queue of completions.
pub(super) struct Completions {
    queue: Rc<Queue>,
    _poller: Poller<Queue>,
}

impl Completions {
    /// Completes a request in the next round.
    pub(super) fn push(&self, io: Io, status: spdk_bdev_io_status) {
        self.queue.waiting.borrow_mut().push_back((io, status));
    }

    /// Aborts a request that still waits for its completion; whether there is such a one.
    pub(super) fn abort(&self, io: *mut spdk_bdev_io) -> bool {
        let mut waiting = self.queue.waiting.borrow_mut();
        let Some(index) = waiting.iter().position(|(other, _)| other.as_ptr() == io) else {
            return false;
        };
        if let Some((io, _)) = waiting.remove(index) {
            drop(waiting);
            io.complete(SPDK_BDEV_IO_STATUS_ABORTED);
        }
        true
    }
}

/// The device whose channels are the completion queues of one module. Static.
pub(super) struct Completer {
    // Makes its address its own.
    _address: u8,
}

impl Completer {
    pub(super) const fn new() -> Self {
        Self { _address: 0 }
    }

    /// The current thread's queue.
    pub(super) fn channel(&'static self) -> Result<ChannelRef<Completions>, c_int> {
        ChannelRef::get(self).ok_or(-libc::ENOMEM)
    }
}

impl IoDevice for Completer {
    type Channel = Completions;

    fn open(&self) -> Result<Completions, c_int> {
        let queue = Rc::new(Queue {
            waiting: RefCell::new(VecDeque::with_capacity(BATCH_EXPECTED)),
            draining: RefCell::new(VecDeque::with_capacity(BATCH_EXPECTED)),
        });
        let poller = Poller::register(&queue, 0, c"completions").ok_or(-libc::ENOMEM)?;
        Ok(Completions {
            queue,
            _poller: poller,
        })
    }
}
