//! What is copied for a mirror's keeper, and who hears of it.

use alloc::sync::Arc;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use barespdk::bdev;
use barespdk::errno::Errno;
use barespdk::module::Bdev;
use barespdk::runtime;

use super::desk::Job;
use crate::legs::{LegSet, Slot, Standing};
use crate::mirror::Mirror;
use crate::region_map::RegionMap;

/// What legs are to have in the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Goal {
    /// A leg has what the others have. The number tells one rebuild from the next.
    Rebuild(Slot, u64),
    /// All legs in sync are equal.
    Resync,
}

/// How far it has come.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    pub(crate) total_regions: AtomicU64,
    pub(crate) done_regions: AtomicU64,
    stopped: AtomicBool,
}

/// What is being copied.
pub(crate) struct Recovery {
    goal: Goal,
    progress: Arc<Progress>,
}

impl Recovery {
    pub(crate) fn start(
        mirror: Bdev<Mirror>,
        goal: Goal,
        map: Arc<RegionMap>,
    ) -> Result<Self, Errno> {
        let progress = Arc::new(Progress::default());
        progress
            .total_regions
            .store(map.count() as u64, Ordering::Relaxed);
        let recovery = Self {
            goal,
            progress: Arc::clone(&progress),
        };
        runtime::spawn_local(async move {
            copy_all(&mirror, goal, &map, &progress).await;
        })?;
        Ok(recovery)
    }

    pub(crate) fn goal(&self) -> Goal {
        self.goal
    }

    pub(crate) fn progress(&self) -> Arc<Progress> {
        Arc::clone(&self.progress)
    }

    pub(crate) fn stop(&self) {
        self.progress.stopped.store(true, Ordering::Relaxed);
    }
}

async fn copy_all(mirror: &Bdev<Mirror>, goal: Goal, map: &RegionMap, progress: &Progress) {
    let device = mirror.device();
    let stopped = || progress.stopped.load(Ordering::Relaxed);
    let mut copied = 0_u64;
    while let Some(region) = map.first_from(0) {
        if stopped() {
            return;
        }
        if !copy_region(device, goal, region).await {
            if stopped() {
                return;
            }
            let _ = runtime::sleep(core::time::Duration::from_millis(100)).await;
            continue;
        }
        map.remove(region);
        if goal == Goal::Resync
            && let Some(regions) = &device.regions
        {
            regions.unequal.remove(region);
        }
        progress.done_regions.fetch_add(1, Ordering::Relaxed);
        copied += 1;
        if copied.is_multiple_of(64)
            && let Goal::Rebuild(slot, number) = goal
        {
            device.desk.put(Job::Checkpoint(slot, number));
        }
    }
    device.desk.put(match goal {
        Goal::Rebuild(slot, number) => Job::Rebuilt(slot, number),
        Goal::Resync => Job::Resynced,
    });
}

async fn copy_region(device: &Mirror, goal: Goal, region: usize) -> bool {
    let start = region as u64 * device.region_blocks();
    let len = device.region_blocks().min(device.num_blocks - start);
    let _held = device.ranges.hold(start, len).await;
    let (source, targets) = {
        let legs = device.legs.lock();
        let Some(source) = legs.in_sync().iter().next() else {
            return false;
        };
        let targets = match goal {
            Goal::Rebuild(slot, _) => LegSet::of(slot),
            Goal::Resync => legs.in_sync().without(LegSet::of(source)),
        };
        let get = |slot: Slot| legs.get(slot).map(|leg| leg.desc.clone());
        let targets: alloc::vec::Vec<_> = targets
            .iter()
            .filter(|slot| legs.standing(*slot) != Standing::Out)
            .filter_map(|slot| Some((slot, get(slot)?)))
            .collect();
        (get(source), targets)
    };
    let Some(source) = source else { return false };
    let (Ok(channel), Ok(buffer)) = (
        bdev::Channel::new(&source),
        source.buffer((len * u64::from(source.block_size())) as usize),
    ) else {
        return false;
    };
    let at = start + device.data_offset_blocks;
    let (read, buffer) = channel.read_buf(buffer, at).await;
    let (Ok(()), Some(mut buffer)) = (read, buffer) else {
        return false;
    };
    let mut done = true;
    for (slot, desc) in targets {
        let Ok(channel) = bdev::Channel::new(&desc) else {
            return false;
        };
        let (written, back) = channel.write_buf(buffer, at).await;
        let Some(back) = back else { return false };
        buffer = back;
        if written.is_err() {
            super::begin_to_eject(
                device,
                LegSet::of(slot),
                "it failed a write of what it lacked",
            );
            done = false;
        }
    }
    done
}
