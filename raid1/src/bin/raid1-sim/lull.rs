//! The end of a life shortly after regions were looked at that may be clean.
//!
//! ```text
//!  mirror                          regions are looked at
//!  is there                                  │
//!  ├────────────────────────┬────────────────┼──┬───────────┬──
//!                           │ clients: steps    │ nothing   │ the life ends
//! ```
//!
//! What was in flight when regions were looked at is all that was written lately: had its mark been
//! cleared, nothing would say any more that it may not be on all legs.

use std::time::Duration;

use barespdk::runtime;
use fastrand::Rng;

use crate::lives::Death;

/// How often a mirror looks at its regions, in microseconds.
const PERIOD_US: u64 = 5_000_000;

/// When what happens, in microseconds since the mirror is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lull {
    pub(crate) death: Death,
    /// The legs take their time.
    pub(crate) latency_us_max: u64,
    begin_us: u64,
    stop_us: u64,
    end_us: u64,
}

impl Lull {
    pub(crate) fn random(rng: &mut Rng) -> Self {
        let latency_us_max = 1 << rng.u32(9..=13);
        Self {
            death: match rng.u8(0..4) {
                0 => Death::Killed,
                _ => Death::PowerLoss,
            },
            latency_us_max,
            begin_us: PERIOD_US - (latency_us_max << rng.u32(3..=6)),
            stop_us: PERIOD_US - 2 * latency_us_max + rng.u64(0..3 * latency_us_max),
            end_us: PERIOD_US + (latency_us_max << rng.u32(1..=6)),
        }
    }

    /// How long clients wait until they begin, when the mirror is there.
    pub(crate) fn until_begin(&self) -> Duration {
        Duration::from_micros(self.begin_us)
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

    /// Waits until the life is to end, from when clients begin.
    pub(crate) async fn end(self) {
        let _ = runtime::sleep(Duration::from_micros(self.end_us - self.begin_us)).await;
    }
}
