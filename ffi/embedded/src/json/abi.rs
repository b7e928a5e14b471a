//! The functions of `spdk/json.h`.

use std::ffi::{c_char, c_int, c_void};

use barespdk_sys::{spdk_json_write_cb, spdk_json_write_ctx, spdk_uuid};

use super::writer::{Failed, Writer};

/// # Safety
/// `w` comes from [`spdk_json_write_begin`] or was lent by a part of this crate, and is live; nothing
/// else uses it during the call.
unsafe fn with(
    w: *mut spdk_json_write_ctx,
    write: impl FnOnce(&mut Writer) -> Result<(), Failed>,
) -> c_int {
    // SAFETY: NULL or a live `Writer`, which is ours alone for now, by the caller's promise.
    match unsafe { w.cast::<Writer>().as_mut() } {
        Some(writer) => code(write(writer)),
        None => -1,
    }
}

fn code(outcome: Result<(), Failed>) -> c_int {
    match outcome {
        Ok(()) => 0,
        Err(Failed) => -1,
    }
}

/// # Safety
/// `text` points to `len` readable bytes; it may be anything if `len` is 0.
unsafe fn bytes<'a>(text: *const c_char, len: usize) -> &'a [u8] {
    if len == 0 || text.is_null() {
        return &[];
    }
    // SAFETY: by the caller's promise; only used during the caller's call.
    unsafe { std::slice::from_raw_parts(text.cast(), len) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn spdk_json_write_begin(
    write_cb: spdk_json_write_cb,
    cb_ctx: *mut c_void,
    flags: u32,
) -> *mut spdk_json_write_ctx {
    Box::into_raw(Box::new(Writer::new(write_cb, cb_ctx, flags))).cast()
}

#[unsafe(no_mangle)]
unsafe extern "C" fn spdk_json_write_end(w: *mut spdk_json_write_ctx) -> c_int {
    if w.is_null() {
        return 0;
    }
    // SAFETY: made by `spdk_json_write_begin`, and given back here by its owner.
    let mut writer = unsafe { Box::from_raw(w.cast::<Writer>()) };
    code(writer.end())
}

#[unsafe(no_mangle)]
unsafe extern "C" fn spdk_json_write_null(w: *mut spdk_json_write_ctx) -> c_int {
    // SAFETY: the ABI's promise about `w`.
    unsafe { with(w, Writer::null) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn spdk_json_write_bool(w: *mut spdk_json_write_ctx, val: bool) -> c_int {
    // SAFETY: the ABI's promise about `w`.
    unsafe { with(w, |writer| writer.bool(val)) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn spdk_json_write_int64(w: *mut spdk_json_write_ctx, val: i64) -> c_int {
    // SAFETY: the ABI's promise about `w`.
    unsafe { with(w, |writer| writer.display(val)) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn spdk_json_write_uint64(w: *mut spdk_json_write_ctx, val: u64) -> c_int {
    // SAFETY: the ABI's promise about `w`.
    unsafe { with(w, |writer| writer.display(val)) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn spdk_json_write_string_raw(
    w: *mut spdk_json_write_ctx,
    val: *const c_char,
    len: usize,
) -> c_int {
    // SAFETY: the ABI's promises about the text and `w`.
    unsafe { with(w, |writer| writer.string(bytes(val, len))) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn spdk_json_write_uuid(
    w: *mut spdk_json_write_ctx,
    uuid: *const spdk_uuid,
) -> c_int {
    // SAFETY: the ABI's promise: a live UUID. All of its bytes are initialised, whichever field of
    // the union they were written by.
    let raw = unsafe { (*uuid).u.raw };
    let mut text = String::with_capacity(36);
    for (index, byte) in raw.iter().enumerate() {
        if matches!(index, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        text.push_str(&format!("{byte:02x}"));
    }
    // SAFETY: the ABI's promise about `w`.
    unsafe { with(w, |writer| writer.string(text.as_bytes())) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn spdk_json_write_array_begin(w: *mut spdk_json_write_ctx) -> c_int {
    // SAFETY: the ABI's promise about `w`.
    unsafe { with(w, Writer::array_begin) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn spdk_json_write_array_end(w: *mut spdk_json_write_ctx) -> c_int {
    // SAFETY: the ABI's promise about `w`.
    unsafe { with(w, Writer::array_end) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn spdk_json_write_object_begin(w: *mut spdk_json_write_ctx) -> c_int {
    // SAFETY: the ABI's promise about `w`.
    unsafe { with(w, Writer::object_begin) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn spdk_json_write_object_end(w: *mut spdk_json_write_ctx) -> c_int {
    // SAFETY: the ABI's promise about `w`.
    unsafe { with(w, Writer::object_end) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn spdk_json_write_name_raw(
    w: *mut spdk_json_write_ctx,
    name: *const c_char,
    len: usize,
) -> c_int {
    // SAFETY: the ABI's promises about the text and `w`.
    unsafe { with(w, |writer| writer.name(bytes(name, len))) }
}

same_as_declared!(
    spdk_json_write_begin,
    spdk_json_write_end,
    spdk_json_write_null,
    spdk_json_write_bool,
    spdk_json_write_int64,
    spdk_json_write_uint64,
    spdk_json_write_string_raw,
    spdk_json_write_uuid,
    spdk_json_write_array_begin,
    spdk_json_write_array_end,
    spdk_json_write_object_begin,
    spdk_json_write_object_end,
    spdk_json_write_name_raw,
);
