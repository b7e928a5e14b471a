//! C: spdk/jsonrpc.h
//!
//! Requests of the JSON-RPC server and the answers to them.
//!
//! Each request is answered exactly once, from any thread and at any time, by a result or by an
//! error; it belongs to the server again afterwards. If the client has gone meanwhile the answer is
//! dropped.

use core::ffi::{c_char, c_int};

use crate::json::spdk_json_write_ctx;

opaque! {
    /// A request. Its handler's until it is answered.
    spdk_jsonrpc_request
}

/// The parameters are wrong.
pub const SPDK_JSONRPC_ERROR_INVALID_PARAMS: c_int = -32602;
/// The server failed.
pub const SPDK_JSONRPC_ERROR_INTERNAL_ERROR: c_int = -32603;

unsafe extern "C" {
    /// Begins a result. Exactly one value must be written before `spdk_jsonrpc_end_result`.
    pub fn spdk_jsonrpc_begin_result(
        request: *mut spdk_jsonrpc_request,
    ) -> *mut spdk_json_write_ctx;

    /// Ends a result and sends it. Frees the request and the writer.
    pub fn spdk_jsonrpc_end_result(request: *mut spdk_jsonrpc_request, w: *mut spdk_json_write_ctx);

    /// Sends an error. `msg` is copied and must be UTF-8. Frees the request.
    pub fn spdk_jsonrpc_send_error_response(
        request: *mut spdk_jsonrpc_request,
        error_code: c_int,
        msg: *const c_char,
    );
}
