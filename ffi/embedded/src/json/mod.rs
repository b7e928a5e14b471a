//! JSON in and out. C: `spdk/json.h`.

mod abi;
mod parse;
mod values;
mod writer;

pub(crate) use parse::{Document, Failure, Token, scan};
pub(crate) use values::{Values, to_value};
pub(crate) use writer::Writer;

use std::ffi::{c_int, c_void};

use barespdk_sys::spdk_json_write_ctx;
use serde_json::Value;

/// The one value that `write` writes through the ABI; null if it writes none.
pub(crate) fn capture(write: impl FnOnce(*mut spdk_json_write_ctx)) -> Value {
    let mut text = Vec::<u8>::new();
    let mut writer = Writer::new(Some(append), (&raw mut text).cast(), 0);
    write((&raw mut writer).cast());
    // A writer that failed has said so to whoever wrote; what it has is no document.
    if writer.end().is_err() {
        return Value::Null;
    }
    scan(&text, false)
        .ok()
        .and_then(|document| to_value(&document.tokens, &text).ok())
        .unwrap_or(Value::Null)
}

/// The elements of an array that `write` writes through the ABI, between its brackets.
pub(crate) fn capture_array(write: impl FnOnce(*mut spdk_json_write_ctx)) -> Vec<Value> {
    let whole = capture(|w| {
        // SAFETY: `capture` lends a live writer, which is used here alone, one call after another.
        unsafe { barespdk_sys::spdk_json_write_array_begin(w) };
        write(w);
        // SAFETY: as above.
        unsafe { barespdk_sys::spdk_json_write_array_end(w) };
    });
    match whole {
        Value::Array(elements) => elements,
        _ => Vec::new(),
    }
}

/// Receives text, piece by piece. `text` is a `Vec<u8>` that is lent to the writer.
pub(crate) unsafe extern "C" fn append(
    text: *mut c_void,
    data: *const c_void,
    len: usize,
) -> c_int {
    // SAFETY: whoever began the writer passed a vector, which nothing else touches meanwhile.
    let text = unsafe { &mut *text.cast::<Vec<u8>>() };
    if len != 0 {
        // SAFETY: the writer passes `len` bytes of its buffer.
        text.extend_from_slice(unsafe { std::slice::from_raw_parts(data.cast(), len) });
    }
    0
}

#[cfg(test)]
mod tests;
