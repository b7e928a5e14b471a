//! C: spdk/rpc.h
//!
//! Methods of the application's JSON-RPC server.

use core::ffi::{c_char, c_int};

use crate::json::spdk_json_val;
use crate::jsonrpc::spdk_jsonrpc_request;

/// State before the subsystems are initialised.
pub const SPDK_RPC_STARTUP: u32 = 0x1;
/// State after that.
pub const SPDK_RPC_RUNTIME: u32 = 0x2;

/// Handles a call, on the application thread. `params` is NULL if there are none, otherwise an array
/// or an object; it lives as long as the request.
pub type spdk_rpc_method_handler =
    Option<unsafe extern "C" fn(request: *mut spdk_jsonrpc_request, params: *const spdk_json_val)>;

unsafe extern "C" {
    /// Adds a method, allowed in the states of `state_mask`. `method` is copied. Before the server
    /// starts, or on the application thread. A second method of one name is logged and keeps the
    /// server from starting.
    pub fn spdk_rpc_register_method(
        method: *const c_char,
        func: spdk_rpc_method_handler,
        state_mask: u32,
    );

    /// Whether a method may be called in a state: 0, `-ENOENT` (no such method, or not on the
    /// allow-list) or `-EPERM`.
    pub fn spdk_rpc_is_method_allowed(method: *const c_char, state_mask: u32) -> c_int;
}
