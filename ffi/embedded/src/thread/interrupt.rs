use std::cell::{Cell, RefCell};
use std::ffi::{CString, c_char, c_int, c_void};
use std::ptr::null_mut;

use barespdk_sys::{spdk_interrupt, spdk_interrupt_fn};

use super::{CURRENT, State, Thread, current, current_or_log, name_of, note_progress};
use crate::env::clock;
use crate::reactor;

/// `struct spdk_interrupt`: a file descriptor whose readability calls a function on a thread.
pub(crate) struct Interrupt {
    descriptor: c_int,
    function: spdk_interrupt_fn,
    argument: *mut c_void,
    name: CString,
    thread: *mut Thread,
    /// Whether it is registered. One that is not stays as long as the reactor may know it.
    live: Cell<bool>,
}

impl Interrupt {
    /// The descriptor, or -1 if it is not registered any more.
    pub(crate) fn descriptor(&self) -> c_int {
        if self.live.get() { self.descriptor } else { -1 }
    }

    pub(crate) fn is_live(&self) -> bool {
        self.live.get()
    }

    /// Calls the function on its thread.
    pub(crate) fn run(&self) -> c_int {
        if !self.live.get() {
            return 0;
        }
        let previous = CURRENT.replace(self.thread);
        // SAFETY: registered, on the OS thread that polls its thread.
        let rc = self
            .function
            .map_or(0, |function| unsafe { function(self.argument) });
        CURRENT.set(previous);
        note_progress();
        rc
    }
}

/// In a simulation too threads sleep, in virtual time. What follows from that is to be simulated, though
/// there are no descriptors to wait for.
#[unsafe(no_mangle)]
unsafe extern "C" fn spdk_interrupt_mode_is_enabled() -> bool {
    !reactor::always_polls()
}

#[unsafe(no_mangle)]
unsafe extern "C" fn spdk_interrupt_register(
    efd: c_int,
    fn_: spdk_interrupt_fn,
    arg: *mut c_void,
    name: *const c_char,
) -> *mut spdk_interrupt {
    // As SPDK in polled mode, where there are none.
    if efd < 0 || fn_.is_none() || reactor::always_polls() || clock::is_virtual() {
        return null_mut();
    }
    let Some(thread) = current_or_log("spdk_interrupt_register") else {
        return null_mut();
    };
    if thread.state() != State::Running {
        error_log!(
            "thread {} is marked as exited\n",
            thread.name.to_string_lossy()
        );
        return null_mut();
    }
    let is_known = |other: &*mut Interrupt| {
        // SAFETY: in the list, so alive.
        unsafe { &**other }.descriptor() == efd
    };
    if thread.interrupts.borrow().iter().any(is_known) {
        error_log!("descriptor {efd} is registered already\n");
        return null_mut();
    }
    let interrupt = Box::into_raw(Box::new(Interrupt {
        descriptor: efd,
        function: fn_,
        argument: arg,
        // SAFETY: as the ABI has it.
        name: unsafe { name_of(name, || format!("interrupt {efd}")) },
        thread: current(),
        live: Cell::new(true),
    }));
    thread.interrupts.borrow_mut().push(interrupt);
    if let Some(reactor) = thread.reactor.get() {
        reactor.interrupts_changed();
    }
    interrupt.cast()
}

#[unsafe(no_mangle)]
unsafe extern "C" fn spdk_interrupt_unregister(pintr: *mut *mut spdk_interrupt) {
    // SAFETY: the caller's place, with NULL or an interrupt in it.
    let interrupt = unsafe { std::mem::replace(&mut *pintr, null_mut()) };
    if interrupt.is_null() {
        return;
    }
    // SAFETY: registered, so alive.
    let it = unsafe { &*interrupt.cast::<Interrupt>() };
    if it.thread != current() {
        error_log!(
            "spdk_interrupt_unregister({}) called from wrong thread\n",
            it.name.to_string_lossy()
        );
        return;
    }
    it.live.set(false);
    // SAFETY: the current thread, alive.
    let thread = unsafe { &*it.thread };
    match thread.reactor.get() {
        // The reactor may be about to call it: it frees it when it gathers descriptors again.
        Some(reactor) => reactor.interrupts_changed(),
        None => sweep(&thread.interrupts),
    }
}

/// Frees interrupts that are not registered any more. None of them runs, nor is known to a reactor.
pub(crate) fn sweep(interrupts: &RefCell<Vec<*mut Interrupt>>) {
    interrupts.borrow_mut().retain(|interrupt| {
        // SAFETY: in the list, so alive.
        let live = unsafe { &**interrupt }.is_live();
        if !live {
            // SAFETY: leaves the list here, which alone still knew it.
            drop(unsafe { Box::from_raw(*interrupt) });
        }
        live
    });
}

/// Frees all interrupts of a thread that ends.
pub(super) fn free_all(interrupts: &RefCell<Vec<*mut Interrupt>>) {
    for interrupt in interrupts.take() {
        // SAFETY: left the list, which alone knew it at the end of its thread.
        drop(unsafe { Box::from_raw(interrupt) });
    }
}

same_as_declared!(
    spdk_interrupt_mode_is_enabled,
    spdk_interrupt_register,
    spdk_interrupt_unregister,
);
