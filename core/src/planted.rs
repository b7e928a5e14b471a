//! Faults put in on purpose, to see that the simulator finds them.
//!
//! A build with `--cfg planted` has them all, and `plant` awakes one. In any other build [`is`] is
//! false, which the compiler knows.

#[cfg(planted)]
static AWAKE: crate::mutex::Mutex<&str> = crate::mutex::Mutex::new("");

/// Awakes a fault, instead of any other.
#[cfg(planted)]
pub fn plant(fault: &'static str) {
    *AWAKE.lock() = fault;
}

/// Whether a fault is awake.
#[cfg(planted)]
#[inline]
pub fn is(fault: &str) -> bool {
    *AWAKE.lock() == fault
}

/// Whether a fault is awake.
#[cfg(not(planted))]
#[inline(always)]
pub const fn is(_fault: &str) -> bool {
    false
}
