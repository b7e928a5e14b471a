//! C: spdk/dif.h
//!
//! Protection information: its kinds, and what of it is checked.

use core::ffi::c_uint;

enumeration! {
    /// Type of protection information.
    spdk_dif_type: c_uint {
        /// None.
        SPDK_DIF_DISABLE = 0,
        /// Type 1: guard, application tag, reference tag counting blocks.
        SPDK_DIF_TYPE1 = 1,
        /// Type 2: as type 1, the first reference tag comes with the command.
        SPDK_DIF_TYPE2 = 2,
        /// Type 3: the reference tag is not checked.
        SPDK_DIF_TYPE3 = 3,
    }
}

enumeration! {
    /// Format of protection information.
    spdk_dif_pi_format: c_uint {
        /// 8 bytes with a 16 bit guard.
        SPDK_DIF_PI_FORMAT_16 = 0,
        /// 16 bytes with a 32 bit guard.
        SPDK_DIF_PI_FORMAT_32 = 1,
        /// 16 bytes with a 64 bit guard.
        SPDK_DIF_PI_FORMAT_64 = 2,
    }
}

/// Flag of `dif_check_flags`: reference tags are checked.
pub const SPDK_DIF_FLAGS_REFTAG_CHECK: u32 = 1 << 26;
/// Flag of `dif_check_flags`: application tags are checked.
pub const SPDK_DIF_FLAGS_APPTAG_CHECK: u32 = 1 << 27;
/// Flag of `dif_check_flags`: guards are checked.
pub const SPDK_DIF_FLAGS_GUARD_CHECK: u32 = 1 << 28;
