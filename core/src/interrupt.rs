//! Functions that SPDK calls when a file descriptor is readable: what rouses a thread that sleeps.
//!
//! A reactor that polls on and on has none of this: then [`Interrupt::new`] gives nothing, at no cost, and
//! what a poller does is all there is. So it is in addition to a poller that one is made.
//!
//! C: `spdk/thread.h`.

use core::ffi::c_int;
use core::fmt;

use barespdk_sys as ffi;

use crate::callback::{Callback, Polled};

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
    _until_dropped: Callback<ffi::spdk_interrupt>,
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
        // SAFETY: an interrupt is called on the thread that registers it, with this argument, and an
        // interrupt that is NULL is none. The name is copied.
        let callback = unsafe {
            Callback::new(name, function, |call, argument, name| {
                ffi::spdk_interrupt_register(descriptor, Some(call), argument, name.as_ptr())
            })
        };
        let _until_dropped = callback.ok()?;
        Some(Self { _until_dropped })
    }
}

impl fmt::Debug for Interrupt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Interrupt")
    }
}
