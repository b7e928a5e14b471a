//! NVMe commands. They are not looked at: a descriptor has to let write for any of them.

use std::ffi::{c_int, c_void};
use std::ptr;

use barespdk_sys::*;
use libc::iovec;

use super::{Order, code};
use crate::bdev::submit;

/// The memory of a command.
struct Memory {
    buf: *mut c_void,
    nbytes: usize,
    md_buf: *mut c_void,
    md_len: usize,
}

/// # Safety
/// `cmd` is a command.
unsafe fn try_command(
    order: Order<'_>,
    io_type: spdk_bdev_io_type,
    cmd: *const spdk_nvme_cmd,
    memory: Memory,
) -> Result<(), c_int> {
    order.writes()?;
    if !order.device().handles(io_type) {
        return Err(-libc::ENOTSUP);
    }
    let mut io = order.take(io_type)?;
    io.u.nvme_passthru = spdk_bdev_io_nvme_passthru_params {
        // SAFETY: the caller's word.
        cmd: unsafe { *cmd },
        iovs: ptr::null_mut(),
        iovcnt: 0,
        buf: memory.buf,
        nbytes: memory.nbytes,
        md_buf: memory.md_buf,
        md_len: memory.md_len,
    };
    submit::submit(io);
    Ok(())
}

#[unsafe(no_mangle)]
unsafe extern "C" fn spdk_bdev_nvme_admin_passthru(
    desc: *mut spdk_bdev_desc,
    ch: *mut spdk_io_channel,
    cmd: *const spdk_nvme_cmd,
    buf: *mut c_void,
    nbytes: usize,
    cb: spdk_bdev_io_completion_cb,
    cb_arg: *mut c_void,
) -> c_int {
    let (md_buf, md_len) = (ptr::null_mut(), 0);
    let memory = Memory {
        buf,
        nbytes,
        md_buf,
        md_len,
    };
    // SAFETY: the caller's descriptor, channel and command, see the ABI.
    code(unsafe {
        let order = Order::new(desc, ch, cb, cb_arg);
        try_command(order, SPDK_BDEV_IO_TYPE_NVME_ADMIN, cmd, memory)
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn spdk_bdev_nvme_io_passthru(
    bdev_desc: *mut spdk_bdev_desc,
    ch: *mut spdk_io_channel,
    cmd: *const spdk_nvme_cmd,
    buf: *mut c_void,
    nbytes: usize,
    cb: spdk_bdev_io_completion_cb,
    cb_arg: *mut c_void,
) -> c_int {
    let (md_buf, md_len) = (ptr::null_mut(), 0);
    let memory = Memory {
        buf,
        nbytes,
        md_buf,
        md_len,
    };
    // SAFETY: as above.
    code(unsafe {
        let order = Order::new(bdev_desc, ch, cb, cb_arg);
        try_command(order, SPDK_BDEV_IO_TYPE_NVME_IO, cmd, memory)
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn spdk_bdev_nvme_io_passthru_md(
    bdev_desc: *mut spdk_bdev_desc,
    ch: *mut spdk_io_channel,
    cmd: *const spdk_nvme_cmd,
    buf: *mut c_void,
    nbytes: usize,
    md_buf: *mut c_void,
    md_len: usize,
    cb: spdk_bdev_io_completion_cb,
    cb_arg: *mut c_void,
) -> c_int {
    let memory = Memory {
        buf,
        nbytes,
        md_buf,
        md_len,
    };
    // SAFETY: as above.
    code(unsafe {
        let order = Order::new(bdev_desc, ch, cb, cb_arg);
        try_command(order, SPDK_BDEV_IO_TYPE_NVME_IO_MD, cmd, memory)
    })
}

/// # Safety
/// `cmd` is a command.
unsafe fn try_scattered(
    order: Order<'_>,
    cmd: *const spdk_nvme_cmd,
    iovs: (*mut iovec, c_int),
    memory: Memory,
) -> Result<(), c_int> {
    order.writes()?;
    // A module takes them that takes commands of the two kinds they are made of.
    let device = order.device();
    if !device.handles(SPDK_BDEV_IO_TYPE_NVME_IO)
        || !memory.md_buf.is_null() && !device.handles(SPDK_BDEV_IO_TYPE_NVME_IO_MD)
    {
        return Err(-libc::ENOTSUP);
    }
    let mut io = order.take(SPDK_BDEV_IO_TYPE_NVME_IOV_MD)?;
    io.u.nvme_passthru = spdk_bdev_io_nvme_passthru_params {
        // SAFETY: the caller's word.
        cmd: unsafe { *cmd },
        iovs: iovs.0,
        iovcnt: iovs.1,
        buf: memory.buf,
        nbytes: memory.nbytes,
        md_buf: memory.md_buf,
        md_len: memory.md_len,
    };
    submit::submit(io);
    Ok(())
}

#[unsafe(no_mangle)]
unsafe extern "C" fn spdk_bdev_nvme_iov_passthru_md(
    desc: *mut spdk_bdev_desc,
    ch: *mut spdk_io_channel,
    cmd: *const spdk_nvme_cmd,
    iov: *mut iovec,
    iovcnt: c_int,
    nbytes: usize,
    md_buf: *mut c_void,
    md_len: usize,
    cb: spdk_bdev_io_completion_cb,
    cb_arg: *mut c_void,
) -> c_int {
    let memory = Memory {
        buf: ptr::null_mut(),
        nbytes,
        md_buf,
        md_len,
    };
    // SAFETY: as above.
    code(unsafe {
        let order = Order::new(desc, ch, cb, cb_arg);
        try_scattered(order, cmd, (iov, iovcnt), memory)
    })
}

same_as_declared!(
    spdk_bdev_nvme_iov_passthru_md,
    spdk_bdev_nvme_admin_passthru,
    spdk_bdev_nvme_io_passthru,
    spdk_bdev_nvme_io_passthru_md
);
