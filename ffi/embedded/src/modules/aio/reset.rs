//! A reset: it cannot recall what the kernel has, so that it waits for all of it.

use std::cell::RefCell;
use std::ffi::{c_int, c_void};
use std::rc::Rc;

use barespdk_sys::{
    SPDK_BDEV_IO_STATUS_FAILED, SPDK_BDEV_IO_STATUS_SUCCESS, spdk_for_each_channel,
    spdk_for_each_channel_continue, spdk_io_channel_get_ctx, spdk_io_channel_iter,
    spdk_io_channel_iter_get_channel, spdk_io_channel_iter_get_ctx,
};

use super::super::device::Disk;
use super::super::io::Io;
use super::super::poller::{Poll, Poller};
use super::{Aio, AioChannel};

/// Time between two looks.
const PERIOD_US: u64 = 500;

struct Reset {
    /// Registered while the reset waits: it has a channel.
    disk: *const Disk<Aio>,
    io: RefCell<Option<Io>>,
    timer: RefCell<Option<Poller<Reset>>>,
}

/// Completes a reset when no channel has requests in flight. The bdev layer keeps new ones back.
pub(super) fn start(disk: &Disk<Aio>, io: Io) {
    look(Rc::new(Reset {
        disk,
        io: RefCell::new(Some(io)),
        timer: RefCell::new(None),
    }));
}

fn look(reset: Rc<Reset>) {
    let disk = reset.disk.cast_mut().cast();
    // SAFETY: the disk is an io_device; `looked` takes the reset back.
    unsafe {
        spdk_for_each_channel(
            disk,
            Some(look_at_channel),
            Rc::into_raw(reset).cast_mut().cast(),
            Some(looked),
        );
    }
}

unsafe extern "C" fn look_at_channel(i: *mut spdk_io_channel_iter) {
    // SAFETY: a channel of the disk, on its thread.
    unsafe {
        let channel = spdk_io_channel_get_ctx(spdk_io_channel_iter_get_channel(i));
        let busy = (*channel.cast::<AioChannel>()).in_flight.get() > 0;
        spdk_for_each_channel_continue(i, -c_int::from(busy));
    }
}

unsafe extern "C" fn looked(i: *mut spdk_io_channel_iter, status: c_int) {
    // SAFETY: from `look`, on the thread that called it.
    let reset = unsafe {
        let ctx: *mut c_void = spdk_io_channel_iter_get_ctx(i);
        Rc::from_raw(ctx.cast_const().cast::<Reset>())
    };
    if status == 0 {
        reset.complete(SPDK_BDEV_IO_STATUS_SUCCESS);
        return;
    }
    match Poller::register(&reset, PERIOD_US, c"aio_reset") {
        Some(timer) => *reset.timer.borrow_mut() = Some(timer),
        None => reset.complete(SPDK_BDEV_IO_STATUS_FAILED),
    }
}

impl Reset {
    fn complete(&self, status: c_int) {
        if let Some(io) = self.io.take() {
            io.complete(status);
        }
    }
}

impl Poll for Reset {
    fn poll(&self) -> bool {
        // Once: the next look decides whether there is another one.
        let timer = self.timer.take();
        if let Some(timer) = &timer {
            look(timer.target());
        }
        true
    }
}
