use std::ffi::c_int;

use barespdk_sys::{SPDK_JSONRPC_ERROR_INTERNAL_ERROR, SPDK_JSONRPC_ERROR_INVALID_PARAMS};

/// The text is no JSON.
const PARSE_ERROR: c_int = -32700;
/// The JSON is no request.
const INVALID_REQUEST: c_int = -32600;
/// There is no such method.
const METHOD_NOT_FOUND: c_int = -32601;
/// The method may not be called now.
const INVALID_STATE: c_int = -1;

/// What a failed request is answered with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RpcError {
    /// A code of JSON-RPC, or a negative errno value as SPDK sends it.
    pub(crate) code: i32,
    /// What is wrong, naming the field and its value.
    pub(crate) message: String,
}

impl RpcError {
    fn new(code: c_int, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
        }
    }

    /// Wrong parameters.
    pub(crate) fn invalid_params(message: impl Into<String>) -> Self {
        Self::new(SPDK_JSONRPC_ERROR_INVALID_PARAMS, message)
    }

    /// A failure that is not the caller's.
    pub(crate) fn internal(message: impl Into<String>) -> Self {
        Self::new(SPDK_JSONRPC_ERROR_INTERNAL_ERROR, message)
    }

    /// A negative errno value, with the text that the C library has for it.
    pub(crate) fn from_errno(rc: c_int) -> Self {
        Self::new(rc, errno_text(rc))
    }

    pub(super) fn parse_error() -> Self {
        Self::new(PARSE_ERROR, "Parse error")
    }

    pub(super) fn invalid_request() -> Self {
        Self::new(INVALID_REQUEST, "Invalid request")
    }

    pub(super) fn method_not_found() -> Self {
        Self::new(METHOD_NOT_FOUND, "Method not found")
    }

    pub(super) fn invalid_state(message: &str) -> Self {
        Self::new(INVALID_STATE, message)
    }
}

/// The C library's text for an errno value, which may be negative as SPDK's are.
pub(crate) fn errno_text(rc: c_int) -> String {
    let text = std::io::Error::from_raw_os_error(rc.saturating_abs()).to_string();
    // The standard library adds the number, which a client has as the code.
    match text.rfind(" (os error") {
        Some(end) => text[..end].to_owned(),
        None => text,
    }
}
