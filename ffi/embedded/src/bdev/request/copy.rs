//! Copies within a bdev, by the module or, where it cannot, as a read and a write.

use std::ffi::{c_int, c_void};

use barespdk_sys::*;

use super::{Order, Span, code, data, go_on, served};
use crate::bdev::io::{Io, flag};
use crate::bdev::{bounce, complete, pool, submit};

fn try_copy(order: Order<'_>, span: Span, source: u64) -> Result<(), c_int> {
    order.writes()?;
    order.covers(span)?;
    order.covers(Span {
        offset_blocks: source,
        num_blocks: span.num_blocks,
    })?;
    let mut io = order.take_for(SPDK_BDEV_IO_TYPE_COPY, span)?;
    io.params_mut().copy.src_offset_blocks = source;
    order.note_parts(io);
    if span.offset_blocks == source || span.num_blocks == 0 {
        complete::end_later(io, SPDK_BDEV_IO_STATUS_SUCCESS);
    } else if order.device().handles(SPDK_BDEV_IO_TYPE_COPY) || io.has(flag::SPLIT) {
        submit::submit(io);
    } else {
        let bytes = span.num_blocks * u64::from(order.device().blocklen());
        bounce::get_buf(io, Some(got_buffer), bytes);
    }
    Ok(())
}

/// Copies to `span` from `source` on.
pub(in crate::bdev) fn copy(order: Order<'_>, span: Span, source: u64) -> c_int {
    code(try_copy(order, span, source))
}

unsafe extern "C" fn got_buffer(_: *mut spdk_io_channel, io: *mut spdk_bdev_io, success: bool) {
    // SAFETY: the request that asked, see `try_copy`.
    let io = unsafe { Io::new(io) };
    if success {
        read(io);
    } else {
        complete::end_later(io, SPDK_BDEV_IO_STATUS_FAILED);
    }
}

/// The buffer of a copy and its metadata.
fn buffer(io: Io) -> (*mut c_void, *mut c_void) {
    let params = io.params();
    // SAFETY: `got_buffer` was told that there is a buffer.
    (unsafe { (*params.iovs).iov_base }, params.md_buf)
}

fn read(io: Io) {
    let (buffer, metadata) = buffer(io);
    let span = Span {
        offset_blocks: io.params().copy.src_offset_blocks,
        num_blocks: io.params().num_blocks,
    };
    let order = Order::to_serve(io, Some(read_done));
    let rc = data::read_buffer(order, buffer, metadata, span);
    go_on(io, rc, read);
}

unsafe extern "C" fn read_done(read: *mut spdk_bdev_io, success: bool, io: *mut c_void) {
    // SAFETY: submitted by `read` with this argument, and given back here, once.
    let (read, io) = unsafe { (Io::new(read), Io::new(io.cast())) };
    pool::free(read);
    if success {
        write(io);
    } else {
        complete::end(io, SPDK_BDEV_IO_STATUS_FAILED);
    }
}

fn write(io: Io) {
    let (buffer, metadata) = buffer(io);
    let span = Span {
        offset_blocks: io.params().offset_blocks,
        num_blocks: io.params().num_blocks,
    };
    let order = Order::to_serve(io, Some(served));
    let rc = data::write_buffer(order, buffer, metadata, span);
    go_on(io, rc, write);
}

#[unsafe(no_mangle)]
unsafe extern "C" fn spdk_bdev_copy_blocks(
    desc: *mut spdk_bdev_desc,
    ch: *mut spdk_io_channel,
    dst_offset_blocks: u64,
    src_offset_blocks: u64,
    num_blocks: u64,
    cb: spdk_bdev_io_completion_cb,
    cb_arg: *mut c_void,
) -> c_int {
    // SAFETY: the caller's descriptor and channel, see the ABI.
    let order = unsafe { Order::new(desc, ch, cb, cb_arg) };
    let span = Span {
        offset_blocks: dst_offset_blocks,
        num_blocks,
    };
    copy(order, span, src_offset_blocks)
}

same_as_declared!(spdk_bdev_copy_blocks);
