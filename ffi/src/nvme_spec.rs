//! C: spdk/nvme_spec.h
//!
//! NVMe commands as passthru requests carry them.

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
        opc: 0 + 8,
        /// Fused operation.
        fuse: 8 + 2,
        /// Reserved.
        rsvd1: 10 + 4,
        /// PRP or SGL for data transfer.
        psdt: 14 + 2,
    }
}
