//! What a client is told when a method fails.

use alloc::ffi::CString;
use alloc::format;
use alloc::string::{String, ToString};
use core::fmt;

use barespdk_sys::jsonrpc as ffi;

use crate::errno::Errno;
use crate::json::WriteError;

/// A failed method: a code for programs and a message for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RpcError {
    code: i32,
    message: String,
}

impl RpcError {
    /// Parameters are missing, mistyped, unknown or out of range.
    pub const INVALID_PARAMS: i32 = ffi::SPDK_JSONRPC_ERROR_INVALID_PARAMS;
    /// The method itself is at fault.
    pub const INTERNAL_ERROR: i32 = ffi::SPDK_JSONRPC_ERROR_INTERNAL_ERROR;

    /// An error with a code of the caller's choice. Codes from -32768 to -32000 are JSON-RPC's.
    pub fn new(code: i32, message: impl fmt::Display) -> Self {
        Self {
            code,
            message: message.to_string(),
        }
    }

    /// A fault in the parameters: [`Self::INVALID_PARAMS`].
    pub fn invalid_params(message: impl fmt::Display) -> Self {
        Self::new(Self::INVALID_PARAMS, message)
    }

    /// A fault in one parameter: [`Self::INVALID_PARAMS`] with
    /// `Invalid parameter 'NAME': MESSAGE`. The message should name the value.
    pub fn invalid_param(name: &str, message: impl fmt::Display) -> Self {
        Self::invalid_params(format_args!("Invalid parameter '{name}': {message}"))
    }

    /// A fault of our own: [`Self::INTERNAL_ERROR`].
    pub fn internal(message: impl fmt::Display) -> Self {
        Self::new(Self::INTERNAL_ERROR, message)
    }

    /// An operation that failed: the negative error number as code, as SPDK's own methods have it,
    /// and `MESSAGE: TEXT OF THE ERROR`. The message should say what was tried, on what.
    pub fn failed(errno: Errno, message: impl fmt::Display) -> Self {
        Self::new(errno.to_rc(), format_args!("{message}: {errno}"))
    }

    /// The code that the client sees.
    pub const fn code(&self) -> i32 {
        self.code
    }

    /// The message that the client sees.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The message for C, which knows no NUL within a string: it becomes a blank.
    pub(super) fn to_c_message(&self) -> CString {
        CString::new(self.message.replace('\0', " ")).unwrap_or_default()
    }
}

impl fmt::Display for RpcError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (code {})", self.message, self.code)
    }
}

impl core::error::Error for RpcError {}

/// The negative error number as code and its text as message. [`RpcError::failed`] says more.
impl From<Errno> for RpcError {
    fn from(errno: Errno) -> Self {
        Self::new(errno.to_rc(), errno)
    }
}

/// [`RpcError::INTERNAL_ERROR`]: the reply is too large.
impl From<WriteError> for RpcError {
    fn from(error: WriteError) -> Self {
        Self {
            code: Self::INTERNAL_ERROR,
            message: format!("Reply not sent: {error}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operational_failures_carry_the_negative_errno() {
        let error = RpcError::failed(Errno::ENODEV, format_args!("Could not open bdev '{}'", "x"));
        assert_eq!(error.code(), -19);
        assert_eq!(
            error.message(),
            "Could not open bdev 'x': No such device (ENODEV)"
        );
        assert_eq!(RpcError::from(Errno::EEXIST).code(), -17);
    }

    #[test]
    fn parameter_faults_name_the_parameter() {
        let error = RpcError::invalid_param("name", "no good");
        assert_eq!(error.code(), -32602);
        assert_eq!(error.message(), "Invalid parameter 'name': no good");
        assert_eq!(
            error.to_string(),
            "Invalid parameter 'name': no good (code -32602)"
        );
        assert_eq!(RpcError::internal("x").code(), -32603);
    }

    #[test]
    fn nul_does_not_cut_the_message() {
        let error = RpcError::new(-1, "a\0b");
        assert_eq!(error.to_c_message().as_c_str(), c"a b");
    }
}
