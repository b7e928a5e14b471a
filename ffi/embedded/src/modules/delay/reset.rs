//! A reset: what waits is aborted on all threads, then the base is reset.

use std::ffi::c_int;

use barespdk_sys::{
    spdk_bdev_io_get_io_channel, spdk_for_each_channel, spdk_for_each_channel_continue,
    spdk_io_channel_get_ctx, spdk_io_channel_iter, spdk_io_channel_iter_get_channel,
    spdk_io_channel_iter_get_ctx,
};

use super::super::base;
use super::super::device::Disk;
use super::super::io::Io;
use super::{Delay, DelayChannel};

pub(super) fn start(disk: &Disk<Delay>, io: Io) {
    let device = std::ptr::from_ref(disk).cast_mut().cast();
    // SAFETY: the disk is an io_device; `aborted` takes the request back, on this thread.
    unsafe {
        spdk_for_each_channel(device, Some(abort), io.into_raw().cast(), Some(aborted));
    }
}

unsafe extern "C" fn abort(i: *mut spdk_io_channel_iter) {
    // SAFETY: a channel of a disk, on its thread.
    unsafe {
        let channel = spdk_io_channel_get_ctx(spdk_io_channel_iter_get_channel(i));
        (*channel.cast::<DelayChannel>()).waiting.abort_all();
        spdk_for_each_channel_continue(i, 0);
    }
}

unsafe extern "C" fn aborted(i: *mut spdk_io_channel_iter, _status: c_int) {
    // SAFETY: given away in `start`; the request keeps its channel.
    let (channel, io) = unsafe {
        let io = Io::from_raw(spdk_io_channel_iter_get_ctx(i).cast());
        let channel = spdk_io_channel_get_ctx(spdk_bdev_io_get_io_channel(io.as_ptr()));
        (&*channel.cast::<DelayChannel>(), io)
    };
    base::pass_on::<Delay>(channel, io, None);
}
