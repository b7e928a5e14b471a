//! C: spdk/uuid.h
//!
//! UUIDs: plain memory of their owner. Any thread.

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
    /// Fills `uuid` with a random one.
    pub fn spdk_uuid_generate(uuid: *mut spdk_uuid);
}
