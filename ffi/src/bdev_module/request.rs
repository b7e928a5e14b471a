//! C: spdk/bdev_module.h
//!
//! A request as the module sees it that is to handle it.

use core::ffi::{c_int, c_void};

use libc::iovec;

use super::{spdk_bdev, spdk_bdev_channel};
use crate::bdev::{
    spdk_accel_sequence, spdk_bdev_desc, spdk_bdev_io_completion_cb, spdk_bdev_nvme_cdw12,
    spdk_bdev_nvme_cdw13, spdk_memory_domain,
};
use crate::bdev_zone::spdk_bdev_zone_action;
use crate::nvme_spec::spdk_nvme_cmd;
use crate::thread::{spdk_io_channel, spdk_poller};

/// Phase of a zero-copy request.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct spdk_bdev_io_block_params__zcopy {
    /// See the accessors.
    pub _bits0: u8,
}
layout! { struct spdk_bdev_io_block_params__zcopy: size 1, align 1 { _bits0: 0 } }
bit_fields! {
    spdk_bdev_io_block_params__zcopy._bits0: u8 {
        /// Whether to fill the buffers with data.
        populate: 0 + 1,
        /// Whether to write the buffers to the device.
        commit: 1 + 1,
        /// Whether this is the start.
        start: 2 + 1,
    }
}

/// What an abort is to abort.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct spdk_bdev_io_block_params__abort {
    /// `cb_arg` of the requests.
    pub bio_cb_arg: *mut c_void,
}
layout! { struct spdk_bdev_io_block_params__abort: size 8, align 8 { bio_cb_arg: 0 } }

/// What a seek found.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct spdk_bdev_io_block_params__seek {
    /// In blocks; `u64::MAX` for nothing.
    pub offset: u64,
}
layout! { struct spdk_bdev_io_block_params__seek: size 8, align 8 { offset: 0 } }

/// Where a copy comes from.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct spdk_bdev_io_block_params__copy {
    /// In blocks.
    pub src_offset_blocks: u64,
}
layout! { struct spdk_bdev_io_block_params__copy: size 8, align 8 { src_offset_blocks: 0 } }

/// Parameters of a request on blocks.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct spdk_bdev_io_block_params {
    /// Data; for a read that needs `spdk_bdev_io_get_buf`, NULL or with a NULL base at first.
    pub iovs: *mut iovec,
    /// Length of `iovs`.
    pub iovcnt: c_int,
    /// Number of blocks.
    pub num_blocks: u64,
    /// First block; the destination of a copy, the start of a seek.
    pub offset_blocks: u64,
    /// Where the data is, or NULL.
    pub memory_domain: *mut spdk_memory_domain,
    /// Context of the memory domain.
    pub memory_domain_ctx: *mut c_void,
    /// What to do to the data on its way, or NULL.
    pub accel_sequence: *mut spdk_accel_sequence,
    /// Separate metadata, or NULL.
    pub md_buf: *mut c_void,
    /// Data to write of a compare-and-write.
    pub fused_iovs: *mut iovec,
    /// Length of `fused_iovs`.
    pub fused_iovcnt: c_int,
    /// Checks of protection information: `SPDK_DIF_FLAGS_*`.
    pub dif_check_flags: u32,
    /// NVMe command dword 12.
    pub nvme_cdw12: spdk_bdev_nvme_cdw12,
    /// NVMe command dword 13.
    pub nvme_cdw13: spdk_bdev_nvme_cdw13,
    /// Of a zero-copy request.
    pub zcopy: spdk_bdev_io_block_params__zcopy,
    /// Of an abort of split requests.
    pub abort: spdk_bdev_io_block_params__abort,
    /// Of a seek.
    pub seek: spdk_bdev_io_block_params__seek,
    /// Of a copy.
    pub copy: spdk_bdev_io_block_params__copy,
    /// State of protection information checks; the bdev layer's.
    pub _tail: [u8; 96],
}
layout! {
    struct spdk_bdev_io_block_params: size 216, align 8 {
        iovs: 0, iovcnt: 8, num_blocks: 16, offset_blocks: 24, memory_domain: 32,
        memory_domain_ctx: 40, accel_sequence: 48, md_buf: 56, fused_iovs: 64, fused_iovcnt: 72,
        dif_check_flags: 76, nvme_cdw12: 80, nvme_cdw13: 84, zcopy: 88, abort: 96, seek: 104,
        copy: 112, _tail: 120,
    }
}

/// How a reset waits for outstanding requests; the bdev layer's.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct spdk_bdev_io_reset_params__wait_poller {
    /// Looks for outstanding requests.
    pub poller: *mut spdk_poller,
    /// When to give up, in ticks.
    pub stop_time_tsc: u64,
}
layout! {
    struct spdk_bdev_io_reset_params__wait_poller: size 16, align 8 { poller: 0, stop_time_tsc: 8 }
}

/// Parameters of a reset; the bdev layer's.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct spdk_bdev_io_reset_params {
    /// Channel held during the reset.
    pub ch_ref: *mut spdk_io_channel,
    /// Wait for outstanding requests.
    pub wait_poller: spdk_bdev_io_reset_params__wait_poller,
}
layout! { struct spdk_bdev_io_reset_params: size 24, align 8 { ch_ref: 0, wait_poller: 8 } }

/// Parameters of an abort.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct spdk_bdev_io_abort_params {
    /// The request to abort; on the same channel, and not complete yet.
    pub bio_to_abort: *mut spdk_bdev_io,
}
layout! { struct spdk_bdev_io_abort_params: size 8, align 8 { bio_to_abort: 0 } }

/// Parameters of an NVMe command.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct spdk_bdev_io_nvme_passthru_params {
    /// The command.
    pub cmd: spdk_nvme_cmd,
    /// Data of `SPDK_BDEV_IO_TYPE_NVME_IOV_MD`.
    pub iovs: *mut iovec,
    /// Length of `iovs`.
    pub iovcnt: c_int,
    /// Data of the other types.
    pub buf: *mut c_void,
    /// Bytes of data.
    pub nbytes: usize,
    /// Separate metadata, or NULL.
    pub md_buf: *mut c_void,
    /// Bytes of metadata.
    pub md_len: usize,
}
layout! {
    struct spdk_bdev_io_nvme_passthru_params: size 112, align 8 {
        cmd: 0, iovs: 64, iovcnt: 72, buf: 80, nbytes: 88, md_buf: 96, md_len: 104,
    }
}

/// Parameters of zone management.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct spdk_bdev_io_zone_mgmt_params {
    /// First block of the zone.
    pub zone_id: u64,
    /// Number of zones.
    pub num_zones: u32,
    /// What to do.
    pub zone_action: spdk_bdev_zone_action,
    /// Where zones are reported to.
    pub buf: *mut c_void,
}
layout! {
    struct spdk_bdev_io_zone_mgmt_params: size 24, align 8 {
        zone_id: 0, num_zones: 8, zone_action: 12, buf: 16,
    }
}

/// Parameters of a request; `type` says which.
#[repr(C)]
#[derive(Clone, Copy)]
pub union spdk_bdev_io__u {
    /// Of a request on blocks.
    pub bdev: spdk_bdev_io_block_params,
    /// Of `SPDK_BDEV_IO_TYPE_RESET`.
    pub reset: spdk_bdev_io_reset_params,
    /// Of `SPDK_BDEV_IO_TYPE_ABORT`.
    pub abort: spdk_bdev_io_abort_params,
    /// Of `SPDK_BDEV_IO_TYPE_NVME_*`.
    pub nvme_passthru: spdk_bdev_io_nvme_passthru_params,
    /// Of `SPDK_BDEV_IO_TYPE_ZONE_MANAGEMENT` and `SPDK_BDEV_IO_TYPE_GET_ZONE_INFO`.
    pub zone_mgmt: spdk_bdev_io_zone_mgmt_params,
}
layout! {
    union spdk_bdev_io__u: size 216, align 8 { bdev, reset, abort, nvme_passthru, zone_mgmt }
}

/// Which of the bdev layer's fields are valid; the bdev layer's.
#[repr(C)]
#[derive(Clone, Copy)]
pub union spdk_bdev_io_internal_fields__f {
    /// All bits.
    pub raw: u8,
}
layout! { union spdk_bdev_io_internal_fields__f: size 1, align 1 { raw } }

/// Links of a request; the bdev layer's.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct spdk_bdev_io_internal_fields__ch_link {
    /// Next request.
    pub tqe_next: *mut spdk_bdev_io,
    /// Where the previous request points to this one.
    pub tqe_prev: *mut *mut spdk_bdev_io,
}
layout! {
    struct spdk_bdev_io_internal_fields__ch_link: size 16, align 8 { tqe_next: 0, tqe_prev: 8 }
}

/// Link of a request in its pool; the bdev layer's.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct spdk_bdev_io_internal_fields__buf_link {
    /// Next request.
    pub stqe_next: *mut spdk_bdev_io,
}
layout! { struct spdk_bdev_io_internal_fields__buf_link: size 8, align 8 { stqe_next: 0 } }

/// Error of a request in NVMe terms.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct spdk_bdev_io_internal_fields__error__nvme {
    /// Completion dword 0.
    pub cdw0: u32,
    /// Status code type.
    pub sct: u8,
    /// Status code.
    pub sc: u8,
}
layout! {
    struct spdk_bdev_io_internal_fields__error__nvme: size 8, align 4 { cdw0: 0, sct: 4, sc: 5 }
}

/// Error of a request in SCSI terms.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct spdk_bdev_io_internal_fields__error__scsi {
    /// Status.
    pub sc: u8,
    /// Sense key.
    pub sk: u8,
    /// Additional sense code.
    pub asc: u8,
    /// Its qualifier.
    pub ascq: u8,
}
layout! {
    struct spdk_bdev_io_internal_fields__error__scsi: size 4, align 1 {
        sc: 0, sk: 1, asc: 2, ascq: 3,
    }
}

/// Error of a request; its status says in which terms.
#[repr(C)]
#[derive(Clone, Copy)]
pub union spdk_bdev_io_internal_fields__error {
    /// Of `SPDK_BDEV_IO_STATUS_NVME_ERROR`; `cdw0` also of success.
    pub nvme: spdk_bdev_io_internal_fields__error__nvme,
    /// Of `SPDK_BDEV_IO_STATUS_SCSI_ERROR`.
    pub scsi: spdk_bdev_io_internal_fields__error__scsi,
    /// Of `SPDK_BDEV_IO_STATUS_AIO_ERROR`: a negative errno value.
    pub aio_result: c_int,
}
layout! {
    union spdk_bdev_io_internal_fields__error: size 8, align 4 { nvme, scsi, aio_result }
}

/// The bdev layer's part of a request. Not to be written.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct spdk_bdev_io_internal_fields {
    /// Its channel.
    pub ch: *mut spdk_bdev_channel,
    /// Which fields are valid.
    pub f: spdk_bdev_io_internal_fields__f,
    /// Its [`spdk_bdev_io_status`](super::spdk_bdev_io_status).
    pub status: i8,
    /// Why it waits.
    pub retry_state: u8,
    /// Reserved.
    pub reserved: [u8; 5],
    /// The descriptor that it was submitted with.
    pub desc: *mut spdk_bdev_desc,
    /// Its completion callback.
    pub cb: spdk_bdev_io_completion_cb,
    /// Argument of the callback.
    pub caller_ctx: *mut c_void,
    /// When it was submitted, in ticks.
    pub submit_tsc: u64,
    /// Links.
    pub ch_link: spdk_bdev_io_internal_fields__ch_link,
    /// Link in its pool.
    pub buf_link: spdk_bdev_io_internal_fields__buf_link,
    /// Its error.
    pub error: spdk_bdev_io_internal_fields__error,
    /// The rest.
    pub _tail: [u8; 240],
}
layout! {
    struct spdk_bdev_io_internal_fields: size 320, align 8 {
        ch: 0, f: 8, status: 9, retry_state: 10, reserved: 11, desc: 16, cb: 24, caller_ctx: 32,
        submit_tsc: 40, ch_link: 48, buf_link: 64, error: 72, _tail: 80,
    }
}

/// A request. From the bdev layer's pools, of the module between `submit_request` and completion, of
/// the submitter between its callback and `spdk_bdev_free_io`.
#[repr(C)]
pub struct spdk_bdev_io {
    /// The bdev it is for.
    pub bdev: *mut spdk_bdev,
    /// Its [`spdk_bdev_io_type`](crate::bdev::spdk_bdev_io_type).
    pub r#type: u8,
    /// Reserved.
    pub reserved0: u8,
    /// How often it was submitted again.
    pub num_retries: u16,
    /// Reserved.
    pub reserved1: u32,
    /// One iovec of its own.
    pub iov: iovec,
    /// The bdev layer's, for splitting.
    pub child_iov: [iovec; 32],
    /// Reserved.
    pub reserved2: [u8; 32],
    /// Its parameters.
    pub u: spdk_bdev_io__u,
    /// Reserved.
    pub reserved3: [u8; 40],
    /// The bdev layer's.
    pub internal: spdk_bdev_io_internal_fields,
    /// Reserved.
    pub reserved4: [u8; 64],
    /// Memory of the module, as much as the greatest `get_ctx_size` of all modules. Not initialised.
    pub driver_ctx: [u8; 0],
}
layout! {
    struct spdk_bdev_io: size 1216, align 8 {
        bdev: 0, r#type: 8, reserved0: 9, num_retries: 10, reserved1: 12, iov: 16, child_iov: 32,
        reserved2: 544, u: 576, reserved3: 792, internal: 832, reserved4: 1152, driver_ctx: 1216,
    }
}
