//! C: spdk/nvme_spec.h
//!
//! NVMe commands as passthru requests carry them, and the status codes that bdevs report.

use core::ffi::c_int;

/// A command of 64 bytes. Its owner's memory; SPDK copies it on submission.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct spdk_nvme_cmd {
    /// Opcode, fused operation and kind of data pointer.
    pub _bits0: u16,
    /// Command identifier; the driver's.
    pub cid: u16,
    /// Namespace identifier.
    pub nsid: u32,
    /// Reserved.
    pub rsvd2: u32,
    /// Reserved.
    pub rsvd3: u32,
    /// Metadata pointer; the driver's.
    pub mptr: u64,
    /// Data pointer and command dwords 10 to 15.
    pub _tail: [u8; 40],
}
layout! {
    struct spdk_nvme_cmd: size 64, align 8 {
        _bits0: 0, cid: 2, nsid: 4, rsvd2: 8, rsvd3: 12, mptr: 16, _tail: 24,
    }
}
bit_fields! {
    spdk_nvme_cmd._bits0: u16 {
        /// Opcode.
        #[set(set_opc)]
        opc: 0 + 8,
        /// Fused operation.
        fuse: 8 + 2,
        /// Reserved.
        rsvd1: 10 + 4,
        /// PRP or SGL for data transfer.
        psdt: 14 + 2,
    }
}

/// Status code type: generic.
pub const SPDK_NVME_SCT_GENERIC: c_int = 0x0;
/// Status code type: of one command.
pub const SPDK_NVME_SCT_COMMAND_SPECIFIC: c_int = 0x1;
/// Status code type: media and data integrity.
pub const SPDK_NVME_SCT_MEDIA_ERROR: c_int = 0x2;
/// Status code type: path.
pub const SPDK_NVME_SCT_PATH: c_int = 0x3;
/// Status code type: vendor specific.
pub const SPDK_NVME_SCT_VENDOR_SPECIFIC: c_int = 0x7;

/// Generic status: success.
pub const SPDK_NVME_SC_SUCCESS: c_int = 0x00;
/// Generic status: unknown opcode.
pub const SPDK_NVME_SC_INVALID_OPCODE: c_int = 0x01;
/// Generic status: a field of the command is wrong.
pub const SPDK_NVME_SC_INVALID_FIELD: c_int = 0x02;
/// Generic status: the device failed.
pub const SPDK_NVME_SC_INTERNAL_DEVICE_ERROR: c_int = 0x06;
/// Generic status: aborted because someone asked for it.
pub const SPDK_NVME_SC_ABORTED_BY_REQUEST: c_int = 0x07;
/// Generic status: aborted because the other fused command failed.
pub const SPDK_NVME_SC_ABORTED_FAILED_FUSED: c_int = 0x09;
/// Generic status: blocks outside of the namespace.
pub const SPDK_NVME_SC_LBA_OUT_OF_RANGE: c_int = 0x80;
/// Generic status: the namespace is full.
pub const SPDK_NVME_SC_CAPACITY_EXCEEDED: c_int = 0x81;
/// Generic status: the namespace is not ready.
pub const SPDK_NVME_SC_NAMESPACE_NOT_READY: c_int = 0x82;
/// Media status: the write failed.
pub const SPDK_NVME_SC_WRITE_FAULTS: c_int = 0x80;
/// Media status: the read failed for good.
pub const SPDK_NVME_SC_UNRECOVERED_READ_ERROR: c_int = 0x81;
/// Media status: the guard is wrong.
pub const SPDK_NVME_SC_GUARD_CHECK_ERROR: c_int = 0x82;
/// Media status: the application tag is wrong.
pub const SPDK_NVME_SC_APPLICATION_TAG_CHECK_ERROR: c_int = 0x83;
/// Media status: the reference tag is wrong.
pub const SPDK_NVME_SC_REFERENCE_TAG_CHECK_ERROR: c_int = 0x84;
/// Media status: the data differ.
pub const SPDK_NVME_SC_COMPARE_FAILURE: c_int = 0x85;
