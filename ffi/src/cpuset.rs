//! C: spdk/cpuset.h
//!
//! Sets of CPU cores. A set is plain memory of its owner: no function here keeps a pointer to it,
//! and any thread may call them on sets that no other thread changes meanwhile.

use core::ffi::{c_char, c_int};

/// Number of cores that a set can hold.
pub const SPDK_CPUSET_SIZE: u32 = 1024;

/// A set of CPU cores. All zero bytes are an empty set.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct spdk_cpuset {
    /// Where `spdk_cpuset_fmt` writes its text.
    pub str: [c_char; 257],
    /// One bit a core, lowest first.
    pub cpus: [u8; 128],
}
layout! { struct spdk_cpuset: size 385, align 1 { str: 0, cpus: 257 } }

unsafe extern "C" {
    /// Whether two sets hold the same cores.
    pub fn spdk_cpuset_equal(set1: *const spdk_cpuset, set2: *const spdk_cpuset) -> bool;

    /// Removes every core of a set.
    pub fn spdk_cpuset_zero(set: *mut spdk_cpuset);

    /// Adds (`state`) or removes one core. `cpu` must be less than [`SPDK_CPUSET_SIZE`]; SPDK asserts.
    pub fn spdk_cpuset_set_cpu(set: *mut spdk_cpuset, cpu: u32, state: bool);

    /// Whether a set holds a core. `cpu` must be less than [`SPDK_CPUSET_SIZE`]; SPDK asserts.
    pub fn spdk_cpuset_get_cpu(set: *const spdk_cpuset, cpu: u32) -> bool;

    /// Number of cores in a set.
    pub fn spdk_cpuset_count(set: *const spdk_cpuset) -> u32;

    /// Writes a set as hexadecimal text into the set itself and returns that text, which lives as
    /// long as the set and until the next call.
    pub fn spdk_cpuset_fmt(set: *mut spdk_cpuset) -> *const c_char;

    /// Fills a set from a hexadecimal mask (`0x3`) or a list (`[0,2-4]`). Returns 0, or a negative
    /// errno value, after which the contents of the set are unspecified.
    pub fn spdk_cpuset_parse(set: *mut spdk_cpuset, mask: *const c_char) -> c_int;
}
