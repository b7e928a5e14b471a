use std::sync::{Mutex, MutexGuard, PoisonError};

use barespdk_sys::{
    SPDK_BDEV_IO_TYPE_FLUSH, SPDK_BDEV_IO_TYPE_READ, SPDK_BDEV_IO_TYPE_UNMAP,
    SPDK_BDEV_IO_TYPE_WRITE, spdk_bdev_io_type,
};

/// The types of requests that errors are injected into.
pub(super) const INJECTED: [spdk_bdev_io_type; 4] = [
    SPDK_BDEV_IO_TYPE_READ,
    SPDK_BDEV_IO_TYPE_WRITE,
    SPDK_BDEV_IO_TYPE_UNMAP,
    SPDK_BDEV_IO_TYPE_FLUSH,
];

/// What happens to a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Fault {
    /// It fails.
    Failure,
    /// It completes when the bdev is reset.
    Pending,
    /// It succeeds, but a byte is another one.
    CorruptData,
    /// It fails as if there was no memory, and is tried again.
    Nomem,
}

/// What happens to the next requests of a type.
#[derive(Clone, Copy, Debug)]
pub(super) struct Injection {
    pub(super) fault: Fault,
    /// To how many.
    pub(super) num: u32,
    /// Only while the base has at least so many requests of the same thread.
    pub(super) queue_depth: u64,
    /// Which byte to change, from the start of the request.
    pub(super) corrupt_offset: u64,
    /// Which of its bits.
    pub(super) corrupt_value: u8,
}

/// The injections of one bdev, of each type in [`INJECTED`]. The lock is never held for long, and
/// this is not a bdev for speed.
#[derive(Default)]
pub(super) struct Injections(Mutex<[Option<Injection>; INJECTED.len()]>);

impl Injections {
    /// Replaces the injection of a type, or of all types for None.
    pub(super) fn set(&self, kind: Option<spdk_bdev_io_type>, injection: Injection) {
        for (slot, injected) in self.lock().iter_mut().zip(INJECTED) {
            if kind.is_none_or(|kind| kind == injected) {
                *slot = Some(injection);
            }
        }
    }

    /// Ends all injections.
    pub(super) fn clear(&self) {
        for injection in self.lock().iter_mut().flatten() {
            injection.num = 0;
        }
    }

    /// What happens to a request of a type now, with so many in flight; it counts.
    pub(super) fn take(&self, kind: spdk_bdev_io_type, in_flight: u64) -> Option<Fault> {
        let index = INJECTED.iter().position(|&injected| injected == kind)?;
        let mut slots = self.lock();
        let injection = slots[index].as_mut()?;
        if in_flight < injection.queue_depth || injection.num == 0 {
            return None;
        }
        injection.num -= 1;
        Some(injection.fault)
    }

    /// Which byte to change, and which of its bits.
    pub(super) fn corruption(&self, kind: spdk_bdev_io_type) -> (u64, u8) {
        let index = INJECTED.iter().position(|&injected| injected == kind);
        let injection = index.and_then(|index| self.lock()[index]);
        injection.map_or((0, 0), |it| (it.corrupt_offset, it.corrupt_value))
    }

    fn lock(&self) -> MutexGuard<'_, [Option<Injection>; INJECTED.len()]> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO: Injection = Injection {
        fault: Fault::Failure,
        num: 2,
        queue_depth: 1,
        corrupt_offset: 3,
        corrupt_value: 5,
    };

    #[test]
    fn as_often_as_told_and_only_in_a_full_queue() {
        let injections = Injections::default();
        assert_eq!(injections.take(SPDK_BDEV_IO_TYPE_READ, 9), None);
        injections.set(Some(SPDK_BDEV_IO_TYPE_READ), TWO);
        assert_eq!(injections.take(SPDK_BDEV_IO_TYPE_READ, 0), None);
        assert_eq!(injections.take(SPDK_BDEV_IO_TYPE_WRITE, 1), None);
        for _ in 0..2 {
            assert_eq!(
                injections.take(SPDK_BDEV_IO_TYPE_READ, 1),
                Some(Fault::Failure)
            );
        }
        assert_eq!(injections.take(SPDK_BDEV_IO_TYPE_READ, 1), None);
        assert_eq!(injections.corruption(SPDK_BDEV_IO_TYPE_READ), (3, 5));
    }

    #[test]
    fn all_types_and_none() {
        let injections = Injections::default();
        injections.set(None, TWO);
        for kind in INJECTED {
            assert_eq!(injections.take(kind, 1), Some(Fault::Failure));
        }
        injections.clear();
        for kind in INJECTED {
            assert_eq!(injections.take(kind, 1), None);
        }
    }
}
