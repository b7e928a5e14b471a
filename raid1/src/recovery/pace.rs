//! A limit of bytes a second, which may change at any time.

use core::cell::Cell;

const MIB: i128 = 1 << 20;
const SECOND_NS: i128 = 1_000_000_000;

/// For how long may be made up what was not copied at its time.
const BURST_NS: u64 = 10_000_000;

/// Lets so many bytes through a second. Whoever comes when there is credit goes on, at the price of it: that
/// may become less than nothing, by one window.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// In bytes times a second's nanoseconds, so that nothing is lost by division.
    credit: Cell<i128>,
    at_ns: Cell<u64>,
}

impl Pace {
    /// Takes so many bytes; or says how long to wait before this is tried again, in nanoseconds. A limit of
    /// 0 is none.
    pub(super) fn take(&self, bytes: u64, limit_mib_s: u32, now_ns: u64) -> Result<(), u64> {
        let since_ns = now_ns.saturating_sub(self.at_ns.replace(now_ns));
        if limit_mib_s == 0 {
            self.credit.set(0);
            return Ok(());
        }
        let rate = i128::from(limit_mib_s) * MIB;
        let most = rate * i128::from(BURST_NS);
        let earned = rate * i128::from(since_ns);
        let credit = most.min(self.credit.get() + earned);
        if credit < 0 {
            self.credit.set(credit);
            return Err(u64::try_from(-credit / rate + 1).unwrap_or(u64::MAX));
        }
        self.credit.set(credit - i128::from(bytes) * SECOND_NS);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: u64 = 256 << 10;

    /// How much goes through from then on, for so long; a lane sleeps as long as it is told to.
    fn through(pace: &Pace, limit_mib_s: u32, now_ns: &mut u64, for_ns: u64) -> u64 {
        let end_ns = *now_ns + for_ns;
        let mut bytes = 0;
        while *now_ns < end_ns {
            match pace.take(WINDOW, limit_mib_s, *now_ns) {
                Ok(()) => bytes += WINDOW,
                Err(wait_ns) => *now_ns += wait_ns,
            }
        }
        bytes
    }

    #[test]
    fn a_limit_is_kept_and_used() {
        for limit in [1, 7, 100, 5000] {
            let (pace, mut now_ns) = (Pace::default(), 12_345_678_901);
            let bytes = through(&pace, limit, &mut now_ns, 10_000_000_000);
            let most = (u64::from(limit) * 10) << 20;
            let slack = WINDOW + (u64::from(limit) << 20) / 100;
            assert!(
                bytes >= most - slack && bytes <= most + slack,
                "{limit}: {bytes}"
            );
        }
    }

    #[test]
    fn a_limit_changes_at_once() {
        let (pace, mut now_ns) = (Pace::default(), 0);
        through(&pace, 1, &mut now_ns, 1_000_000_000);
        // What was taken at the old limit is paid for at the new one.
        let wait_ns = pace.take(WINDOW, 1000, now_ns).err().unwrap_or(0);
        assert!(wait_ns < 1_000_000);
        assert_eq!(pace.take(u64::MAX, 0, now_ns), Ok(()));
        assert_eq!(pace.take(WINDOW, 1, now_ns), Ok(()), "no debt is left");
        let slow_ns = pace.take(WINDOW, 1, now_ns).unwrap_err();
        assert!((240_000_000..=250_000_001).contains(&slow_ns), "{slow_ns}");
    }

    #[test]
    fn odd_clocks_do_no_harm() {
        let pace = Pace::default();
        for now_ns in [u64::MAX, 0, 1, u64::MAX] {
            for limit in [u32::MAX, 1, 0] {
                let _ = pace.take(u64::MAX, limit, now_ns);
            }
        }
    }
}
