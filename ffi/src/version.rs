//! C: spdk/version.h
//!
//! The version that this crate stands for.

/// Year of the release.
pub const SPDK_VERSION_MAJOR: u32 = 26;
/// Month of the release.
pub const SPDK_VERSION_MINOR: u32 = 1;
/// Patch level. Patch releases keep the ABI, so linking takes any of them.
pub const SPDK_VERSION_PATCH: u32 = 0;
