//! C: spdk/string.h
//!
//! Text of errors.

use core::ffi::{c_char, c_int};

unsafe extern "C" {
    /// The text of a positive errno value, in a buffer of this OS thread: valid until its next call.
    pub fn spdk_strerror(errnum: c_int) -> *const c_char;
}
