//! The RPCs: names, parameters and results as those of `bdev_raid_*`.

mod add;
#[cfg(not(test))]
mod bdev_raid;
mod create;
mod export;
mod get;
mod import;
pub(crate) mod info;
pub(crate) mod options;
mod remove;
mod start;
mod stop;

#[cfg(not(test))]
use barespdk::rpc::{Method, States};

// Unit tests run without an SPDK, whose functions this would need.
#[cfg(not(test))]
barespdk::rpc_methods!(
    Method::asynchronous(c"raid1_create", States::RUNTIME, create::create),
    Method::asynchronous(c"raid1_add_base_bdev", States::RUNTIME, add::add_base_bdev),
    Method::asynchronous(c"raid1_delete", States::RUNTIME, remove::delete),
    Method::asynchronous(c"raid1_export", States::RUNTIME, export::export),
    Method::asynchronous(c"raid1_import", States::RUNTIME, import::import),
    Method::sync(c"raid1_get_bdevs", States::RUNTIME, get::get_bdevs),
    Method::asynchronous(
        c"raid1_remove_base_bdev",
        States::RUNTIME,
        remove::remove_base_bdev
    ),
    Method::sync(c"raid1_set_options", States::ANY, options::set_options),
    Method::asynchronous(c"raid1_start", States::RUNTIME, start::start),
    Method::asynchronous(c"raid1_stop", States::RUNTIME, stop::stop),
);

/// What [`BDEV_RAID_METHODS`](crate::BDEV_RAID_METHODS) has.
#[cfg(not(test))]
pub(crate) const BDEV_RAID: [Method; 6] = [
    Method::asynchronous(c"bdev_raid_create", States::RUNTIME, bdev_raid::create),
    Method::asynchronous(c"bdev_raid_delete", States::RUNTIME, bdev_raid::delete),
    Method::sync(
        c"bdev_raid_get_bdevs",
        States::RUNTIME,
        bdev_raid::get_bdevs,
    ),
    Method::asynchronous(
        c"bdev_raid_add_base_bdev",
        States::RUNTIME,
        bdev_raid::add_base_bdev,
    ),
    Method::asynchronous(
        c"bdev_raid_remove_base_bdev",
        States::RUNTIME,
        bdev_raid::remove_base_bdev,
    ),
    Method::sync(
        c"bdev_raid_set_options",
        States::ANY,
        bdev_raid::set_options,
    ),
];

/// The longest name of a mirror, in bytes: what a superblock of `bdev_raid` holds.
pub(crate) const NAME_LEN_MAX: usize = 63;

/// The longest name of a base bdev, in bytes. SPDK has no limit; this is far above any in use.
pub(crate) const BASE_NAME_LEN_MAX: usize = 255;
