//! Functions that SPDK calls on the thread that registered them, until they are unregistered there: what
//! [`poller`](crate::poller)s and [`interrupt`](crate::interrupt)s have in common.

use alloc::boxed::Box;
use alloc::ffi::CString;
use alloc::sync::Arc;
use core::cell::{Cell, UnsafeCell};
use core::ffi::{CStr, c_int, c_void};
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

/// What SPDK knows a function by.
///
/// # Safety
/// Once `unregister` has returned, SPDK does not call the function again.
pub(crate) unsafe trait Registration: 'static {
    /// Has SPDK forget the function.
    ///
    /// # Safety
    /// On the thread that registered it; once. The function may be running.
    unsafe fn unregister(raw: NonNull<Self>);
}

// SAFETY: SPDK calls no poller that is unregistered.
unsafe impl Registration for ffi::spdk_poller {
    unsafe fn unregister(raw: NonNull<Self>) {
        let mut raw = raw.as_ptr();
        // SAFETY: the caller's word: it is registered, and on its thread.
        unsafe { ffi::spdk_poller_unregister(&raw mut raw) };
    }
}

// SAFETY: SPDK calls no interrupt that is unregistered.
unsafe impl Registration for ffi::spdk_interrupt {
    unsafe fn unregister(raw: NonNull<Self>) {
        let mut raw = raw.as_ptr();
        // SAFETY: the caller's word: it is registered, and on its thread.
        unsafe { ffi::spdk_interrupt_unregister(&raw mut raw) };
    }
}

/// What SPDK calls.
pub(crate) type Function = unsafe extern "C" fn(*mut c_void) -> c_int;

/// A function that SPDK calls on the thread that made this, until it is dropped.
pub(crate) struct Callback<R: Registration> {
    state: NonNull<State>,
    raw: NonNull<R>,
    record: Arc<Record>,
    /// Not `Send`, not `Sync`.
    stays: PhantomData<*mut ()>,
}

/// What the argument that SPDK passes points to.
///
/// Freed by the drop of the [`Callback`], or, if that happens while the function runs, as soon as it has
/// returned: it must not pull its own captures from under its feet.
struct State {
    function: UnsafeCell<Box<dyn FnMut() -> Polled>>,
    running: Cell<bool>,
    /// In interrupt mode SPDK goes on calling a poller that is paused.
    paused: Cell<bool>,
    dropped: Cell<bool>,
}

impl<R: Registration> Callback<R> {
    /// Has `register` tell SPDK of `function`: it gets what to call, the argument of that, and the name.
    ///
    /// # Errors
    /// `EPERM` outside SPDK threads, `ESHUTDOWN` on one that exits, `EINVAL` if the name has a NUL in
    /// it, `ENOMEM` if `register` gives NULL.
    ///
    /// # Safety
    /// `register` is called on an SPDK thread that runs. It has SPDK call its first argument with its
    /// second, on this thread and no other, and gives what SPDK knows that by; or gives NULL, and then
    /// SPDK never does. It keeps no pointer to the name.
    pub(crate) unsafe fn new(
        name: &str,
        function: impl FnMut() -> Polled + 'static,
        register: impl FnOnce(Function, *mut c_void, &CStr) -> *mut R,
    ) -> Result<Self, Errno> {
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
        let Some(raw) = NonNull::new(register(call, state.as_ptr().cast(), &name)) else {
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

    /// Calls the function no more, or again, and has `tell` tell SPDK. Nothing on another thread.
    pub(crate) fn set_paused(&self, paused: bool, tell: impl FnOnce(NonNull<R>)) {
        if self.record.is_current() {
            // SAFETY: alive as long as `self` is; on its thread.
            unsafe { self.state.as_ref() }.paused.set(paused);
            tell(self.raw);
        }
    }
}

/// What SPDK calls.
///
/// # Safety
/// `context` must be the state of a callback that has not been unregistered.
unsafe extern "C" fn call(context: *mut c_void) -> c_int {
    let state = context.cast::<State>();
    // SAFETY: alive by contract, and until this function frees it: a drop of the `Callback` meanwhile
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

/// Unregisters a function on its thread and frees its state, now or when it returns.
///
/// # Safety
/// On the thread of the callback; once.
unsafe fn unregister<R: Registration>(raw: NonNull<R>, state: NonNull<State>) {
    // SAFETY: by contract. From here on SPDK does not call it again.
    unsafe { R::unregister(raw) };
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

impl<R: Registration> Drop for Callback<R> {
    fn drop(&mut self) {
        if self.record.is_current() {
            // SAFETY: on its thread, and `self` ends here.
            return unsafe { unregister(self.raw, self.state) };
        }
        // A `std::thread_local!` brought us to another SPDK thread: home, or nowhere if that has gone.
        // SPDK has forgotten the function then; what it captured belongs to that thread and is leaked.
        let stray = Stray {
            raw: self.raw,
            state: self.state,
        };
        let _ = self.record.send(Origin::Runtime, move || {
            let Stray { raw, state } = { stray };
            // SAFETY: on the thread of the callback, whose handle has ended.
            unsafe { unregister(raw, state) };
        });
    }
}

/// A callback on its way home.
struct Stray<R> {
    raw: NonNull<R>,
    state: NonNull<State>,
}

// SAFETY: both are followed on the callback's thread alone.
unsafe impl<R> Send for Stray<R> {}
