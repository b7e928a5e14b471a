//! A mirror as JSON.

use barespdk::json::{ArrayWriter, ObjectWriter};
use barespdk::uuid::Uuid;

use crate::legs::{Legs, Standing};
use crate::mirror::Mirror;

/// Writes what `bdev_raid_get_bdevs` writes of an array.
pub(crate) fn describe(mirror: &Mirror, object: &mut ObjectWriter<'_>) {
    let legs = mirror.legs.lock();
    let present = legs.in_sync().len();
    object.field("uuid", &mirror.uuid);
    object.field("strip_size_kb", &0_u32);
    object.field("state", "online");
    object.field("raid_level", "raid1");
    object.field("superblock", &mirror.regions.is_some());
    object.field("num_base_bdevs", &legs.num_slots());
    object.field("num_base_bdevs_discovered", &present);
    object.field("num_base_bdevs_operational", &present);
    object.array("base_bdevs_list", |list| base_bdevs(mirror, &legs, list));
}

fn base_bdevs(mirror: &Mirror, legs: &Legs, list: &mut ArrayWriter<'_>) {
    for slot in legs.slots() {
        // Of a leg that leaves nobody expects anything any more.
        let standing = legs.standing(slot);
        let leg = legs.get(slot).filter(|_| standing != Standing::Leaving);
        list.object(|object| {
            object.field("name", &leg.map(|leg| leg.name.as_str()));
            object.field("uuid", &leg.map_or(Uuid::NIL, |leg| leg.uuid));
            object.field("is_configured", &(standing == Standing::InSync));
            object.field("data_offset", &mirror.data_offset_blocks);
            object.field("data_size", &mirror.num_blocks);
        });
    }
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
