//! An operation on a lower bdev, as SPDK takes it.

use core::ffi::{c_int, c_void};
use core::ptr::NonNull;

use barespdk_sys as ffi;
use libc::iovec;

use super::channel::ChannelInner;
use super::dif::DifChecks;
use super::nvme::NvmeJob;
use super::slot::Slot;

/// Iovecs, by pointer.
#[derive(Clone, Copy)]
pub(crate) struct Iovs {
    pub(crate) iovs: *mut iovec,
    pub(crate) count: c_int,
}

/// A range of blocks.
#[derive(Clone, Copy)]
pub(crate) struct Blocks {
    pub(crate) offset: u64,
    pub(crate) count: u64,
}

/// What goes with the data of a transfer, where there is more than data.
#[derive(Clone, Copy)]
pub(crate) struct Extra {
    pub(crate) metadata: *mut c_void,
    pub(crate) memory_domain: *mut ffi::spdk_memory_domain,
    pub(crate) memory_domain_ctx: *mut c_void,
    pub(crate) dif_check_flags_exclude_mask: u32,
}

/// An operation on a lower bdev. All that it points to is kept by its slot.
#[derive(Clone, Copy)]
pub(crate) enum Op {
    /// The operation of a slot that waits for none.
    Nothing,
    Read(Iovs, Blocks),
    ReadExtra(Iovs, Blocks, Extra),
    Write(Iovs, Blocks),
    WriteExtra(Iovs, Blocks, Extra),
    Compare(Iovs, Blocks, *mut c_void),
    CompareAndWrite {
        compare: Iovs,
        write: Iovs,
        blocks: Blocks,
    },
    WriteZeroes(Blocks),
    Unmap(Blocks),
    Flush(Blocks),
    Copy {
        target: Blocks,
        source_offset: u64,
    },
    SeekData(u64),
    SeekHole(u64),
    ZoneInfo {
        zone_id: u64,
        count: usize,
        zones: *mut ffi::spdk_bdev_zone_info,
    },
    ZoneManagement(u64, ffi::spdk_bdev_zone_action),
    /// The offset is the zone; the last is separate metadata, or null.
    ZoneAppend(Iovs, Blocks, *mut c_void),
    Nvme(*const NvmeJob),
    Reset,
    /// Aborts what a slot of the same channel was taken for, for the time of that number.
    Abort(NonNull<Slot>, u32),
}

impl Extra {
    /// What goes with the data of a request, whose separate metadata from the begin of the transfer on
    /// is `metadata`.
    ///
    /// # Safety
    /// The I/O is alive, and of a type that carries data.
    pub(crate) unsafe fn of(io: NonNull<ffi::spdk_bdev_io>, metadata: *mut c_void) -> Self {
        // SAFETY: the caller's word.
        let params = unsafe { &(*io.as_ptr()).u.bdev };
        Self {
            metadata,
            memory_domain: params.memory_domain,
            memory_domain_ctx: params.memory_domain_ctx,
            dif_check_flags_exclude_mask: !params.dif_check_flags,
        }
    }

    /// Of a transfer with nothing but data.
    const NONE: Self = Self {
        metadata: core::ptr::null_mut(),
        memory_domain: core::ptr::null_mut(),
        memory_domain_ctx: core::ptr::null_mut(),
        dif_check_flags_exclude_mask: 0,
    };

    fn opts(&self, left_out: DifChecks) -> ffi::spdk_bdev_ext_io_opts {
        ffi::spdk_bdev_ext_io_opts {
            size: size_of::<ffi::spdk_bdev_ext_io_opts>(),
            memory_domain: self.memory_domain,
            memory_domain_ctx: self.memory_domain_ctx,
            metadata: self.metadata,
            accel_sequence: core::ptr::null_mut(),
            dif_check_flags_exclude_mask: self.dif_check_flags_exclude_mask | left_out.bits(),
            nvme_cdw12: ffi::spdk_bdev_nvme_cdw12 { raw: 0 },
            nvme_cdw13: ffi::spdk_bdev_nvme_cdw13 { raw: 0 },
        }
    }
}

impl Op {
    /// A transfer of nothing but data as one that takes options.
    fn with_extra(&self) -> Option<Self> {
        match *self {
            Op::Read(iovs, blocks) => Some(Op::ReadExtra(iovs, blocks, Extra::NONE)),
            Op::Write(iovs, blocks) => Some(Op::WriteExtra(iovs, blocks, Extra::NONE)),
            _ => None,
        }
    }

    /// As [`Op::submit`], out of the way of those that need no options.
    ///
    /// # Safety
    /// As [`Op::submit`].
    #[cold]
    unsafe fn submit_extra(
        &self,
        channel: &ChannelInner,
        callback: ffi::spdk_bdev_io_completion_cb,
        argument: *mut c_void,
    ) -> c_int {
        // SAFETY: the caller's word.
        unsafe { self.submit(channel, callback, argument) }
    }

    /// Gives the operation to SPDK: 0, or a negative error number where SPDK did not take it.
    ///
    /// # Safety
    /// What the operation points to stays until `callback` was called; `argument` is what that
    /// expects. On the channel's thread.
    #[inline(always)]
    pub(crate) unsafe fn submit(
        &self,
        channel: &ChannelInner,
        callback: ffi::spdk_bdev_io_completion_cb,
        argument: *mut c_void,
    ) -> c_int {
        let (desc, ch, left_out) = (channel.desc(), channel.raw(), channel.left_out());
        if left_out != DifChecks::NONE
            && let Some(op) = self.with_extra()
        {
            // SAFETY: the caller's word.
            return unsafe { op.submit_extra(channel, callback, argument) };
        }
        // SAFETY: the channel keeps the descriptor open and belongs to it; the rest is the caller's
        // word. SPDK copies the options.
        unsafe {
            match *self {
                Op::Nothing => -libc::EINVAL,
                Op::Read(Iovs { iovs, count }, blocks) => ffi::spdk_bdev_readv_blocks(
                    desc,
                    ch,
                    iovs,
                    count,
                    blocks.offset,
                    blocks.count,
                    callback,
                    argument,
                ),
                Op::ReadExtra(Iovs { iovs, count }, blocks, extra) => {
                    let mut opts = extra.opts(left_out);
                    ffi::spdk_bdev_readv_blocks_ext(
                        desc,
                        ch,
                        iovs,
                        count,
                        blocks.offset,
                        blocks.count,
                        callback,
                        argument,
                        &mut opts,
                    )
                }
                Op::Write(Iovs { iovs, count }, blocks) => ffi::spdk_bdev_writev_blocks(
                    desc,
                    ch,
                    iovs,
                    count,
                    blocks.offset,
                    blocks.count,
                    callback,
                    argument,
                ),
                Op::WriteExtra(Iovs { iovs, count }, blocks, extra) => {
                    let mut opts = extra.opts(left_out);
                    ffi::spdk_bdev_writev_blocks_ext(
                        desc,
                        ch,
                        iovs,
                        count,
                        blocks.offset,
                        blocks.count,
                        callback,
                        argument,
                        &mut opts,
                    )
                }
                Op::Compare(Iovs { iovs, count }, blocks, metadata) => {
                    ffi::spdk_bdev_comparev_blocks_with_md(
                        desc,
                        ch,
                        iovs,
                        count,
                        metadata,
                        blocks.offset,
                        blocks.count,
                        callback,
                        argument,
                    )
                }
                Op::CompareAndWrite {
                    compare,
                    write,
                    blocks,
                } => ffi::spdk_bdev_comparev_and_writev_blocks(
                    desc,
                    ch,
                    compare.iovs,
                    compare.count,
                    write.iovs,
                    write.count,
                    blocks.offset,
                    blocks.count,
                    callback,
                    argument,
                ),
                Op::WriteZeroes(blocks) => ffi::spdk_bdev_write_zeroes_blocks(
                    desc,
                    ch,
                    blocks.offset,
                    blocks.count,
                    callback,
                    argument,
                ),
                Op::Unmap(blocks) => ffi::spdk_bdev_unmap_blocks(
                    desc,
                    ch,
                    blocks.offset,
                    blocks.count,
                    callback,
                    argument,
                ),
                Op::Flush(blocks) => ffi::spdk_bdev_flush_blocks(
                    desc,
                    ch,
                    blocks.offset,
                    blocks.count,
                    callback,
                    argument,
                ),
                Op::Copy {
                    target,
                    source_offset,
                } => ffi::spdk_bdev_copy_blocks(
                    desc,
                    ch,
                    target.offset,
                    source_offset,
                    target.count,
                    callback,
                    argument,
                ),
                Op::SeekData(offset) => {
                    ffi::spdk_bdev_seek_data(desc, ch, offset, callback, argument)
                }
                Op::SeekHole(offset) => {
                    ffi::spdk_bdev_seek_hole(desc, ch, offset, callback, argument)
                }
                Op::ZoneInfo {
                    zone_id,
                    count,
                    zones,
                } => ffi::spdk_bdev_get_zone_info(
                    desc, ch, zone_id, count, zones, callback, argument,
                ),
                Op::ZoneManagement(zone_id, action) => {
                    ffi::spdk_bdev_zone_management(desc, ch, zone_id, action, callback, argument)
                }
                Op::ZoneAppend(Iovs { iovs, count }, blocks, metadata) => {
                    ffi::spdk_bdev_zone_appendv_with_md(
                        desc,
                        ch,
                        iovs,
                        count,
                        metadata,
                        blocks.offset,
                        blocks.count,
                        callback,
                        argument,
                    )
                }
                Op::Nvme(job) => (*job).submit(channel, callback, argument),
                Op::Reset => ffi::spdk_bdev_reset(desc, ch, callback, argument),
                Op::Abort(target, _) => {
                    ffi::spdk_bdev_abort(desc, ch, target.as_ptr().cast(), callback, argument)
                }
            }
        }
    }
}
