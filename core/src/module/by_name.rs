//! Bdevs of a module by their names, as RPCs and events know them.

use alloc::ffi::CString;
use core::ffi::{c_int, c_void};
use core::future::Future;

use barespdk_sys as ffi;

use super::{Driver, Module};
use crate::completion::{Sender, completion};
use crate::errno::Errno;
use crate::thread::is_app_thread;

impl<M: Driver> Module<M> {
    /// Takes a bdev of this module away, as [`Bdev::unregister`](super::Bdev::unregister) does, by
    /// its name. It is begun when this returns; the future waits for the end, and may be dropped. On
    /// the app thread.
    ///
    /// # Errors
    /// `ENODEV` where this module has no bdev of this name, `EBUSY` where it is being taken away
    /// already, `EPERM` on another thread than the app thread.
    pub fn unregister(
        &'static self,
        name: &str,
    ) -> impl Future<Output = Result<(), Errno>> + use<M> {
        let begun = self.begin_to_unregister(name);
        async move { Errno::check(begun?.await.unwrap_or(-libc::EIO)) }
    }

    fn begin_to_unregister(
        &'static self,
        name: &str,
    ) -> Result<impl Future<Output = Option<c_int>> + use<M>, Errno> {
        if !is_app_thread() {
            return Err(Errno::EPERM);
        }
        // No bdev has a name with a NUL in it.
        let name = CString::new(name).map_err(|_| Errno::ENODEV)?;
        let (sender, ended) = completion::<c_int>();
        let context = sender.into_context();
        // SAFETY: the app thread; the name is used during the call only; the callback is called
        // once, on this thread, if and only if this is 0.
        let begun = Errno::check(unsafe {
            ffi::spdk_bdev_unregister_by_name(
                name.as_ptr(),
                self.raw.get(),
                Some(unregistered),
                context,
            )
        });
        if begun.is_err() {
            // SAFETY: made above; SPDK has not kept it.
            drop(unsafe { Sender::<c_int>::from_context(context) });
        }
        begun.map(|()| ended)
    }
}

unsafe extern "C" fn unregistered(sender: *mut c_void, rc: c_int) {
    // SAFETY: made by `begin_to_unregister`; SPDK calls this once, on the thread that asked.
    unsafe { Sender::<c_int>::from_context(sender) }.send(rc);
}
