//! A mirror becomes an array of `bdev_raid`.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use barespdk::errno::Errno;
use barespdk::module::Bdev;

use crate::assembly;
use crate::format::{
    Base, BaseState, BdevRaid, LEGS_MAX, Layout, LegState, SUPERBLOCK_BYTES, SUPERBLOCK_OFFSETS,
    Superblock, newest,
};
use crate::keeper::Record;
use crate::leg::Leg;
use crate::legs::{LegSet, Slot, Standing};
use crate::mirror::Mirror;
use crate::offline;

/// Takes a mirror offline, and leaves an array of `bdev_raid` on its legs. On the app thread.
///
/// # Errors
/// Says why not. Until `bdev_raid` could assemble the array the mirror comes online again.
pub(crate) async fn export(mirror: &Bdev<Mirror>) -> Result<(), (Errno, String)> {
    let legs = legs_of(mirror.device())?;
    let Some(superblock) = mirror.device().superblock() else {
        return Err((Errno::EAGAIN, String::from("is coming online")));
    };
    // What cannot be is known before anything is changed.
    array_of(&superblock, &legs)?;
    assembly::go_offline(mirror)
        .await
        .map_err(|errno| match errno {
            Errno::EBUSY | Errno::ENODEV => (errno, String::from("is being deleted already")),
            errno => (errno, String::from("is not stopped")),
        })?;
    // Claimed as long as they are open here.
    let outcome = give_back(&legs).await;
    if let Err(reason) = outcome {
        let names: Vec<String> = legs.iter().map(|(_, leg)| leg.desc.name().into()).collect();
        drop(legs);
        assembly::bring_back(superblock.uuid, names).await;
        return Err((Errno::EIO, reason));
    }
    Ok(())
}

/// The legs, all of them in sync.
fn legs_of(mirror: &Mirror) -> Result<Vec<(Slot, Leg)>, (Errno, String)> {
    let refused = |reason: &str| (Errno::EINVAL, String::from(reason));
    let Some(regions) = &mirror.regions else {
        return Err(refused(
            "has no superblock: 'bdev_raid_create' makes an array of its base bdevs",
        ));
    };
    let legs = mirror.legs.lock();
    if legs.num_slots() < 2 {
        return Err(refused("has one base bdev, bdev_raid wants 2"));
    }
    for (slot, leg) in legs.open() {
        if legs.standing(slot) != Standing::InSync {
            let reason = format!("is busy: base bdev '{}' is not in sync", leg.name);
            return Err((Errno::EBUSY, reason));
        }
        if leg.uuid.is_nil() {
            let reason = format!("has a base bdev without uuid, '{}'", leg.name);
            return Err((Errno::EINVAL, reason));
        }
        // It looks for no superblock there.
        if leg.desc.dif_type() != 0 {
            let reason = format!(
                "has a base bdev with protection information, '{}': bdev_raid would not find it",
                leg.name
            );
            return Err((Errno::EINVAL, reason));
        }
    }
    if !regions.unequal.is_empty() {
        let reason = "is busy: its base bdevs are made equal";
        return Err((Errno::EBUSY, String::from(reason)));
    }
    Ok(legs.open().map(|(slot, leg)| (slot, leg.clone())).collect())
}

/// What `bdev_raid` is told.
fn array_of(superblock: &Superblock, legs: &[(Slot, Leg)]) -> Result<Vec<u8>, (Errno, String)> {
    let mut bases = [None; LEGS_MAX];
    for ((slot, entry), base) in (0..superblock.num_legs)
        .zip(&superblock.legs)
        .zip(&mut bases)
    {
        let leg = legs
            .iter()
            .find(|(of, _)| of.index() == usize::from(slot) && entry.state == LegState::InSync);
        // One that is out keeps its slot, into which another can be added.
        *base = Some(Base {
            uuid: leg.map_or(barespdk::uuid::Uuid::NIL, |(_, leg)| leg.uuid),
            data_offset_blocks: match entry.state {
                LegState::Absent => 0,
                _ => entry.data_offset_blocks,
            },
            data_size_blocks: superblock.data_size_blocks,
            state: match leg {
                Some(_) => BaseState::Configured,
                None => BaseState::Missing,
            },
        });
    }
    let array = BdevRaid {
        uuid: superblock.uuid,
        name: superblock.name,
        num_blocks: superblock.data_size_blocks,
        block_size: superblock.block_size,
        sequence: superblock.generation,
        bases,
        num_bases: superblock.num_legs,
    };
    array.encode().map_err(|error| {
        let reason = format!("is no array that bdev_raid could have: {error}");
        (Errno::EINVAL, reason)
    })
}

/// Writes the superblock of `bdev_raid`, and wipes ours.
async fn give_back(legs: &[(Slot, Leg)]) -> Result<(), String> {
    let mut superblock = last_of(legs).await?;
    let layout = Layout::of(&superblock).map_err(|error| error.to_string())?;
    // The copy that stays when the other is overwritten must be the one that counts.
    if superblock.generation.is_multiple_of(2) {
        superblock.generation += 1;
        let mut record = Record::new(superblock.clone(), layout);
        let mut all = LegSet::EMPTY;
        for (slot, leg) in legs {
            record
                .open(*slot, leg)
                .map_err(|errno| format!("base bdev '{}': {errno}", leg.name))?;
            all.insert(*slot);
        }
        let failed = record.write_superblock(all).await;
        if let Some((_, leg)) = legs.iter().find(|(slot, _)| failed.contains(*slot)) {
            return Err(format!(
                "base bdev '{}' failed a write of metadata",
                leg.name
            ));
        }
    }
    let array = array_of(&superblock, legs).map_err(|(_, reason)| reason)?;
    let unit = layout.write_unit as usize;
    let [copy_a, copy_b] = SUPERBLOCK_OFFSETS;
    for (offset, content) in [(copy_a, array.as_slice()), (copy_b, &[])] {
        for (_, leg) in legs {
            offline::write(&leg.desc, offset, content, unit)
                .await
                .map_err(|error| {
                    format!(
                        "base bdev '{}' failed a write of metadata: {error}",
                        leg.name
                    )
                })?;
        }
    }
    Ok(())
}

/// What the legs have of the mirror, which must have been stopped in order.
async fn last_of(legs: &[(Slot, Leg)]) -> Result<Superblock, String> {
    let mut last: Option<Superblock> = None;
    for (slot, leg) in legs {
        let failed = |reason: &str| format!("base bdev '{}' {reason}", leg.name);
        let [copy_a, copy_b] = SUPERBLOCK_OFFSETS;
        let copy_a = offline::read(&leg.desc, copy_a, SUPERBLOCK_BYTES).await;
        let copy_a = copy_a.map_err(|reason| failed(&reason))?;
        let copy_b = offline::read(&leg.desc, copy_b, SUPERBLOCK_BYTES).await;
        let copy_b = copy_b.map_err(|reason| failed(&reason))?;
        let found = newest(copy_a.as_slice(), copy_b.as_slice());
        let found = found.map_err(|error| failed(&error.to_string()))?;
        let Some(found) = found.map(|found| found.superblock) else {
            return Err(failed("lost its metadata"));
        };
        let own = found.leg(slot.index() as u8).map(|leg| leg.state);
        let first = last.get_or_insert_with(|| found.clone());
        if !found.clean || own != Some(LegState::InSync) || found.generation != first.generation {
            return Err(failed(
                "was not stopped in order: the array is resynced first",
            ));
        }
    }
    last.ok_or_else(|| String::from("it has no base bdev"))
}
