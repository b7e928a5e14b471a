//! Descriptors that wake the app thread.

use std::ffi::{c_char, c_int, c_void};
use std::os::fd::{AsRawFd, RawFd};
use std::ptr;

unsafe extern "C" {
    /// Of `spdk/thread.h`; `spdk_interrupt_fn` and `struct spdk_interrupt` in other words.
    fn spdk_interrupt_register(
        efd: c_int,
        fn_: Option<unsafe extern "C" fn(ctx: *mut c_void) -> c_int>,
        arg: *mut c_void,
        name: *const c_char,
    ) -> *mut c_void;

    /// Of `spdk/thread.h`.
    fn spdk_interrupt_unregister(pintr: *mut *mut c_void);
}

/// Has [`poll`](super::poll) called when a descriptor can be read from, as long as it lives, which is
/// to be shorter than the descriptor does.
#[derive(Debug)]
pub(in crate::rpc) struct Watch {
    raw: *mut c_void,
}

impl Watch {
    /// None where reactors never sleep, so that nobody has to be woken. On the app thread.
    fn new(descriptor: RawFd) -> Option<Self> {
        let name = c"rpc_server".as_ptr();
        // SAFETY: on the app thread; the function takes no context. The name is copied.
        let raw = unsafe {
            spdk_interrupt_register(descriptor, Some(super::poll), ptr::null_mut(), name)
        };
        (!raw.is_null()).then_some(Self { raw })
    }

    /// Brings a watch into the state that is wanted.
    pub(super) fn set(watch: &mut Option<Self>, wanted: bool, descriptor: &impl AsRawFd) {
        if !wanted {
            *watch = None;
        } else if watch.is_none() {
            *watch = Self::new(descriptor.as_raw_fd());
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        // SAFETY: registered in `new`, on this thread, the app thread, where the server lives.
        unsafe { spdk_interrupt_unregister(&raw mut self.raw) };
    }
}
