//! Functions that SPDK calls again and again on a thread.
//!
//! C: `spdk/thread.h`.

use core::fmt;

use barespdk_sys as ffi;

use crate::callback::Callback;
pub use crate::callback::Polled;
use crate::errno::Errno;

/// A function that SPDK calls on the thread that made it, until it is dropped.
///
/// It belongs to that thread:
///
/// ```compile_fail,E0277
/// fn assert_send<T: Send>() {}
/// assert_send::<barespdk::poller::Poller>();
/// ```
#[must_use = "a poller that is dropped is not called"]
pub struct Poller(Callback<ffi::spdk_poller>);

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
        // SAFETY: a poller is called on the thread that registers it, with this argument, and a poller
        // that is NULL is none. The name is copied.
        let callback = unsafe {
            Callback::new(name, function, |call, argument, name| {
                ffi::spdk_poller_register_named(Some(call), argument, period_us, name.as_ptr())
            })
        };
        callback.map(Self)
    }

    /// Stops calling the function until [`resume`](Self::resume). A paused poller still keeps its
    /// thread from exiting.
    pub fn pause(&self) {
        self.0.set_paused(true, |raw| {
            // SAFETY: registered as long as `self` lives; on its thread.
            unsafe { ffi::spdk_poller_pause(raw.as_ptr()) };
        });
    }

    /// Calls the function again after [`pause`](Self::pause); the period starts anew.
    pub fn resume(&self) {
        self.0.set_paused(false, |raw| {
            // SAFETY: registered as long as `self` lives; on its thread.
            unsafe { ffi::spdk_poller_resume(raw.as_ptr()) };
        });
    }
}

impl fmt::Debug for Poller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Poller")
    }
}
