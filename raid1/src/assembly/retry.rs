//! When what was in vain is tried again: after pauses that become longer.

/// The first pause, and the longest, in milliseconds.
const PAUSE_MS: (u64, u64) = (250, 8_000);

#[derive(Clone, Copy, Debug)]
pub(super) struct Retry {
    pause_ms: u64,
    left_ms: u64,
    tries: u32,
}

impl Default for Retry {
    fn default() -> Self {
        let (first, _) = PAUSE_MS;
        Self {
            pause_ms: first,
            left_ms: first,
            tries: 0,
        }
    }
}

impl Retry {
    /// Some time has passed. Whether the pause is over; then the next one, which is longer, begins.
    pub(super) fn is_due(&mut self, passed_ms: u64) -> bool {
        self.left_ms = self.left_ms.saturating_sub(passed_ms);
        if self.left_ms > 0 {
            return false;
        }
        let (_, longest) = PAUSE_MS;
        self.tries = self.tries.saturating_add(1);
        self.pause_ms = self.pause_ms.saturating_mul(2).min(longest);
        self.left_ms = self.pause_ms;
        true
    }

    /// How often it was due.
    pub(super) fn tries(&self) -> u32 {
        self.tries
    }
}
