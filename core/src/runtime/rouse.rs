//! What rouses the thread of an executor where reactors sleep. A reactor that polls on and on has, and
//! pays for, none of this.
//!
//! - A wake from another thread writes into an event counter, which is registered as an interrupt.
//! - For the first timer there is an alarm: a poller that SPDK calls when it is due.

use alloc::boxed::Box;
use core::cell::Cell;
use core::ffi::{c_int, c_void};
use core::ptr;
use core::sync::atomic::{AtomicBool, Ordering};

use barespdk_sys as ffi;

use super::{Runtime, work};
use crate::executor::Kick;
use crate::interrupt;

/// The part of a [`Runtime`] that is about sleep.
pub(super) struct Rouse {
    /// Whether its reactor may sleep.
    possible: bool,
    /// NULL: there is none.
    interrupt: Cell<*mut ffi::spdk_interrupt>,
    /// NULL: there is none.
    alarm: Cell<*mut ffi::spdk_poller>,
    /// When it goes off; `u64::MAX`: never.
    alarm_ticks: Cell<u64>,
}

/// An event counter, and whether somebody has written into it since it was last read. It belongs to the
/// executor's inbox, which calls [`kick`] and [`end`].
struct Counter {
    descriptor: c_int,
    kicked: AtomicBool,
}

/// Has the reactor of a counter look.
fn kick(counter: *mut ()) {
    // SAFETY: the inbox calls this, and is not gone: neither is the counter.
    let counter = unsafe { &*counter.cast::<Counter>() };
    // Where another thread has kicked since the counter was read, its reactor has yet to look: the
    // exchange in `heard` comes after this one, and sees what was put into the inbox before it.
    if !counter.kicked.swap(true, Ordering::AcqRel) {
        let one = 1_u64;
        // SAFETY: eight bytes. The counter is never full, and its descriptor open.
        unsafe {
            libc::write(
                counter.descriptor,
                (&raw const one).cast(),
                size_of::<u64>(),
            )
        };
    }
}

/// Ends a counter.
fn end(counter: *mut ()) {
    // SAFETY: the inbox, which owned it, goes: nobody has it any more. The interrupt was unregistered by
    // `Rouse::end`, before the executor went.
    unsafe {
        let counter = Box::from_raw(counter.cast::<Counter>());
        libc::close(counter.descriptor);
    }
}

/// The interrupt: wakes have come. The poller delivers them, in the turn that follows.
unsafe extern "C" fn heard(counter: *mut c_void) -> c_int {
    let mut count = 0_u64;
    // SAFETY: registered for a counter that lives on; eight bytes. Nothing to read is no harm.
    let counter = unsafe {
        let counter = &*counter.cast::<Counter>();
        libc::read(
            counter.descriptor,
            (&raw mut count).cast(),
            size_of::<u64>(),
        );
        counter
    };
    counter.kicked.swap(false, Ordering::AcqRel);
    ffi::SPDK_POLLER_IDLE as c_int
}

/// The alarm: a timer is due.
unsafe extern "C" fn go_off(context: *mut c_void) -> c_int {
    // SAFETY: the alarm is unregistered before the context goes.
    let runtime = unsafe { &*context.cast::<Runtime>() };
    runtime.rouse.unset();
    work(runtime)
}

impl Rouse {
    /// For the current SPDK thread, which runs. The kick is for its executor.
    pub(super) fn begin() -> (Self, Option<Kick>) {
        let rouse = Self {
            possible: interrupt::are_possible(),
            interrupt: Cell::new(ptr::null_mut()),
            alarm: Cell::new(ptr::null_mut()),
            alarm_ticks: Cell::new(u64::MAX),
        };
        let kick = if rouse.possible { rouse.listen() } else { None };
        (rouse, kick)
    }

    /// Makes and registers a counter. `None`: the reactor finds wakes when it polls.
    fn listen(&self) -> Option<Kick> {
        // SAFETY: plain numbers.
        let descriptor = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
        if descriptor < 0 {
            return None;
        }
        let counter = Box::into_raw(Box::new(Counter {
            descriptor,
            kicked: AtomicBool::new(false),
        }));
        // SAFETY: on an SPDK thread that runs. The counter stays until after `Rouse::end`: the inbox has
        // it, which the executor keeps. The name is copied.
        let interrupt = unsafe {
            ffi::spdk_interrupt_register(
                descriptor,
                Some(heard),
                counter.cast(),
                c"barespdk_executor".as_ptr(),
            )
        };
        if interrupt.is_null() {
            end(counter.cast());
            return None;
        }
        self.interrupt.set(interrupt);
        Some(Kick {
            context: counter.cast(),
            kick,
            end,
        })
    }

    /// Sees to it that the executor ticks at `earliest_ticks`, or before. On the runtime's thread.
    #[inline]
    pub(super) fn at(&self, earliest_ticks: u64, runtime: &Runtime) {
        if self.possible && earliest_ticks < self.alarm_ticks.get() {
            self.set(earliest_ticks, runtime);
        }
    }

    #[cold]
    fn set(&self, earliest_ticks: u64, runtime: &Runtime) {
        self.unset();
        // SAFETY: on an SPDK thread. Rounded up: an alarm that goes off too early would have to be set
        // again. On a thread that exits there is none: SPDK's interrupt mode does not survive that, and
        // such a thread does not sleep. `go_off` fits the argument, which stays until after `end`.
        unsafe {
            if !ffi::spdk_thread_is_running(ffi::spdk_get_thread()) {
                return;
            }
            let (now_ticks, hz) = (ffi::spdk_get_ticks(), ffi::spdk_get_ticks_hz());
            let left = u128::from(earliest_ticks.saturating_sub(now_ticks));
            let period_us = (left * 1_000_000).div_ceil(u128::from(hz.max(1))).max(1);
            let alarm = ffi::spdk_poller_register_named(
                Some(go_off),
                ptr::from_ref(runtime).cast_mut().cast(),
                u64::try_from(period_us).unwrap_or(u64::MAX),
                c"barespdk_alarm".as_ptr(),
            );
            if !alarm.is_null() {
                self.alarm.set(alarm);
                self.alarm_ticks.set(earliest_ticks);
            }
        }
    }

    fn unset(&self) {
        let mut alarm = self.alarm.replace(ptr::null_mut());
        self.alarm_ticks.set(u64::MAX);
        // SAFETY: NULL or registered, on its thread; it may be the one that runs.
        unsafe { ffi::spdk_poller_unregister(&raw mut alarm) };
    }

    /// Before the runtime goes, on its thread.
    pub(super) fn end(&self) {
        self.unset();
        let mut interrupt = self.interrupt.replace(ptr::null_mut());
        // SAFETY: NULL or registered, on its thread.
        unsafe { ffi::spdk_interrupt_unregister(&raw mut interrupt) };
    }
}
