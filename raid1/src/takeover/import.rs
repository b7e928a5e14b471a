//! An array of `bdev_raid` becomes a mirror.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use barespdk::bdev;
use barespdk::module::Options;
use barespdk::uuid::Uuid;

use super::plan::{Found, Plan, Told, first_generation, plan};
use super::read_array;
use crate::format::{BdevRaid, LEGS_MAX, Layout, LegEntry, LegState, Name, Superblock};
use crate::fresh;
use crate::geometry;
use crate::keeper::{Missed, Record, all_missed, words};
use crate::leg::Leg;
use crate::legs::{LegSet, Slot, Standing};
use crate::online::{Beginning, Metadata};
use crate::regions::Regions;
use crate::undo::Undo;

/// An array that is to be taken over.
pub(crate) struct Import<'a> {
    pub(crate) name: &'a str,
    /// Claimed.
    pub(crate) legs: Vec<Leg>,
    /// Which of the legs is right.
    pub(crate) source: Option<usize>,
    pub(crate) assume_clean: bool,
    /// The size of a region that was asked for, in bytes.
    pub(crate) region_bytes: Option<u64>,
}

/// An array that was taken over.
pub(crate) struct Imported {
    pub(crate) beginning: Beginning,
    /// Those that were not up to date: to be added.
    pub(crate) stale: Vec<Leg>,
    /// For whoever cannot bring it online.
    pub(crate) undo: Undo,
}

/// What is written.
struct Draft<'a> {
    legs: &'a [Leg],
    plan: Plan,
    array: BdevRaid,
    options: Options,
    layout: Layout,
}

impl Import<'_> {
    /// Writes the metadata to the legs that are up to date. On the app thread.
    ///
    /// # Errors
    /// Says what keeps the array from being taken over. It is as it was, as far as legs can be written to.
    pub(crate) async fn write(self) -> Result<Imported, String> {
        let draft = self.draft().await?;
        let regions = Regions::new(draft.layout.region_size_blocks.ilog2());
        let behind = draft.behind();
        let undo = Undo::of(draft.by_slot().map(|(_, leg)| leg), &draft.layout, false).await?;
        let missed = all_missed(behind, draft.layout.num_regions);
        let record = match draft.write(self.name, &missed).await {
            Ok(record) => record,
            Err(reason) => {
                undo.restore(self.name).await;
                return Err(reason);
            }
        };
        let Draft {
            plan,
            array,
            options,
            layout,
            ..
        } = draft;
        let leg_of = |index: usize| self.legs.get(index).cloned();
        let places = plan
            .members
            .iter()
            .take(array.num_bases.into())
            .zip((0..).map_while(Slot::of))
            .map(|(member, slot)| match member.and_then(leg_of) {
                Some(leg) if behind.contains(slot) => (Some(leg), Standing::Rebuilding),
                Some(leg) => (Some(leg), Standing::InSync),
                None => (None, Standing::Out),
            })
            .collect();
        Ok(Imported {
            undo,
            stale: plan.stale.iter().copied().filter_map(leg_of).collect(),
            beginning: Beginning {
                name: self.name.to_string(),
                uuid: array.uuid,
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
            },
        })
    }

    async fn draft(&self) -> Result<Draft<'_>, String> {
        let mut found = Vec::with_capacity(self.legs.len());
        for leg in &self.legs {
            let array = read_array(&leg.desc)
                .await
                .map_err(|reason| format!("base bdev '{}' {reason}", leg.name))?;
            found.push(Found {
                name: &leg.name,
                uuid: leg.uuid,
                array,
            });
        }
        let told = Told {
            source: self.source,
            assume_clean: self.assume_clean,
        };
        let plan = plan(&found, told)?;
        let array = found.swap_remove(plan.authority).array;
        // Found before anything is written: a bdev cannot be registered under it.
        if bdev::exists(&array.uuid.to_string()) {
            return Err(format!("there is a bdev '{}' already", array.uuid));
        }
        let members = plan.members.iter().flatten();
        let members: Vec<Leg> = members
            .filter_map(|leg| self.legs.get(*leg).cloned())
            .collect();
        let needed = plan.data_offset_blocks.saturating_add(array.num_blocks);
        for leg in &members {
            let (size, blocks) = (leg.desc.data_block_size(), leg.desc.num_blocks());
            if size != array.block_size {
                return Err(format!(
                    "base bdev '{}' has blocks of {size} bytes, its array of {}",
                    leg.name, array.block_size
                ));
            }
            if blocks < needed {
                return Err(format!(
                    "base bdev '{}' has {blocks} blocks, its array needs {needed}",
                    leg.name
                ));
            }
        }
        let mut options = geometry::options_of(&members, array.uuid)?;
        options.num_blocks = array.num_blocks;
        let layout = Layout::with_data(
            array.block_size,
            plan.data_offset_blocks,
            array.num_blocks,
            self.region_bytes,
        )
        .map_err(|error| error.to_string())?;
        Ok(Draft {
            legs: &self.legs,
            plan,
            array,
            options,
            layout,
        })
    }
}

impl Draft<'_> {
    /// Writes all there is of the mirror; copy A last, where `bdev_raid` has its superblock.
    async fn write(&self, name: &str, missed: &Missed) -> Result<Record, String> {
        let mut record = self.record(self.superblock(name)?)?;
        let units: Vec<usize> = (0..self.layout.num_units()).collect();
        let word = words(None, missed);
        self.check(record.write_units(self.members(), &units, word).await)?;
        self.check(record.write_superblock(self.members()).await)?;
        let behind = self.behind();
        let in_sync = self.members().without(behind);
        self.check(record.advance(in_sync, behind).await)?;
        Ok(record)
    }

    /// Legs that may lack what the source has: `bdev_raid` acknowledges before it marks a leg.
    fn behind(&self) -> LegSet {
        let mut behind = self.members();
        match self.plan.source.and_then(|slot| Slot::of(slot.into())) {
            Some(source) => behind.remove(source),
            None => behind = LegSet::EMPTY,
        }
        behind
    }

    fn members(&self) -> LegSet {
        let mut set = LegSet::EMPTY;
        for (slot, _) in self.by_slot() {
            set.insert(slot);
        }
        set
    }

    fn by_slot(&self) -> impl Iterator<Item = (Slot, &Leg)> {
        (0..)
            .map_while(Slot::of)
            .zip(&self.plan.members)
            .filter_map(|(slot, member)| Some((slot, self.legs.get((*member)?)?)))
    }

    fn record(&self, superblock: Superblock) -> Result<Record, String> {
        let mut record = Record::new(superblock, self.layout);
        for (slot, leg) in self.by_slot() {
            record.open(slot, leg).map_err(|errno| {
                format!("base bdev '{}' cannot be written to: {errno}", leg.name)
            })?;
        }
        Ok(record)
    }

    fn check(&self, failed: LegSet) -> Result<(), String> {
        match self.by_slot().find(|(slot, _)| failed.contains(*slot)) {
            None => Ok(()),
            Some((_, leg)) => Err(format!(
                "base bdev '{}' failed a write of metadata",
                leg.name
            )),
        }
    }

    fn superblock(&self, name: &str) -> Result<Superblock, String> {
        let generation = first_generation(self.array.sequence);
        let mut legs = <[LegEntry; LEGS_MAX]>::default();
        for (slot, leg) in self.by_slot() {
            legs[slot.index()] = LegEntry {
                uuid: Uuid::random(),
                state: match self.behind().contains(slot) {
                    true => LegState::Rebuilding,
                    false => LegState::InSync,
                },
                data_offset_blocks: self.layout.data_offset_blocks,
                left_generation: generation,
                base_name: Name::cut(&leg.name),
                ..LegEntry::default()
            };
        }
        Ok(Superblock {
            generation,
            epoch: fresh::epoch_of(Uuid::random()),
            uuid: self.array.uuid,
            name: Name::new(name).map_err(|error| error.to_string())?,
            clean: false,
            num_legs: self.array.num_bases,
            own_slot: 0,
            source: None,
            block_size: self.array.block_size,
            md: fresh::md_format(&self.options),
            data_size_blocks: self.layout.data_size_blocks,
            region_size_blocks: self.layout.region_size_blocks,
            update_time: 0,
            legs,
        })
    }
}
