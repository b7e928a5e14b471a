//! The end of a disk whose file is gone.

use std::ffi::{CString, c_void};
use std::ptr;

use barespdk_sys::{
    spdk_bdev_unregister_by_name, spdk_thread_get_app_thread, spdk_thread_send_msg,
};

use super::super::device::Disk;
use super::{Aio, MODULE};

/// Starts to remove the disk, once.
pub(super) fn begin(disk: &Disk<Aio>) {
    if !disk.device().begin_removal() {
        return;
    }
    error_log!(
        "{}: {} is gone, removing the bdev\n",
        disk.name_text(),
        disk.device().filename
    );
    // The disk may go while the message is on its way, so that this carries the name.
    let name = disk.name().to_owned().into_raw();
    // SAFETY: the application thread lives as long as there are bdevs; `remove` takes the name.
    unsafe { spdk_thread_send_msg(spdk_thread_get_app_thread(), Some(remove), name.cast()) };
}

unsafe extern "C" fn remove(name: *mut c_void) {
    // SAFETY: from `into_raw`, once.
    let name = unsafe { CString::from_raw(name.cast()) };
    // SAFETY: on the application thread. Nothing is to be done if there is no such bdev any more.
    unsafe {
        spdk_bdev_unregister_by_name(name.as_ptr(), MODULE.as_ptr(), None, ptr::null_mut());
    }
}
