//! JSON from values, through the writer of the ABI.

use std::ffi::c_char;

use barespdk_sys::{
    spdk_json_write_array_begin, spdk_json_write_array_end, spdk_json_write_bool,
    spdk_json_write_ctx, spdk_json_write_int64, spdk_json_write_name_raw, spdk_json_write_null,
    spdk_json_write_object_begin, spdk_json_write_object_end, spdk_json_write_string_raw,
    spdk_json_write_uint64,
};
use serde_json::Value;

/// Writes a value. A writer that fails says so at its end.
///
/// # Safety
///
/// `w` is a writer that a value may be written into now.
pub(super) unsafe fn write(w: *mut spdk_json_write_ctx, value: &Value) {
    // SAFETY: as this function demands; what follows writes one value.
    unsafe {
        match value {
            Value::Null => _ = spdk_json_write_null(w),
            Value::Bool(value) => _ = spdk_json_write_bool(w, *value),
            Value::Number(value) => {
                // The modules write whole numbers alone.
                if let Some(value) = value.as_u64() {
                    spdk_json_write_uint64(w, value);
                } else {
                    spdk_json_write_int64(w, value.as_i64().unwrap_or_default());
                }
            }
            Value::String(value) => {
                spdk_json_write_string_raw(w, value.as_ptr().cast::<c_char>(), value.len());
            }
            Value::Array(values) => {
                spdk_json_write_array_begin(w);
                for value in values {
                    write(w, value);
                }
                spdk_json_write_array_end(w);
            }
            Value::Object(members) => {
                spdk_json_write_object_begin(w);
                for (name, value) in members {
                    write_member(w, name, value);
                }
                spdk_json_write_object_end(w);
            }
        }
    }
}

/// Writes a name and a value.
///
/// # Safety
///
/// `w` is a writer within an object.
pub(super) unsafe fn write_member(w: *mut spdk_json_write_ctx, name: &str, value: &Value) {
    // SAFETY: as this function demands.
    unsafe {
        spdk_json_write_name_raw(w, name.as_ptr().cast::<c_char>(), name.len());
        write(w, value);
    }
}
