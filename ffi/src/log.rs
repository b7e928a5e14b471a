//! C: spdk/log.h
//!
//! The log. Any thread.

use core::ffi::{c_char, c_int};

enumeration! {
    /// Severity of a message.
    spdk_log_level: c_int {
        /// None: nothing is logged.
        SPDK_LOG_DISABLED = -1,
        /// An error.
        SPDK_LOG_ERROR = 0,
        /// A warning.
        SPDK_LOG_WARN = 1,
        /// Something to notice.
        SPDK_LOG_NOTICE = 2,
        /// Information.
        SPDK_LOG_INFO = 3,
        /// For debugging.
        SPDK_LOG_DEBUG = 4,
    }
}

unsafe extern "C" {
    /// Logs a message as `printf` would print it. `file` and `func` (both NULL: no location) and the
    /// arguments are only read during the call. `format` should end in a line break.
    pub fn spdk_log(
        level: spdk_log_level,
        file: *const c_char,
        line: c_int,
        func: *const c_char,
        format: *const c_char,
        ...
    );

    /// The least severe level that goes to the system's log.
    pub fn spdk_log_get_level() -> spdk_log_level;

    /// The least severe level that goes to standard error.
    pub fn spdk_log_get_print_level() -> spdk_log_level;
}
