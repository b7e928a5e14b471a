//! What a bdev did from one look at its counters to the next.

use std::time::Duration;

use serde_json::{Value, json};

use crate::iostat::{Counters, IoStat};

/// Requests of one kind.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Rate {
    pub(crate) ops_per_second: f64,
    pub(crate) bytes_per_second: f64,
    /// Their mean latency; none without requests.
    pub(crate) latency: Option<Duration>,
}

/// Reads and writes of a bdev.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Rates {
    pub(crate) read: Rate,
    pub(crate) write: Rate,
}

/// The three counters of a kind of request.
struct Sums {
    ops: u64,
    bytes: u64,
    ticks: u64,
}

impl Rates {
    /// Of a bdev from `earlier` to `now`. None if it was not there both times, or no time has passed.
    pub(crate) fn of(bdev: &str, earlier: &IoStat, now: &IoStat) -> Option<Self> {
        let seconds = now.since(earlier).as_secs_f64();
        let (before, after) = (earlier.find(bdev)?, now.find(bdev)?);
        if seconds <= 0.0 {
            return None;
        }
        let rate = |sums: fn(&Counters) -> Sums| {
            let (before, after) = (sums(before), sums(after));
            // Counters that went back were reset, or belong to another bdev of that name.
            let (ops, bytes, ticks) = if after.ops >= before.ops && after.bytes >= before.bytes {
                (
                    after.ops - before.ops,
                    after.bytes - before.bytes,
                    after.ticks.saturating_sub(before.ticks),
                )
            } else {
                (after.ops, after.bytes, after.ticks)
            };
            Rate {
                ops_per_second: ops as f64 / seconds,
                bytes_per_second: bytes as f64 / seconds,
                latency: now.mean(ticks, ops),
            }
        };
        Some(Self {
            read: rate(|counters| Sums {
                ops: counters.num_read_ops,
                bytes: counters.bytes_read,
                ticks: counters.read_latency_ticks,
            }),
            write: rate(|counters| Sums {
                ops: counters.num_write_ops,
                bytes: counters.bytes_written,
                ticks: counters.write_latency_ticks,
            }),
        })
    }

    pub(crate) fn to_json(self) -> Value {
        let rate = |rate: Rate| {
            json!({
                "ops_per_second": rate.ops_per_second,
                "bytes_per_second": rate.bytes_per_second,
                "latency_us": rate.latency.map(|latency| latency.as_secs_f64() * 1e6),
            })
        };
        json!({"read": rate(self.read), "write": rate(self.write)})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stat(ticks: u64, num_read_ops: u64) -> IoStat {
        serde_json::from_value(json!({
            "tick_rate": 1000, "ticks": ticks,
            "bdevs": [{"name": "a", "num_read_ops": num_read_ops, "bytes_read": num_read_ops * 512,
                "read_latency_ticks": num_read_ops * 3}],
        }))
        .unwrap()
    }

    #[test]
    fn rates_are_differences_over_time() {
        let rates = Rates::of("a", &stat(1000, 10), &stat(3000, 30)).unwrap();
        assert_eq!(rates.read.ops_per_second, 10.0);
        assert_eq!(rates.read.bytes_per_second, 5120.0);
        assert_eq!(rates.read.latency, Some(Duration::from_millis(3)));
        assert_eq!(rates.write.ops_per_second, 0.0);
        assert_eq!(rates.write.latency, None);
    }

    #[test]
    fn reset_counters_start_from_zero() {
        let rates = Rates::of("a", &stat(1000, 10), &stat(2000, 4)).unwrap();
        assert_eq!(rates.read.ops_per_second, 4.0);
    }

    #[test]
    fn without_two_looks_there_is_no_rate() {
        assert_eq!(Rates::of("b", &stat(0, 0), &stat(1, 0)), None);
        assert_eq!(Rates::of("a", &stat(1, 0), &stat(1, 0)), None);
    }
}
