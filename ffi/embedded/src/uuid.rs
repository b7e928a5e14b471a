//! C: `spdk/uuid.h`

use barespdk_sys::spdk_uuid;
#[unsafe(no_mangle)]
unsafe extern "C" fn spdk_uuid_generate(uuid: *mut spdk_uuid) {
    let _ = uuid;
}
same_as_declared!(spdk_uuid_generate);
