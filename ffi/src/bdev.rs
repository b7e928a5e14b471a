//! C: spdk/bdev.h
//!
//! Block devices as their users see them.

use core::ffi::{c_char, c_int, c_uint, c_void};

use crate::dif::{spdk_dif_pi_format, spdk_dif_type};
use crate::thread::spdk_io_channel;
use crate::uuid::spdk_uuid;

mod request;

pub use crate::bdev_module::{spdk_bdev, spdk_bdev_io};
pub use request::*;

opaque! {
    /// An open descriptor of a bdev. Owned by who opened it, closed on the thread that opened it.
    spdk_bdev_desc
}
opaque! {
    /// Memory of a device or of another address space (`spdk/dma.h`).
    spdk_memory_domain
}
opaque! {
    /// A sequence of operations that an accelerator does on the data (`spdk/accel.h`).
    spdk_accel_sequence
}

enumeration! {
    /// What happened to an open bdev.
    spdk_bdev_event_type: c_uint {
        /// It goes away: finish the I/O, put the channels and close the descriptor.
        SPDK_BDEV_EVENT_REMOVE = 0,
        /// Its number of blocks changed.
        SPDK_BDEV_EVENT_RESIZE = 1,
        /// Media management events are there.
        SPDK_BDEV_EVENT_MEDIA_MANAGEMENT = 2,
    }
}

enumeration! {
    /// Type of a request.
    spdk_bdev_io_type: c_uint {
        /// None.
        SPDK_BDEV_IO_TYPE_INVALID = 0,
        /// Read.
        SPDK_BDEV_IO_TYPE_READ = 1,
        /// Write.
        SPDK_BDEV_IO_TYPE_WRITE = 2,
        /// Deallocate.
        SPDK_BDEV_IO_TYPE_UNMAP = 3,
        /// Make written data durable.
        SPDK_BDEV_IO_TYPE_FLUSH = 4,
        /// Abort everything outstanding and reset the device.
        SPDK_BDEV_IO_TYPE_RESET = 5,
        /// NVMe admin command.
        SPDK_BDEV_IO_TYPE_NVME_ADMIN = 6,
        /// NVMe I/O command.
        SPDK_BDEV_IO_TYPE_NVME_IO = 7,
        /// NVMe I/O command with separate metadata.
        SPDK_BDEV_IO_TYPE_NVME_IO_MD = 8,
        /// Write zeroes.
        SPDK_BDEV_IO_TYPE_WRITE_ZEROES = 9,
        /// Lend the device's own buffers.
        SPDK_BDEV_IO_TYPE_ZCOPY = 10,
        /// Report zones.
        SPDK_BDEV_IO_TYPE_GET_ZONE_INFO = 11,
        /// Change the state of a zone.
        SPDK_BDEV_IO_TYPE_ZONE_MANAGEMENT = 12,
        /// Append to a zone.
        SPDK_BDEV_IO_TYPE_ZONE_APPEND = 13,
        /// Compare with a buffer.
        SPDK_BDEV_IO_TYPE_COMPARE = 14,
        /// Compare, and write if equal, atomically.
        SPDK_BDEV_IO_TYPE_COMPARE_AND_WRITE = 15,
        /// Abort one request.
        SPDK_BDEV_IO_TYPE_ABORT = 16,
        /// Find the next hole.
        SPDK_BDEV_IO_TYPE_SEEK_HOLE = 17,
        /// Find the next data.
        SPDK_BDEV_IO_TYPE_SEEK_DATA = 18,
        /// Copy within the bdev.
        SPDK_BDEV_IO_TYPE_COPY = 19,
        /// NVMe I/O command with an iovec array and separate metadata.
        SPDK_BDEV_IO_TYPE_NVME_IOV_MD = 20,
        /// Reset the NVM subsystem.
        SPDK_BDEV_IO_TYPE_NVME_NSSR = 21,
        /// Mark blocks as unreadable.
        SPDK_BDEV_IO_TYPE_WRITE_UNCORRECTABLE = 22,
        /// Number of types.
        SPDK_BDEV_NUM_IO_TYPES = 23,
    }
}

/// Tells the opener of a bdev of an event, on the thread that opened it.
pub type spdk_bdev_event_cb_t = Option<
    unsafe extern "C" fn(type_: spdk_bdev_event_type, bdev: *mut spdk_bdev, event_ctx: *mut c_void),
>;

/// The end of a request, on the thread that submitted it. `bdev_io` is the callee's to free.
pub type spdk_bdev_io_completion_cb =
    Option<unsafe extern "C" fn(bdev_io: *mut spdk_bdev_io, success: bool, cb_arg: *mut c_void)>;

/// Says that a request may be submitted again, on the thread that waits.
pub type spdk_bdev_io_wait_cb = Option<unsafe extern "C" fn(cb_arg: *mut c_void)>;

/// Fields of command dword 12 of a write.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct spdk_bdev_nvme_cdw12__write {
    /// See the accessors.
    pub _bits0: u32,
}
layout! { struct spdk_bdev_nvme_cdw12__write: size 4, align 4 { _bits0: 0 } }
bit_fields! {
    spdk_bdev_nvme_cdw12__write._bits0: u32 {
        /// Reserved.
        reserved: 0 + 20,
        /// Directive type.
        dtype: 20 + 4,
        /// Reserved.
        reserved2: 24 + 8,
    }
}

/// NVMe command dword 12.
#[repr(C)]
#[derive(Clone, Copy)]
pub union spdk_bdev_nvme_cdw12 {
    /// All bits.
    pub raw: u32,
    /// As a write has it.
    pub write: spdk_bdev_nvme_cdw12__write,
}
layout! { union spdk_bdev_nvme_cdw12: size 4, align 4 { raw, write } }

/// Fields of command dword 13 of a write.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct spdk_bdev_nvme_cdw13__write {
    /// See the accessors.
    pub _bits0: u32,
}
layout! { struct spdk_bdev_nvme_cdw13__write: size 4, align 4 { _bits0: 0 } }
bit_fields! {
    spdk_bdev_nvme_cdw13__write._bits0: u32 {
        /// Reserved.
        reserved: 0 + 16,
        /// Directive specific.
        dspec: 16 + 16,
    }
}

/// NVMe command dword 13.
#[repr(C)]
#[derive(Clone, Copy)]
pub union spdk_bdev_nvme_cdw13 {
    /// All bits.
    pub raw: u32,
    /// As a write has it.
    pub write: spdk_bdev_nvme_cdw13__write,
}
layout! { union spdk_bdev_nvme_cdw13: size 4, align 4 { raw, write } }

/// Controller attributes of an NVMe bdev.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct spdk_bdev_nvme_ctratt__bits {
    /// See the accessors.
    pub _bits0: u32,
}
layout! { struct spdk_bdev_nvme_ctratt__bits: size 4, align 4 { _bits0: 0 } }
bit_fields! {
    spdk_bdev_nvme_ctratt__bits._bits0: u32 {
        /// Reserved.
        reserved: 0 + 19,
        /// Whether flexible data placement is supported.
        fdps: 19 + 1,
        /// Reserved.
        reserved2: 20 + 12,
    }
}

/// NVMe controller attributes.
#[repr(C)]
#[derive(Clone, Copy)]
pub union spdk_bdev_nvme_ctratt {
    /// All bits.
    pub raw: u32,
    /// Bit by bit.
    pub bits: spdk_bdev_nvme_ctratt__bits,
}
layout! { union spdk_bdev_nvme_ctratt: size 4, align 4 { raw, bits } }

/// Extended options of a read or write. The caller's; SPDK copies what it needs on submission.
#[repr(C, packed)]
#[derive(Clone, Copy)]
pub struct spdk_bdev_ext_io_opts {
    /// Size of this structure as the caller knows it.
    pub size: usize,
    /// Where the data is, or NULL for the process's memory.
    pub memory_domain: *mut spdk_memory_domain,
    /// Context of the memory domain.
    pub memory_domain_ctx: *mut c_void,
    /// Separate metadata, or NULL.
    pub metadata: *mut c_void,
    /// What to do to the data on its way, or NULL. Given away on success.
    pub accel_sequence: *mut spdk_accel_sequence,
    /// Checks to leave out: `SPDK_DIF_FLAGS_*`.
    pub dif_check_flags_exclude_mask: u32,
    /// Command dword 12.
    pub nvme_cdw12: spdk_bdev_nvme_cdw12,
    /// Command dword 13.
    pub nvme_cdw13: spdk_bdev_nvme_cdw13,
}
layout! {
    struct spdk_bdev_ext_io_opts: size 52, align 1 {
        size: 0, memory_domain: 8, memory_domain_ctx: 16, metadata: 24, accel_sequence: 32,
        dif_check_flags_exclude_mask: 40, nvme_cdw12: 44, nvme_cdw13: 48,
    }
}

/// Links of a wait entry; the bdev layer's.
#[repr(C)]
pub struct spdk_bdev_io_wait_entry__link {
    /// Next entry.
    pub tqe_next: *mut spdk_bdev_io_wait_entry,
    /// Where the previous entry points to this one.
    pub tqe_prev: *mut *mut spdk_bdev_io_wait_entry,
}
layout! { struct spdk_bdev_io_wait_entry__link: size 16, align 8 { tqe_next: 0, tqe_prev: 8 } }

/// One who waits for an `spdk_bdev_io`. The caller's; it must neither move nor go until `cb_fn` runs.
#[repr(C)]
pub struct spdk_bdev_io_wait_entry {
    /// The bdev to submit to.
    pub bdev: *mut spdk_bdev,
    /// What to call.
    pub cb_fn: spdk_bdev_io_wait_cb,
    /// Its argument.
    pub cb_arg: *mut c_void,
    /// Whether others depend on this one: it then goes first.
    pub dep_unblock: bool,
    /// Reserved.
    pub pad: [u8; 7],
    /// The bdev layer's.
    pub link: spdk_bdev_io_wait_entry__link,
}
layout! {
    struct spdk_bdev_io_wait_entry: size 48, align 8 {
        bdev: 0, cb_fn: 8, cb_arg: 16, dep_unblock: 24, pad: 25, link: 32,
    }
}

unsafe extern "C" {
    /// The bdev of a name or alias, or NULL. The pointer is safe to use only while the bdev cannot
    /// be unregistered: open it instead. On the application thread.
    pub fn spdk_bdev_get_by_name(bdev_name: *const c_char) -> *mut spdk_bdev;

    /// Opens a bdev by name or alias and stores the descriptor in `*desc`. On an SPDK thread, where
    /// `event_cb` (required) then runs and where the descriptor is to be closed. Returns 0, or
    /// `-ENODEV`, `-EPERM` (claimed by another), `-ENOMEM`, `-EINVAL`.
    pub fn spdk_bdev_open_ext(
        bdev_name: *const c_char,
        write: bool,
        event_cb: spdk_bdev_event_cb_t,
        event_ctx: *mut c_void,
        desc: *mut *mut spdk_bdev_desc,
    ) -> c_int;

    /// Closes a descriptor, on the thread that opened it. Its claims are released. Its channels
    /// must have been put.
    pub fn spdk_bdev_close(desc: *mut spdk_bdev_desc);

    /// The bdev of a descriptor; valid while the descriptor is open.
    pub fn spdk_bdev_desc_get_bdev(desc: *mut spdk_bdev_desc) -> *mut spdk_bdev;

    /// Block size in bytes as the descriptor's owner sees it.
    pub fn spdk_bdev_desc_get_block_size(desc: *mut spdk_bdev_desc) -> u32;

    /// Whether a bdev handles requests of a type, itself or by emulation in the bdev layer.
    pub fn spdk_bdev_io_type_supported(bdev: *mut spdk_bdev, io_type: spdk_bdev_io_type) -> bool;

    /// Name, owned by the bdev.
    pub fn spdk_bdev_get_name(bdev: *const spdk_bdev) -> *const c_char;

    /// Product name, owned by the bdev.
    pub fn spdk_bdev_get_product_name(bdev: *const spdk_bdev) -> *const c_char;

    /// Blocks that a write must be a multiple of, in size and position.
    pub fn spdk_bdev_get_write_unit_size(bdev: *const spdk_bdev) -> u32;

    /// Number of blocks.
    pub fn spdk_bdev_get_num_blocks(bdev: *const spdk_bdev) -> u64;

    /// Alignment in bytes that buffers should have, at least 1; others get bounced.
    pub fn spdk_bdev_get_buf_align(bdev: *const spdk_bdev) -> usize;

    /// Boundary in blocks that requests had better not cross, or 0.
    pub fn spdk_bdev_get_optimal_io_boundary(bdev: *const spdk_bdev) -> u32;

    /// Whether written data needs a flush to be durable.
    pub fn spdk_bdev_has_write_cache(bdev: *const spdk_bdev) -> bool;

    /// UUID, owned by the bdev.
    pub fn spdk_bdev_get_uuid(bdev: *const spdk_bdev) -> *const spdk_uuid;

    /// Blocks that a compare-and-write handles atomically.
    pub fn spdk_bdev_get_acwu(bdev: *const spdk_bdev) -> u16;

    /// Metadata size in bytes, or 0.
    pub fn spdk_bdev_get_md_size(bdev: *const spdk_bdev) -> u32;

    /// Whether metadata stands behind each block's data.
    pub fn spdk_bdev_is_md_interleaved(bdev: *const spdk_bdev) -> bool;

    /// Whether metadata has a buffer of its own.
    pub fn spdk_bdev_is_md_separate(bdev: *const spdk_bdev) -> bool;

    /// Whether the bdev is zoned.
    pub fn spdk_bdev_is_zoned(bdev: *const spdk_bdev) -> bool;

    /// Block size in bytes, without metadata.
    pub fn spdk_bdev_get_data_block_size(bdev: *const spdk_bdev) -> u32;

    /// Physical block size in bytes.
    pub fn spdk_bdev_get_physical_block_size(bdev: *const spdk_bdev) -> u32;

    /// Preferred alignment of writes in blocks.
    pub fn spdk_bdev_get_preferred_write_alignment(bdev: *const spdk_bdev) -> u32;

    /// Preferred granularity of writes in blocks.
    pub fn spdk_bdev_get_preferred_write_granularity(bdev: *const spdk_bdev) -> u32;

    /// Optimal size of writes in blocks.
    pub fn spdk_bdev_get_optimal_write_size(bdev: *const spdk_bdev) -> u32;

    /// Preferred alignment of unmaps in blocks.
    pub fn spdk_bdev_get_preferred_unmap_alignment(bdev: *const spdk_bdev) -> u32;

    /// Preferred granularity of unmaps in blocks.
    pub fn spdk_bdev_get_preferred_unmap_granularity(bdev: *const spdk_bdev) -> u32;

    /// Type of protection information.
    pub fn spdk_bdev_get_dif_type(bdev: *const spdk_bdev) -> spdk_dif_type;

    /// Format of protection information.
    pub fn spdk_bdev_get_dif_pi_format(bdev: *const spdk_bdev) -> spdk_dif_pi_format;

    /// Whether protection information stands at the start of the metadata.
    pub fn spdk_bdev_is_dif_head_of_md(bdev: *const spdk_bdev) -> bool;

    /// Longest copy in blocks, or 0 for no limit.
    pub fn spdk_bdev_get_max_copy(bdev: *const spdk_bdev) -> u32;

    /// The current SPDK thread's channel of a bdev, with a reference for the caller to put; NULL
    /// without memory or if the module refuses.
    pub fn spdk_bdev_get_io_channel(desc: *mut spdk_bdev_desc) -> *mut spdk_io_channel;
}
