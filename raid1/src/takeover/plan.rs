//! Which of the base bdevs of an array are right, by what they say of each other.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use barespdk::uuid::Uuid;

use crate::format::{Base, BaseState, BdevRaid, LEGS_MAX};

/// A base bdev, and what it says of its array.
pub(super) struct Found<'a> {
    pub(super) name: &'a str,
    /// Of the bdev.
    pub(super) uuid: Uuid,
    pub(super) array: BdevRaid,
}

/// What somebody who knows better says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Told {
    /// The base bdev that is right.
    pub(super) source: Option<usize>,
    /// Base bdevs that are up to date are equal.
    pub(super) assume_clean: bool,
}

/// What becomes of base bdevs, which are counted as they were given.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Plan {
    /// Whose superblock counts.
    pub(super) authority: usize,
    /// By slot of the mirror: those that are in sync, or are made equal to the source.
    pub(super) members: [Option<usize>; LEGS_MAX],
    /// The slot of the one that is right, where others may differ: below those of the others.
    pub(super) source: Option<u8>,
    /// Those that have to be copied to, all of them.
    pub(super) stale: Vec<usize>,
    pub(super) data_offset_blocks: u64,
}

/// Decides what becomes of base bdevs.
///
/// # Errors
/// Says which do not go together, or what has to be told.
pub(super) fn plan(found: &[Found<'_>], told: Told) -> Result<Plan, String> {
    let newest = (0..found.len()).rev().max_by_key(|leg| {
        let leg = found.get(*leg);
        leg.map_or(0, |leg| leg.array.sequence)
    });
    let authority = told.source.or(newest).unwrap_or_default();
    let Some(right) = found.get(authority) else {
        return Err(String::from("there is no base bdev"));
    };
    check_one_array(right, found)?;
    let mut members = [None; LEGS_MAX];
    let mut stale = Vec::new();
    for (index, leg) in found.iter().enumerate() {
        match place(right, leg) {
            Ok(slot) => {
                if let Some(member) = members.get_mut(usize::from(slot)) {
                    *member = Some(index);
                }
            }
            Err(reason) if index == authority => {
                return Err(format!("base bdev '{}' {reason}", leg.name));
            }
            Err(reason) if told.source.is_none() => {
                return Err(format!(
                    "base bdev '{}' {reason}; with 'source': '{}' that one is right, and all is copied",
                    leg.name, right.name
                ));
            }
            Err(_) => stale.push(index),
        }
    }
    if told.source.is_none() {
        check_all_are_there(right, &members)?;
    }
    let num_members = members.iter().flatten().count();
    if num_members > 1 && told.source.is_none() && !told.assume_clean {
        return Err(String::from(
            "base bdevs of bdev_raid may differ after a crash, and nothing on them says where: name the one \
             that is right as 'source', from which all is copied, or say 'assume_clean': true if they are \
             equal",
        ));
    }
    let unequal = num_members > 1 && told.source.is_some();
    let source = unequal.then(|| put_first(&mut members, authority));
    Ok(Plan {
        authority,
        data_offset_blocks: data_offset(right, found, &members)?,
        members,
        source,
        stale,
    })
}

fn check_one_array(right: &Found<'_>, found: &[Found<'_>]) -> Result<(), String> {
    let Some(other) = found.iter().find(|leg| leg.array.uuid != right.array.uuid) else {
        return Ok(());
    };
    Err(format!(
        "base bdev '{}' is of array '{}' ({}), '{}' of array '{}' ({})",
        right.name,
        right.array.name,
        right.array.uuid,
        other.name,
        other.array.name,
        other.array.uuid
    ))
}

/// The slot of a base bdev that is up to date, or why it is not.
fn place(right: &Found<'_>, leg: &Found<'_>) -> Result<u8, String> {
    let Some((slot, base)) = entry(right, leg) else {
        return Err(format!(
            "is, by its uuid {}, not one of those that '{}' knows of",
            leg.uuid, right.name
        ));
    };
    let state = match base.state {
        BaseState::Configured => None,
        BaseState::Missing => Some("missing"),
        BaseState::Failed => Some("failed"),
        BaseState::Spare => Some("a spare"),
    };
    if let Some(state) = state {
        return Err(format!("is {state}, says '{}'", right.name));
    }
    let (own, others) = (leg.array.sequence, right.array.sequence);
    if own != others {
        return Err(format!(
            "was last written to as number {own} of the array, '{}' as number {others}",
            right.name
        ));
    }
    if (leg.array.num_blocks, leg.array.block_size)
        != (right.array.num_blocks, right.array.block_size)
    {
        return Err(format!(
            "has another size of the array than '{}'",
            right.name
        ));
    }
    Ok(slot)
}

fn entry<'a>(right: &'a Found<'_>, leg: &Found<'_>) -> Option<(u8, &'a Base)> {
    let mut bases = right.array.bases();
    bases.find(|(_, base)| base.uuid == leg.uuid && !leg.uuid.is_nil())
}

/// A base bdev that is up to date, and not here, could be the right one.
fn check_all_are_there(right: &Found<'_>, members: &[Option<usize>]) -> Result<(), String> {
    let mut bases = right.array.bases();
    let missing = bases.find(|(slot, base)| {
        let member = members.get(usize::from(*slot)).copied().flatten();
        base.state == BaseState::Configured && member.is_none()
    });
    match missing {
        None => Ok(()),
        Some((slot, base)) => Err(format!(
            "the array has one more base bdev, uuid {}, in slot {slot}: name it, too, or one that is right as \
             'source'",
            base.uuid
        )),
    }
}

/// Gives a member the lowest of the slots, which it returns.
fn put_first(members: &mut [Option<usize>; LEGS_MAX], member: usize) -> u8 {
    let own = members.iter().position(|other| *other == Some(member));
    let first = members.iter().position(Option::is_some);
    if let (Some(own), Some(first)) = (own, first) {
        members.swap(own, first);
    }
    first.unwrap_or_default() as u8
}

/// Where the data of all members begins.
fn data_offset(
    right: &Found<'_>,
    found: &[Found<'_>],
    members: &[Option<usize>],
) -> Result<u64, String> {
    let members = members.iter().flatten().filter_map(|leg| found.get(*leg));
    let mut offsets =
        members.filter_map(|leg| Some((leg.name, entry(right, leg)?.1.data_offset_blocks)));
    let Some((first, offset)) = offsets.next() else {
        return Err(String::from("there is no base bdev"));
    };
    match offsets.find(|(_, other)| *other != offset) {
        None => Ok(offset),
        Some((name, other)) => Err(format!(
            "the data of base bdev '{first}' begins at block {offset}, that of '{name}' at block {other}: they \
             must be equal"
        )),
    }
}

/// The generation that a mirror begins with: odd, and above all numbers that the array has had, so that
/// they go on to rise if it is given back.
pub(super) fn first_generation(sequence: u64) -> u64 {
    const HIGH: u64 = 1 << 62;
    match sequence {
        0..HIGH => (sequence + 1) | 1,
        _ => 1,
    }
}
