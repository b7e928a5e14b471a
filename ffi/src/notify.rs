//! C: spdk/notify.h
//!
//! Notifications: what happened, kept for clients that ask by RPC.

use core::ffi::c_char;

opaque! {
    /// A registered kind of notification; SPDK's, for ever.
    spdk_notify_type
}

/// Bytes of the name of a kind, with its NUL.
pub const SPDK_NOTIFY_MAX_NAME_SIZE: usize = 128;
/// Bytes of what a notification is about, with its NUL.
pub const SPDK_NOTIFY_MAX_CTX_SIZE: usize = 128;

unsafe extern "C" {
    /// Makes a kind known to those who ask which there are. Any thread, at any time. Returns the kind
    /// that has this name, or NULL where the name is empty or too long, or memory ran out.
    pub fn spdk_notify_type_register(type_: *const c_char) -> *mut spdk_notify_type;

    /// Keeps a notification; the oldest of 1024 is forgotten for it. Any thread. Returns its number,
    /// which counts from 0. What is longer than there is room for is cut, and is not terminated then.
    pub fn spdk_notify_send(type_: *const c_char, ctx: *const c_char) -> u64;
}
