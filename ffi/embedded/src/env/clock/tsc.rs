//! The time stamp counter of x86-64: a third of the time that asking the kernel's clock takes. Used
//! where the kernel itself trusts it: the same rate always, the same value on all cores.

use std::arch::x86_64::_rdtsc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::{HZ, monotonic};

/// Nanoseconds a count, as a fraction of 2^32. 0: the counter is not used.
static SCALE: AtomicU64 = AtomicU64::new(0);
/// A moment in counts and in nanoseconds. Written before the scale.
static BASE_COUNT: AtomicU64 = AtomicU64::new(0);
static BASE_TICKS: AtomicU64 = AtomicU64::new(0);

/// How long the counter is compared with the clock, in nanoseconds.
const COMPARE_TICKS: u64 = HZ / 200;

const CLOCKS: &str = "/sys/devices/system/clocksource/clocksource0/available_clocksource";

/// The time in ticks, if the counter is used.
#[inline]
pub(super) fn now() -> Option<u64> {
    let scale = SCALE.load(Ordering::Acquire);
    if scale == 0 {
        return None;
    }
    let passed = counter().wrapping_sub(BASE_COUNT.load(Ordering::Relaxed));
    let ticks = (u128::from(passed) * u128::from(scale)) >> 32;
    Some(
        BASE_TICKS
            .load(Ordering::Relaxed)
            .wrapping_add(ticks as u64),
    )
}

#[inline]
fn counter() -> u64 {
    // SAFETY: every x86-64 has it, and reading it does nothing else.
    unsafe { _rdtsc() }
}

/// Compares the counter with the clock, and uses it from now on if the kernel trusts it.
pub(super) fn start() {
    let trusted = std::fs::read_to_string(CLOCKS)
        .is_ok_and(|clocks| clocks.split_whitespace().any(|clock| clock == "tsc"));
    if !trusted {
        return;
    }
    let (count, ticks) = moment();
    while monotonic() - ticks < COMPARE_TICKS {
        std::hint::spin_loop();
    }
    let (later_count, later_ticks) = moment();
    let counts = later_count.wrapping_sub(count);
    if counts == 0 {
        return;
    }
    let scale = (u128::from(later_ticks - ticks) << 32) / u128::from(counts);
    BASE_COUNT.store(later_count, Ordering::Relaxed);
    BASE_TICKS.store(later_ticks, Ordering::Relaxed);
    SCALE.store(u64::try_from(scale).unwrap_or(0), Ordering::Release);
}

/// The counter and the clock at one moment: of several pairs, that which was read fastest.
fn moment() -> (u64, u64) {
    let pairs = (0..10).map(|_| {
        let before = counter();
        let ticks = monotonic();
        let took = counter().wrapping_sub(before);
        (took, before + took / 2, ticks)
    });
    pairs
        .min()
        .map_or((0, 0), |(_, count, ticks)| (count, ticks))
}
