//! Sampling of queue depths: how many requests the module has, looked at from time to time.

use std::ffi::{c_int, c_void};
use std::ptr::{self, NonNull};

use barespdk_sys::*;

use super::channel;
use super::desc::{self, Desc};
use super::device::Bdev;

/// What is known of a bdev's queue depth.
#[derive(Clone, Copy)]
pub(super) struct QueueDepth {
    /// How often it is looked at; 0 for never.
    pub(super) period_us: u64,
    pub(super) period_wanted_us: u64,
    /// When it was last looked at; [`u64::MAX`] before that.
    pub(super) measured: u64,
    pub(super) io_time_us: u64,
    pub(super) weighted_io_time_us: u64,
    busy: bool,
    poller: *mut spdk_poller,
    /// Keeps the bdev while it is sampled.
    desc: Option<NonNull<Desc>>,
}

impl QueueDepth {
    pub(super) const fn new() -> Self {
        Self {
            period_us: 0,
            period_wanted_us: 0,
            measured: u64::MAX,
            io_time_us: 0,
            weighted_io_time_us: 0,
            busy: false,
            poller: ptr::null_mut(),
            desc: None,
        }
    }
}

/// Changes how often a bdev is sampled. On the app thread.
pub(super) fn set_period(device: Bdev, period_us: u64) {
    let mut control = device.control();
    let depth = &mut control.queue_depth;
    if depth.period_wanted_us == period_us {
        return;
    }
    depth.period_wanted_us = period_us;
    let Some(desc) = depth.desc else {
        drop(control);
        if let Ok(desc) = desc::open_by_name(device.name()) {
            device.control().queue_depth.desc = Some(desc);
            update(device);
        }
        return;
    };
    // SAFETY: open.
    let thread = unsafe { desc.as_ref() }.thread;
    // SAFETY: the thread has a descriptor open, so it has not ended.
    unsafe { spdk_thread_send_msg(thread, Some(update_message), device.raw().cast()) };
}

unsafe extern "C" fn update_message(bdev: *mut c_void) {
    // SAFETY: open, until this closes it.
    update(unsafe { Bdev::new(bdev.cast()) });
}

/// Does what was asked for, on the thread of the descriptor, between two samples.
fn update(device: Bdev) {
    let mut control = device.control();
    let depth = &mut control.queue_depth;
    if depth.period_us == depth.period_wanted_us || depth.busy {
        return;
    }
    depth.period_us = depth.period_wanted_us;
    let mut poller = std::mem::replace(&mut depth.poller, ptr::null_mut());
    // SAFETY: of this thread, or NULL.
    unsafe { spdk_poller_unregister(&mut poller) };
    if depth.period_us != 0 {
        // SAFETY: on an SPDK thread; unregistered before the descriptor is closed.
        depth.poller = unsafe {
            spdk_poller_register_named(
                Some(sample),
                device.raw().cast(),
                depth.period_us,
                c"bdev_calculate_measured_queue_depth".as_ptr(),
            )
        };
        return;
    }
    let desc = depth.desc.take();
    drop(control);
    if let Some(desc) = desc {
        // SAFETY: opened on this thread, closed once.
        unsafe { desc::close(desc) };
    }
}

unsafe extern "C" fn sample(bdev: *mut c_void) -> c_int {
    // SAFETY: open.
    let device = unsafe { Bdev::new(bdev.cast()) };
    if std::mem::replace(&mut device.control().queue_depth.busy, true) {
        return SPDK_POLLER_IDLE as c_int;
    }
    channel::for_each(
        device,
        (device, 0),
        |mut step| {
            let outstanding = step.channel().outstanding.get();
            step.context().1 += outstanding;
            step.go_on(0);
        },
        |(device, outstanding), _| sampled(device, outstanding),
    );
    SPDK_POLLER_BUSY as c_int
}

fn sampled(device: Bdev, outstanding: u64) {
    let mut control = device.control();
    let depth = &mut control.queue_depth;
    depth.measured = outstanding;
    if outstanding != 0 {
        depth.io_time_us += depth.period_us;
        depth.weighted_io_time_us += depth.period_us * outstanding;
    }
    depth.busy = false;
    drop(control);
    update(device);
}
