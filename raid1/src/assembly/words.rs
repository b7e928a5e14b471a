//! Why an array waits, in words, and how it is shown.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use barespdk::json::{ArrayWriter, ObjectWriter};
use barespdk::uuid::Uuid;

use super::decision::Decision;
use super::table::{self, Array, Candidate};
use crate::format::LegState;
use crate::legs::Slot;

/// What an array waits for.
pub(super) fn of(decision: &Decision, found: &[Candidate]) -> String {
    match decision {
        Decision::Wait {
            missing,
            could_start,
            authority,
        } => {
            let missing: Vec<String> = missing
                .iter()
                .map(|slot| leg_of(slot, found, *authority))
                .collect();
            let hint = match could_start {
                true => "; 'raid1_start' starts it without",
                false => "; none of those here is in sync",
            };
            format!("{}{hint}", missing.join(", "))
        }
        Decision::SplitBrain(histories) => {
            let histories: Vec<String> = histories
                .iter()
                .map(|legs| history_of(legs, found))
                .collect();
            format!(
                "a choice, 'raid1_start' with 'source': split brain, {} went on alone",
                histories.join(" and ")
            )
        }
        Decision::SeveralLives(lives) => {
            let lives: Vec<String> = lives.iter().map(|legs| history_of(legs, found)).collect();
            format!(
                "a choice, 'raid1_start' with 'source': {} are of arrays that had this uuid in other \
                 lives",
                lives.join(" and ")
            )
        }
        Decision::NoneUpToDate => String::from("a leg that is in sync and up to date"),
        Decision::Online(_) => String::new(),
    }
}

/// What a leg waits for that went on without a mirror which is online, and has come so far.
pub(super) fn choice(leg: &Candidate, generation: u64) -> String {
    format!(
        "a choice, 'raid1_start' with 'source', after 'raid1_stop' unless it is a base bdev that is online: split \
         brain, '{}' (slot {}, generation {}) went on alone, what is online (generation {generation}) does not \
         have what was written there",
        leg.name, leg.superblock.own_slot, leg.superblock.generation
    )
}

/// What a leg waits for that is out of reach.
pub(super) fn another_try(leg: &Candidate) -> String {
    format!("another try: base bdev '{}' {}", leg.name, leg.trouble)
}

fn leg_of(slot: Slot, found: &[Candidate], authority: usize) -> String {
    let in_vain = found
        .iter()
        .find(|leg| leg.is_out_of_reach && usize::from(leg.superblock.own_slot) == slot.index());
    if let Some(leg) = in_vain {
        return format!(
            "slot {} (bdev '{}' {})",
            slot.index(),
            leg.name,
            leg.trouble
        );
    }
    let entry = found
        .get(authority)
        .map(|leg| &leg.superblock.legs[slot.index()]);
    let name = entry.map_or("", |entry| entry.base_name.as_str());
    format!("slot {} (was bdev '{name}')", slot.index())
}

fn history_of(legs: &[usize], found: &[Candidate]) -> String {
    let legs: Vec<String> = legs
        .iter()
        .filter_map(|leg| found.get(*leg))
        .map(|leg| {
            format!(
                "'{}' (slot {}, generation {})",
                leg.name, leg.superblock.own_slot, leg.superblock.generation
            )
        })
        .collect();
    format!("[{}]", legs.join(", "))
}

/// Writes what `bdev_raid_get_bdevs` writes of an array that waits.
pub(crate) fn describe(array: &Array, object: &mut ObjectWriter<'_>) {
    let Some(authority) = array.authority() else {
        return;
    };
    let counts = |state| matches!(state, LegState::InSync | LegState::Rebuilding);
    let operational = authority.present().filter(|(_, leg)| counts(leg.state));
    object.field("name", array.name());
    object.field("uuid", &array.uuid);
    object.field("strip_size_kb", &0_u32);
    object.field("state", "configuring");
    object.field("raid_level", "raid1");
    object.field("superblock", &true);
    object.field("num_base_bdevs", &u32::from(authority.num_legs));
    object.field("num_base_bdevs_discovered", &array.candidates.len());
    object.field("num_base_bdevs_operational", &operational.count());
    object.array("base_bdevs_list", |list| base_bdevs(array, list));
    object.field("generation", &authority.generation);
    object.field("waits_for", array.waits_for.as_str());
}

/// Writes which legs wait for a mirror that is online, and for what.
pub(crate) fn describe_waiting(uuid: Uuid, object: &mut ObjectWriter<'_>) {
    let waits = |array: &Array| array.uuid == uuid;
    let Some(array) = table::all().into_iter().find(waits) else {
        return;
    };
    object.array("waiting_base_bdevs", |list| {
        for leg in &array.candidates {
            list.object(|object| {
                object.field("name", leg.name.as_str());
                object.field("uuid", &leg.bdev_uuid);
                object.field("slot", &u32::from(leg.superblock.own_slot));
                object.field("generation", &leg.superblock.generation);
                object.field("update_time", &leg.superblock.update_time);
            });
        }
    });
    object.field("waits_for", array.waits_for.as_str());
}

fn base_bdevs(array: &Array, list: &mut ArrayWriter<'_>) {
    let Some(authority) = array.authority() else {
        return;
    };
    for slot in 0..authority.num_legs {
        let entry = authority.leg(slot).copied().unwrap_or_default();
        let here = array
            .candidates
            .iter()
            .find(|leg| leg.superblock.own_slot == slot);
        list.object(|object| {
            object.field("name", &here.map(|leg| leg.name.as_str()));
            object.field("uuid", &here.map_or(Uuid::NIL, |leg| leg.bdev_uuid));
            object.field("is_configured", &here.is_some());
            object.field("data_offset", &entry.data_offset_blocks);
            object.field("data_size", &authority.data_size_blocks);
            if let Some(leg) = here {
                object.field("generation", &leg.superblock.generation);
                object.field("update_time", &leg.superblock.update_time);
            }
        });
    }
}
