//! Seeks for data and holes. A bdev that does not know is all data.

use std::ffi::{c_int, c_void};

use barespdk_sys::*;

use super::{Order, Span, code};
use crate::bdev::io::Io;
use crate::bdev::{complete, submit};

fn try_seek(order: Order<'_>, io_type: spdk_bdev_io_type, offset: u64) -> Result<(), c_int> {
    order.covers(Span {
        offset_blocks: offset,
        num_blocks: 1,
    })?;
    let mut io = order.take(io_type)?;
    io.params_mut().offset_blocks = offset;
    if order.device().handles(io_type) {
        submit::submit(io);
    } else {
        let found = if io_type == SPDK_BDEV_IO_TYPE_SEEK_DATA {
            offset
        } else {
            u64::MAX
        };
        io.params_mut().seek.offset = found;
        complete::end_later(io, SPDK_BDEV_IO_STATUS_SUCCESS);
    }
    Ok(())
}

#[unsafe(no_mangle)]
unsafe extern "C" fn spdk_bdev_seek_data(
    desc: *mut spdk_bdev_desc,
    ch: *mut spdk_io_channel,
    offset_blocks: u64,
    cb: spdk_bdev_io_completion_cb,
    cb_arg: *mut c_void,
) -> c_int {
    // SAFETY: the caller's descriptor and channel, see the ABI.
    let order = unsafe { Order::new(desc, ch, cb, cb_arg) };
    code(try_seek(order, SPDK_BDEV_IO_TYPE_SEEK_DATA, offset_blocks))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn spdk_bdev_seek_hole(
    desc: *mut spdk_bdev_desc,
    ch: *mut spdk_io_channel,
    offset_blocks: u64,
    cb: spdk_bdev_io_completion_cb,
    cb_arg: *mut c_void,
) -> c_int {
    // SAFETY: as above.
    let order = unsafe { Order::new(desc, ch, cb, cb_arg) };
    code(try_seek(order, SPDK_BDEV_IO_TYPE_SEEK_HOLE, offset_blocks))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn spdk_bdev_io_get_seek_offset(bdev_io: *const spdk_bdev_io) -> u64 {
    // SAFETY: the caller's, complete.
    unsafe { Io::new(bdev_io.cast_mut()) }.params().seek.offset
}

same_as_declared!(
    spdk_bdev_seek_data,
    spdk_bdev_seek_hole,
    spdk_bdev_io_get_seek_offset
);
