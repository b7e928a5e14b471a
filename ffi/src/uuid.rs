//! C: spdk/uuid.h
//!
//! UUIDs: plain memory of their owner. Any thread.

use core::ffi::{c_char, c_int};

/// Size in bytes of a UUID's text with its NUL.
pub const SPDK_UUID_STRING_LEN: usize = 37;

/// The bytes of a UUID.
#[repr(C)]
#[derive(Clone, Copy)]
pub union spdk_uuid__u {
    /// Big-endian, as in the text.
    pub raw: [u8; 16],
}
layout! { union spdk_uuid__u: size 16, align 1 { raw } }

/// A UUID. All zero bytes are the null UUID.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct spdk_uuid {
    /// Its bytes.
    pub u: spdk_uuid__u,
}
layout! { struct spdk_uuid: size 16, align 1 { u: 0 } }

unsafe extern "C" {
    /// Fills `uuid` from its text. Returns 0 or `-EINVAL`.
    pub fn spdk_uuid_parse(uuid: *mut spdk_uuid, uuid_str: *const c_char) -> c_int;

    /// Writes the lower-case text and its NUL to `uuid_str` of `uuid_str_size` bytes, at least
    /// [`SPDK_UUID_STRING_LEN`]. Returns 0 or `-EINVAL`.
    pub fn spdk_uuid_fmt_lower(
        uuid_str: *mut c_char,
        uuid_str_size: usize,
        uuid: *const spdk_uuid,
    ) -> c_int;

    /// Orders two UUIDs as `memcmp` does.
    pub fn spdk_uuid_compare(u1: *const spdk_uuid, u2: *const spdk_uuid) -> c_int;

    /// Fills `uuid` with a random one.
    pub fn spdk_uuid_generate(uuid: *mut spdk_uuid);

    /// Whether `uuid` is the null UUID.
    pub fn spdk_uuid_is_null(uuid: *const spdk_uuid) -> bool;
}
