//! C: spdk/bdev_zone.h
//!
//! Zoned bdevs, as far as requests name them.

use core::ffi::c_uint;

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
