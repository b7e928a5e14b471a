//! How an array comes online with the legs that are there.
//!
//! The legs are claimed first, and looked at again. What they hold is read, what they are from now on is
//! written: only then can anybody write to the mirror.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use barespdk::bdev;
use barespdk::errno::Errno;
use barespdk::module::{Bdev, Options};
use barespdk::{log_notice, log_warn, runtime};

use super::decision::Plan;
use super::probe::{Probed, probe};
use super::table::{self, Candidate};
use crate::driver::MODULE;
use crate::format::{BitmapId, Layout, LegState, Name, REGIONS_MAX, Superblock, read_bitmap};
use crate::geometry;
use crate::keeper::{Missed, Record, words};
use crate::leg::Leg;
use crate::legs::{LEGS_MAX, LegSet, Slot, Standing};
use crate::mirror::Mirror;
use crate::offline;
use crate::online::{Beginning, Metadata, online};
use crate::region_map::RegionMap;
use crate::regions::Regions;

/// How often, and how long each time, one waits for a claim that goes: channels are closed after those who had
/// them have ended.
const CLAIM: (u32, Duration) = (5, Duration::from_millis(10));

/// Why an array is not online.
pub(super) enum Trouble {
    /// The bdev of this name is of no use.
    Useless(String, String),
    /// It is of no use for now.
    OutOfReach(String, String),
    /// This leg has something else on it by now.
    Changed(String, Option<Box<Superblock>>),
    /// It cannot be, for now.
    Array(String),
}

/// A leg that is open and claimed.
struct Member {
    leg: Leg,
    generation: u64,
}

/// What comes online.
struct Start<'a> {
    plan: &'a Plan,
    authority: &'a Superblock,
    layout: Layout,
    /// By slot.
    members: [Option<Member>; LEGS_MAX],
}

/// Brings an array online. On the app thread.
pub(super) async fn start(plan: &Plan, found: &[Candidate]) -> Result<Bdev<Mirror>, Trouble> {
    let authority = found
        .get(plan.authority)
        .map(|leg| &*leg.superblock)
        .ok_or_else(|| Trouble::Array(String::from("its legs have gone")))?;
    check_names(authority)?;
    let layout = Layout::of(authority).map_err(|error| Trouble::Array(error.to_string()))?;
    let mut start = Start {
        plan,
        authority,
        layout,
        members: [const { None }; LEGS_MAX],
    };
    let members = plan.in_sync.or(plan.rebuilding).or(plan.lagging);
    for slot in members.iter() {
        if let Some(candidate) = plan.by_slot[slot.index()].and_then(|leg| found.get(leg)) {
            start.members[slot.index()] = Some(Member {
                leg: claim(candidate, authority, slot).await?,
                generation: candidate.superblock.generation,
            });
        }
    }
    let options = start.options()?;
    let maps = start.read_maps().await?;
    let highest = found.iter().map(|leg| leg.superblock.generation).max();
    let beginning = start
        .write(options, maps, highest.unwrap_or_default())
        .await?;
    let places = beginning.places.len();
    let legs = beginning
        .places
        .iter()
        .filter(|place| place.0.is_some())
        .count();
    // Where somebody has taken the name meanwhile.
    check_names(authority)?;
    let mirror = online(beginning).await.map_err(|errno| {
        Trouble::Array(format!("bdev '{}' not registered: {errno}", authority.name))
    })?;
    log_notice!(
        "raid1 {}: online with {legs} of {places} base bdevs",
        authority.name
    );
    Ok(mirror)
}

fn check_names(authority: &Superblock) -> Result<(), Trouble> {
    for name in [authority.name.to_string(), authority.uuid.to_string()] {
        if bdev::exists(&name) {
            return Err(Trouble::Array(format!("there is a bdev '{name}' already")));
        }
    }
    Ok(())
}

/// Opens the bdev of a leg, claims it, and sees to it that it is what it was.
pub(super) async fn claim(
    candidate: &Candidate,
    authority: &Superblock,
    slot: Slot,
) -> Result<Leg, Trouble> {
    let leg = seize(candidate, authority.name.as_str()).await?;
    let useless = |reason: &str| Trouble::Useless(candidate.name.clone(), reason.to_string());
    let own = &candidate.superblock;
    if leg.desc.data_block_size() != authority.block_size
        || leg.desc.md_size() != authority.md.size
        || leg.desc.is_md_interleaved() != authority.md.interleaved
        || own.block_size != authority.block_size
    {
        return Err(useless("does not have the blocks that the array has"));
    }
    let offset = |superblock: &Superblock| superblock.legs[slot.index()].data_offset_blocks;
    if offset(own) != offset(authority)
        || Some(offset(authority)) != authority.own_leg().map(|leg| leg.data_offset_blocks)
    {
        return Err(useless("does not have its data where the others have it"));
    }
    let needed = authority
        .blocks_needed(slot.index() as u8)
        .unwrap_or(u64::MAX);
    let blocks = leg.desc.num_blocks();
    if blocks < needed {
        let reason = format!("has {blocks} blocks, needs {needed}");
        return Err(Trouble::OutOfReach(candidate.name.clone(), reason));
    }
    Ok(leg)
}

/// Opens the bdev of a leg and claims it. What was found on it is there still.
pub(super) async fn seize(candidate: &Candidate, mirror: &str) -> Result<Leg, Trouble> {
    let name = || candidate.name.clone();
    let mut tries = CLAIM.0;
    let leg = loop {
        let claimed = Leg::open(&candidate.name, mirror)
            .and_then(|leg| MODULE.claim(&leg.desc).map(|()| leg));
        tries -= 1;
        match claimed {
            Ok(leg) => break leg,
            Err(Errno::ENODEV) => return Err(Trouble::Useless(name(), String::from("is gone"))),
            Err(Errno::EPERM) if tries > 0 && runtime::sleep(CLAIM.1).await.is_ok() => {}
            Err(errno) => {
                let reason = format!("cannot be claimed: {errno}");
                return Err(Trouble::OutOfReach(name(), reason));
            }
        }
    };
    match probe(&leg.desc).await {
        Probed::Leg(superblock) if superblock == candidate.superblock => Ok(leg),
        Probed::Leg(superblock) => Err(Trouble::Changed(name(), Some(superblock))),
        Probed::Foreign | Probed::Unusable(_) => Err(Trouble::Changed(name(), None)),
        Probed::Unread(reason) => Err(Trouble::OutOfReach(name(), reason)),
    }
}

/// What is known of the regions.
struct Maps {
    dirty: RegionMap,
    missed: Missed,
}

impl Start<'_> {
    fn member(&self, slot: Slot) -> Option<&Member> {
        self.members[slot.index()].as_ref()
    }

    fn options(&self) -> Result<Options, Trouble> {
        let legs: Vec<Leg> = self
            .members
            .iter()
            .flatten()
            .map(|member| member.leg.clone())
            .collect();
        let mut options =
            geometry::options_of(&legs, self.authority.uuid).map_err(Trouble::Array)?;
        options.num_blocks = self.layout.data_size_blocks;
        Ok(options)
    }

    /// Joins the bitmaps of all legs in sync: a crash may have left them with one the more.
    async fn read_maps(&self) -> Result<Maps, Trouble> {
        // With room for the regions of a mirror that grows.
        let map = || RegionMap::new(REGIONS_MAX as usize);
        let maps = Maps {
            dirty: map(),
            missed: core::array::from_fn(|slot| {
                let lacks = Slot::of(slot).is_some_and(|slot| {
                    !self.plan.in_sync.contains(slot)
                        && self.authority.legs[slot.index()].state != LegState::Absent
                });
                lacks.then(|| Arc::new(map()))
            }),
        };
        let area = self.layout.leaves();
        for slot in self.plan.in_sync.iter() {
            let Some(member) = self.member(slot) else {
                continue;
            };
            let len = area.num_blocks as usize * self.layout.block_size as usize;
            let offset = area.offset_blocks * u64::from(self.layout.block_size);
            let leaves = offline::read(&member.leg.desc, offset, len).await;
            let leaves = leaves.map_err(|error| {
                let reason = format!("has bitmaps that are needed: {error}");
                Trouble::OutOfReach(member.leg.name.clone(), reason)
            })?;
            let mut damaged = self.join(leaves.as_slice(), BitmapId::INTENT, &maps.dirty);
            for (slot, missed) in maps.missed.iter().enumerate() {
                if let Some(missed) = missed {
                    damaged += self.join(leaves.as_slice(), BitmapId::missed(slot), missed);
                }
            }
            if damaged > 0 {
                log_warn!(
                    "raid1 {}: {damaged} leaves of bitmaps on base bdev '{}' are torn: their regions \
                     are copied",
                    self.authority.name,
                    member.leg.name
                );
            }
        }
        for (slot, missed) in (0..).map_while(Slot::of).zip(&maps.missed) {
            let Some(missed) = missed else { continue };
            missed.insert_from(&maps.dirty);
            if self.plan.lagging.contains(slot) || self.plan.losers.contains(slot) {
                missed.insert_all(0..=self.layout.num_regions.saturating_sub(1) as usize);
            }
        }
        Ok(maps)
    }

    fn join(&self, leaves: &[u8], bitmap: BitmapId, map: &RegionMap) -> usize {
        let (epoch, regions) = (self.authority.epoch, self.layout.num_regions);
        read_bitmap(leaves, bitmap, epoch, regions, |word, bits| {
            map.set_word(word, map.word(word) | bits);
        })
    }

    /// Brings legs that a crash has left one generation behind to that of the others: after that, no two
    /// legs that are written to are ever further apart, and no torn write costs one its last copy. Which
    /// have failed.
    async fn catch_up(&self) -> LegSet {
        let mut behind = LegSet::EMPTY;
        let mut record = Record::new(self.authority.clone(), self.layout);
        let mut failed = LegSet::EMPTY;
        for slot in self.plan.in_sync.or(self.plan.rebuilding).iter() {
            let Some(member) = self.member(slot) else {
                continue;
            };
            if member.generation < self.authority.generation {
                behind.insert(slot);
                if record.open(slot, &member.leg).is_err() {
                    failed.insert(slot);
                }
            }
        }
        failed.or(record.write_superblock(behind.without(failed)).await)
    }

    /// Writes what the legs are now. A leg that fails it is out, and the others are told so.
    async fn write(self, options: Options, maps: Maps, highest: u64) -> Result<Beginning, Trouble> {
        let Maps { dirty, mut missed } = maps;
        let mut out = self.catch_up().await;
        let mut superblock = self.authority.clone();
        superblock.clean = false;
        // Above all, also where the history that was chosen is not the longest; and never into the copy
        // that a leg would fall back on.
        let behind = highest.saturating_sub(superblock.generation);
        superblock.generation = superblock.generation.saturating_add(behind + (behind & 1));
        let record = loop {
            for slot in out.iter() {
                missed[slot.index()].get_or_insert_with(|| Arc::new(dirty.copy()));
            }
            let in_sync = self.plan.in_sync.without(out);
            let copied_to = self.plan.rebuilding.or(self.plan.lagging).without(out);
            if in_sync.is_empty() {
                let reason = "none of its legs can be written to";
                return Err(Trouble::Array(String::from(reason)));
            }
            self.describe(&mut superblock, in_sync, copied_to, &dirty);
            let mut record = Record::new(superblock.clone(), self.layout);
            let mut failed = LegSet::EMPTY;
            for slot in in_sync.or(copied_to).iter() {
                let opened = self
                    .member(slot)
                    .is_some_and(|member| record.open(slot, &member.leg).is_ok());
                if !opened {
                    failed.insert(slot);
                }
            }
            let units = record.units_in_use(&missed);
            let word = words(Some(&dirty), &missed);
            failed = failed.or(record
                .write_units(in_sync.without(failed), &units, word)
                .await);
            if failed.is_empty() {
                failed = record.advance_twice(in_sync, copied_to).await;
            }
            if failed.is_empty() {
                break record;
            }
            for slot in failed.iter() {
                log_warn!(
                    "raid1 {}: base bdev '{}' is out: it failed a write of metadata",
                    superblock.name,
                    self.member(slot)
                        .map_or("", |member| member.leg.name.as_str())
                );
            }
            out = out.or(failed);
            superblock = record.superblock;
        };
        Ok(self.beginning(options, record, dirty, missed, out))
    }

    /// Says in a superblock what the legs are.
    fn describe(
        &self,
        superblock: &mut Superblock,
        in_sync: LegSet,
        copied_to: LegSet,
        dirty: &RegionMap,
    ) {
        for slot in (0..LEGS_MAX).filter_map(Slot::of) {
            let entry = &mut superblock.legs[slot.index()];
            entry.state = match entry.state {
                LegState::Absent => LegState::Absent,
                _ if in_sync.contains(slot) => LegState::InSync,
                _ if copied_to.contains(slot) => LegState::Rebuilding,
                LegState::InSync | LegState::Rebuilding => LegState::Failed,
                other => other,
            };
            let member = self.member(slot);
            if let Some(member) = member.filter(|_| in_sync.or(copied_to).contains(slot)) {
                entry.base_name = Name::cut(&member.leg.name);
            }
        }
        let unequal = !dirty.is_empty() && in_sync.len() > 1;
        superblock.source = in_sync
            .iter()
            .next()
            .filter(|_| unequal)
            .map(|slot| slot.index() as u8);
    }

    fn beginning(
        self,
        options: Options,
        record: Record,
        dirty: RegionMap,
        missed: Missed,
        out: LegSet,
    ) -> Beginning {
        let layout = self.layout;
        let regions = Regions::new(layout.region_size_blocks.ilog2());
        regions.dirty.insert_from(&dirty);
        // One leg is equal to itself.
        if self.plan.in_sync.without(out).len() > 1 {
            regions.unequal.insert_from(&dirty);
        }
        let num_slots = usize::from(self.authority.num_legs);
        let places = (0..)
            .map_while(Slot::of)
            .zip(self.members)
            .take(num_slots)
            .map(|(slot, member)| {
                let leg = member
                    .map(|member| member.leg)
                    .filter(|_| !out.contains(slot));
                let standing = match (&leg, self.plan.in_sync.contains(slot)) {
                    (None, _) => Standing::Out,
                    (Some(_), true) => Standing::InSync,
                    (Some(_), false) => Standing::Rebuilding,
                };
                (leg, standing)
            })
            .collect();
        Beginning {
            name: self.authority.name.to_string(),
            uuid: self.authority.uuid,
            places,
            options,
            metadata: Some(Metadata {
                data_offset_blocks: layout.data_offset_blocks,
                data_size_blocks: layout.data_size_blocks,
                region_size_blocks: layout.region_size_blocks,
                regions,
                record,
                missed,
            }),
        }
    }
}

/// Follows the removal of bdevs that went while they were claimed, before anybody could know of what.
pub(super) fn follow_removals(mirror: &Bdev<Mirror>) {
    let names: Vec<String> = mirror
        .device()
        .legs
        .lock()
        .open()
        .map(|(_, leg)| leg.name.clone())
        .collect();
    for name in names {
        if !table::knows(mirror.device().uuid, &name) {
            crate::keeper::on_removed(mirror.name(), &name);
        }
    }
}
