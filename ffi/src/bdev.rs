//! C: spdk/bdev.h
//!
//! Block devices as their users see them.

use core::ffi::{c_char, c_int, c_uint, c_void};

use crate::dif::{spdk_dif_check_type, spdk_dif_pi_format, spdk_dif_type};
use crate::json::spdk_json_write_ctx;
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
opaque! {
    /// Error counts of a bdev, private to the bdev layer.
    spdk_bdev_io_error_stat
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

enumeration! {
    /// Which statistics to reset after reading them.
    spdk_bdev_reset_stat_mode: c_uint {
        /// All.
        SPDK_BDEV_RESET_STAT_ALL = 0,
        /// Minima and maxima of latencies.
        SPDK_BDEV_RESET_STAT_MAXMIN = 1,
        /// Error counts.
        SPDK_BDEV_RESET_STAT_ERROR = 2,
        /// None.
        SPDK_BDEV_RESET_STAT_NONE = 3,
    }
}

/// Tells the opener of a bdev of an event, on the thread that opened it.
pub type spdk_bdev_event_cb_t = Option<
    unsafe extern "C" fn(type_: spdk_bdev_event_type, bdev: *mut spdk_bdev, event_ctx: *mut c_void),
>;

/// The end of a request, on the thread that submitted it. `bdev_io` is the callee's to free.
pub type spdk_bdev_io_completion_cb =
    Option<unsafe extern "C" fn(bdev_io: *mut spdk_bdev_io, success: bool, cb_arg: *mut c_void)>;

/// Says that all examinations are over, on the thread that asked.
pub type spdk_bdev_wait_for_examine_cb = Option<unsafe extern "C" fn(arg: *mut c_void)>;

/// Hands over the statistics of a bdev, on the thread that asked; `stat` is the caller's own.
pub type spdk_bdev_get_device_stat_cb = Option<
    unsafe extern "C" fn(
        bdev: *mut spdk_bdev,
        stat: *mut spdk_bdev_io_stat,
        cb_arg: *mut c_void,
        rc: c_int,
    ),
>;

/// Called for each bdev; a value other than 0 ends the iteration and is its result.
pub type spdk_for_each_bdev_fn =
    Option<unsafe extern "C" fn(ctx: *mut c_void, bdev: *mut spdk_bdev) -> c_int>;

/// Says that a request may be submitted again, on the thread that waits.
pub type spdk_bdev_io_wait_cb = Option<unsafe extern "C" fn(cb_arg: *mut c_void)>;

/// Statistics of a bdev or of one of its channels, latencies in ticks.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct spdk_bdev_io_stat {
    /// Bytes read.
    pub bytes_read: u64,
    /// Number of reads.
    pub num_read_ops: u64,
    /// Bytes written.
    pub bytes_written: u64,
    /// Number of writes.
    pub num_write_ops: u64,
    /// Bytes unmapped.
    pub bytes_unmapped: u64,
    /// Number of unmaps.
    pub num_unmap_ops: u64,
    /// Bytes copied.
    pub bytes_copied: u64,
    /// Number of copies.
    pub num_copy_ops: u64,
    /// Sum of the reads' latencies.
    pub read_latency_ticks: u64,
    /// Longest read.
    pub max_read_latency_ticks: u64,
    /// Shortest read.
    pub min_read_latency_ticks: u64,
    /// Sum of the writes' latencies.
    pub write_latency_ticks: u64,
    /// Longest write.
    pub max_write_latency_ticks: u64,
    /// Shortest write.
    pub min_write_latency_ticks: u64,
    /// Sum of the unmaps' latencies.
    pub unmap_latency_ticks: u64,
    /// Longest unmap.
    pub max_unmap_latency_ticks: u64,
    /// Shortest unmap.
    pub min_unmap_latency_ticks: u64,
    /// Sum of the copies' latencies.
    pub copy_latency_ticks: u64,
    /// Longest copy.
    pub max_copy_latency_ticks: u64,
    /// Shortest copy.
    pub min_copy_latency_ticks: u64,
    /// Ticks a second.
    pub ticks_rate: u64,
    /// Error counts, or NULL.
    pub io_error: *mut spdk_bdev_io_error_stat,
}
layout! {
    struct spdk_bdev_io_stat: size 176, align 8 {
        bytes_read: 0, num_read_ops: 8, bytes_written: 16, num_write_ops: 24, bytes_unmapped: 32,
        num_unmap_ops: 40, bytes_copied: 48, num_copy_ops: 56, read_latency_ticks: 64,
        max_read_latency_ticks: 72, min_read_latency_ticks: 80, write_latency_ticks: 88,
        max_write_latency_ticks: 96, min_write_latency_ticks: 104, unmap_latency_ticks: 112,
        max_unmap_latency_ticks: 120, min_unmap_latency_ticks: 128, copy_latency_ticks: 136,
        max_copy_latency_ticks: 144, min_copy_latency_ticks: 152, ticks_rate: 160, io_error: 168,
    }
}

/// Options of the bdev layer.
#[repr(C, packed)]
#[derive(Clone, Copy)]
pub struct spdk_bdev_opts {
    /// Number of `spdk_bdev_io` of the process.
    pub bdev_io_pool_size: u32,
    /// Number of `spdk_bdev_io` that a thread may keep to itself.
    pub bdev_io_cache_size: u32,
    /// Whether new bdevs are examined without being asked to.
    pub bdev_auto_examine: bool,
    /// Reserved.
    pub reserved9: [u8; 7],
    /// Size of this structure as the caller knows it.
    pub opts_size: usize,
    /// Number of small buffers that a thread may keep to itself.
    pub iobuf_small_cache_size: u32,
    /// Number of large buffers that a thread may keep to itself.
    pub iobuf_large_cache_size: u32,
}
layout! {
    struct spdk_bdev_opts: size 32, align 1 {
        bdev_io_pool_size: 0, bdev_io_cache_size: 4, bdev_auto_examine: 8, reserved9: 9,
        opts_size: 16, iobuf_small_cache_size: 24, iobuf_large_cache_size: 28,
    }
}

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
        #[set(set_dtype)]
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
        #[set(set_dspec)]
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
    /// Reads the options of the bdev layer into `opts` of `opts_size` bytes.
    pub fn spdk_bdev_get_opts(opts: *mut spdk_bdev_opts, opts_size: usize);

    /// Sets the options of the bdev layer; before it is initialised. Returns 0 or -1.
    pub fn spdk_bdev_set_opts(opts: *mut spdk_bdev_opts) -> c_int;

    /// Calls `cb_fn` on the current SPDK thread once no bdev is being examined. Returns 0 or
    /// `-ENOMEM`.
    pub fn spdk_bdev_wait_for_examine(
        cb_fn: spdk_bdev_wait_for_examine_cb,
        cb_arg: *mut c_void,
    ) -> c_int;

    /// Examines a bdev, now or when it appears, if that is not done automatically. On the
    /// application thread. Returns 0 or a negative errno value.
    pub fn spdk_bdev_examine(name: *const c_char) -> c_int;

    /// Name of the module of a bdev, owned by it.
    pub fn spdk_bdev_get_module_name(bdev: *const spdk_bdev) -> *const c_char;

    /// The bdev of a name or alias, or NULL. The pointer is safe to use only while the bdev cannot
    /// be unregistered: open it instead. On the application thread.
    pub fn spdk_bdev_get_by_name(bdev_name: *const c_char) -> *mut spdk_bdev;

    /// The first bdev, or NULL. As safe as `spdk_bdev_get_by_name`.
    pub fn spdk_bdev_first() -> *mut spdk_bdev;

    /// The bdev after `prev`, or NULL. As safe as `spdk_bdev_get_by_name`.
    pub fn spdk_bdev_next(prev: *mut spdk_bdev) -> *mut spdk_bdev;

    /// Calls `fn_` for each bdev, opened meanwhile. On an SPDK thread. Returns what `fn_` last did.
    pub fn spdk_for_each_bdev(ctx: *mut c_void, fn_: spdk_for_each_bdev_fn) -> c_int;

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

    /// NUMA node of a bdev, or `SPDK_ENV_NUMA_ID_ANY`.
    pub fn spdk_bdev_get_numa_id(bdev: *mut spdk_bdev) -> i32;

    /// The bdev of a descriptor; valid while the descriptor is open.
    pub fn spdk_bdev_desc_get_bdev(desc: *mut spdk_bdev_desc) -> *mut spdk_bdev;

    /// Block size in bytes as the descriptor's owner sees it.
    pub fn spdk_bdev_desc_get_block_size(desc: *mut spdk_bdev_desc) -> u32;

    /// Metadata size in bytes as the descriptor's owner sees it.
    pub fn spdk_bdev_desc_get_md_size(desc: *mut spdk_bdev_desc) -> u32;

    /// Whether the descriptor's owner sees metadata behind each block's data.
    pub fn spdk_bdev_desc_is_md_interleaved(desc: *mut spdk_bdev_desc) -> bool;

    /// Whether the descriptor's owner sees metadata in a buffer of its own.
    pub fn spdk_bdev_desc_is_md_separate(desc: *mut spdk_bdev_desc) -> bool;

    /// Protection information as the descriptor's owner sees it.
    pub fn spdk_bdev_desc_get_dif_type(desc: *mut spdk_bdev_desc) -> spdk_dif_type;

    /// Whether a bdev handles requests of a type, itself or by emulation in the bdev layer.
    pub fn spdk_bdev_io_type_supported(bdev: *mut spdk_bdev, io_type: spdk_bdev_io_type) -> bool;

    /// Name of a type of requests (static), or NULL for an unknown one.
    pub fn spdk_bdev_get_io_type_name(io_type: spdk_bdev_io_type) -> *const c_char;

    /// Writes what the bdev's module has to say about it. Returns 0 or a negative errno value.
    pub fn spdk_bdev_dump_info_json(bdev: *mut spdk_bdev, w: *mut spdk_json_write_ctx) -> c_int;

    /// Name, owned by the bdev.
    pub fn spdk_bdev_get_name(bdev: *const spdk_bdev) -> *const c_char;

    /// Product name, owned by the bdev.
    pub fn spdk_bdev_get_product_name(bdev: *const spdk_bdev) -> *const c_char;

    /// Block size in bytes, with interleaved metadata.
    pub fn spdk_bdev_get_block_size(bdev: *const spdk_bdev) -> u32;

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

    /// Whether the bdev makes a check of protection information.
    pub fn spdk_bdev_is_dif_check_enabled(
        bdev: *const spdk_bdev,
        check_type: spdk_dif_check_type,
    ) -> bool;

    /// Longest copy in blocks, or 0 for no limit.
    pub fn spdk_bdev_get_max_copy(bdev: *const spdk_bdev) -> u32;

    /// The current SPDK thread's channel of a bdev, with a reference for the caller to put; NULL
    /// without memory or if the module refuses.
    pub fn spdk_bdev_get_io_channel(desc: *mut spdk_bdev_desc) -> *mut spdk_io_channel;

    /// Reads the statistics of a channel into `stat`. On the thread of `ch`.
    pub fn spdk_bdev_get_io_stat(
        bdev: *mut spdk_bdev,
        ch: *mut spdk_io_channel,
        stat: *mut spdk_bdev_io_stat,
        reset_mode: spdk_bdev_reset_stat_mode,
    );

    /// Adds up the statistics of all channels into `stat`, the caller's, and calls `cb` with it. On
    /// an SPDK thread.
    pub fn spdk_bdev_get_device_stat(
        bdev: *mut spdk_bdev,
        stat: *mut spdk_bdev_io_stat,
        reset_mode: spdk_bdev_reset_stat_mode,
        cb: spdk_bdev_get_device_stat_cb,
        cb_arg: *mut c_void,
    );
}
