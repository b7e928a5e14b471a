//! C: spdk/bdev_module.h
//!
//! Block devices as their modules see them.

use core::ffi::{c_char, c_int, c_void};

use crate::bdev::{spdk_bdev_desc, spdk_bdev_io_type, spdk_bdev_nvme_ctratt, spdk_memory_domain};
use crate::dif::{spdk_dif_pi_format, spdk_dif_type};
use crate::json::spdk_json_write_ctx;
use crate::scsi_spec::{spdk_scsi_sense, spdk_scsi_status};
use crate::thread::spdk_io_channel;
use crate::uuid::spdk_uuid;

mod request;

pub use request::*;

opaque! {
    /// An alias of a bdev; the bdev layer's.
    spdk_bdev_alias
}
opaque! {
    /// A channel as the bdev layer sees it; the bdev layer's.
    spdk_bdev_channel
}

enumeration! {
    /// Status of a request. `struct spdk_bdev_io` holds it as `int8_t`.
    spdk_bdev_io_status: c_int {
        /// Failed with an errno value.
        SPDK_BDEV_IO_STATUS_AIO_ERROR = -8,
        /// Aborted.
        SPDK_BDEV_IO_STATUS_ABORTED = -7,
        /// The compare of a compare-and-write failed.
        SPDK_BDEV_IO_STATUS_FIRST_FUSED_FAILED = -6,
        /// The data differ.
        SPDK_BDEV_IO_STATUS_MISCOMPARE = -5,
        /// No resources: the bdev layer submits the request again after another one completed.
        /// Not for resets.
        SPDK_BDEV_IO_STATUS_NOMEM = -4,
        /// Failed with a SCSI status.
        SPDK_BDEV_IO_STATUS_SCSI_ERROR = -3,
        /// Failed with an NVMe status.
        SPDK_BDEV_IO_STATUS_NVME_ERROR = -2,
        /// Failed.
        SPDK_BDEV_IO_STATUS_FAILED = -1,
        /// Not complete.
        SPDK_BDEV_IO_STATUS_PENDING = 0,
        /// Succeeded.
        SPDK_BDEV_IO_STATUS_SUCCESS = 1,
        /// The least status.
        SPDK_MIN_BDEV_IO_STATUS = -8,
    }
}

/// Says that a bdev is unregistered, on the thread that asked. `rc` is 0 or a negative errno value.
pub type spdk_bdev_unregister_cb = Option<unsafe extern "C" fn(cb_arg: *mut c_void, rc: c_int)>;

/// Says that blocks are quiet, or that they are not any more, on the thread that asked. `status` is 0 or a
/// negative errno value.
pub type spdk_bdev_quiesce_cb = Option<unsafe extern "C" fn(ctx: *mut c_void, status: c_int)>;

/// Says that a read has its buffer (`success`), on the thread of the request.
pub type spdk_bdev_io_get_buf_cb = Option<
    unsafe extern "C" fn(ch: *mut spdk_io_channel, bdev_io: *mut spdk_bdev_io, success: bool),
>;

/// A module. Static memory of it: the bdev layer keeps the pointer. The callbacks up to
/// `config_json` run on the application thread.
#[repr(C)]
pub struct spdk_bdev_module {
    /// Initialises the module. Required. Returns 0 or a negative errno value, which ends the start.
    pub module_init: Option<unsafe extern "C" fn() -> c_int>,
    /// The bdev layer is initialised.
    pub init_complete: Option<unsafe extern "C" fn()>,
    /// The bdev layer is about to unregister the bdevs.
    pub fini_start: Option<unsafe extern "C" fn()>,
    /// All bdevs are unregistered.
    pub module_fini: Option<unsafe extern "C" fn()>,
    /// Writes the RPCs that make the module as it is. Returns 0 or a negative errno value.
    pub config_json: Option<unsafe extern "C" fn(w: *mut spdk_json_write_ctx) -> c_int>,
    /// Its name, static.
    pub name: *const c_char,
    /// Bytes of `driver_ctx` that its requests need.
    pub get_ctx_size: Option<unsafe extern "C" fn() -> c_int>,
    /// A new bdev, no I/O to it yet. Must call `spdk_bdev_module_examine_done` before it returns.
    pub examine_config: Option<unsafe extern "C" fn(bdev: *mut spdk_bdev)>,
    /// A new bdev that nobody claimed. `spdk_bdev_module_examine_done` may follow later.
    pub examine_disk: Option<unsafe extern "C" fn(bdev: *mut spdk_bdev)>,
    /// Whether `spdk_bdev_module_init_done` ends `module_init`.
    pub async_init: bool,
    /// Whether `spdk_bdev_module_fini_done` ends `module_fini`.
    pub async_fini: bool,
    /// Whether `spdk_bdev_module_fini_start_done` ends `fini_start`.
    pub async_fini_start: bool,
    /// The bdev layer's; to be zero at first.
    pub _tail: [u8; 77],
}
layout! {
    struct spdk_bdev_module: size 152, align 8 {
        module_init: 0, init_complete: 8, fini_start: 16, module_fini: 24, config_json: 32,
        name: 40, get_ctx_size: 48, examine_config: 56, examine_disk: 64, async_init: 72,
        async_fini: 73, async_fini_start: 74, _tail: 75,
    }
}

/// The functions of a bdev. Static memory of its module. `ctx` is the bdev's `ctxt`.
#[repr(C)]
pub struct spdk_bdev_fn_table {
    /// Ends the bdev after its last descriptor was closed, on the application thread. Returns 0, a
    /// negative errno value, or 1 if `spdk_bdev_destruct_done` follows.
    pub destruct: Option<unsafe extern "C" fn(ctx: *mut c_void) -> c_int>,
    /// Handles a request, on the thread of `ch`. The request is the module's until it completes it.
    pub submit_request:
        Option<unsafe extern "C" fn(ch: *mut spdk_io_channel, bdev_io: *mut spdk_bdev_io)>,
    /// Whether requests of a type are handled.
    pub io_type_supported:
        Option<unsafe extern "C" fn(ctx: *mut c_void, io_type: spdk_bdev_io_type) -> bool>,
    /// A channel for the current thread, with a reference that the bdev layer puts; or NULL.
    pub get_io_channel: Option<unsafe extern "C" fn(ctx: *mut c_void) -> *mut spdk_io_channel>,
    /// Writes a name and a value about the bdev into an open object. Optional.
    pub dump_info_json:
        Option<unsafe extern "C" fn(ctx: *mut c_void, w: *mut spdk_json_write_ctx) -> c_int>,
    /// Writes the RPC that makes the bdev. Optional.
    pub write_config_json:
        Option<unsafe extern "C" fn(bdev: *mut spdk_bdev, w: *mut spdk_json_write_ctx)>,
    /// Spin time of a channel in microseconds. Optional.
    pub get_spin_time: Option<unsafe extern "C" fn(ch: *mut spdk_io_channel) -> u64>,
    /// The module's context for those who know it. Optional.
    pub get_module_ctx: Option<unsafe extern "C" fn(ctx: *mut c_void) -> *mut c_void>,
    /// Memory domains that the bdev can use. Optional.
    pub get_memory_domains: Option<
        unsafe extern "C" fn(
            ctx: *mut c_void,
            domains: *mut *mut spdk_memory_domain,
            array_size: c_int,
        ) -> c_int,
    >,
    /// Resets the module's statistics. Optional.
    pub reset_device_stat: Option<unsafe extern "C" fn(ctx: *mut c_void)>,
    /// Writes the module's statistics. Optional.
    pub dump_device_stat_json:
        Option<unsafe extern "C" fn(ctx: *mut c_void, w: *mut spdk_json_write_ctx)>,
    /// Whether requests of a type may carry a sequence of accelerator operations. Optional.
    pub accel_sequence_supported:
        Option<unsafe extern "C" fn(ctx: *mut c_void, type_: spdk_bdev_io_type) -> bool>,
}
layout! {
    struct spdk_bdev_fn_table: size 96, align 8 {
        destruct: 0, submit_request: 8, io_type_supported: 16, get_io_channel: 24,
        dump_info_json: 32, write_config_json: 40, get_spin_time: 48, get_module_ctx: 56,
        get_memory_domains: 64, reset_device_stat: 72, dump_device_stat_json: 80,
        accel_sequence_supported: 88,
    }
}

/// Aliases of a bdev; the bdev layer's.
#[repr(C)]
pub struct spdk_bdev_aliases_list {
    /// First alias.
    pub tqh_first: *mut spdk_bdev_alias,
    /// Where to link the next one.
    pub tqh_last: *mut *mut spdk_bdev_alias,
}
layout! { struct spdk_bdev_aliases_list: size 16, align 8 { tqh_first: 0, tqh_last: 8 } }

/// NUMA node of a bdev.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct spdk_bdev__numa {
    /// See the accessors.
    pub _bits0: u32,
}
layout! { struct spdk_bdev__numa: size 4, align 4 { _bits0: 0 } }
bit_fields! {
    spdk_bdev__numa._bits0: u32 {
        /// Whether `id` is set.
        id_valid: 0 + 1,
        /// The node, a signed number of 31 bits.
        id: 1 + 31,
    }
}

/// A bdev. Memory of its module, zeroed before it is filled, from `spdk_bdev_register` to the end of
/// `destruct`. Others read it through the functions of `spdk/bdev.h`.
#[repr(C)]
pub struct spdk_bdev {
    /// Context for the functions.
    pub ctxt: *mut c_void,
    /// Unique name, the module's.
    pub name: *mut c_char,
    /// The bdev layer's.
    pub aliases: spdk_bdev_aliases_list,
    /// Product name, the module's.
    pub product_name: *mut c_char,
    /// Whether written data needs a flush to be durable.
    pub write_cache: c_int,
    /// Block size in bytes.
    pub blocklen: u32,
    /// Physical block size in bytes.
    pub phys_blocklen: u32,
    /// The bdev layer's.
    pub io_type_supported: u32,
    /// Number of blocks; to be changed with `spdk_bdev_notify_blockcnt_change` once registered.
    pub blockcnt: u64,
    /// See the accessors.
    pub _bits0: u32,
    /// Blocks that a write is a multiple of.
    pub write_unit_size: u32,
    /// Blocks that a compare-and-write handles atomically.
    pub acwu: u16,
    /// Alignment of buffers as an exponent of 2; others get bounced.
    pub required_alignment: u8,
    /// Reserved.
    pub reserved1: u8,
    /// Boundary in blocks that requests had better not cross, or 0.
    pub optimal_io_boundary: u32,
    /// Preferred alignment of writes in blocks.
    pub preferred_write_alignment: u32,
    /// Preferred granularity of writes in blocks.
    pub preferred_write_granularity: u32,
    /// Optimal size of writes in blocks.
    pub optimal_write_size: u32,
    /// Preferred alignment of unmaps in blocks.
    pub preferred_unmap_alignment: u32,
    /// Preferred granularity of unmaps in blocks.
    pub preferred_unmap_granularity: u32,
    /// Longest segment in bytes, or 0; the bdev layer splits.
    pub max_segment_size: u32,
    /// Greatest number of segments, or 0; the bdev layer splits.
    pub max_num_segments: u32,
    /// Longest unmap in blocks, or 0; the bdev layer splits.
    pub max_unmap: u32,
    /// Greatest number of unmap segments.
    pub max_unmap_segments: u32,
    /// Longest write of zeroes in blocks, or 0; the bdev layer splits.
    pub max_write_zeroes: u32,
    /// Longest copy in blocks, or 0; the bdev layer splits.
    pub max_copy: u32,
    /// Longest read or write in blocks, or 0; the bdev layer splits.
    pub max_rw_size: u32,
    /// UUID; the bdev layer makes one if it is null.
    pub uuid: spdk_uuid,
    /// Metadata size in bytes.
    pub md_len: u32,
    /// Reserved.
    pub reserved2: [u8; 4],
    /// Type of protection information.
    pub dif_type: spdk_dif_type,
    /// Format of protection information.
    pub dif_pi_format: spdk_dif_pi_format,
    /// Reserved.
    pub reserved3: [u8; 4],
    /// Checks of protection information: `SPDK_DIF_FLAGS_*`.
    pub dif_check_flags: u32,
    /// Reserved.
    pub reserved4: [u8; 8],
    /// Size of a zone in blocks.
    pub zone_size: u64,
    /// Longest zone append in blocks.
    pub max_zone_append_size: u32,
    /// Greatest number of open zones.
    pub max_open_zones: u32,
    /// Greatest number of active zones.
    pub max_active_zones: u32,
    /// Optimal number of open zones.
    pub optimal_open_zones: u32,
    /// Reserved.
    pub reserved6: [u8; 4],
    /// NVMe controller attributes.
    pub ctratt: spdk_bdev_nvme_ctratt,
    /// NVMe namespace id.
    pub nsid: u32,
    /// Seconds that a reset waits for outstanding requests; if they complete, it is skipped. 0
    /// resets at once.
    pub reset_io_drain_timeout: u16,
    /// Reserved.
    pub reserved7: [u8; 2],
    /// NUMA node.
    pub numa: spdk_bdev__numa,
    /// The bdev layer's.
    pub accel_sequence_supported: u32,
    /// Its module.
    pub module: *mut spdk_bdev_module,
    /// Its functions.
    pub fn_table: *const spdk_bdev_fn_table,
    /// The bdev layer's; to be zero at first.
    pub _tail: [u8; 336],
}
layout! {
    struct spdk_bdev: size 576, align 8 {
        ctxt: 0, name: 8, aliases: 16, product_name: 32, write_cache: 40, blocklen: 44,
        phys_blocklen: 48, io_type_supported: 52, blockcnt: 56, _bits0: 64, write_unit_size: 68,
        acwu: 72, required_alignment: 74, reserved1: 75, optimal_io_boundary: 76,
        preferred_write_alignment: 80, preferred_write_granularity: 84, optimal_write_size: 88,
        preferred_unmap_alignment: 92, preferred_unmap_granularity: 96, max_segment_size: 100,
        max_num_segments: 104, max_unmap: 108, max_unmap_segments: 112, max_write_zeroes: 116,
        max_copy: 120, max_rw_size: 124, uuid: 128, md_len: 144, reserved2: 148, dif_type: 152,
        dif_pi_format: 156, reserved3: 160, dif_check_flags: 164, reserved4: 168, zone_size: 176,
        max_zone_append_size: 184, max_open_zones: 188, max_active_zones: 192,
        optimal_open_zones: 196, reserved6: 200, ctratt: 204, nsid: 208,
        reset_io_drain_timeout: 212, reserved7: 214, numa: 216, accel_sequence_supported: 220,
        module: 224, fn_table: 232, _tail: 240,
    }
}
bit_fields! {
    spdk_bdev._bits0: u32 {
        /// Whether the bdev layer splits writes at `write_unit_size`.
        #[set(set_split_on_write_unit)]
        split_on_write_unit: 0 + 1,
        /// Whether the bdev layer splits reads and writes at `optimal_io_boundary`.
        #[set(set_split_on_optimal_io_boundary)]
        split_on_optimal_io_boundary: 1 + 1,
        /// Whether metadata stands behind each block's data.
        #[set(set_md_interleave)]
        md_interleave: 2 + 1,
        /// Whether protection information stands at the start of the metadata.
        #[set(set_dif_is_head_of_md)]
        dif_is_head_of_md: 3 + 1,
        /// Whether it is zoned.
        #[set(set_zoned)]
        zoned: 4 + 1,
        /// Whether it reports media management events.
        media_events: 5 + 1,
        /// The bdev layer's.
        memory_domains_supported: 6 + 1,
        /// Reserved.
        reserved: 7 + 25,
    }
}

unsafe extern "C" {
    /// Claims a bdev for writing by one module and makes `desc` (NULL allowed) writable. Returns 0
    /// or `-EPERM`. To be released with `spdk_bdev_module_release_bdev`.
    pub fn spdk_bdev_module_claim_bdev(
        bdev: *mut spdk_bdev,
        desc: *mut spdk_bdev_desc,
        module: *mut spdk_bdev_module,
    ) -> c_int;

    /// Releases the claim of `spdk_bdev_module_claim_bdev`.
    pub fn spdk_bdev_module_release_bdev(bdev: *mut spdk_bdev);

    /// Makes a bdev known and lets it be examined. On the application thread. Returns 0, `-EINVAL`,
    /// `-EEXIST`, `-ENOMEM`. After an error the memory is the module's again.
    pub fn spdk_bdev_register(bdev: *mut spdk_bdev) -> c_int;

    /// Starts to unregister a bdev: openers get a REMOVE event, and after the last one closed it
    /// `destruct` and then `cb_fn` (NULL allowed, on the current thread) run. On an SPDK thread.
    pub fn spdk_bdev_unregister(
        bdev: *mut spdk_bdev,
        cb_fn: spdk_bdev_unregister_cb,
        cb_arg: *mut c_void,
    );

    /// As `spdk_bdev_unregister`, by name and of this module only. Returns 0, `-ENODEV`, or another
    /// negative errno value, after which `cb_fn` does not run.
    pub fn spdk_bdev_unregister_by_name(
        bdev_name: *const c_char,
        module: *mut spdk_bdev_module,
        cb_fn: spdk_bdev_unregister_cb,
        cb_arg: *mut c_void,
    ) -> c_int;

    /// Ends a `destruct` that returned 1. The bdev's memory is the module's again afterwards.
    pub fn spdk_bdev_destruct_done(bdev: *mut spdk_bdev, bdeverrno: c_int);

    /// Ends one examination; once for each call of `examine_config` and `examine_disk`.
    pub fn spdk_bdev_module_examine_done(module: *mut spdk_bdev_module);

    /// Gives a read without buffers one of `len` bytes, then calls `cb`, maybe before it returns.
    /// Bounces buffers that are not aligned. On the thread of the request.
    pub fn spdk_bdev_io_get_buf(bdev_io: *mut spdk_bdev_io, cb: spdk_bdev_io_get_buf_cb, len: u64);

    /// Completes a request, once, on its thread. It is not the module's any more afterwards.
    pub fn spdk_bdev_io_complete(bdev_io: *mut spdk_bdev_io, status: spdk_bdev_io_status);

    /// Completes a request with an NVMe status; generic 0 is success.
    pub fn spdk_bdev_io_complete_nvme_status(
        bdev_io: *mut spdk_bdev_io,
        cdw0: u32,
        sct: c_int,
        sc: c_int,
    );

    /// Completes a request with a SCSI status; GOOD is success.
    pub fn spdk_bdev_io_complete_scsi_status(
        bdev_io: *mut spdk_bdev_io,
        sc: spdk_scsi_status,
        sk: spdk_scsi_sense,
        asc: u8,
        ascq: u8,
    );

    /// Completes a request with a negative errno value; 0 is success.
    pub fn spdk_bdev_io_complete_aio_status(bdev_io: *mut spdk_bdev_io, aio_result: c_int);

    /// The module's channel of a request, without a reference of its own.
    pub fn spdk_bdev_io_get_io_channel(bdev_io: *mut spdk_bdev_io) -> *mut spdk_io_channel;

    /// When a request was submitted, in ticks.
    pub fn spdk_bdev_io_get_submit_tsc(bdev_io: *mut spdk_bdev_io) -> u64;

    /// Changes the number of blocks of a registered bdev and tells the openers. Returns 0, or
    /// `-EBUSY` if it shrinks while open.
    pub fn spdk_bdev_notify_blockcnt_change(bdev: *mut spdk_bdev, size: u64) -> c_int;

    /// Keeps back reads, writes, unmaps, writes of zeroes, copies and NVMe commands to blocks of a
    /// registered bdev, and calls `cb_fn` when those in flight have ended; nothing else is kept back, or
    /// waited for. Behind other quiet blocks that overlap with these. By the bdev's module, on an SPDK
    /// thread. Returns 0, after which `cb_fn` runs later, or `-EINVAL`, `-ENODEV`, `-ENOMEM`.
    pub fn spdk_bdev_quiesce_range(
        bdev: *mut spdk_bdev,
        module: *mut spdk_bdev_module,
        offset: u64,
        length: u64,
        cb_fn: spdk_bdev_quiesce_cb,
        cb_arg: *mut c_void,
    ) -> c_int;

    /// Ends what `spdk_bdev_quiesce_range` began, for the same blocks, and submits what was kept back; may
    /// be called by its `cb_fn`. Returns 0, after which `cb_fn` runs later, `-ENODEV` where the bdev is
    /// being removed and nobody has it open, or `-EINVAL`.
    pub fn spdk_bdev_unquiesce_range(
        bdev: *mut spdk_bdev,
        module: *mut spdk_bdev_module,
        offset: u64,
        length: u64,
        cb_fn: spdk_bdev_quiesce_cb,
        cb_arg: *mut c_void,
    ) -> c_int;

    /// Makes a module known; before the bdev layer is initialised, as a constructor does.
    pub fn spdk_bdev_module_list_add(bdev_module: *mut spdk_bdev_module);

    /// The module of a name, or NULL.
    pub fn spdk_bdev_module_list_find(name: *const c_char) -> *mut spdk_bdev_module;
}
