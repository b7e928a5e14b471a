//! Resets.
//!
//! ```text
//!  spdk_bdev_reset ──(another is going on)──► queued: shares its outcome
//!       │
//!       └─► every channel is frozen: what waits is aborted, what comes is too
//!              ├──(no time to drain)──────────────────────────────────► the module resets
//!              └─► are requests outstanding? ──no──► success, without the module      │
//!                    │        ▲                                                       │
//!                    └─yes────┘ every second; when the time is up ────────────────────┘
//!  completed ──► every channel is thawed ──► reported, and those that are queued
//! ```

use std::ffi::{c_int, c_void};
use std::ptr;

use barespdk_sys::*;

use super::channel::{self, flag};
use super::complete;
use super::io::Io;
use super::register;
use super::request::{Order, code};
use super::submit;

/// How often a reset asks whether requests are outstanding.
const DRAIN_POLL_US: u64 = 1_000_000;

fn try_reset(order: Order<'_>) -> Result<(), c_int> {
    let mut io = order.take(SPDK_BDEV_IO_TYPE_RESET)?;
    // SAFETY: any thread.
    io.internal.submit_tsc = unsafe { spdk_get_ticks() };
    io.channel().submitted.push_back(io);
    let held = channel::hold(io.io_channel());
    io.u.reset = spdk_bdev_io_reset_params {
        ch_ref: held,
        wait_poller: spdk_bdev_io_reset_params__wait_poller {
            poller: ptr::null_mut(),
            stop_time_tsc: 0,
        },
    };
    let device = order.device();
    let mut control = device.control();
    if control.reset.is_some() {
        control.queued_resets.push(io);
        return Ok(());
    }
    control.reset = Some(io);
    drop(control);
    channel::for_each(
        device,
        io,
        |step| {
            submit::freeze(step.channel());
            step.go_on(0);
        },
        |io, _| frozen(io),
    );
    Ok(())
}

fn frozen(mut io: Io) {
    let drain_s = u64::from(io.device().reset_io_drain_timeout());
    if drain_s == 0 {
        submit::call_module(io);
        return;
    }
    // SAFETY: any thread.
    let stop = unsafe { spdk_get_ticks() + drain_s * spdk_get_ticks_hz() };
    io.u.reset.wait_poller.stop_time_tsc = stop;
    drain(io);
}

/// Asks every channel whether requests are outstanding.
fn drain(io: Io) {
    channel::for_each(
        io.device(),
        io,
        |step| {
            let busy = step.channel().outstanding.get() > 0;
            step.go_on(if busy { -libc::EBUSY } else { 0 });
        },
        drained,
    );
}

fn drained(mut io: Io, status: c_int) {
    if status != -libc::EBUSY {
        // Nothing is left that a reset could help.
        complete::complete(io, SPDK_BDEV_IO_STATUS_SUCCESS);
        return;
    }
    // SAFETY: of a reset; any thread.
    let is_late = unsafe { spdk_get_ticks() >= io.u.reset.wait_poller.stop_time_tsc };
    if is_late {
        submit::call_module(io);
        return;
    }
    // SAFETY: on the thread of the channel; unregistered when it is called.
    io.u.reset.wait_poller.poller = unsafe {
        spdk_poller_register_named(
            Some(drain_again),
            io.context(),
            DRAIN_POLL_US,
            c"bdev_reset_poll_for_outstanding_io".as_ptr(),
        )
    };
}

unsafe extern "C" fn drain_again(io: *mut c_void) -> c_int {
    // SAFETY: registered by `drained`.
    unsafe {
        let io = Io::new(io.cast());
        spdk_poller_unregister(&raw mut (*io.raw()).u.reset.wait_poller.poller);
        drain(io);
    }
    SPDK_POLLER_BUSY as c_int
}

/// Ends a reset whose status is set.
pub(super) fn unfreeze(io: Io) {
    channel::for_each(
        io.device(),
        io,
        |step| {
            step.channel().set_flag(flag::RESETTING, false);
            step.go_on(0);
        },
        |io, _| thawed(io),
    );
}

fn thawed(io: Io) {
    let device = io.device();
    let mut control = device.control();
    let queued = std::mem::take(&mut control.queued_resets);
    control.reset = None;
    // The bdev was closed and unregistered meanwhile, and waits for this.
    let gone = std::mem::take(&mut control.waits_for_reset);
    drop(control);
    for other in queued {
        other.set_status(io.status());
        // SAFETY: the thread of its channel, which the reset holds.
        unsafe { spdk_thread_send_msg(thread_of(other), Some(end_message), other.context()) };
    }
    end(io);
    if gone {
        register::destroy(device);
    }
}

/// The thread of a request of any thread.
fn thread_of(io: Io) -> *mut spdk_thread {
    io.channel().thread
}

fn end(mut io: Io) {
    // SAFETY: of a reset.
    let held = std::mem::replace(unsafe { &mut io.u.reset.ch_ref }, ptr::null_mut());
    // SAFETY: held by `try_reset`, on this thread.
    unsafe { spdk_put_io_channel(held) };
    complete::report(io);
}

unsafe extern "C" fn end_message(io: *mut c_void) {
    // SAFETY: a reset whose status is set, on its thread.
    end(unsafe { Io::new(io.cast()) });
}

#[unsafe(no_mangle)]
unsafe extern "C" fn spdk_bdev_reset(
    desc: *mut spdk_bdev_desc,
    ch: *mut spdk_io_channel,
    cb: spdk_bdev_io_completion_cb,
    cb_arg: *mut c_void,
) -> c_int {
    // SAFETY: the caller's descriptor and channel, see the ABI.
    code(try_reset(unsafe { Order::new(desc, ch, cb, cb_arg) }))
}

same_as_declared!(spdk_bdev_reset);
