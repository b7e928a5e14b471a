//! Functions that SPDK calls when a file descriptor is readable: what rouses a thread that sleeps.
//!
//! A reactor that polls on and on has none of this: then [`Interrupt::new`] gives nothing, at no cost, and
//! what a poller does is all there is. So it is in addition to a poller that one is made.
//!
//! C: `spdk/thread.h`.

use alloc::boxed::Box;
use alloc::ffi::CString;
use alloc::sync::Arc;
use core::cell::{Cell, UnsafeCell};
use core::ffi::{c_int, c_void};
use core::fmt;
use core::marker::PhantomData;
use core::ptr::NonNull;

use barespdk_sys as ffi;

use crate::poller::Polled;
use crate::thread::record::Record;
use crate::thread::{Origin, anchor};

/// Whether threads may sleep, so that there are interrupts.
pub fn are_possible() -> bool {
    // SAFETY: takes nothing, and reads what is decided before the first thread is there.
    unsafe { ffi::spdk_interrupt_mode_is_enabled() }
}

/// A function that SPDK calls on the thread that made it, as long as a file descriptor is readable and
/// until it is dropped.
///
/// It belongs to that thread:
///
/// ```compile_fail,E0277
/// fn assert_send<T: Send>() {}
/// assert_send::<barespdk::interrupt::Interrupt>();
/// ```
#[must_use = "an interrupt that is dropped is not called"]
pub struct Interrupt {
    state: NonNull<State>,
    raw: NonNull<ffi::spdk_interrupt>,
    record: Arc<Record>,
    /// Not `Send`, not `Sync`.
    stays: PhantomData<*mut ()>,
}

/// What SPDK's interrupt points to.
///
/// Freed by the drop of the [`Interrupt`], or, if that happens while the function runs, as soon as it has
/// returned: it must not pull its own captures from under its feet.
struct State {
    function: UnsafeCell<Box<dyn FnMut() -> Polled>>,
    running: Cell<bool>,
    dropped: Cell<bool>,
}

impl Interrupt {
    /// Has `function` called on the current thread while `descriptor` is readable. The function is to
    /// change that, by reading, or it is called again at once and the thread does not sleep.
    ///
    /// The descriptor stays the caller's, who keeps it open until the interrupt is dropped: the kernel
    /// gives the number of a closed one to somebody else, of whom the function is then told.
    ///
    /// `None` where threads do not sleep, outside of SPDK threads, on one that exits, for a name with a
    /// NUL in it, for a descriptor that cannot be waited for, and without memory.
    pub fn new<F>(name: &str, descriptor: c_int, function: F) -> Option<Self>
    where
        F: FnMut() -> Polled + 'static,
    {
        if !are_possible() {
            return None;
        }
        let record = Record::current().ok()?;
        if !anchor::current_is_running() {
            return None;
        }
        let name = CString::new(name).ok()?;
        let state = NonNull::from(Box::leak(Box::new(State {
            function: UnsafeCell::new(Box::new(function)),
            running: Cell::new(false),
            dropped: Cell::new(false),
        })));
        // SAFETY: on an SPDK thread that runs. `call` fits the argument, which stays valid until the
        // interrupt has been unregistered. The name is copied.
        let raw = unsafe {
            ffi::spdk_interrupt_register(
                descriptor,
                Some(call),
                state.as_ptr().cast(),
                name.as_ptr(),
            )
        };
        let Some(raw) = NonNull::new(raw) else {
            // SAFETY: SPDK did not take it.
            drop(unsafe { Box::from_raw(state.as_ptr()) });
            return None;
        };
        Some(Self {
            state,
            raw,
            record,
            stays: PhantomData,
        })
    }
}

/// SPDK's callback.
///
/// # Safety
/// `context` must be the state of an interrupt that has not been unregistered.
unsafe extern "C" fn call(context: *mut c_void) -> c_int {
    let state = context.cast::<State>();
    // SAFETY: alive by contract, and until this function frees it: a drop of the `Interrupt` meanwhile
    // sees `running` and leaves it to us. `running` also keeps a nested call away from the function,
    // so the `&mut` is the only one.
    unsafe {
        if (*state).running.replace(true) {
            return ffi::SPDK_POLLER_IDLE as c_int;
        }
        let polled = (*(*state).function.get())();
        (*state).running.set(false);
        if (*state).dropped.get() {
            drop(Box::from_raw(state));
        }
        match polled {
            Polled::Idle => ffi::SPDK_POLLER_IDLE as c_int,
            Polled::Busy => ffi::SPDK_POLLER_BUSY as c_int,
        }
    }
}

/// Unregisters an interrupt on its thread and frees its state, now or when it returns.
///
/// # Safety
/// On the thread of the interrupt; once.
unsafe fn unregister(raw: NonNull<ffi::spdk_interrupt>, state: NonNull<State>) {
    let mut raw = raw.as_ptr();
    // SAFETY: by contract. From here on SPDK does not call it again.
    unsafe { ffi::spdk_interrupt_unregister(&raw mut raw) };
    // SAFETY: alive: only we and, if it is running, `call` free it.
    let running = unsafe {
        state.as_ref().dropped.set(true);
        state.as_ref().running.get()
    };
    if !running {
        // SAFETY: nobody has it any more.
        drop(unsafe { Box::from_raw(state.as_ptr()) });
    }
}

impl Drop for Interrupt {
    fn drop(&mut self) {
        if self.record.is_current() {
            // SAFETY: on its thread, and `self` ends here.
            return unsafe { unregister(self.raw, self.state) };
        }
        // A `std::thread_local!` brought us to another SPDK thread: home, or nowhere if that has gone.
        // SPDK has forgotten the interrupt then; what it captured belongs to that thread and is leaked.
        let stray = Stray {
            raw: self.raw,
            state: self.state,
        };
        let _ = self.record.send(Origin::Runtime, move || {
            let Stray { raw, state } = { stray };
            // SAFETY: on the thread of the interrupt, whose handle has ended.
            unsafe { unregister(raw, state) };
        });
    }
}

/// An interrupt on its way home.
struct Stray {
    raw: NonNull<ffi::spdk_interrupt>,
    state: NonNull<State>,
}

// SAFETY: both are followed on the interrupt's thread alone.
unsafe impl Send for Stray {}

impl fmt::Debug for Interrupt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Interrupt")
    }
}
