//! C: spdk/json.h
//!
//! JSON values in and out.
//!
//! Writers fail once and for all: after an error every further function fails too, and
//! `spdk_json_write_end` says so. Write functions return 0 or -1. A value and its text are the
//! caller's and only read during the call. One thread at a time may use a writer.

use core::ffi::{c_char, c_int, c_uint, c_void};

use crate::uuid::spdk_uuid;

opaque! {
    /// A writer of JSON. Owned by who began it; lent to those who are to write into it.
    spdk_json_write_ctx
}

enumeration! {
    /// Type of a value.
    spdk_json_val_type: c_uint {
        /// None.
        SPDK_JSON_VAL_INVALID = 0,
        /// `null`.
        SPDK_JSON_VAL_NULL = 1 << 1,
        /// `true`.
        SPDK_JSON_VAL_TRUE = 1 << 2,
        /// `false`.
        SPDK_JSON_VAL_FALSE = 1 << 3,
        /// A number, as its text.
        SPDK_JSON_VAL_NUMBER = 1 << 4,
        /// A string.
        SPDK_JSON_VAL_STRING = 1 << 5,
        /// `[`; `len` is the number of values up to its end.
        SPDK_JSON_VAL_ARRAY_BEGIN = 1 << 6,
        /// `]`.
        SPDK_JSON_VAL_ARRAY_END = 1 << 7,
        /// `{`; `len` is the number of values up to its end.
        SPDK_JSON_VAL_OBJECT_BEGIN = 1 << 8,
        /// `}`.
        SPDK_JSON_VAL_OBJECT_END = 1 << 9,
        /// A name in an object; its value follows.
        SPDK_JSON_VAL_NAME = 1 << 10,
    }
}

/// A value: a view of the text that was parsed, which must outlive it. Arrays and objects are flat:
/// their contents and their end follow in the array of values.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct spdk_json_val {
    /// Its text, without NUL; of strings and names without the quotes.
    pub start: *mut c_void,
    /// Bytes of `start`, or number of values.
    pub len: u32,
    /// Its type.
    pub r#type: spdk_json_val_type,
}
layout! { struct spdk_json_val: size 16, align 8 { start: 0, len: 8, r#type: 12 } }

/// Takes a piece of the text written. Returns 0, or another value to fail the writer.
pub type spdk_json_write_cb =
    Option<unsafe extern "C" fn(cb_ctx: *mut c_void, data: *const c_void, size: usize) -> c_int>;

unsafe extern "C" {
    /// Begins a writer that gives its text to `write_cb`, piece by piece. NULL without memory. The
    /// caller ends it with `spdk_json_write_end`.
    pub fn spdk_json_write_begin(
        write_cb: spdk_json_write_cb,
        cb_ctx: *mut c_void,
        flags: u32,
    ) -> *mut spdk_json_write_ctx;

    /// Gives the rest of the text out and frees the writer. Returns 0, or -1 if anything failed.
    pub fn spdk_json_write_end(w: *mut spdk_json_write_ctx) -> c_int;

    /// Writes `null`.
    pub fn spdk_json_write_null(w: *mut spdk_json_write_ctx) -> c_int;

    /// Writes `true` or `false`.
    pub fn spdk_json_write_bool(w: *mut spdk_json_write_ctx, val: bool) -> c_int;

    /// Writes a number.
    pub fn spdk_json_write_int64(w: *mut spdk_json_write_ctx, val: i64) -> c_int;

    /// Writes a number.
    pub fn spdk_json_write_uint64(w: *mut spdk_json_write_ctx, val: u64) -> c_int;

    /// Writes a string of `len` bytes, escaped. Fails unless it is UTF-8.
    pub fn spdk_json_write_string_raw(
        w: *mut spdk_json_write_ctx,
        val: *const c_char,
        len: usize,
    ) -> c_int;

    /// Writes a UUID as a string.
    pub fn spdk_json_write_uuid(w: *mut spdk_json_write_ctx, uuid: *const spdk_uuid) -> c_int;

    /// Begins an array.
    pub fn spdk_json_write_array_begin(w: *mut spdk_json_write_ctx) -> c_int;

    /// Ends an array.
    pub fn spdk_json_write_array_end(w: *mut spdk_json_write_ctx) -> c_int;

    /// Begins an object.
    pub fn spdk_json_write_object_begin(w: *mut spdk_json_write_ctx) -> c_int;

    /// Ends an object.
    pub fn spdk_json_write_object_end(w: *mut spdk_json_write_ctx) -> c_int;

    /// Writes a name of `len` bytes; a value must follow.
    pub fn spdk_json_write_name_raw(
        w: *mut spdk_json_write_ctx,
        name: *const c_char,
        len: usize,
    ) -> c_int;
}
