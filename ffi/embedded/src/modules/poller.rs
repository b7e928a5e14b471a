use std::ffi::{CStr, c_int, c_void};
use std::os::fd::RawFd;
use std::rc::Rc;

use barespdk_sys::{
    SPDK_POLLER_BUSY, SPDK_POLLER_IDLE, spdk_interrupt, spdk_interrupt_mode_is_enabled,
    spdk_interrupt_register, spdk_interrupt_unregister, spdk_poller, spdk_poller_register_named,
    spdk_poller_unregister,
};

/// What a poller calls.
pub(super) trait Poll: 'static {
    /// One round; whether there was work.
    fn poll(&self) -> bool;
}

/// A poller of the thread that registered it; dropped there, also from its own round.
pub(super) struct Poller<T: Poll> {
    raw: *mut spdk_poller,
    // Keeps alive what the poller's argument points to; `Rc` keeps the poller on its thread.
    target: Rc<T>,
}

impl<T: Poll> Poller<T> {
    /// Polls `target` every `period_us`, or in every round for 0. None if SPDK refuses.
    pub(super) fn register(target: &Rc<T>, period_us: u64, name: &CStr) -> Option<Self> {
        // SAFETY: the argument is alive until the poller is unregistered, in `drop`; the name is
        // copied.
        let raw = unsafe {
            spdk_poller_register_named(
                Some(poll::<T>),
                Rc::as_ptr(target).cast_mut().cast(),
                period_us,
                name.as_ptr(),
            )
        };
        (!raw.is_null()).then(|| Self {
            raw,
            target: Rc::clone(target),
        })
    }

    /// What it polls.
    pub(super) fn target(&self) -> Rc<T> {
        Rc::clone(&self.target)
    }
}

impl<T: Poll> Drop for Poller<T> {
    fn drop(&mut self) {
        // SAFETY: registered on this thread and not unregistered yet.
        unsafe { spdk_poller_unregister(&mut self.raw) };
    }
}

/// Polls when a descriptor is readable, which wakes a thread's reactor. Dropped on its thread.
pub(super) struct Interrupt<T: Poll> {
    raw: *mut spdk_interrupt,
    _target: Rc<T>,
}

impl<T: Poll> Interrupt<T> {
    /// Polls `target` when `fd` is readable. None if reactors do not sleep: a poller has to do then,
    /// which may be there anyway.
    ///
    /// The descriptor is to stay open until the interrupt is dropped.
    pub(super) fn register(target: &Rc<T>, fd: RawFd, name: &CStr) -> Option<Self> {
        // SAFETY: no preconditions.
        if !unsafe { spdk_interrupt_mode_is_enabled() } {
            return None;
        }
        // SAFETY: the argument is alive until the interrupt is unregistered, in `drop`; the name is
        // copied.
        let raw = unsafe {
            spdk_interrupt_register(
                fd,
                Some(poll::<T>),
                Rc::as_ptr(target).cast_mut().cast(),
                name.as_ptr(),
            )
        };
        (!raw.is_null()).then(|| Self {
            raw,
            _target: Rc::clone(target),
        })
    }
}

impl<T: Poll> Drop for Interrupt<T> {
    fn drop(&mut self) {
        // SAFETY: registered on this thread and not unregistered yet.
        unsafe { spdk_interrupt_unregister(&mut self.raw) };
    }
}

unsafe extern "C" fn poll<T: Poll>(target: *mut c_void) -> c_int {
    let target = target.cast_const().cast::<T>();
    // SAFETY: from `Rc::as_ptr`, and what is registered holds a reference. One more is taken for the
    // round, which may drop that.
    let target = unsafe {
        Rc::increment_strong_count(target);
        Rc::from_raw(target)
    };
    let rc = if target.poll() {
        SPDK_POLLER_BUSY
    } else {
        SPDK_POLLER_IDLE
    };
    rc as c_int
}
