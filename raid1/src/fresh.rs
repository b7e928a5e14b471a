//! The metadata of a mirror that is made.

use alloc::format;
use alloc::string::{String, ToString};

use barespdk::module::Options;
use barespdk::uuid::Uuid;

use crate::format::{self, LegEntry, LegState, MdFormat, Superblock};
use crate::keeper::{Record, all_missed};
use crate::leg::Leg;
use crate::legs::{LEGS_MAX, LegSet, Slot};
use crate::offline;
use crate::online::Metadata;
use crate::regions::Regions;
use crate::undo::Undo;

/// How much of a leg is looked at, in bytes, for what somebody else has put there.
const LOOKED_AT: u64 = format::LOOKED_AT_BYTES as u64;

/// A mirror that is to be made of legs.
pub(crate) struct Fresh<'a> {
    pub(crate) name: &'a str,
    pub(crate) uuid: Uuid,
    pub(crate) legs: &'a [Leg],
    /// As if it had no metadata.
    pub(crate) options: &'a Options,
    /// The size of a region that was asked for, in bytes.
    pub(crate) region_bytes: Option<u64>,
    pub(crate) assume_clean: bool,
    /// Whatever is on the legs now may go.
    pub(crate) force: bool,
}

impl Fresh<'_> {
    /// Writes the metadata to all legs. On the app thread. With it comes what was there, for whoever cannot
    /// bring the mirror online.
    ///
    /// # Errors
    /// Says which leg cannot be used, and why. What was on the legs is there again, as far as they can be
    /// written to.
    pub(crate) async fn write(&self) -> Result<(Metadata, Undo), String> {
        let options = self.options;
        let layout = format::Layout::new(
            options.num_blocks,
            data_block_size(options),
            options.optimal_io_boundary,
            self.region_bytes,
        )
        .map_err(|error| match self.smallest() {
            Some(leg) => format!("base bdev '{}': {error}", leg.name),
            None => error.to_string(),
        })?;
        if !self.force {
            for leg in self.legs {
                look_at(leg).await?;
            }
        }
        let superblock = self.superblock(&layout)?;
        let mut record = Record::new(superblock, layout);
        let mut all = LegSet::EMPTY;
        for (slot, leg) in (0..).map_while(Slot::of).zip(self.legs) {
            record.open(slot, leg).map_err(|errno| {
                format!("base bdev '{}' cannot be written to: {errno}", leg.name)
            })?;
            all.insert(slot);
        }
        let copied_to = all.without(self.in_sync());
        let missed = all_missed(copied_to, layout.num_regions);
        let undo = Undo::of(self.legs.iter(), &layout, self.force).await?;
        let failed = record.begin(self.in_sync(), copied_to, &missed).await;
        let first = failed.iter().next();
        if let Some(leg) = first.and_then(|slot| self.legs.get(slot.index())) {
            undo.restore(self.name).await;
            return Err(format!(
                "base bdev '{}' failed a write of metadata",
                leg.name
            ));
        }
        let metadata = Metadata {
            data_offset_blocks: layout.data_offset_blocks,
            data_size_blocks: layout.data_size_blocks,
            region_size_blocks: layout.region_size_blocks,
            regions: Regions::new(layout.region_size_blocks.ilog2()),
            record,
            missed,
        };
        Ok((metadata, undo))
    }

    /// The legs that are read from at first: one, unless all are equal. What the others have is garbage, which
    /// must not be read even where that one fails.
    pub(crate) fn in_sync(&self) -> LegSet {
        let slots = (0..self.legs.len()).filter_map(Slot::of);
        let mut in_sync = LegSet::EMPTY;
        slots
            .take(if self.assume_clean { LEGS_MAX } else { 1 })
            .for_each(|slot| in_sync.insert(slot));
        in_sync
    }

    /// The leg that decides how large the mirror is.
    fn smallest(&self) -> Option<&Leg> {
        self.legs.iter().min_by_key(|leg| leg.desc.num_blocks())
    }

    fn superblock(&self, layout: &format::Layout) -> Result<Superblock, String> {
        let options = self.options;
        let mut legs = <[LegEntry; format::LEGS_MAX]>::default();
        let slots = (0..).map_while(Slot::of);
        for ((entry, leg), slot) in legs.iter_mut().zip(self.legs).zip(slots) {
            *entry = LegEntry {
                uuid: Uuid::random(),
                state: match self.in_sync().contains(slot) {
                    true => LegState::InSync,
                    false => LegState::Rebuilding,
                },
                data_offset_blocks: layout.data_offset_blocks,
                left_generation: 1,
                base_name: format::Name::cut(&leg.name),
                ..LegEntry::default()
            };
        }
        Ok(Superblock {
            generation: 1,
            epoch: epoch_of(Uuid::random()),
            uuid: self.uuid,
            name: format::Name::new(self.name).map_err(|error| error.to_string())?,
            clean: false,
            num_legs: self.legs.len() as u8,
            own_slot: 0,
            source: None,
            block_size: layout.block_size,
            md: md_format(options),
            data_size_blocks: layout.data_size_blocks,
            region_size_blocks: layout.region_size_blocks,
            update_time: 0,
            legs,
        })
    }
}

/// Bytes of data in a block of a mirror.
fn data_block_size(options: &Options) -> u32 {
    match options.md_interleave {
        true => options.block_size.saturating_sub(options.md_size),
        false => options.block_size,
    }
}

/// What metadata the blocks of a mirror have.
pub(crate) fn md_format(options: &Options) -> MdFormat {
    MdFormat {
        size: options.md_size,
        interleaved: options.md_interleave,
        dif_type: options.dif_type as u8,
        dif_pi_format: options.dif_pi_format as u8,
        dif_is_head: options.dif_is_head_of_md,
    }
}

/// A number that no other creation has.
pub(crate) fn epoch_of(random: Uuid) -> u64 {
    let [first, _] = random.as_bytes().as_chunks::<8>().0 else {
        return 1;
    };
    u64::from_le_bytes(*first) | 1
}

/// Refuses a leg that has something on it.
pub(crate) async fn look_at(leg: &Leg) -> Result<(), String> {
    let failed = |what: &str| format!("base bdev '{}' {what}", leg.name);
    let block_size = u64::from(leg.desc.data_block_size());
    let room = leg.desc.num_blocks().saturating_mul(block_size);
    let start = offline::read(&leg.desc, 0, LOOKED_AT.min(room) as usize).await;
    let start = start.map_err(|reason| failed(&reason))?;
    match format::recognise(start.as_slice()) {
        Some(what) => Err(failed(&format!(
            "has {what} on it; with 'force': true it is overwritten"
        ))),
        None => Ok(()),
    }
}
