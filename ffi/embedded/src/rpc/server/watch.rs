//! Descriptors that wake the app thread.

use std::os::fd::{AsRawFd, RawFd};
use std::ptr;

use barespdk_sys::{
    spdk_interrupt, spdk_interrupt_mode_is_enabled, spdk_interrupt_register,
    spdk_interrupt_unregister,
};

/// Has [`poll`](super::poll) called when a descriptor can be read from, as long as it lives, which is
/// to be shorter than the descriptor does.
#[derive(Debug)]
pub(in crate::rpc) struct Watch {
    raw: *mut spdk_interrupt,
}

impl Watch {
    /// None where reactors never sleep, so that nobody has to be woken. On the app thread.
    fn new(descriptor: RawFd) -> Option<Self> {
        // SAFETY: takes nothing.
        if !unsafe { spdk_interrupt_mode_is_enabled() } {
            return None;
        }
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
