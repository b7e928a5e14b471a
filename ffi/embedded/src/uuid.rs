//! UUIDs. C: `spdk/uuid.h`.

use barespdk_sys::spdk_uuid;

use crate::env::random_u64;

#[unsafe(no_mangle)]
unsafe extern "C" fn spdk_uuid_generate(uuid: *mut spdk_uuid) {
    let mut raw = [0; 16];
    raw[..8].copy_from_slice(&random_u64().to_be_bytes());
    raw[8..].copy_from_slice(&random_u64().to_be_bytes());
    // Version 4 (random), variant 1, as RFC 9562 has them.
    raw[6] = (raw[6] & 0x0F) | 0x40;
    raw[8] = (raw[8] & 0x3F) | 0x80;
    // SAFETY: the caller's UUID.
    unsafe { (*uuid).u.raw = raw };
}

same_as_declared!(spdk_uuid_generate);
