//! C: spdk/bdev_zone.h
//!
//! Zoned bdevs. For the rules of the functions that submit requests see `bdev/request.rs`; beyond
//! those, none of these asks whether the bdev knows the request or the descriptor may write.

use core::ffi::{c_int, c_uint, c_void};

use libc::iovec;

use crate::bdev::{spdk_bdev, spdk_bdev_desc, spdk_bdev_io_completion_cb};
use crate::thread::spdk_io_channel;

enumeration! {
    /// How a zone is written.
    spdk_bdev_zone_type: c_uint {
        /// Anywhere.
        SPDK_BDEV_ZONE_TYPE_CNV = 1,
        /// At its write pointer only.
        SPDK_BDEV_ZONE_TYPE_SEQWR = 2,
        /// At its write pointer, preferably.
        SPDK_BDEV_ZONE_TYPE_SEQWP = 3,
    }
}

enumeration! {
    /// What a zone management request does to a zone.
    spdk_bdev_zone_action: c_uint {
        /// Close it.
        SPDK_BDEV_ZONE_CLOSE = 0,
        /// Finish it: make it full.
        SPDK_BDEV_ZONE_FINISH = 1,
        /// Open it.
        SPDK_BDEV_ZONE_OPEN = 2,
        /// Reset it: make it empty.
        SPDK_BDEV_ZONE_RESET = 3,
        /// Take it offline.
        SPDK_BDEV_ZONE_OFFLINE = 4,
    }
}

enumeration! {
    /// State of a zone.
    spdk_bdev_zone_state: c_uint {
        /// Nothing is written.
        SPDK_BDEV_ZONE_STATE_EMPTY = 0,
        /// Opened by a write.
        SPDK_BDEV_ZONE_STATE_IMP_OPEN = 1,
        /// The same, by its old name.
        SPDK_BDEV_ZONE_STATE_OPEN = 1,
        /// Nothing more can be written.
        SPDK_BDEV_ZONE_STATE_FULL = 2,
        /// Partly written, and closed.
        SPDK_BDEV_ZONE_STATE_CLOSED = 3,
        /// Can only be read.
        SPDK_BDEV_ZONE_STATE_READ_ONLY = 4,
        /// Of no use any more.
        SPDK_BDEV_ZONE_STATE_OFFLINE = 5,
        /// Opened by a command.
        SPDK_BDEV_ZONE_STATE_EXP_OPEN = 6,
        /// Has no write pointer.
        SPDK_BDEV_ZONE_STATE_NOT_WP = 7,
    }
}

/// What there is to know of a zone.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct spdk_bdev_zone_info {
    /// Its first block.
    pub zone_id: u64,
    /// The block that is written next.
    pub write_pointer: u64,
    /// How many blocks it takes.
    pub capacity: u64,
    /// Its state.
    pub state: spdk_bdev_zone_state,
    /// How it is written.
    pub r#type: spdk_bdev_zone_type,
}
layout! {
    struct spdk_bdev_zone_info: size 32, align 8 {
        zone_id: 0, write_pointer: 8, capacity: 16, state: 24, r#type: 28,
    }
}

unsafe extern "C" {
    /// Blocks of a zone, or 0.
    pub fn spdk_bdev_get_zone_size(bdev: *const spdk_bdev) -> u64;

    /// Longest zone append in blocks.
    pub fn spdk_bdev_get_max_zone_append_size(bdev: *const spdk_bdev) -> u32;

    /// Greatest number of open zones, or 0 for no limit.
    pub fn spdk_bdev_get_max_open_zones(bdev: *const spdk_bdev) -> u32;

    /// Greatest number of active zones, or 0 for no limit.
    pub fn spdk_bdev_get_max_active_zones(bdev: *const spdk_bdev) -> u32;

    /// Number of open zones that suits the device, or 0.
    pub fn spdk_bdev_get_optimal_open_zones(bdev: *const spdk_bdev) -> u32;

    /// Fills `info`, an array of `num_zones`, from the zone that begins at `zone_id` on. The array
    /// must live until `cb` runs.
    pub fn spdk_bdev_get_zone_info(
        desc: *mut spdk_bdev_desc,
        ch: *mut spdk_io_channel,
        zone_id: u64,
        num_zones: usize,
        info: *mut spdk_bdev_zone_info,
        cb: spdk_bdev_io_completion_cb,
        cb_arg: *mut c_void,
    ) -> c_int;

    /// Changes the state of the zone that begins at `zone_id`.
    pub fn spdk_bdev_zone_management(
        desc: *mut spdk_bdev_desc,
        ch: *mut spdk_io_channel,
        zone_id: u64,
        action: spdk_bdev_zone_action,
        cb: spdk_bdev_io_completion_cb,
        cb_arg: *mut c_void,
    ) -> c_int;

    /// Writes an iovec array, and `md` (NULL allowed), at the write pointer of a zone. Where that was
    /// stands at the end in `u.bdev.offset_blocks` of the request.
    pub fn spdk_bdev_zone_appendv_with_md(
        desc: *mut spdk_bdev_desc,
        ch: *mut spdk_io_channel,
        iov: *mut iovec,
        iovcnt: c_int,
        md: *mut c_void,
        zone_id: u64,
        num_blocks: u64,
        cb: spdk_bdev_io_completion_cb,
        cb_arg: *mut c_void,
    ) -> c_int;
}
