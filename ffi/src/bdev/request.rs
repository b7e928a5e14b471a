//! C: spdk/bdev.h
//!
//! Requests to block devices: how they are submitted, waited for, asked for their results and freed.
//!
//! # Rules of every I/O function
//!
//! They run on the thread of the channel `ch`, which was got from the same descriptor `desc`, and
//! return 0 once the request is on its way: then, and only then, `cb(bdev_io, success, cb_arg)` runs
//! once, later, on the same thread, and the callee must give `bdev_io` back with `spdk_bdev_free_io`.
//! Otherwise they return a negative errno value and keep nothing: `-ENOMEM` means wait with
//! `spdk_bdev_queue_io_wait`, `-EINVAL` a range outside of the bdev or misaligned to it, `-EBADF` a
//! descriptor opened without `write`, `-ENOTSUP` a request that the bdev does not know. Buffers and
//! iovec arrays stay the caller's and must live until `cb` runs. Offsets and counts are in blocks of
//! `spdk_bdev_desc_get_block_size`.

use core::ffi::{c_int, c_void};

use libc::iovec;

use super::{
    spdk_bdev, spdk_bdev_desc, spdk_bdev_ext_io_opts, spdk_bdev_io, spdk_bdev_io_completion_cb,
    spdk_bdev_io_wait_entry,
};
use crate::nvme_spec::spdk_nvme_cmd;
use crate::thread::spdk_io_channel;

unsafe extern "C" {
    /// Finds the next data at or after `offset_blocks`; `spdk_bdev_io_get_seek_offset` has it.
    pub fn spdk_bdev_seek_data(
        desc: *mut spdk_bdev_desc,
        ch: *mut spdk_io_channel,
        offset_blocks: u64,
        cb: spdk_bdev_io_completion_cb,
        cb_arg: *mut c_void,
    ) -> c_int;

    /// Finds the next hole at or after `offset_blocks`; `spdk_bdev_io_get_seek_offset` has it.
    pub fn spdk_bdev_seek_hole(
        desc: *mut spdk_bdev_desc,
        ch: *mut spdk_io_channel,
        offset_blocks: u64,
        cb: spdk_bdev_io_completion_cb,
        cb_arg: *mut c_void,
    ) -> c_int;

    /// Reads into an iovec array.
    pub fn spdk_bdev_readv_blocks(
        desc: *mut spdk_bdev_desc,
        ch: *mut spdk_io_channel,
        iov: *mut iovec,
        iovcnt: c_int,
        offset_blocks: u64,
        num_blocks: u64,
        cb: spdk_bdev_io_completion_cb,
        cb_arg: *mut c_void,
    ) -> c_int;

    /// Reads with extended options.
    pub fn spdk_bdev_readv_blocks_ext(
        desc: *mut spdk_bdev_desc,
        ch: *mut spdk_io_channel,
        iov: *mut iovec,
        iovcnt: c_int,
        offset_blocks: u64,
        num_blocks: u64,
        cb: spdk_bdev_io_completion_cb,
        cb_arg: *mut c_void,
        opts: *mut spdk_bdev_ext_io_opts,
    ) -> c_int;

    /// Writes an iovec array.
    pub fn spdk_bdev_writev_blocks(
        desc: *mut spdk_bdev_desc,
        ch: *mut spdk_io_channel,
        iov: *mut iovec,
        iovcnt: c_int,
        offset_blocks: u64,
        num_blocks: u64,
        cb: spdk_bdev_io_completion_cb,
        cb_arg: *mut c_void,
    ) -> c_int;

    /// Writes with extended options.
    pub fn spdk_bdev_writev_blocks_ext(
        desc: *mut spdk_bdev_desc,
        ch: *mut spdk_io_channel,
        iov: *mut iovec,
        iovcnt: c_int,
        offset_blocks: u64,
        num_blocks: u64,
        cb: spdk_bdev_io_completion_cb,
        cb_arg: *mut c_void,
        opts: *mut spdk_bdev_ext_io_opts,
    ) -> c_int;

    /// Compares blocks with an iovec array, and their metadata with `md`.
    pub fn spdk_bdev_comparev_blocks_with_md(
        desc: *mut spdk_bdev_desc,
        ch: *mut spdk_io_channel,
        iov: *mut iovec,
        iovcnt: c_int,
        md: *mut c_void,
        offset_blocks: u64,
        num_blocks: u64,
        cb: spdk_bdev_io_completion_cb,
        cb_arg: *mut c_void,
    ) -> c_int;

    /// Compares blocks, and writes others over them if equal, as one atomic step.
    pub fn spdk_bdev_comparev_and_writev_blocks(
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
    ) -> c_int;

    /// Writes zeroes.
    pub fn spdk_bdev_write_zeroes_blocks(
        desc: *mut spdk_bdev_desc,
        ch: *mut spdk_io_channel,
        offset_blocks: u64,
        num_blocks: u64,
        cb: spdk_bdev_io_completion_cb,
        cb_arg: *mut c_void,
    ) -> c_int;

    /// Deallocates blocks.
    pub fn spdk_bdev_unmap_blocks(
        desc: *mut spdk_bdev_desc,
        ch: *mut spdk_io_channel,
        offset_blocks: u64,
        num_blocks: u64,
        cb: spdk_bdev_io_completion_cb,
        cb_arg: *mut c_void,
    ) -> c_int;

    /// Makes blocks durable that were written before.
    pub fn spdk_bdev_flush_blocks(
        desc: *mut spdk_bdev_desc,
        ch: *mut spdk_io_channel,
        offset_blocks: u64,
        num_blocks: u64,
        cb: spdk_bdev_io_completion_cb,
        cb_arg: *mut c_void,
    ) -> c_int;

    /// Resets the bdev: requests outstanding on all channels are aborted.
    pub fn spdk_bdev_reset(
        desc: *mut spdk_bdev_desc,
        ch: *mut spdk_io_channel,
        cb: spdk_bdev_io_completion_cb,
        cb_arg: *mut c_void,
    ) -> c_int;

    /// Aborts the requests of this channel whose `cb_arg` is `bio_cb_arg`.
    pub fn spdk_bdev_abort(
        desc: *mut spdk_bdev_desc,
        ch: *mut spdk_io_channel,
        bio_cb_arg: *mut c_void,
        cb: spdk_bdev_io_completion_cb,
        cb_arg: *mut c_void,
    ) -> c_int;

    /// Copies blocks within the bdev.
    pub fn spdk_bdev_copy_blocks(
        desc: *mut spdk_bdev_desc,
        ch: *mut spdk_io_channel,
        dst_offset_blocks: u64,
        src_offset_blocks: u64,
        num_blocks: u64,
        cb: spdk_bdev_io_completion_cb,
        cb_arg: *mut c_void,
    ) -> c_int;

    /// Sends an NVMe admin command with `nbytes` of data. The command is copied; that it moves no
    /// more than `nbytes` is not checked.
    pub fn spdk_bdev_nvme_admin_passthru(
        desc: *mut spdk_bdev_desc,
        ch: *mut spdk_io_channel,
        cmd: *const spdk_nvme_cmd,
        buf: *mut c_void,
        nbytes: usize,
        cb: spdk_bdev_io_completion_cb,
        cb_arg: *mut c_void,
    ) -> c_int;

    /// Sends an NVMe I/O command, as [`spdk_bdev_nvme_admin_passthru`].
    pub fn spdk_bdev_nvme_io_passthru(
        bdev_desc: *mut spdk_bdev_desc,
        ch: *mut spdk_io_channel,
        cmd: *const spdk_nvme_cmd,
        buf: *mut c_void,
        nbytes: usize,
        cb: spdk_bdev_io_completion_cb,
        cb_arg: *mut c_void,
    ) -> c_int;

    /// Sends an NVMe I/O command with `md_len` bytes of separate metadata.
    pub fn spdk_bdev_nvme_io_passthru_md(
        bdev_desc: *mut spdk_bdev_desc,
        ch: *mut spdk_io_channel,
        cmd: *const spdk_nvme_cmd,
        buf: *mut c_void,
        nbytes: usize,
        md_buf: *mut c_void,
        md_len: usize,
        cb: spdk_bdev_io_completion_cb,
        cb_arg: *mut c_void,
    ) -> c_int;

    /// Sends an NVMe I/O command whose data is scattered, with `md_len` bytes of separate metadata,
    /// which may be none.
    pub fn spdk_bdev_nvme_iov_passthru_md(
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
    ) -> c_int;

    /// Gives a completed request back to its pool, once, on the thread of its channel.
    pub fn spdk_bdev_free_io(bdev_io: *mut spdk_bdev_io);

    /// Calls the entry's `cb_fn` when an `spdk_bdev_io` is free again. On the thread of `ch`, right
    /// after a submission gave `-ENOMEM`. Returns 0, or `-EINVAL` if there is one already.
    pub fn spdk_bdev_queue_io_wait(
        bdev: *mut spdk_bdev,
        ch: *mut spdk_io_channel,
        entry: *mut spdk_bdev_io_wait_entry,
    ) -> c_int;

    /// What a seek found, in blocks; `u64::MAX` for nothing.
    pub fn spdk_bdev_io_get_seek_offset(bdev_io: *const spdk_bdev_io) -> u64;
}
