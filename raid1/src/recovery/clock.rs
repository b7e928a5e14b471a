//! SPDK's clock, which is the simulator's where that runs.

use barespdk_sys as ffi;

/// How long it is since some moment.
pub(super) fn now_ns() -> u64 {
    // SAFETY: both read the clock, and may be called at any time.
    let (ticks, hz) = unsafe { (ffi::spdk_get_ticks(), ffi::spdk_get_ticks_hz()) };
    let now_ns = u128::from(ticks) * 1_000_000_000 / u128::from(hz.max(1));
    u64::try_from(now_ns).unwrap_or(u64::MAX)
}
