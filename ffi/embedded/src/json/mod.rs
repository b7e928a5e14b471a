//! JSON out. C: `spdk/json.h`.

use barespdk_sys::spdk_json_write_ctx;
use serde_json::Value;

/// The one value that `write` writes through the ABI; null if it writes none.
pub(crate) fn capture(write: impl FnOnce(*mut spdk_json_write_ctx)) -> Value {
    let _ = write;
    Value::Null
}

/// The elements of an array that `write` writes through the ABI, between its brackets.
pub(crate) fn capture_array(write: impl FnOnce(*mut spdk_json_write_ctx)) -> Vec<Value> {
    let _ = write;
    Vec::new()
}
