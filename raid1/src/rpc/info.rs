//! A mirror as JSON.

use core::sync::atomic::Ordering;

use barespdk::json::{ArrayWriter, ObjectWriter};
use barespdk::uuid::Uuid;

use crate::keeper::Report;
use crate::legs::{Legs, Slot, Standing};
use crate::mirror::Mirror;
use crate::recovery::Progress;

/// Writes what `bdev_raid_get_bdevs` writes of an array, and what only mirrors have: the state of each leg,
/// what it lacks, how far copying has come.
pub(crate) fn describe(mirror: &Mirror, object: &mut ObjectWriter<'_>) {
    let report = mirror.report.lock();
    let legs = mirror.legs.lock();
    let present = legs.in_sync().len();
    object.field("uuid", &mirror.uuid);
    object.field("strip_size_kb", &0_u32);
    object.field("state", "online");
    object.field("raid_level", "raid1");
    object.field("superblock", &mirror.regions.is_some());
    object.field("num_base_bdevs", &legs.num_slots());
    object.field("num_base_bdevs_discovered", &legs.open().count());
    object.field("num_base_bdevs_operational", &present);
    if let Some(regions) = &mirror.regions {
        object.field("generation", &report.generation());
        object.field("region_size_blocks", &mirror.region_blocks());
        object.field("num_regions", &mirror.num_regions());
        object.field("dirty_regions", &regions.dirty.count());
        object.field("unequal_regions", &regions.unequal.count());
        object.field("repaired_reads", &mirror.repairs.load(Ordering::Relaxed));
    }
    if let Some(resync) = &report.resync {
        object.object("resync", |object| progress(resync, object));
    }
    object.array("base_bdevs_list", |list| {
        base_bdevs(mirror, &legs, &report, list);
    });
}

fn base_bdevs(mirror: &Mirror, legs: &Legs, report: &Report, list: &mut ArrayWriter<'_>) {
    for slot in legs.slots() {
        // Of a leg that leaves nobody expects anything any more.
        let standing = legs.standing(slot);
        let leg = legs.get(slot).filter(|_| standing != Standing::Leaving);
        list.object(|object| {
            object.field("name", &leg.map(|leg| leg.name.as_str()));
            object.field("uuid", &leg.map_or(Uuid::NIL, |leg| leg.uuid));
            object.field("is_configured", &(standing == Standing::InSync));
            object.field("data_offset", &mirror.data_offset_blocks);
            object.field("data_size", &mirror.num_blocks());
            state(slot, standing, report, object);
        });
    }
}

fn state(slot: Slot, standing: Standing, report: &Report, object: &mut ObjectWriter<'_>) {
    let state = match standing {
        Standing::InSync => "in_sync",
        Standing::Rebuilding => "rebuilding",
        Standing::Leaving | Standing::Out => "failed",
    };
    object.field("state", state);
    if standing != Standing::InSync {
        object.field("missed_regions", &report.missed_regions[slot.index()]);
    }
    if let Some(rebuild) = &report.rebuilds[slot.index()] {
        object.object("rebuild", |object| progress(rebuild, object));
    }
}

fn progress(progress: &Progress, object: &mut ObjectWriter<'_>) {
    object.field("blocks_done", &progress.done_blocks());
    object.field("blocks_total", &progress.total_blocks());
    object.field("blocks_read", &progress.read_blocks());
    object.field("failed_windows", &progress.failed_windows());
    object.field("waits", &progress.is_waiting());
}

/// Writes the call that makes the mirror again. Legs that it has lost are left out: what they hold
/// is old, and there is no metadata that would say so.
pub(crate) fn create_call(mirror: &Mirror, call: &mut ObjectWriter<'_>) {
    let legs = mirror.legs.lock();
    call.field("method", "raid1_create");
    call.object("params", |params| {
        params.field("name", mirror.name.as_str());
        params.field("uuid", &mirror.uuid);
        params.field("superblock", &false);
        params.array("base_bdevs", |list| {
            for leg in legs.in_sync().iter().filter_map(|slot| legs.get(slot)) {
                list.push(leg.name.as_str());
            }
        });
    });
}
