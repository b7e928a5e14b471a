//! What the channels of bdevs share that have one and the same channel of a module: the module ran
//! out of memory for all of them, and finds some again when any of their requests ends.

use std::cell::Cell;
use std::ffi::{c_int, c_void};
use std::ptr::{self, NonNull};

use barespdk_sys::*;

use super::channel::Channel;
use super::io::{InQueue, Io};
use super::list::List;
use super::pool::Pool;
use super::submit;

/// So many requests have to end before those that lacked memory are tried again; half of them, where
/// there are fewer than twice as many.
const THRESHOLD: u64 = 8;

/// How often they are tried where none ends: none may be left, or all that are may wait for buffers
/// that those have which lack memory.
const RETRY_US: u64 = 10_000;

pub(super) struct Shared {
    pool: NonNull<Pool>,
    pub(super) pool_channel: *mut spdk_io_channel,
    /// The module's channel.
    pub(super) lower: *mut spdk_io_channel,
    pub(super) users: Cell<u32>,
    /// Requests that the module has.
    pub(super) outstanding: Cell<u64>,
    /// Requests that the module had no memory for, in the order in which they are to be submitted.
    pub(super) waiting: List<InQueue>,
    /// How many requests the module may have left before it is tried again.
    threshold: Cell<u64>,
    /// Whether requests are being taken out, so that none is to be submitted meanwhile.
    aborting: Cell<bool>,
    poller: Cell<*mut spdk_poller>,
}

impl Shared {
    pub(super) fn new(
        pool: NonNull<Pool>,
        pool_channel: *mut spdk_io_channel,
        lower: *mut spdk_io_channel,
    ) -> Self {
        Self {
            pool,
            pool_channel,
            lower,
            users: Cell::new(1),
            outstanding: Cell::new(0),
            waiting: List::new(),
            threshold: Cell::new(0),
            aborting: Cell::new(false),
            poller: Cell::new(ptr::null_mut()),
        }
    }

    #[inline]
    pub(super) fn pool(&self) -> &Pool {
        // SAFETY: kept by `pool_channel`.
        unsafe { self.pool.as_ref() }
    }

    /// Has a request wait that the module had no memory for: it goes first.
    #[cold]
    pub(super) fn wait(&self, io: Io) {
        let outstanding = self.outstanding.get();
        self.threshold
            .set((outstanding / 2).max(outstanding.saturating_sub(THRESHOLD)));
        self.waiting.push_front(io);
        if self.poller.get().is_null() {
            // SAFETY: on the thread of the channel; unregistered by `stop` at the latest.
            self.poller.set(unsafe {
                spdk_poller_register_named(
                    Some(poll),
                    ptr::from_ref(self).cast_mut().cast(),
                    RETRY_US,
                    c"bdev_no_mem_poller".as_ptr(),
                )
            });
        }
    }

    /// Has a request wait behind those that do.
    #[cold]
    pub(super) fn wait_behind(&self, io: Io) {
        self.waiting.push_back(io);
        if self.threshold.get() == 0 && self.outstanding.get() == 0 {
            self.retry();
        }
    }

    /// Submits what waits again, as far as the module takes it.
    #[cold]
    pub(super) fn retry(&self) {
        // Some modules cannot take a request while they complete one; and one that is large may
        // need what several small ones give back.
        if self.outstanding.get() <= self.threshold.get() {
            self.retry_now();
        }
    }

    fn retry_now(&self) {
        if self.aborting.get() {
            return;
        }
        while let Some(io) = self.waiting.pop_front() {
            submit::again(io);
            if self.waiting.first() == Some(io) {
                break;
            }
        }
    }

    /// Aborts what waits and is of this channel.
    pub(super) fn abort_all(&self, channel: &Channel) {
        self.aborting.set(true);
        submit::abort_queue(&self.waiting, channel);
        self.aborting.set(false);
    }

    pub(super) fn stop(&self) {
        let mut poller = self.poller.replace(ptr::null_mut());
        // SAFETY: this thread's, or NULL.
        unsafe { spdk_poller_unregister(&mut poller) };
    }
}

unsafe extern "C" fn poll(shared: *mut c_void) -> c_int {
    // SAFETY: registered by `wait`, and unregistered before the end.
    let shared = unsafe { &*shared.cast::<Shared>() };
    if shared.waiting.is_empty() {
        shared.stop();
        return SPDK_POLLER_IDLE as c_int;
    }
    shared.retry_now();
    SPDK_POLLER_BUSY as c_int
}
