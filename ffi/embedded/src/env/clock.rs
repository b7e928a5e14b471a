//! Ticks: nanoseconds of the monotonic clock, or of virtual time in a simulation.

use std::sync::atomic::{AtomicU64, Ordering};

/// Ticks a second.
pub(crate) const HZ: u64 = 1_000_000_000;

/// What [`VIRTUAL`] is unless time is virtual.
const REAL: u64 = u64::MAX;

/// The virtual time, or [`REAL`].
static VIRTUAL: AtomicU64 = AtomicU64::new(REAL);

/// The time in ticks.
#[inline]
pub(crate) fn now() -> u64 {
    match VIRTUAL.load(Ordering::Relaxed) {
        REAL => monotonic(),
        now => now,
    }
}

/// Whether time is virtual.
#[inline]
pub(crate) fn is_virtual() -> bool {
    VIRTUAL.load(Ordering::Relaxed) != REAL
}

/// Makes time virtual, or sets it. Only by a simulation.
pub(crate) fn set_virtual(now: u64) {
    VIRTUAL.store(now.min(REAL - 1), Ordering::Relaxed);
}

#[inline]
fn monotonic() -> u64 {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: a place for the time; this clock exists on every Linux, so that the call cannot fail.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut time) };
    time.tv_sec as u64 * HZ + time.tv_nsec as u64
}

#[unsafe(no_mangle)]
unsafe extern "C" fn spdk_get_ticks() -> u64 {
    now()
}

#[unsafe(no_mangle)]
unsafe extern "C" fn spdk_get_ticks_hz() -> u64 {
    HZ
}

same_as_declared!(spdk_get_ticks, spdk_get_ticks_hz);
