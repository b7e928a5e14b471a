//! Requests as they are submitted: what is checked, what is filled in, what is emulated.

pub(super) mod compare;
pub(super) mod copy;
pub(super) mod data;
mod passthru;
mod seek;
pub(super) mod zeroes;
mod zone;

use std::ffi::{c_int, c_void};

use barespdk_sys::*;

use super::channel::Channel;
use super::complete;
use super::desc::Desc;
use super::device::Bdev;
use super::io::{Io, flag};
use super::{pool, split, submit};

/// Who submits, where, and whom to tell.
#[derive(Clone, Copy)]
pub(super) struct Order<'a> {
    pub(super) desc: &'a Desc,
    pub(super) channel: &'a Channel,
    pub(super) cb: spdk_bdev_io_completion_cb,
    pub(super) cb_arg: *mut c_void,
    /// Whether this is a part of another request.
    pub(super) is_child: bool,
    /// Whether this serves such a part: that was let through by the locks of ranges, which wait for
    /// the whole.
    pub(super) serves_child: bool,
}

/// A range of blocks.
#[derive(Clone, Copy)]
pub(super) struct Span {
    pub(super) offset_blocks: u64,
    pub(super) num_blocks: u64,
}

impl Order<'_> {
    /// # Safety
    /// An open descriptor, and a channel that was got with it, of this thread, both alive until the
    /// request is complete.
    pub(super) unsafe fn new(
        desc: *mut spdk_bdev_desc,
        ch: *mut spdk_io_channel,
        cb: spdk_bdev_io_completion_cb,
        cb_arg: *mut c_void,
    ) -> Self {
        // SAFETY: the caller's word.
        let (desc, channel) = unsafe { (Desc::of(desc), Channel::of(ch)) };
        Self {
            desc,
            channel,
            cb,
            cb_arg,
            is_child: false,
            serves_child: false,
        }
    }

    /// An order for a request that serves `io`, and tells it so.
    pub(super) fn to_serve(io: Io, cb: spdk_bdev_io_completion_cb) -> Self {
        Self {
            desc: io.desc(),
            channel: io.channel(),
            cb,
            cb_arg: io.context(),
            is_child: false,
            serves_child: io.has(flag::CHILD),
        }
    }

    #[inline]
    pub(super) fn device(&self) -> Bdev {
        self.channel.device
    }

    /// Fails where the descriptor does not let write.
    #[inline]
    pub(super) fn writes(&self) -> Result<(), c_int> {
        if self.desc.writes() {
            Ok(())
        } else {
            Err(-libc::EBADF)
        }
    }

    /// Fails where the range does not lie in the bdev.
    #[inline]
    pub(super) fn covers(&self, span: Span) -> Result<(), c_int> {
        if self
            .device()
            .has_blocks(span.offset_blocks, span.num_blocks)
        {
            Ok(())
        } else {
            Err(-libc::EINVAL)
        }
    }

    /// Takes a request from the pool and prepares it.
    #[inline]
    pub(super) fn take(&self, io_type: spdk_bdev_io_type) -> Result<Io, c_int> {
        let mut io = self.channel.pool().take().ok_or(-libc::ENOMEM)?;
        io.prepare(io_type, self.channel, self.desc, self.cb, self.cb_arg);
        Ok(io)
    }

    /// As [`Order::take`], with a range.
    #[inline]
    pub(super) fn take_for(&self, io_type: spdk_bdev_io_type, span: Span) -> Result<Io, c_int> {
        let mut io = self.take(io_type)?;
        let params = io.params_mut();
        params.offset_blocks = span.offset_blocks;
        params.num_blocks = span.num_blocks;
        Ok(io)
    }

    /// Notes what a request is in the eyes of splitting, once it is filled in.
    #[inline]
    pub(super) fn note_parts(&self, io: Io) {
        if self.is_child || self.serves_child {
            io.set(flag::CHILD);
        }
        if !self.is_child && split::is_needed(io) {
            io.set(flag::SPLIT);
        }
    }
}

/// The result of a submission as C has it.
#[inline]
pub(super) fn code(result: Result<(), c_int>) -> c_int {
    match result {
        Ok(()) => 0,
        Err(rc) => rc,
    }
}

fn try_unmap(order: Order<'_>, span: Span) -> Result<(), c_int> {
    order.writes()?;
    order.covers(span)?;
    let mut io = order.take_for(SPDK_BDEV_IO_TYPE_UNMAP, span)?;
    // Some modules look at the first iovec without asking.
    io.iov = libc::iovec {
        iov_base: std::ptr::null_mut(),
        iov_len: 0,
    };
    io.params_mut().iovs = io.iov();
    io.params_mut().iovcnt = 1;
    order.note_parts(io);
    if span.num_blocks == 0 {
        complete::end_later(io, SPDK_BDEV_IO_STATUS_SUCCESS);
    } else {
        submit::submit(io);
    }
    Ok(())
}

pub(super) fn unmap(order: Order<'_>, span: Span) -> c_int {
    code(try_unmap(order, span))
}

fn try_flush(order: Order<'_>, span: Span) -> Result<(), c_int> {
    order.writes()?;
    if !order.device().handles(SPDK_BDEV_IO_TYPE_FLUSH) {
        return Err(-libc::ENOTSUP);
    }
    order.covers(span)?;
    submit::submit(order.take_for(SPDK_BDEV_IO_TYPE_FLUSH, span)?);
    Ok(())
}

#[unsafe(no_mangle)]
unsafe extern "C" fn spdk_bdev_unmap_blocks(
    desc: *mut spdk_bdev_desc,
    ch: *mut spdk_io_channel,
    offset_blocks: u64,
    num_blocks: u64,
    cb: spdk_bdev_io_completion_cb,
    cb_arg: *mut c_void,
) -> c_int {
    // SAFETY: the caller's descriptor and channel, see the ABI.
    let order = unsafe { Order::new(desc, ch, cb, cb_arg) };
    unmap(
        order,
        Span {
            offset_blocks,
            num_blocks,
        },
    )
}

#[unsafe(no_mangle)]
unsafe extern "C" fn spdk_bdev_flush_blocks(
    desc: *mut spdk_bdev_desc,
    ch: *mut spdk_io_channel,
    offset_blocks: u64,
    num_blocks: u64,
    cb: spdk_bdev_io_completion_cb,
    cb_arg: *mut c_void,
) -> c_int {
    // SAFETY: as above.
    let order = unsafe { Order::new(desc, ch, cb, cb_arg) };
    code(try_flush(
        order,
        Span {
            offset_blocks,
            num_blocks,
        },
    ))
}

same_as_declared!(spdk_bdev_unmap_blocks, spdk_bdev_flush_blocks);

/// Goes on with a request after one that serves it was submitted, with `rc`: where memory was short, by
/// `again` when there is some.
fn go_on(io: Io, rc: c_int, again: fn(Io)) {
    match rc {
        0 => {}
        rc if rc == -libc::ENOMEM => pool::wait(io, again),
        _ => complete::end_later(io, SPDK_BDEV_IO_STATUS_FAILED),
    }
}

/// The callback of a request that does the last of what the request `io` asks for.
unsafe extern "C" fn served(last: *mut spdk_bdev_io, success: bool, io: *mut c_void) {
    // SAFETY: submitted by `Order::to_serve` with this argument, and given back here, once.
    let (last, io) = unsafe { (Io::new(last), Io::new(io.cast())) };
    pool::free(last);
    let status = if success {
        SPDK_BDEV_IO_STATUS_SUCCESS
    } else {
        SPDK_BDEV_IO_STATUS_FAILED
    };
    complete::end(io, status);
}
