//! Histograms of latencies: buckets whose width grows with the latency, as many for each doubling.

use barespdk_sys::spdk_bdev_io_type;

/// Bits of a latency that a bucket tells apart, unless another number is asked for.
pub(super) const GRANULARITY_DEFAULT: u32 = 7;

/// What the histograms of a bdev are to be like.
#[derive(Clone, Copy, Debug)]
pub(super) struct Setting {
    pub(super) enabled: bool,
    /// Whether they are being changed.
    pub(super) changes: bool,
    /// The type of requests that is counted; 0 for all.
    pub(super) io_type: spdk_bdev_io_type,
    pub(super) granularity: u32,
    pub(super) ticks_min: u64,
    pub(super) ticks_max: u64,
}

impl Setting {
    pub(super) const fn new() -> Self {
        Self {
            enabled: false,
            changes: false,
            io_type: 0,
            granularity: 0,
            ticks_min: 0,
            ticks_max: 0,
        }
    }

    /// A histogram for a channel, if there is to be one and the numbers make sense.
    pub(super) fn make(&self) -> Option<Histogram> {
        self.enabled.then(|| Histogram::new(self)).flatten()
    }
}

/// A histogram.
#[derive(Clone, Debug)]
pub(super) struct Histogram {
    io_type: spdk_bdev_io_type,
    granularity: u32,
    range_min: u32,
    range_max: u32,
    buckets: Vec<u64>,
}

/// The range of a latency: each but the first is twice as wide as the one before.
fn range_of(granularity: u32, ticks: u64) -> u32 {
    (u64::BITS - ticks.leading_zeros()).saturating_sub(granularity)
}

impl Histogram {
    pub(super) fn new(setting: &Setting) -> Option<Self> {
        let granularity = setting.granularity;
        if setting.ticks_min >= setting.ticks_max || granularity > 20 {
            return None;
        }
        let range_min = range_of(granularity, setting.ticks_min);
        let range_max = range_of(granularity, setting.ticks_max - 1);
        let count = (range_max - range_min + 1) as usize;
        Some(Self {
            io_type: setting.io_type,
            granularity,
            range_min,
            range_max,
            buckets: vec![0; count << granularity],
        })
    }

    #[inline]
    pub(super) fn tally(&mut self, io_type: spdk_bdev_io_type, ticks: u64) {
        if self.io_type != 0 && self.io_type != io_type {
            return;
        }
        let mask = (1_usize << self.granularity) - 1;
        let range = range_of(self.granularity, ticks);
        let index = if range < self.range_min {
            0
        } else if range > self.range_max {
            mask
        } else {
            (ticks >> range.saturating_sub(1)) as usize & mask
        };
        let range = range.clamp(self.range_min, self.range_max) - self.range_min;
        self.buckets[((range as usize) << self.granularity) + index] += 1;
    }

    /// Adds another one; nothing happens if that is of another shape.
    pub(super) fn add(&mut self, other: &Self) {
        if self.granularity == other.granularity && self.range_min == other.range_min {
            for (sum, count) in self.buckets.iter_mut().zip(&other.buckets) {
                *sum += count;
            }
        }
    }

    pub(super) fn ranges(&self) -> (u32, u32) {
        (self.range_min, self.range_max)
    }

    /// The counts as they stand in memory.
    pub(super) fn bytes(&self) -> Vec<u8> {
        self.buckets
            .iter()
            .flat_map(|count| count.to_ne_bytes())
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn setting(ticks_min: u64, ticks_max: u64) -> Setting {
        Setting {
            enabled: true,
            changes: false,
            io_type: 0,
            granularity: GRANULARITY_DEFAULT,
            ticks_min,
            ticks_max,
        }
    }

    #[test]
    fn every_latency_has_a_bucket() {
        let mut histogram = Histogram::new(&setting(0, u64::MAX)).unwrap();
        assert_eq!(histogram.ranges(), (0, 57));
        assert_eq!(histogram.buckets.len(), 58 * 128);
        for shift in 0..64 {
            histogram.tally(1, 1 << shift);
        }
        histogram.tally(1, 0);
        histogram.tally(1, u64::MAX);
        assert_eq!(histogram.buckets.iter().sum::<u64>(), 66);
        assert_eq!(histogram.buckets[0], 1);
        assert_eq!(histogram.buckets.last(), Some(&1));
        // 127 and 128 are told apart, and so are 254 and 256, but not 256 and 257.
        let mut histogram = Histogram::new(&setting(0, u64::MAX)).unwrap();
        histogram.tally(1, 256);
        histogram.tally(1, 257);
        assert_eq!(histogram.buckets[2 * 128], 2);
    }

    #[test]
    fn what_lies_outside_is_counted_at_the_edge() {
        let mut histogram = Histogram::new(&setting(1000, 100_000)).unwrap();
        histogram.tally(1, 1);
        histogram.tally(1, u64::MAX);
        assert_eq!(histogram.buckets[0], 1);
        assert_eq!(histogram.buckets.last(), Some(&1));
        assert!(Histogram::new(&setting(5, 5)).is_none());
    }

    #[test]
    fn one_type_alone_where_that_is_asked_for() {
        let mut histogram = Histogram::new(&Setting {
            io_type: 2,
            ..setting(0, u64::MAX)
        })
        .unwrap();
        histogram.tally(1, 5);
        histogram.tally(2, 5);
        assert_eq!(histogram.buckets[5], 1);
    }
}
