//! Rate limits: of requests a second, of bytes a second. All channels of a bdev draw on one budget,
//! which a timer fills up. What it does not cover waits in its channel.

use std::ffi::{c_int, c_void};
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicPtr, AtomicU64, Ordering};

use barespdk_sys::*;

use super::channel::{self, Channel, flag};
use super::device::Bdev;
use super::io::Io;
use super::submit;

/// How often the budget is filled up.
const SLICE_US: u64 = 1000;
const SLICES_A_SECOND: u64 = 1_000_000 / SLICE_US;
/// What limits are multiples of.
const IOS_UNIT: u64 = 1000;
const BYTES_UNIT: u64 = 1 << 20;

/// The limits by their places, as RPCs name them.
pub(super) const NAMES: [&str; 4] = [
    "rw_ios_per_sec",
    "rw_mbytes_per_sec",
    "r_mbytes_per_sec",
    "w_mbytes_per_sec",
];
/// The place of the limit of requests.
const IOS: usize = 0;
const BYTES_READ: usize = 2;
const BYTES_WRITTEN: usize = 3;

/// A limit and what is left of it.
struct Limit {
    /// Requests or bytes a second; 0 for no limit.
    a_second: AtomicU64,
    /// May run below 0, by one request: it is then missing from the next slice.
    left: AtomicI64,
}

/// The limits of a bdev.
pub(super) struct Throttle {
    on: AtomicBool,
    limits: [Limit; 4],
    last_slice_ticks: AtomicU64,
    poller: AtomicPtr<spdk_poller>,
}

impl Throttle {
    pub(super) const fn new() -> Self {
        Self {
            on: AtomicBool::new(false),
            limits: [const {
                Limit {
                    a_second: AtomicU64::new(0),
                    left: AtomicI64::new(0),
                }
            }; 4],
            last_slice_ticks: AtomicU64::new(0),
            poller: AtomicPtr::new(ptr::null_mut()),
        }
    }

    pub(super) fn is_on(&self) -> bool {
        self.on.load(Ordering::Relaxed)
    }

    /// The limits: of requests a second, then of mebibytes a second.
    pub(super) fn get(&self) -> [u64; 4] {
        let mut limits = [0; 4];
        for (index, limit) in self.limits.iter().enumerate() {
            let unit = if index == IOS { 1 } else { BYTES_UNIT };
            limits[index] = limit.a_second.load(Ordering::Relaxed) / unit;
        }
        limits
    }

    /// Changes those limits that are given; 0 takes one away.
    fn set(&self, wanted: [Option<u64>; 4]) {
        for (index, (limit, wanted)) in self.limits.iter().zip(wanted).enumerate() {
            let Some(wanted) = wanted else { continue };
            let a_second = if index == IOS {
                wanted.checked_next_multiple_of(IOS_UNIT).unwrap_or(wanted)
            } else {
                wanted.min(u64::MAX / BYTES_UNIT) * BYTES_UNIT
            };
            limit.a_second.store(a_second, Ordering::Relaxed);
            let slice = i64::try_from(a_second / SLICES_A_SECOND).unwrap_or(i64::MAX);
            limit.left.store(slice.max(1), Ordering::Relaxed);
        }
    }

    /// What a request costs of each limit; `None` for one that costs nothing.
    fn cost(io: Io) -> Option<[i64; 4]> {
        let is_read = match io.io_type() {
            SPDK_BDEV_IO_TYPE_READ => true,
            SPDK_BDEV_IO_TYPE_WRITE => false,
            SPDK_BDEV_IO_TYPE_ZCOPY if io.params().zcopy.start() != 0 => {
                io.params().zcopy.populate() != 0
            }
            // SAFETY: of such a request.
            SPDK_BDEV_IO_TYPE_NVME_IO | SPDK_BDEV_IO_TYPE_NVME_IO_MD => unsafe {
                io.u.nvme_passthru.cmd.opc() & 2 != 0
            },
            _ => return None,
        };
        let bytes = match io.io_type() {
            // SAFETY: as above.
            SPDK_BDEV_IO_TYPE_NVME_IO | SPDK_BDEV_IO_TYPE_NVME_IO_MD => unsafe {
                io.u.nvme_passthru.nbytes as u64
            },
            _ => io.params().num_blocks * u64::from(io.device().blocklen()),
        };
        let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
        let mut cost = [1, bytes, bytes, bytes];
        cost[if is_read { BYTES_WRITTEN } else { BYTES_READ }] = 0;
        Some(cost)
    }

    /// Pays for a request, unless a limit that it falls under is used up.
    fn pays(&self, io: Io) -> bool {
        let Some(cost) = Self::cost(io) else {
            return true;
        };
        for (index, limit) in self.limits.iter().enumerate() {
            if limit.a_second.load(Ordering::Relaxed) == 0 || cost[index] == 0 {
                continue;
            }
            let before = limit.left.fetch_sub(cost[index], Ordering::Relaxed);
            if before > 0 {
                continue;
            }
            // Not covered: all is paid back.
            limit.left.fetch_add(cost[index], Ordering::Relaxed);
            for (limit, cost) in self.limits.iter().zip(cost).take(index) {
                if limit.a_second.load(Ordering::Relaxed) != 0 {
                    limit.left.fetch_add(cost, Ordering::Relaxed);
                }
            }
            return false;
        }
        true
    }

    /// Passes on what waits in a channel and is covered.
    pub(super) fn release(&self, channel: &Channel) {
        let mut next = channel.throttled.first();
        while let Some(io) = next {
            next = channel.throttled.after(io);
            if self.pays(io) {
                channel.throttled.remove(io);
                submit::give(channel, io);
            }
        }
    }

    /// Fills the budget up for the time that has passed.
    fn fill_up(&self) -> bool {
        // SAFETY: any thread.
        let (now, hz) = unsafe { (spdk_get_ticks(), spdk_get_ticks_hz()) };
        let slice = (hz / SLICES_A_SECOND).max(1);
        let last = self.last_slice_ticks.load(Ordering::Relaxed);
        let slices = now.saturating_sub(last) / slice;
        if slices == 0 {
            return false;
        }
        self.last_slice_ticks
            .store(last + slices * slice, Ordering::Relaxed);
        for limit in &self.limits {
            let a_slice = limit.a_second.load(Ordering::Relaxed) / SLICES_A_SECOND;
            let gain = i64::try_from(a_slice.max(1).saturating_mul(slices)).unwrap_or(i64::MAX);
            // What was not used is forgotten, what was overdrawn is not.
            let _ = limit
                .left
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                    Some(left.min(0).saturating_add(gain))
                });
        }
        true
    }
}

/// What goes along with a change.
struct Change {
    device: Bdev,
    on: bool,
    done: Box<dyn FnOnce(c_int)>,
}

/// Changes limits of a bdev, and calls `done`. On the app thread, which then has the timer.
pub(super) fn set(device: Bdev, wanted: [Option<u64>; 4], done: impl FnOnce(c_int) + 'static) {
    if std::mem::replace(&mut device.control().throttle_changes, true) {
        done(-libc::EAGAIN);
        return;
    }
    let throttle = &device.record().throttle;
    throttle.set(wanted);
    let on = throttle.get().iter().any(|limit| *limit != 0);
    throttle.on.store(on, Ordering::Relaxed);
    if on && throttle.poller.load(Ordering::Relaxed).is_null() {
        // SAFETY: any thread; then on an SPDK thread, and unregistered before the bdev goes.
        unsafe {
            throttle
                .last_slice_ticks
                .store(spdk_get_ticks(), Ordering::Relaxed);
            let poller = spdk_poller_register_named(
                Some(poll),
                device.raw().cast(),
                SLICE_US,
                c"bdev_channel_poll_qos".as_ptr(),
            );
            throttle.poller.store(poller, Ordering::Relaxed);
        }
    } else if !on {
        stop(device);
    }
    let change = Change {
        device,
        on,
        done: Box::new(done),
    };
    channel::for_each(
        device,
        change,
        |mut step| {
            let on = step.context().on;
            let channel = step.channel();
            channel.set_flag(flag::THROTTLED, on);
            if !on {
                let waiting = channel.throttled.take();
                while let Some(io) = waiting.pop_front() {
                    submit::pass_on(channel, io);
                }
            }
            step.go_on(0);
        },
        |change, status| {
            change.device.control().throttle_changes = false;
            (change.done)(status);
        },
    );
}

/// Ends the timer of a bdev. On the app thread.
pub(super) fn stop(device: Bdev) {
    let throttle = &device.record().throttle;
    let mut poller = throttle.poller.swap(ptr::null_mut(), Ordering::Relaxed);
    // SAFETY: of this thread, or NULL.
    unsafe { spdk_poller_unregister(&mut poller) };
}

unsafe extern "C" fn poll(bdev: *mut c_void) -> c_int {
    // SAFETY: unregistered before the bdev goes.
    let device = unsafe { Bdev::new(bdev.cast()) };
    if !device.record().throttle.fill_up() {
        return SPDK_POLLER_IDLE as c_int;
    }
    channel::for_each(
        device,
        device,
        |mut step| {
            let device = *step.context();
            device.record().throttle.release(step.channel());
            step.go_on(0);
        },
        |_, _| (),
    );
    SPDK_POLLER_BUSY as c_int
}
