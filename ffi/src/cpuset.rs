//! C: spdk/cpuset.h
//!
//! Sets of CPU cores: plain memory of their owner.

use core::ffi::c_char;

/// Number of cores that a set can hold.
pub const SPDK_CPUSET_SIZE: u32 = 1024;

/// A set of CPU cores. All zero bytes are an empty set.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct spdk_cpuset {
    /// Where SPDK writes the text of the set.
    pub str: [c_char; 257],
    /// One bit a core, lowest first.
    pub cpus: [u8; 128],
}
layout! { struct spdk_cpuset: size 385, align 1 { str: 0, cpus: 257 } }
