//! A reset: requests that are pending are aborted on all threads. The base is left alone.

use std::ffi::c_int;
use std::ptr;

use barespdk_sys::{
    SPDK_BDEV_IO_STATUS_ABORTED, SPDK_BDEV_IO_STATUS_FAILED, SPDK_BDEV_IO_STATUS_SUCCESS,
    spdk_for_each_channel, spdk_for_each_channel_continue, spdk_io_channel_get_ctx,
    spdk_io_channel_iter, spdk_io_channel_iter_get_channel, spdk_io_channel_iter_get_ctx,
};

use super::super::device::Disk;
use super::super::io::Io;
use super::{Faulty, FaultyChannel};

pub(super) fn start(disk: &Disk<Faulty>, io: Io) {
    let device = ptr::from_ref(disk).cast_mut().cast();
    // SAFETY: the disk is an io_device; `aborted` takes the request back, on this thread.
    unsafe {
        spdk_for_each_channel(device, Some(abort), io.into_raw().cast(), Some(aborted));
    }
}

unsafe extern "C" fn abort(i: *mut spdk_io_channel_iter) {
    // SAFETY: a channel of a disk, on its thread.
    unsafe {
        let channel = spdk_io_channel_get_ctx(spdk_io_channel_iter_get_channel(i));
        let pending = (*channel.cast::<FaultyChannel>()).pending.take();
        for io in pending {
            io.complete(SPDK_BDEV_IO_STATUS_ABORTED);
        }
        spdk_for_each_channel_continue(i, 0);
    }
}

unsafe extern "C" fn aborted(i: *mut spdk_io_channel_iter, status: c_int) {
    // SAFETY: given away in `start`.
    let io = unsafe { Io::from_raw(spdk_io_channel_iter_get_ctx(i).cast()) };
    io.complete(match status {
        0 => SPDK_BDEV_IO_STATUS_SUCCESS,
        _ => SPDK_BDEV_IO_STATUS_FAILED,
    });
}
