//! The end of a life shortly after regions were looked at that may be clean.
//!
//! ```text
//!  mirror                 regions are looked at          and again
//!  is there                        │                         │
//!  ├─ some steps, perhaps ─────────┼─── ... ────┬────────────┼──┬───────────┬──
//!                                               │ clients: steps │ nothing │ the life ends
//! ```
//!
//! What is in flight when regions are looked at is all that was written lately: had its mark been
//! cleared, nothing would say any more that it may not be on all legs. At the first look that is so of all
//! regions, at the second some are clean that were written to before the first. Legs stall: a write may have
//! been done by one, and not by another until the marks are cleared.

use std::time::Duration;

use barespdk::runtime;
use fastrand::Rng;

use crate::lives::Death;
use crate::run::expect_progress;

/// How often a mirror looks at its regions, in microseconds.
const PERIOD_US: u64 = 5_000_000;

/// When what happens, in microseconds since the mirror is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lull {
    pub(crate) death: Death,
    /// The legs take their time.
    pub(crate) latency_us_max: u64,
    /// So long a leg may stall.
    pub(crate) stall_us_max: u64,
    /// How many quarters of its steps a client takes at once. If any, it is the second look that counts.
    early_quarters: u64,
    begin_us: u64,
    stop_us: u64,
    look_us: u64,
    end_us: u64,
}

impl Lull {
    pub(crate) fn random(rng: &mut Rng) -> Self {
        let latency_us_max = 1 << rng.u32(9..=13);
        let early_quarters = rng.choice([0, 0, 3, 4, 4]).unwrap_or_default();
        let look_us = PERIOD_US << u32::from(early_quarters > 0);
        // All is done by then that a look has to do.
        let after_us = latency_us_max << rng.u32(4..=6);
        Self {
            death: match rng.u8(0..4) {
                0 => Death::Killed,
                _ => Death::PowerLoss,
            },
            latency_us_max,
            stall_us_max: rng.choice([0, 4, 4, 4]).unwrap_or_default() * after_us,
            early_quarters,
            begin_us: look_us - (latency_us_max << rng.u32(3..=6)),
            stop_us: match rng.bool() {
                true => look_us - rng.u64(0..=latency_us_max),
                false => look_us - 2 * latency_us_max + rng.u64(0..3 * latency_us_max),
            },
            look_us,
            end_us: look_us + after_us,
        }
    }

    /// Whether the life is to end while the look does what it does, if at all then.
    pub(crate) fn ends_early(&self, rng: &mut Rng) -> bool {
        self.early_quarters == 4 || rng.u8(0..4) == 0
    }

    /// Whether a client that has taken so many steps of about `steps_each` takes the next one at once.
    pub(crate) fn is_early(&self, taken: u64, steps_each: u64) -> bool {
        self.early_quarters == 4 || 4 * taken < self.early_quarters * steps_each
    }

    /// Waits until the clients are to begin.
    pub(crate) async fn until_begin(&self, since_us: impl Fn() -> u64) {
        until(self.begin_us, since_us).await;
    }

    /// Waits until regions are about to be looked at.
    pub(crate) async fn until_look(&self, since_us: impl Fn() -> u64) {
        until(self.look_us - 1_000, since_us).await;
    }

    /// Waits until the life is to end.
    pub(crate) async fn until_end(&self, since_us: impl Fn() -> u64) {
        until(self.end_us, since_us).await;
    }

    /// How long a client waits between two steps, when each of them has so many.
    pub(crate) fn pause(&self, rng: &mut Rng, steps_each: u64) -> Duration {
        let mean = (self.stop_us - self.begin_us) / steps_each.max(1);
        Duration::from_micros(rng.u64(0..=2 * mean))
    }

    /// Whether no more steps are to be taken, so long after the mirror was there.
    pub(crate) fn is_over(&self, since_us: u64) -> bool {
        since_us >= self.stop_us
    }
}

/// Waits until it is time; `since_us` says what time it is.
async fn until(us: u64, since_us: impl Fn() -> u64) {
    while let Some(rest) = us.checked_sub(since_us()).filter(|rest| *rest > 0) {
        expect_progress();
        if (runtime::sleep(Duration::from_micros(rest.min(1_000_000))).await).is_err() {
            return;
        }
    }
    expect_progress();
}
