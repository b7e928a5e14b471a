//! What files are to a mirror, before there are bdevs of them: for an application that makes mirrors of files,
//! and is to know what becomes of those before it starts, or changes, anything.
//!
//! ```text
//!  first MiB of each file ──► look: format ──► blank, foreign, a leg of this mirror or of another
//!                                                 │
//!                                                 ▼
//!                             decision, of all its legs: what the driver will do with them
//! ```
//!
//! It is the driver's own decision. The driver comes to the same if it gets to see the leg of
//! [`Start::authority`] before the others: a mirror starts as soon as all legs are there that those count on
//! which have been seen, and an old state of a leg may count on none of the others.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;

use barespdk::uuid::Uuid;

use super::decision::{Decision, Plan, Useless, Wish, decide};
use crate::format::{
    DATA_OFFSET_MIN, SUPERBLOCK_BYTES, SUPERBLOCK_OFFSETS, Superblock, newest, recognise,
};
use crate::legs::LegSet;

/// How much of the beginning of a file says what it is, in bytes: metadata takes no more.
pub const METADATA_BYTES: u64 = DATA_OFFSET_MIN;

/// What files are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Survey {
    /// In the order of the files.
    pub files: Vec<Content>,
    /// The mirror that was asked for, if any of the files is a leg of it.
    pub mirror: Option<Mirror>,
}

/// What a file has on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// Zeros, as far as it was looked at.
    Blank,
    /// Something else, in words.
    Foreign(String),
    /// It is a leg, but not of the mirror that was asked for.
    OfAnother {
        /// That of the other mirror, which may be the same.
        name: String,
        /// That of the other mirror.
        uuid: Uuid,
    },
    /// It is, or was, a leg of the mirror.
    Leg(Leg),
}

/// What a leg is to its mirror.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leg {
    /// It has all data.
    InSync,
    /// A rebuild of it goes on.
    Rebuilding,
    /// It was out: it gets what it has missed.
    Stale,
    /// It is older than the others believe, an old state perhaps: it gets all.
    Lagging,
    /// It is of no use: a copy of this file.
    CopyOf(usize),
    /// It is of no use: the mirror has another leg in its place.
    Replaced,
    /// It is of no use: of a mirror that had the same UUID in another life.
    OtherLife,
    /// Nobody can say, unless somebody chooses.
    Undecided,
}

/// A mirror that is on files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mirror {
    /// Made up with the mirror.
    pub uuid: Uuid,
    /// What its legs make of it.
    pub outcome: Outcome,
}

/// What legs make of their mirror.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It can start.
    Starts(Start),
    /// None of its legs has all data.
    NoneInSync {
        /// The legs that it counts on and that are not there, by the names that their bdevs had.
        missing: Vec<String>,
    },
    /// Its legs went on alone, each of these without the others, and each has writes that the others lack.
    SplitBrain(Vec<History>),
    /// Its legs are of mirrors that had this UUID in several lives, and it is not clear which is meant.
    SeveralLives(Vec<History>),
}

/// A mirror that can start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Start {
    /// The file of the leg that is right about the others. The driver is to see it first.
    pub authority: usize,
    /// Legs that it counts on and that are not there, by the names that their bdevs had: it does not start
    /// by itself without them.
    pub absent: Vec<String>,
    /// Of a block, in bytes.
    pub block_size: u32,
    /// Of the mirror.
    pub size_bytes: u64,
    /// What a file must have that is a leg of it.
    pub leg_bytes: u64,
    /// It was stopped in order.
    pub is_clean: bool,
}

/// What one or more legs know, and others do not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct History {
    /// The files of its legs.
    pub files: Vec<usize>,
    /// How far it has come: how often its legs, or what they were, have changed.
    pub generation: u64,
    /// It was stopped in order.
    pub is_clean: bool,
}

/// Says what files are to the mirror of this name, by the first [`METADATA_BYTES`] of each, or fewer if it has
/// no more. Of several mirrors of that name it is the one of the first file that is a leg of any.
pub fn survey(name: &str, starts: &[&[u8]]) -> Survey {
    let looked: Vec<Looked> = starts.iter().map(|start| look(start)).collect();
    let legs = || {
        let legs = looked.iter().enumerate();
        let legs = legs.filter_map(|(file, looked)| Some((file, looked.superblock()?)));
        legs.filter(|(_, superblock)| superblock.name.as_str() == name)
    };
    let uuid = legs().map(|(_, superblock)| superblock.uuid).next();
    let (places, found): (Vec<usize>, Vec<&Superblock>) = legs()
        .filter(|(_, superblock)| Some(superblock.uuid) == uuid)
        .unzip();
    let mut files: Vec<Content> = looked.iter().map(Looked::content).collect();
    let mirror = uuid.map(|uuid| {
        let (roles, outcome) = decided(&places, &found);
        for (file, role) in places.iter().zip(roles) {
            files[*file] = Content::Leg(role);
        }
        Mirror { uuid, outcome }
    });
    Survey { files, mirror }
}

/// What a file has on it, whatever was asked for.
enum Looked {
    Blank,
    Foreign(String),
    Leg(Box<Superblock>),
}

impl Looked {
    fn superblock(&self) -> Option<&Superblock> {
        match self {
            Self::Leg(superblock) => Some(superblock),
            Self::Blank | Self::Foreign(_) => None,
        }
    }

    fn content(&self) -> Content {
        match self {
            Self::Blank => Content::Blank,
            Self::Foreign(what) => Content::Foreign(what.clone()),
            Self::Leg(superblock) => Content::OfAnother {
                name: superblock.name.to_string(),
                uuid: superblock.uuid,
            },
        }
    }
}

fn look(start: &[u8]) -> Looked {
    if start.iter().all(|byte| *byte == 0) {
        return Looked::Blank;
    }
    let [copy_a, copy_b] = SUPERBLOCK_OFFSETS.map(|offset| {
        let copy = start.get(offset as usize..).unwrap_or_default();
        copy.get(..SUPERBLOCK_BYTES).unwrap_or(copy)
    });
    match newest(copy_a, copy_b) {
        Ok(Some(found)) => Looked::Leg(Box::new(found.superblock)),
        Ok(None) => Looked::Foreign(match recognise(start) {
            Some(what) => what.into(),
            None => "data, and no metadata of a mirror".into(),
        }),
        Err(error) => Looked::Foreign(format!("metadata of a mirror that is of no use ({error})")),
    }
}

/// What becomes of the legs of a mirror, which are in these files.
fn decided(places: &[usize], found: &[&Superblock]) -> (Vec<Leg>, Outcome) {
    // What is absent is told: it is for the application to say whether it starts without.
    let wish = Wish {
        degraded: true,
        source: None,
    };
    let verdict = decide(found, &[], wish);
    let mut roles = vec![Leg::Undecided; found.len()];
    for (leg, useless) in verdict.useless {
        roles[leg] = match useless {
            Useless::CopyOf(original) => Leg::CopyOf(places[original]),
            Useless::Replaced => Leg::Replaced,
            Useless::OtherLife => Leg::OtherLife,
        };
    }
    let histories = |all: Vec<Vec<usize>>| {
        let all = all.iter().map(|legs| history(legs, places, found));
        all.collect()
    };
    let outcome = match verdict.decision {
        Decision::Online(plan) => {
            assign(&plan, &mut roles);
            Outcome::Starts(start(&plan, places, found))
        }
        Decision::Wait {
            missing, authority, ..
        } => Outcome::NoneInSync {
            missing: names_of(missing, found[authority]),
        },
        Decision::NoneUpToDate => Outcome::NoneInSync {
            missing: Vec::new(),
        },
        Decision::SplitBrain(all) => Outcome::SplitBrain(histories(all)),
        Decision::SeveralLives(all) => Outcome::SeveralLives(histories(all)),
    };
    (roles, outcome)
}

fn assign(plan: &Plan, roles: &mut [Leg]) {
    for (slots, role) in [
        (plan.in_sync, Leg::InSync),
        (plan.rebuilding, Leg::Rebuilding),
        (plan.lagging, Leg::Lagging),
        (plan.stale, Leg::Stale),
    ] {
        for leg in slots.iter().filter_map(|slot| plan.by_slot[slot.index()]) {
            roles[leg] = role;
        }
    }
}

fn start(plan: &Plan, places: &[usize], found: &[&Superblock]) -> Start {
    let authority = found[plan.authority];
    let block_size = u64::from(authority.block_size);
    let needed = authority.blocks_needed(authority.own_slot);
    Start {
        authority: places[plan.authority],
        absent: names_of(plan.absent, authority),
        block_size: authority.block_size,
        // Neither overflows: a superblock that was read has been checked.
        size_bytes: authority.data_size_blocks.saturating_mul(block_size),
        leg_bytes: needed.unwrap_or(u64::MAX).saturating_mul(block_size),
        is_clean: authority.clean,
    }
}

fn names_of(slots: LegSet, authority: &Superblock) -> Vec<String> {
    let names = slots
        .iter()
        .map(|slot| authority.legs[slot.index()].base_name);
    names.map(|name| name.to_string()).collect()
}

/// Of these legs, the most believed of which is the first.
fn history(legs: &[usize], places: &[usize], found: &[&Superblock]) -> History {
    let first = legs.first().map(|leg| found[*leg]);
    History {
        files: legs.iter().map(|leg| places[*leg]).collect(),
        generation: first.map_or(0, |first| first.generation),
        is_clean: first.is_some_and(|first| first.clean),
    }
}

#[cfg(test)]
mod tests;
