//! Statistics: of a channel, and of a bdev.

use std::cell::Cell;

use barespdk_sys::*;
use serde_json::{Map, Value};

use super::io::Io;

/// Requests of one kind.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kind {
    bytes: u64,
    count: u64,
    ticks: u64,
    ticks_max: u64,
    /// [`u64::MAX`] where there was none.
    ticks_min: u64,
}

impl Kind {
    const NONE: Self = Self {
        bytes: 0,
        count: 0,
        ticks: 0,
        ticks_max: 0,
        ticks_min: u64::MAX,
    };

    #[inline]
    fn count(&mut self, bytes: u64, ticks: u64) {
        self.bytes = self.bytes.wrapping_add(bytes);
        self.count += 1;
        self.ticks = self.ticks.wrapping_add(ticks);
        self.ticks_max = self.ticks_max.max(ticks);
        self.ticks_min = self.ticks_min.min(ticks);
    }

    fn add(&mut self, other: &Self) {
        self.bytes = self.bytes.wrapping_add(other.bytes);
        self.count += other.count;
        self.ticks = self.ticks.wrapping_add(other.ticks);
        self.ticks_max = self.ticks_max.max(other.ticks_max);
        self.ticks_min = self.ticks_min.min(other.ticks_min);
    }

    fn reset(&mut self, mode: Reset) {
        match mode {
            Reset::All => *self = Self::NONE,
            Reset::MaxMin => (self.ticks_max, self.ticks_min) = (0, u64::MAX),
            Reset::Errors | Reset::Nothing => {}
        }
    }
}

/// What of the statistics is to be forgotten.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Deserialize)]
pub(super) enum Reset {
    #[serde(rename = "all")]
    All,
    #[serde(rename = "maxmin")]
    MaxMin,
    #[serde(rename = "error")]
    Errors,
    #[serde(rename = "none")]
    Nothing,
}

/// What was done.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stat {
    read: Kind,
    written: Kind,
    unmapped: Kind,
    copied: Kind,
}

impl Stat {
    pub(super) const fn new() -> Self {
        Self {
            read: Kind::NONE,
            written: Kind::NONE,
            unmapped: Kind::NONE,
            copied: Kind::NONE,
        }
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.read.add(&other.read);
        self.written.add(&other.written);
        self.unmapped.add(&other.unmapped);
        self.copied.add(&other.copied);
    }

    pub(super) fn reset(&mut self, mode: Reset) {
        for kind in [
            &mut self.read,
            &mut self.written,
            &mut self.unmapped,
            &mut self.copied,
        ] {
            kind.reset(mode);
        }
    }

    /// Writes it as `bdev_get_iostat` shows it.
    pub(super) fn dump(&self, object: &mut Map<String, Value>) {
        let kinds = [
            ("bytes_read", "num_read_ops", "read", &self.read),
            ("bytes_written", "num_write_ops", "write", &self.written),
            ("bytes_unmapped", "num_unmap_ops", "unmap", &self.unmapped),
            ("bytes_copied", "num_copy_ops", "copy", &self.copied),
        ];
        for (bytes, count, _, kind) in kinds {
            object.insert(bytes.into(), kind.bytes.into());
            object.insert(count.into(), kind.count.into());
        }
        for (_, _, name, kind) in kinds {
            let ticks_min = if kind.ticks_min == u64::MAX {
                0
            } else {
                kind.ticks_min
            };
            object.insert(format!("{name}_latency_ticks"), kind.ticks.into());
            object.insert(format!("max_{name}_latency_ticks"), kind.ticks_max.into());
            object.insert(format!("min_{name}_latency_ticks"), ticks_min.into());
        }
    }
}

/// The statistics of a channel, which its thread alone touches.
pub(super) struct ChannelStat {
    stat: Cell<Stat>,
}

impl ChannelStat {
    pub(super) const fn new() -> Self {
        Self {
            stat: Cell::new(Stat::new()),
        }
    }

    /// Counts a request that has succeeded.
    #[inline]
    pub(super) fn count(&self, io: Io, bytes: u64, ticks: u64) {
        // SAFETY: of one thread, and nothing is called while the reference lives.
        let stat = unsafe { &mut *self.stat.as_ptr() };
        match io.io_type() {
            SPDK_BDEV_IO_TYPE_READ => stat.read.count(bytes, ticks),
            SPDK_BDEV_IO_TYPE_WRITE => stat.written.count(bytes, ticks),
            SPDK_BDEV_IO_TYPE_UNMAP => stat.unmapped.count(bytes, ticks),
            SPDK_BDEV_IO_TYPE_COPY => stat.copied.count(bytes, ticks),
            SPDK_BDEV_IO_TYPE_ZCOPY if io.params().zcopy.start() != 0 => {
                if io.params().zcopy.populate() != 0 {
                    stat.read.count(bytes, ticks);
                } else {
                    stat.written.count(bytes, ticks);
                }
            }
            _ => {}
        }
    }

    pub(super) fn get(&self) -> Stat {
        self.stat.get()
    }

    pub(super) fn reset(&self, mode: Reset) {
        let mut stat = self.stat.get();
        stat.reset(mode);
        self.stat.set(stat);
    }
}

/// How often requests to a bdev failed, and how.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct ErrorCounts([u32; SPDK_MIN_BDEV_IO_STATUS.unsigned_abs() as usize]);

/// By what name a status is shown, the status -1 first.
const NAMES: [&str; SPDK_MIN_BDEV_IO_STATUS.unsigned_abs() as usize] = [
    "failed",
    "nvme_error",
    "scsi_error",
    "nomem",
    "miscompare",
    "first_fused_failed",
    "aborted",
    "aio_error",
];

impl ErrorCounts {
    pub(super) fn count(&mut self, status: spdk_bdev_io_status) {
        let place = usize::try_from(-1 - i64::from(status)).ok();
        if let Some(count) = place.and_then(|index| self.0.get_mut(index)) {
            *count = count.wrapping_add(1);
        }
    }

    pub(super) fn reset(&mut self, mode: Reset) {
        if matches!(mode, Reset::All | Reset::Errors) {
            self.0 = Default::default();
        }
    }

    /// Writes those that there were.
    pub(super) fn dump(&self) -> Value {
        let counts = NAMES.iter().zip(self.0).filter(|(_, count)| *count != 0);
        Value::Object(
            counts
                .map(|(name, count)| ((*name).into(), count.into()))
                .collect(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_shown_by_the_names_of_their_statuses() {
        let mut errors = ErrorCounts::default();
        errors.count(SPDK_BDEV_IO_STATUS_FAILED);
        errors.count(SPDK_BDEV_IO_STATUS_AIO_ERROR);
        errors.count(SPDK_BDEV_IO_STATUS_AIO_ERROR);
        errors.count(SPDK_BDEV_IO_STATUS_SUCCESS);
        errors.count(spdk_bdev_io_status::MIN);
        let shown = errors.dump().to_string();
        assert_eq!(shown, r#"{"failed":1,"aio_error":2}"#);
        errors.reset(Reset::MaxMin);
        assert_eq!(errors.dump().to_string(), shown);
        errors.reset(Reset::Errors);
        assert_eq!(errors.dump().to_string(), "{}");
    }

    #[test]
    fn what_was_never_timed_has_no_least_time() {
        let mut stat = Stat::new();
        stat.read.count(512, 7);
        stat.read.count(512, 3);
        let mut other = Stat::new();
        other.add(&stat);
        let mut object = Map::new();
        other.dump(&mut object);
        assert_eq!(object["bytes_read"], 1024);
        assert_eq!(object["min_read_latency_ticks"], 3);
        assert_eq!(object["max_read_latency_ticks"], 7);
        assert_eq!(object["min_write_latency_ticks"], 0);
        other.reset(Reset::MaxMin);
        let mut object = Map::new();
        other.dump(&mut object);
        assert_eq!(object["num_read_ops"], 2);
        assert_eq!(object["max_read_latency_ticks"], 0);
    }
}
