//! Reads and writes.

use std::ffi::{c_int, c_void};
use std::mem::{offset_of, size_of};
use std::ptr;

use barespdk_sys::*;
use libc::iovec;

use super::{Order, Span, code};
use crate::bdev::io::Io;
use crate::bdev::submit;

/// The bit of a command's dword 12 that has the device make and check protection information.
const NVME_PRACT: u32 = 1 << 29;

/// What a read or write moves, and what goes with it.
#[derive(Clone, Copy)]
pub(in crate::bdev) struct Data {
    pub(in crate::bdev) iovs: *mut iovec,
    pub(in crate::bdev) iovcnt: c_int,
    pub(in crate::bdev) metadata: *mut c_void,
    pub(in crate::bdev) dif_check_flags: u32,
    pub(in crate::bdev) nvme_cdw12: spdk_bdev_nvme_cdw12,
    pub(in crate::bdev) nvme_cdw13: spdk_bdev_nvme_cdw13,
}

impl Data {
    #[inline]
    pub(in crate::bdev) fn plain(order: &Order<'_>, iovs: *mut iovec, iovcnt: c_int) -> Self {
        Self {
            iovs,
            iovcnt,
            metadata: ptr::null_mut(),
            dif_check_flags: order.device().dif_check_flags(),
            nvme_cdw12: spdk_bdev_nvme_cdw12 { raw: 0 },
            nvme_cdw13: spdk_bdev_nvme_cdw13 { raw: 0 },
        }
    }

    /// With extended options, or none.
    ///
    /// # Safety
    /// Options as the ABI has them, or NULL.
    unsafe fn extended(
        order: &Order<'_>,
        iovs: *mut iovec,
        iovcnt: c_int,
        opts: *const spdk_bdev_ext_io_opts,
    ) -> Result<Self, c_int> {
        let mut data = Self::plain(order, iovs, iovcnt);
        if opts.is_null() {
            return Ok(data);
        }
        // SAFETY: the caller's word; the options need not be aligned.
        let size = unsafe { (&raw const (*opts).size).read_unaligned() };
        // The first version of the options ended with the metadata.
        let size_min = offset_of!(spdk_bdev_ext_io_opts, accel_sequence);
        if size < size_min || size > size_of::<spdk_bdev_ext_io_opts>() {
            return Err(-libc::EINVAL);
        }
        // SAFETY: zeroes are valid options, the ones that a caller leaves out.
        let mut given: spdk_bdev_ext_io_opts = unsafe { std::mem::zeroed() };
        // SAFETY: so many bytes are the caller's options.
        unsafe {
            ptr::copy_nonoverlapping(opts.cast::<u8>(), (&raw mut given).cast(), size);
        }
        if !given.memory_domain.is_null() || !given.accel_sequence.is_null() {
            // There are neither memory domains nor an accelerator here, so this is none of them.
            return Err(-libc::ENOTSUP);
        }
        data.metadata = given.metadata;
        data.nvme_cdw12 = given.nvme_cdw12;
        data.nvme_cdw13 = given.nvme_cdw13;
        data.dif_check_flags &= !{ given.dif_check_flags_exclude_mask };
        // SAFETY: with an iovec array comes at least one.
        let no_memory = iovs.is_null() || unsafe { (*iovs).iov_base }.is_null();
        if !data.metadata.is_null() && (!order.device().is_md_separate() || no_memory) {
            return Err(-libc::EINVAL);
        }
        // SAFETY: a union of one integer.
        if unsafe { data.nvme_cdw12.raw } & NVME_PRACT != 0 {
            return Err(-libc::ENOTSUP);
        }
        Ok(data)
    }
}

#[inline]
fn fill(io: &mut Io, data: &Data) {
    let params = io.params_mut();
    params.iovs = data.iovs;
    params.iovcnt = data.iovcnt;
    params.md_buf = data.metadata;
    params.dif_check_flags = data.dif_check_flags;
}

#[inline]
fn try_read(order: &Order<'_>, data: &Data, span: Span) -> Result<(), c_int> {
    order.covers(span)?;
    let mut io = order.take_for(SPDK_BDEV_IO_TYPE_READ, span)?;
    fill(&mut io, data);
    order.note_parts(io);
    submit::submit_data(io);
    Ok(())
}

#[inline]
pub(in crate::bdev) fn read(order: Order<'_>, data: &Data, span: Span) -> c_int {
    code(try_read(&order, data, span))
}

#[inline]
fn try_write(order: &Order<'_>, data: &Data, span: Span) -> Result<(), c_int> {
    order.writes()?;
    order.covers(span)?;
    let mut io = order.take_for(SPDK_BDEV_IO_TYPE_WRITE, span)?;
    fill(&mut io, data);
    io.params_mut().nvme_cdw12 = data.nvme_cdw12;
    io.params_mut().nvme_cdw13 = data.nvme_cdw13;
    order.note_parts(io);
    submit::submit_data(io);
    Ok(())
}

#[inline]
pub(in crate::bdev) fn write(order: Order<'_>, data: &Data, span: Span) -> c_int {
    code(try_write(&order, data, span))
}

/// Reads into one buffer, or for NULL into one of the layer's.
pub(in crate::bdev) fn read_buffer(
    order: Order<'_>,
    buffer: *mut c_void,
    metadata: *mut c_void,
    span: Span,
) -> c_int {
    let submit = || {
        order.covers(span)?;
        let mut io = order.take_for(SPDK_BDEV_IO_TYPE_READ, span)?;
        fill_buffer(&mut io, &order, buffer, metadata);
        order.note_parts(io);
        submit::submit_data(io);
        Ok(())
    };
    code(submit())
}

/// Writes one buffer.
pub(in crate::bdev) fn write_buffer(
    order: Order<'_>,
    buffer: *mut c_void,
    metadata: *mut c_void,
    span: Span,
) -> c_int {
    let submit = || {
        order.writes()?;
        order.covers(span)?;
        let mut io = order.take_for(SPDK_BDEV_IO_TYPE_WRITE, span)?;
        fill_buffer(&mut io, &order, buffer, metadata);
        order.note_parts(io);
        submit::submit_data(io);
        Ok(())
    };
    code(submit())
}

fn fill_buffer(io: &mut Io, order: &Order<'_>, buffer: *mut c_void, metadata: *mut c_void) {
    let bytes = io.params().num_blocks * u64::from(order.device().blocklen());
    io.iov = iovec {
        iov_base: buffer,
        iov_len: bytes as usize,
    };
    let mut data = Data::plain(order, io.iov(), 1);
    data.metadata = metadata;
    fill(io, &data);
}

#[unsafe(no_mangle)]
unsafe extern "C" fn spdk_bdev_readv_blocks(
    desc: *mut spdk_bdev_desc,
    ch: *mut spdk_io_channel,
    iov: *mut iovec,
    iovcnt: c_int,
    offset_blocks: u64,
    num_blocks: u64,
    cb: spdk_bdev_io_completion_cb,
    cb_arg: *mut c_void,
) -> c_int {
    // SAFETY: the caller's descriptor and channel, see the ABI.
    let order = unsafe { Order::new(desc, ch, cb, cb_arg) };
    let data = Data::plain(&order, iov, iovcnt);
    read(
        order,
        &data,
        Span {
            offset_blocks,
            num_blocks,
        },
    )
}

#[unsafe(no_mangle)]
unsafe extern "C" fn spdk_bdev_readv_blocks_ext(
    desc: *mut spdk_bdev_desc,
    ch: *mut spdk_io_channel,
    iov: *mut iovec,
    iovcnt: c_int,
    offset_blocks: u64,
    num_blocks: u64,
    cb: spdk_bdev_io_completion_cb,
    cb_arg: *mut c_void,
    opts: *mut spdk_bdev_ext_io_opts,
) -> c_int {
    // SAFETY: as above.
    let order = unsafe { Order::new(desc, ch, cb, cb_arg) };
    // SAFETY: the caller's options, or NULL.
    match unsafe { Data::extended(&order, iov, iovcnt, opts) } {
        Ok(data) => read(
            order,
            &data,
            Span {
                offset_blocks,
                num_blocks,
            },
        ),
        Err(rc) => rc,
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn spdk_bdev_writev_blocks(
    desc: *mut spdk_bdev_desc,
    ch: *mut spdk_io_channel,
    iov: *mut iovec,
    iovcnt: c_int,
    offset_blocks: u64,
    num_blocks: u64,
    cb: spdk_bdev_io_completion_cb,
    cb_arg: *mut c_void,
) -> c_int {
    // SAFETY: as above.
    let order = unsafe { Order::new(desc, ch, cb, cb_arg) };
    let data = Data::plain(&order, iov, iovcnt);
    write(
        order,
        &data,
        Span {
            offset_blocks,
            num_blocks,
        },
    )
}

#[unsafe(no_mangle)]
unsafe extern "C" fn spdk_bdev_writev_blocks_ext(
    desc: *mut spdk_bdev_desc,
    ch: *mut spdk_io_channel,
    iov: *mut iovec,
    iovcnt: c_int,
    offset_blocks: u64,
    num_blocks: u64,
    cb: spdk_bdev_io_completion_cb,
    cb_arg: *mut c_void,
    opts: *mut spdk_bdev_ext_io_opts,
) -> c_int {
    // SAFETY: as above.
    let order = unsafe { Order::new(desc, ch, cb, cb_arg) };
    // SAFETY: the caller's options, or NULL.
    match unsafe { Data::extended(&order, iov, iovcnt, opts) } {
        Ok(data) => write(
            order,
            &data,
            Span {
                offset_blocks,
                num_blocks,
            },
        ),
        Err(rc) => rc,
    }
}

same_as_declared!(
    spdk_bdev_readv_blocks,
    spdk_bdev_readv_blocks_ext,
    spdk_bdev_writev_blocks,
    spdk_bdev_writev_blocks_ext
);
