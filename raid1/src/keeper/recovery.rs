//! What is copied for a mirror's keeper: from which legs, to which, and who hears of it.

use alloc::sync::Arc;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use barespdk::bdev::{Channel, Desc, IoError};
use barespdk::errno::Errno;
use barespdk::log_warn;
use barespdk::module::Bdev;

use super::departure::begin_to_eject;
use super::desk::Job;
use crate::legs::{LegSet, Slot, Standing};
use crate::mirror::Mirror;
use crate::ranges::Ranges;
use crate::recovery::{self, Copying, End, Progress, Shape};
use crate::region_map::RegionMap;

/// How much each mirror may copy, in MiB a second; 0: as much as is possible.
pub(crate) static LIMIT_MIB_S: AtomicU32 = AtomicU32::new(0);

/// What legs are to have in the end.
#[derive(Clone, Copy, Debug)]
pub(super) enum Goal {
    /// A leg has what the others have. The number tells one rebuild from the next.
    Rebuild(Slot, u64),
    /// All legs in sync are equal. Numbered too.
    Resync(u64),
}

/// What is being copied.
pub(super) struct Recovery {
    number: u64,
    left: Arc<RegionMap>,
    progress: Arc<Progress>,
}

impl Recovery {
    /// Begins to copy the regions of a map, which they leave when they are copied.
    ///
    /// # Errors
    /// There is no memory.
    pub(super) fn start(
        mirror: Bdev<Mirror>,
        goal: Goal,
        map: Arc<RegionMap>,
    ) -> Result<Self, Errno> {
        let desc = {
            let legs = mirror.device().legs.lock();
            let first = legs.open().next();
            first
                .map(|(_, leg)| leg.desc.clone())
                .ok_or(Errno::ENODEV)?
        };
        let number = match goal {
            Goal::Rebuild(_, number) | Goal::Resync(number) => number,
        };
        let left = Arc::clone(&map);
        let work = Work {
            mirror,
            goal,
            map,
            failures: AtomicU64::new(0),
        };
        let progress = recovery::start(work, &desc)?;
        Ok(Self {
            number,
            left,
            progress,
        })
    }

    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// What is still to be copied.
    pub(super) fn left(&self) -> &RegionMap {
        &self.left
    }

    pub(super) fn progress(&self) -> Arc<Progress> {
        Arc::clone(&self.progress)
    }

    /// Nothing more is begun. What is in flight has no say any more in what a leg lacks.
    pub(super) fn stop(&self) {
        self.progress.stop();
    }
}

struct Work {
    mirror: Bdev<Mirror>,
    goal: Goal,
    map: Arc<RegionMap>,
    /// Reads and writes that failed so far.
    failures: AtomicU64,
}

impl Work {
    fn device(&self) -> &Mirror {
        self.mirror.device()
    }

    fn desc(&self, slot: Slot) -> Option<Desc> {
        let legs = self.device().legs.lock();
        legs.get(slot).map(|leg| leg.desc.clone())
    }

    fn warn(&self, slot: Slot, start_blocks: u64, what: &str, error: IoError) {
        let failures = self.failures.fetch_add(1, Ordering::Relaxed) + 1;
        // A bad disk has thousands of them.
        if failures.is_power_of_two() {
            log_warn!(
                "raid1 {}: the leg in slot {} failed a {what} of what is copied, at block {start_blocks}: \
                 {error}; failures so far: {failures}",
                self.mirror.name(),
                slot.index()
            );
        }
    }
}

impl Copying for Work {
    fn ranges(&self) -> &Ranges {
        &self.device().ranges
    }

    fn regions(&self) -> &RegionMap {
        &self.map
    }

    fn shape(&self) -> Shape {
        Shape {
            num_blocks: self.device().num_blocks(),
            region_blocks: self.device().region_blocks(),
        }
    }

    fn limit_mib_s(&self) -> u32 {
        LIMIT_MIB_S.load(Ordering::Relaxed)
    }

    fn source(&self, tried: LegSet) -> Option<Slot> {
        let in_sync = self.device().legs.lock().in_sync();
        in_sync.without(tried).iter().next()
    }

    fn sources_differ(&self) -> bool {
        matches!(self.goal, Goal::Resync(_))
    }

    fn is_source(&self, slot: Slot) -> bool {
        self.device().legs.lock().standing(slot) == Standing::InSync
    }

    fn targets(&self, source: Slot) -> Option<LegSet> {
        let legs = self.device().legs.lock();
        match self.goal {
            Goal::Rebuild(slot, ..) => {
                (legs.standing(slot) == Standing::Rebuilding).then(|| LegSet::of(slot))
            }
            Goal::Resync(_) => Some(legs.staying().without(LegSet::of(source))),
        }
    }

    fn channel(&self, slot: Slot) -> Result<Channel, Errno> {
        let desc = self.desc(slot).ok_or(Errno::ENODEV)?;
        Channel::leaving_out(self.device().left_out(), &desc)
    }

    fn data_offset_blocks(&self, _slot: Slot) -> u64 {
        self.device().data_offset_blocks
    }

    fn source_failed(&self, slot: Slot, start_blocks: u64, error: IoError) {
        self.warn(slot, start_blocks, "read", error);
    }

    fn target_failed(&self, slot: Slot, start_blocks: u64, error: IoError) {
        self.warn(slot, start_blocks, "write", error);
        let reason = "it failed a write of what it lacked";
        begin_to_eject(self.device(), LegSet::of(slot), reason);
    }

    fn ended(&self, end: End) {
        if end == End::Copied {
            self.device().desk.put(match self.goal {
                Goal::Rebuild(slot, number) => Job::Rebuilt(slot, number),
                Goal::Resync(number) => Job::Resynced(number),
            });
        }
    }
}
