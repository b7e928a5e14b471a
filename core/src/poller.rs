//! Functions that SPDK calls again and again on a thread.
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

use crate::errno::Errno;
use crate::thread::record::Record;
use crate::thread::{Origin, anchor};

/// What a poller found; SPDK counts it, to tell how busy a core is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Polled {
    /// There was nothing to do.
    Idle,
    /// Work was done.
    Busy,
}

/// A function that SPDK calls on the thread that made it, until it is dropped.
///
/// It belongs to that thread:
///
/// ```compile_fail,E0277
/// fn assert_send<T: Send>() {}
/// assert_send::<barespdk::poller::Poller>();
/// ```
#[must_use = "a poller that is dropped is not called"]
pub struct Poller {
    state: NonNull<State>,
    raw: NonNull<ffi::spdk_poller>,
    record: Arc<Record>,
    /// Not `Send`, not `Sync`.
    stays: PhantomData<*mut ()>,
}

/// What SPDK's poller points to.
///
/// Freed by the drop of the [`Poller`], or, if that happens while the function runs, as soon as it has
/// returned: it must not pull its own captures from under its feet.
struct State {
    function: UnsafeCell<Box<dyn FnMut() -> Polled>>,
    running: Cell<bool>,
    /// In interrupt mode SPDK goes on calling a poller that is paused.
    paused: Cell<bool>,
    dropped: Cell<bool>,
}

impl Poller {
    /// Has `function` called on the current thread, every `period_us` microseconds, or with 0 in each
    /// turn of the reactor.
    ///
    /// # Errors
    /// `EPERM` outside SPDK threads, `ESHUTDOWN` on one that exits, `EINVAL` if the name has a NUL in
    /// it, `ENOMEM`.
    pub fn new<F>(name: &str, period_us: u64, function: F) -> Result<Self, Errno>
    where
        F: FnMut() -> Polled + 'static,
    {
        let record = Record::current()?;
        // In interrupt mode SPDK follows a null pointer here otherwise.
        if !anchor::current_is_running() {
            return Err(Errno::ESHUTDOWN);
        }
        let name = CString::new(name).map_err(|_| Errno::EINVAL)?;
        let state = NonNull::from(Box::leak(Box::new(State {
            function: UnsafeCell::new(Box::new(function)),
            running: Cell::new(false),
            paused: Cell::new(false),
            dropped: Cell::new(false),
        })));
        // SAFETY: on an SPDK thread. `poll` fits the argument, which stays valid until the poller has
        // been unregistered. The name is copied.
        let raw = unsafe {
            ffi::spdk_poller_register_named(
                Some(poll),
                state.as_ptr().cast(),
                period_us,
                name.as_ptr(),
            )
        };
        let Some(raw) = NonNull::new(raw) else {
            // SAFETY: SPDK did not take it.
            drop(unsafe { Box::from_raw(state.as_ptr()) });
            return Err(Errno::ENOMEM);
        };
        Ok(Self {
            state,
            raw,
            record,
            stays: PhantomData,
        })
    }

    /// Stops calling the function until [`resume`](Self::resume). A paused poller still keeps its
    /// thread from exiting.
    pub fn pause(&self) {
        if self.record.is_current() {
            // SAFETY: registered as long as `self` lives; on its thread.
            unsafe {
                self.state.as_ref().paused.set(true);
                ffi::spdk_poller_pause(self.raw.as_ptr());
            }
        }
    }

    /// Calls the function again after [`pause`](Self::pause); the period starts anew.
    pub fn resume(&self) {
        if self.record.is_current() {
            // SAFETY: as for `pause`.
            unsafe {
                self.state.as_ref().paused.set(false);
                ffi::spdk_poller_resume(self.raw.as_ptr());
            }
        }
    }
}

/// SPDK's callback.
///
/// # Safety
/// `context` must be the state of a poller that has not been unregistered.
unsafe extern "C" fn poll(context: *mut c_void) -> c_int {
    let state = context.cast::<State>();
    // SAFETY: alive by contract, and until this function frees it: a drop of the `Poller` meanwhile
    // sees `running` and leaves it to us. `running` also keeps a nested call away from the function,
    // so the `&mut` is the only one.
    unsafe {
        if (*state).paused.get() || (*state).running.replace(true) {
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

/// Unregisters a poller on its thread and frees its state, now or when it returns.
///
/// # Safety
/// On the thread of the poller; once.
unsafe fn unregister(raw: NonNull<ffi::spdk_poller>, state: NonNull<State>) {
    let mut raw = raw.as_ptr();
    // SAFETY: by contract. From here on SPDK does not call it again.
    unsafe { ffi::spdk_poller_unregister(&raw mut raw) };
    // SAFETY: alive: only we and, if it is running, `poll` free it.
    let running = unsafe {
        state.as_ref().dropped.set(true);
        state.as_ref().running.get()
    };
    if !running {
        // SAFETY: nobody has it any more.
        drop(unsafe { Box::from_raw(state.as_ptr()) });
    }
}

impl Drop for Poller {
    fn drop(&mut self) {
        if self.record.is_current() {
            // SAFETY: on its thread, and `self` ends here.
            return unsafe { unregister(self.raw, self.state) };
        }
        // A `std::thread_local!` brought us to another SPDK thread: home, or nowhere if that has gone.
        // SPDK has freed the poller then; what it captured belongs to that thread and is leaked.
        let stray = Stray {
            raw: self.raw,
            state: self.state,
        };
        let _ = self.record.send(Origin::Runtime, move || {
            let Stray { raw, state } = { stray };
            // SAFETY: on the thread of the poller, whose handle has ended.
            unsafe { unregister(raw, state) };
        });
    }
}

/// A poller on its way home.
struct Stray {
    raw: NonNull<ffi::spdk_poller>,
    state: NonNull<State>,
}

// SAFETY: both are followed on the poller's thread alone.
unsafe impl Send for Stray {}

impl fmt::Debug for Poller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Poller")
    }
}
