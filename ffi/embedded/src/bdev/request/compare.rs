//! Compares, and writes that depend on one, by the module or, where it cannot, by reading. What
//! depends on a compare is then kept from others by a lock of its range.

use std::ffi::{c_int, c_void};

use barespdk_sys::*;
use libc::iovec;

use super::{Order, Span, code, data, go_on};
use crate::bdev::io::Io;
use crate::bdev::{bounce, complete, pool, range, submit};

/// The range of a request.
fn span(io: Io) -> Span {
    Span {
        offset_blocks: io.params().offset_blocks,
        num_blocks: io.params().num_blocks,
    }
}

fn try_compare(
    order: Order<'_>,
    iovs: *mut iovec,
    iovcnt: c_int,
    metadata: *mut c_void,
    span: Span,
) -> Result<(), c_int> {
    order.covers(span)?;
    let mut io = order.take_for(SPDK_BDEV_IO_TYPE_COMPARE, span)?;
    let params = io.params_mut();
    params.iovs = iovs;
    params.iovcnt = iovcnt;
    params.md_buf = metadata;
    if order.device().handles(SPDK_BDEV_IO_TYPE_COMPARE) {
        submit::submit(io);
    } else {
        read(io);
    }
    Ok(())
}

/// Reads what is to be compared into a buffer of the layer's.
fn read(io: Io) {
    let order = Order::to_serve(io, Some(read_done));
    let (none, no_metadata) = (std::ptr::null_mut(), std::ptr::null_mut());
    let rc = data::read_buffer(order, none, no_metadata, span(io));
    go_on(io, rc, read);
}

/// Whether what was read is what the request has.
fn is_equal(read: Io, io: Io) -> bool {
    let Some(found) = bounce::iovs(read).first() else {
        return false;
    };
    let mut at = found.iov_base.cast::<u8>();
    let mut left = found.iov_len;
    for iov in bounce::iovs(io) {
        let len = iov.iov_len.min(left);
        // SAFETY: the read's buffer, and the submitter's memory, both of at least this length.
        let same = unsafe {
            std::slice::from_raw_parts(at, len)
                == std::slice::from_raw_parts(iov.iov_base.cast::<u8>(), len)
        };
        if !same {
            return false;
        }
        at = at.wrapping_add(len);
        left -= len;
    }
    let (found, wanted) = (read.params().md_buf, io.params().md_buf);
    if wanted.is_null() || found.is_null() || !io.device().is_md_separate() {
        return true;
    }
    let len = io.params().num_blocks as usize * io.device().md_len() as usize;
    // SAFETY: metadata of as many blocks, of the read's buffer and of the submitter.
    unsafe {
        std::slice::from_raw_parts(found.cast::<u8>(), len)
            == std::slice::from_raw_parts(wanted.cast::<u8>(), len)
    }
}

unsafe extern "C" fn read_done(read: *mut spdk_bdev_io, success: bool, io: *mut c_void) {
    // SAFETY: submitted by `read` with this argument, and given back here, once.
    let (read, io) = unsafe { (Io::new(read), Io::new(io.cast())) };
    let status = if !success {
        SPDK_BDEV_IO_STATUS_FAILED
    } else if is_equal(read, io) {
        SPDK_BDEV_IO_STATUS_SUCCESS
    } else {
        SPDK_BDEV_IO_STATUS_MISCOMPARE
    };
    pool::free(read);
    complete::end(io, status);
}

/// The two arrays of a write that depends on a compare.
struct Fused {
    compare: (*mut iovec, c_int),
    write: (*mut iovec, c_int),
}

fn try_compare_and_write(order: Order<'_>, fused: &Fused, span: Span) -> Result<(), c_int> {
    order.writes()?;
    order.covers(span)?;
    let device = order.device();
    if span.num_blocks > u64::from(device.acwu()) {
        return Err(-libc::EINVAL);
    }
    let mut io = order.take_for(SPDK_BDEV_IO_TYPE_COMPARE_AND_WRITE, span)?;
    let params = io.params_mut();
    (params.iovs, params.iovcnt) = fused.compare;
    (params.fused_iovs, params.fused_iovcnt) = fused.write;
    if device.handles(SPDK_BDEV_IO_TYPE_COMPARE_AND_WRITE) {
        submit::submit(io);
    } else {
        range::lock(device, range::Owner::Request(io), span, locked);
    }
    Ok(())
}

fn locked(owner: range::Owner) {
    if let range::Owner::Request(io) = owner {
        compare(io);
    }
}

/// The order for one of the two halves. It has the request as its argument, as what the lock lets
/// through.
fn half(io: Io, cb: spdk_bdev_io_completion_cb) -> Order<'static> {
    Order::to_serve(io, cb)
}

fn compare(io: Io) {
    let (iovs, iovcnt) = (io.params().iovs, io.params().iovcnt);
    let order = half(io, Some(compared));
    let no_metadata = std::ptr::null_mut();
    match try_compare(order, iovs, iovcnt, no_metadata, span(io)) {
        Ok(()) => {}
        Err(rc) if rc == -libc::ENOMEM => pool::wait(io, compare),
        Err(_) => unlock(io, SPDK_BDEV_IO_STATUS_FIRST_FUSED_FAILED),
    }
}

unsafe extern "C" fn compared(half: *mut spdk_bdev_io, success: bool, io: *mut c_void) {
    // SAFETY: submitted by `compare` with this argument, and given back here, once.
    let (half, io) = unsafe { (Io::new(half), Io::new(io.cast())) };
    pool::free(half);
    if success {
        write(io);
    } else {
        unlock(io, SPDK_BDEV_IO_STATUS_MISCOMPARE);
    }
}

fn write(io: Io) {
    let order = half(io, Some(written));
    let (iovs, iovcnt) = (io.params().fused_iovs, io.params().fused_iovcnt);
    let data = data::Data::plain(&order, iovs, iovcnt);
    match data::write(order, &data, span(io)) {
        0 => {}
        rc if rc == -libc::ENOMEM => pool::wait(io, write),
        _ => unlock(io, SPDK_BDEV_IO_STATUS_FAILED),
    }
}

unsafe extern "C" fn written(half: *mut spdk_bdev_io, success: bool, io: *mut c_void) {
    // SAFETY: submitted by `write` with this argument, and given back here, once.
    let (half, io) = unsafe { (Io::new(half), Io::new(io.cast())) };
    pool::free(half);
    let status = if success {
        SPDK_BDEV_IO_STATUS_SUCCESS
    } else {
        SPDK_BDEV_IO_STATUS_FAILED
    };
    unlock(io, status);
}

/// Ends the request when its range is free again.
fn unlock(io: Io, status: spdk_bdev_io_status) {
    io.set_status(status);
    let unlocked = range::unlock(io.device(), range::Owner::Request(io), span(io), |owner| {
        if let range::Owner::Request(io) = owner {
            io.call_back();
        }
    });
    if !unlocked {
        complete::unsubmitted(io);
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn spdk_bdev_comparev_blocks_with_md(
    desc: *mut spdk_bdev_desc,
    ch: *mut spdk_io_channel,
    iov: *mut iovec,
    iovcnt: c_int,
    md: *mut c_void,
    offset_blocks: u64,
    num_blocks: u64,
    cb: spdk_bdev_io_completion_cb,
    cb_arg: *mut c_void,
) -> c_int {
    // SAFETY: the caller's descriptor and channel, see the ABI.
    let order = unsafe { Order::new(desc, ch, cb, cb_arg) };
    // SAFETY: with an iovec array comes at least one.
    let no_memory = iov.is_null() || unsafe { (*iov).iov_base }.is_null();
    if !md.is_null() && (!order.device().is_md_separate() || no_memory) {
        return -libc::EINVAL;
    }
    let span = Span {
        offset_blocks,
        num_blocks,
    };
    code(try_compare(order, iov, iovcnt, md, span))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn spdk_bdev_comparev_and_writev_blocks(
    desc: *mut spdk_bdev_desc,
    ch: *mut spdk_io_channel,
    compare_iov: *mut iovec,
    compare_iovcnt: c_int,
    write_iov: *mut iovec,
    write_iovcnt: c_int,
    offset_blocks: u64,
    num_blocks: u64,
    cb: spdk_bdev_io_completion_cb,
    cb_arg: *mut c_void,
) -> c_int {
    // SAFETY: the caller's descriptor and channel, see the ABI.
    let order = unsafe { Order::new(desc, ch, cb, cb_arg) };
    let fused = Fused {
        compare: (compare_iov, compare_iovcnt),
        write: (write_iov, write_iovcnt),
    };
    let span = Span {
        offset_blocks,
        num_blocks,
    };
    code(try_compare_and_write(order, &fused, span))
}

same_as_declared!(
    spdk_bdev_comparev_blocks_with_md,
    spdk_bdev_comparev_and_writev_blocks
);
