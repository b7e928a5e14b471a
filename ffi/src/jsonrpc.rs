//! C: spdk/jsonrpc.h
//!
//! Requests of the JSON-RPC server and the answers to them.
//!
//! Each request is answered exactly once, from any thread and at any time, by a result or by an
//! error; it belongs to the server again afterwards. If the client has gone meanwhile the answer is
//! dropped.

use core::ffi::{c_char, c_int, c_void};

use crate::json::spdk_json_write_ctx;

opaque! {
    /// A request. Its handler's until it is answered.
    spdk_jsonrpc_request
}
opaque! {
    /// A connection of a client; the server's.
    spdk_jsonrpc_server_conn
}

/// The text is not JSON.
pub const SPDK_JSONRPC_ERROR_PARSE_ERROR: c_int = -32700;
/// The JSON is not a request.
pub const SPDK_JSONRPC_ERROR_INVALID_REQUEST: c_int = -32600;
/// There is no such method.
pub const SPDK_JSONRPC_ERROR_METHOD_NOT_FOUND: c_int = -32601;
/// The parameters are wrong.
pub const SPDK_JSONRPC_ERROR_INVALID_PARAMS: c_int = -32602;
/// The server failed.
pub const SPDK_JSONRPC_ERROR_INTERNAL_ERROR: c_int = -32603;
/// The method may not be called now.
pub const SPDK_JSONRPC_ERROR_INVALID_STATE: c_int = -1;

/// Says that a connection is closed, on the thread of the server.
pub type spdk_jsonrpc_conn_closed_fn =
    Option<unsafe extern "C" fn(conn: *mut spdk_jsonrpc_server_conn, arg: *mut c_void)>;

unsafe extern "C" {
    /// The connection of a request, or NULL.
    pub fn spdk_jsonrpc_get_conn(
        request: *mut spdk_jsonrpc_request,
    ) -> *mut spdk_jsonrpc_server_conn;

    /// Asks to be told when a connection is closed. Returns 0, `-EEXIST`, or `-ENOSPC` if another
    /// one has asked: there is one callback a connection.
    pub fn spdk_jsonrpc_conn_add_close_cb(
        conn: *mut spdk_jsonrpc_server_conn,
        cb: spdk_jsonrpc_conn_closed_fn,
        ctx: *mut c_void,
    ) -> c_int;

    /// Takes that back. Returns 0 or `-ENOENT`.
    pub fn spdk_jsonrpc_conn_del_close_cb(
        conn: *mut spdk_jsonrpc_server_conn,
        cb: spdk_jsonrpc_conn_closed_fn,
        ctx: *mut c_void,
    ) -> c_int;

    /// Begins a result. Exactly one value must be written before `spdk_jsonrpc_end_result`.
    pub fn spdk_jsonrpc_begin_result(
        request: *mut spdk_jsonrpc_request,
    ) -> *mut spdk_json_write_ctx;

    /// Ends a result and sends it. Frees the request and the writer.
    pub fn spdk_jsonrpc_end_result(request: *mut spdk_jsonrpc_request, w: *mut spdk_json_write_ctx);

    /// Sends a boolean as the result. Frees the request.
    pub fn spdk_jsonrpc_send_bool_response(request: *mut spdk_jsonrpc_request, value: bool);

    /// Sends an error. `msg` is copied and must be UTF-8. Frees the request.
    pub fn spdk_jsonrpc_send_error_response(
        request: *mut spdk_jsonrpc_request,
        error_code: c_int,
        msg: *const c_char,
    );
}
