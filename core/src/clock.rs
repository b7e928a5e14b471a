//! The time of day, for what is recorded and shown. What waits goes by [`runtime::sleep`](crate::runtime::sleep).

/// Seconds since 1970 in UTC, as the system has it: it may be wrong, and may go back. Any thread.
pub fn unix_time_s() -> u64 {
    // SAFETY: a null pointer is allowed, and asks for the return value alone; see time(2).
    let time_s = unsafe { libc::time(core::ptr::null_mut()) };
    u64::try_from(time_s).unwrap_or(0)
}
