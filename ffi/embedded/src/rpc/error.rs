use std::ffi::c_int;

use barespdk_sys::SPDK_JSONRPC_ERROR_INVALID_PARAMS;

/// What a failed request is answered with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RpcError {
    /// A code of JSON-RPC, or a negative errno value as SPDK sends it.
    pub(crate) code: i32,
    /// What is wrong, naming the field and its value.
    pub(crate) message: String,
}

impl RpcError {
    /// Wrong parameters.
    pub(crate) fn invalid_params(message: impl Into<String>) -> Self {
        Self {
            code: SPDK_JSONRPC_ERROR_INVALID_PARAMS,
            message: message.into(),
        }
    }

    /// A negative errno value, with the text that the C library has for it.
    pub(crate) fn from_errno(rc: c_int) -> Self {
        // SAFETY: strerror gives a text of the C library, valid until the next call on this thread.
        let text = unsafe { std::ffi::CStr::from_ptr(libc::strerror(-rc)) };
        Self {
            code: rc,
            message: text.to_string_lossy().into_owned(),
        }
    }
}
