//! The application framework. C: `spdk/event.h`.

/// Registers the methods of this part.
pub(crate) fn register() {}

/// Logs an error.
pub(crate) fn log_error(text: &str) {
    log(barespdk_sys::SPDK_LOG_ERROR, text);
}

/// Logs a line.
pub(crate) fn log(level: barespdk_sys::spdk_log_level, text: &str) {
    let Ok(text) = std::ffi::CString::new(text) else {
        return;
    };
    // SAFETY: the format takes one C string, which lives during the call; no location.
    unsafe {
        barespdk_sys::spdk_log(
            level,
            std::ptr::null(),
            0,
            std::ptr::null(),
            c"%s\n".as_ptr(),
            text.as_ptr(),
        );
    }
}
