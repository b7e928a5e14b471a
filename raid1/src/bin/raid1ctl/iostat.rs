//! What `bdev_get_iostat` counts.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use crate::failure::Failure;
use crate::session::Session;

/// The counters of all bdevs at a time of the application's clock.
#[derive(Debug, Deserialize)]
pub(crate) struct IoStat {
    /// Ticks a second.
    tick_rate: u64,
    /// The time.
    #[serde(default)]
    ticks: u64,
    #[serde(default)]
    bdevs: Vec<Counters>,
}

/// What a bdev has done. Latencies are sums over its requests.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Counters {
    pub(crate) name: String,
    pub(crate) bytes_read: u64,
    pub(crate) num_read_ops: u64,
    pub(crate) bytes_written: u64,
    pub(crate) num_write_ops: u64,
    pub(crate) num_unmap_ops: u64,
    pub(crate) read_latency_ticks: u64,
    pub(crate) max_read_latency_ticks: u64,
    pub(crate) write_latency_ticks: u64,
    pub(crate) max_write_latency_ticks: u64,
    /// How many requests failed, by reason; the application leaves it out while none has.
    pub(crate) io_error: BTreeMap<String, u64>,
}

impl Counters {
    pub(crate) fn num_errors(&self) -> u64 {
        self.io_error.values().sum()
    }
}

impl IoStat {
    pub(crate) fn get(session: &mut Session) -> Result<Self, Failure> {
        session.client.get("bdev_get_iostat", Value::Null)
    }

    pub(crate) fn find(&self, bdev: &str) -> Option<&Counters> {
        self.bdevs.iter().find(|counters| counters.name == bdev)
    }

    /// A time in ticks as one of ours.
    pub(crate) fn duration(&self, ticks: f64) -> Duration {
        if self.tick_rate == 0 {
            return Duration::ZERO;
        }
        Duration::try_from_secs_f64(ticks / self.tick_rate as f64).unwrap_or_default()
    }

    /// The mean latency of `num_ops` requests that took so many ticks together.
    pub(crate) fn mean(&self, ticks: u64, num_ops: u64) -> Option<Duration> {
        (num_ops > 0).then(|| self.duration(ticks as f64 / num_ops as f64))
    }

    /// The time since an earlier one of the same application.
    pub(crate) fn since(&self, earlier: &Self) -> Duration {
        self.duration(self.ticks.saturating_sub(earlier.ticks) as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_in_ticks() {
        let stat: IoStat = serde_json::from_value(serde_json::json!({
            "tick_rate": 1000, "ticks": 5, "bdevs": [{"name": "a", "num_read_ops": 2, "x": 1}],
        }))
        .unwrap();
        assert_eq!(stat.duration(1500.0), Duration::from_millis(1500));
        assert_eq!(stat.mean(10, 2), Some(Duration::from_millis(5)));
        assert_eq!(stat.mean(10, 0), None);
        assert_eq!(stat.find("a").unwrap().num_read_ops, 2);
        assert!(stat.find("b").is_none());
    }
}
