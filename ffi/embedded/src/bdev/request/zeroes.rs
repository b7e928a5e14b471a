//! Writes of zeroes, by the module or, where it cannot, as writes of a page of zeroes.

use std::ffi::{c_int, c_void};
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

use barespdk_sys::*;

use super::{Order, Span, code, data, go_on, served};
use crate::bdev::io::{Io, flag};
use crate::bdev::submit;

/// Bytes of zeroes that there are to write.
pub(in crate::bdev) const ZEROES_LEN: usize = 1 << 20;

static ZEROES: AtomicPtr<c_void> = AtomicPtr::new(ptr::null_mut());

/// Makes the zeroes.
pub(in crate::bdev) fn start() -> Result<(), c_int> {
    // SAFETY: the environment is there.
    let zeroes = unsafe {
        spdk_zmalloc(
            ZEROES_LEN,
            4096,
            ptr::null_mut(),
            SPDK_ENV_NUMA_ID_ANY,
            SPDK_MALLOC_DMA,
        )
    };
    if zeroes.is_null() {
        return Err(-libc::ENOMEM);
    }
    ZEROES.store(zeroes, Ordering::Release);
    Ok(())
}

pub(in crate::bdev) fn finish() {
    let zeroes = ZEROES.swap(ptr::null_mut(), Ordering::AcqRel);
    // SAFETY: made by `start`, or NULL; no request is left.
    unsafe { spdk_free(zeroes) };
}

fn try_write_zeroes(order: Order<'_>, span: Span) -> Result<(), c_int> {
    order.writes()?;
    order.covers(span)?;
    let device = order.device();
    if !device.supports(SPDK_BDEV_IO_TYPE_WRITE_ZEROES) {
        return Err(-libc::ENOTSUP);
    }
    let io = order.take_for(SPDK_BDEV_IO_TYPE_WRITE_ZEROES, span)?;
    order.note_parts(io);
    if device.handles(SPDK_BDEV_IO_TYPE_WRITE_ZEROES) || io.has(flag::SPLIT) {
        submit::submit(io);
    } else {
        emulate(io);
    }
    Ok(())
}

pub(in crate::bdev) fn write_zeroes(order: Order<'_>, span: Span) -> c_int {
    code(try_write_zeroes(order, span))
}

/// Writes zeroes; no more than there are, as longer requests are split.
fn emulate(io: Io) {
    let (device, params) = (io.device(), io.params());
    let zeroes = ZEROES.load(Ordering::Acquire);
    let bytes = params.num_blocks * u64::from(device.blocklen());
    let metadata = if device.is_md_separate() {
        zeroes.cast::<u8>().wrapping_add(bytes as usize).cast()
    } else {
        ptr::null_mut()
    };
    let span = Span {
        offset_blocks: params.offset_blocks,
        num_blocks: params.num_blocks,
    };
    let order = Order::to_serve(io, Some(served));
    let rc = data::write_buffer(order, zeroes, metadata, span);
    go_on(io, rc, emulate);
}

#[unsafe(no_mangle)]
unsafe extern "C" fn spdk_bdev_write_zeroes_blocks(
    desc: *mut spdk_bdev_desc,
    ch: *mut spdk_io_channel,
    offset_blocks: u64,
    num_blocks: u64,
    cb: spdk_bdev_io_completion_cb,
    cb_arg: *mut c_void,
) -> c_int {
    // SAFETY: the caller's descriptor and channel, see the ABI.
    let order = unsafe { Order::new(desc, ch, cb, cb_arg) };
    write_zeroes(
        order,
        Span {
            offset_blocks,
            num_blocks,
        },
    )
}

same_as_declared!(spdk_bdev_write_zeroes_blocks);
