//! Ticks: nanoseconds of the monotonic clock, or of virtual time in a simulation.

#[cfg(target_arch = "x86_64")]
mod tsc;

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
        REAL => real(),
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

/// Looks for a faster way to tell the time. Takes a few milliseconds, the first time.
pub(super) fn start() {
    #[cfg(target_arch = "x86_64")]
    if !is_virtual() {
        static ONCE: std::sync::Once = std::sync::Once::new();
        ONCE.call_once(tsc::start);
    }
}

#[inline]
fn real() -> u64 {
    #[cfg(target_arch = "x86_64")]
    if let Some(now) = tsc::now() {
        return now;
    }
    monotonic()
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_follow_the_clock() {
        start();
        let (ticks, clock) = (real(), monotonic());
        std::thread::sleep(std::time::Duration::from_millis(50));
        let passed = (real() - ticks).abs_diff(monotonic() - clock);
        assert!(passed < HZ / 1000, "{passed} ns apart after 50 ms");
        let mut last = real();
        for _ in 0..100_000 {
            let now = real();
            assert!(now >= last);
            last = now;
        }
    }
}
