//! The superblock: what a mirror is made of, and what is known of each leg.

use barespdk::uuid::Uuid;

use super::bytes::{Reader, Writer};
use super::crc32c::crc32c;
use super::error::FormatError;
use super::layout::{Layout, check_block_size};
use super::leg_entry::{LegEntry, LegState};
use super::name::Name;
use super::{LEGS_MAX, SUPERBLOCK_BYTES};

pub(super) const MAGIC: &[u8; 8] = b"BARERAID";

/// The version that is written, and the latest that is read.
const VERSION: u32 = 1;

/// Where the checksum is; with the magic before it, and the bytes that it covers, the same in all
/// versions to come.
const CRC_AT: usize = 12;

const FLAG_CLEAN: u32 = 1 << 0;

const MD_FLAG_INTERLEAVED: u8 = 1 << 0;
const MD_FLAG_DIF_HEAD: u8 = 1 << 1;

/// Stands for no slot.
const NO_SLOT: u8 = 0xff;

/// Leaves so many generations to come that no driver lives to see the last.
const GENERATION_MAX: u64 = u64::MAX >> 1;

/// Metadata of a block, in bytes: as much as SPDK's drivers know to handle.
const MD_SIZE_MAX: u32 = 65536;

/// What metadata the blocks of a mirror have, in SPDK's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) struct MdFormat {
    /// Bytes a block, 0 for none.
    pub(crate) size: u32,
    /// Between the data, not in a buffer of its own.
    pub(crate) interleaved: bool,
    /// `enum spdk_dif_type`: 0 for none, to 3.
    pub(crate) dif_type: u8,
    /// `enum spdk_dif_pi_format`: 0 to 2.
    pub(crate) dif_pi_format: u8,
    pub(crate) dif_is_head: bool,
}

/// All that is known of a mirror. It is the same on all legs but for `own_slot`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Superblock {
    /// 1 more with each change of state. The highest of all legs is right about the others.
    pub(crate) generation: u64,
    /// Number of this array's creation; leaves of another are not believed.
    pub(crate) epoch: u64,
    pub(crate) uuid: Uuid,
    pub(crate) name: Name,
    /// It was stopped in order: legs in sync are equal.
    pub(crate) clean: bool,
    /// Slots of the mirror, with a leg or without.
    pub(crate) num_legs: u8,
    /// The slot of the leg that this is on.
    pub(crate) own_slot: u8,
    /// While legs in sync may differ: the one that is right.
    pub(crate) source: Option<u8>,
    /// Bytes of data in a block.
    pub(crate) block_size: u32,
    pub(crate) md: MdFormat,
    pub(crate) data_size_blocks: u64,
    pub(crate) region_size_blocks: u64,
    /// When it was written, in seconds since 1970, for messages.
    pub(crate) update_time: u64,
    /// By slot; those from `num_legs` on are absent.
    pub(crate) legs: [LegEntry; LEGS_MAX],
}

impl Superblock {
    /// Slots that have a leg, and their legs.
    pub(crate) fn present(&self) -> impl Iterator<Item = (u8, &LegEntry)> {
        (0..)
            .zip(&self.legs)
            .filter(|(_, leg)| leg.state != LegState::Absent)
    }

    pub(crate) fn leg(&self, slot: u8) -> Option<&LegEntry> {
        self.legs.get(usize::from(slot))
    }

    pub(crate) fn own_leg(&self) -> Option<&LegEntry> {
        self.leg(self.own_slot)
    }

    /// How many blocks the leg in a slot must have.
    pub(crate) fn blocks_needed(&self, slot: u8) -> Option<u64> {
        let offset = self.leg(slot)?.data_offset_blocks;
        offset.checked_add(self.data_size_blocks)
    }

    /// Writes it, with 0 in what is left of `out`: a whole unit can be given.
    ///
    /// # Errors
    /// `out` is too short, or it says something that [`Superblock::parse`] would refuse. Then `out` has
    /// no valid superblock.
    pub(crate) fn encode(&self, out: &mut [u8]) -> Result<(), FormatError> {
        self.check()?;
        self.encode_unchecked(out)
    }

    pub(super) fn encode_unchecked(&self, out: &mut [u8]) -> Result<(), FormatError> {
        let len = out.len();
        let Some((copy, rest)) = out.split_first_chunk_mut::<SUPERBLOCK_BYTES>() else {
            return Err(FormatError::TooShort {
                len,
                need: SUPERBLOCK_BYTES,
            });
        };
        rest.fill(0);
        self.encode_fields(Writer::new(copy))?;
        let (_, crc) = crc_of(copy);
        if let Some(field) = copy.get_mut(CRC_AT..CRC_AT + 4) {
            field.copy_from_slice(&crc.to_le_bytes());
        }
        Ok(())
    }

    fn encode_fields(&self, mut out: Writer<'_>) -> Result<(), FormatError> {
        out.bytes(MAGIC)?;
        out.u32(VERSION)?;
        out.u32(0)?;
        out.u64(self.generation)?;
        out.u64(self.epoch)?;
        out.uuid(self.uuid)?;
        out.name(&self.name)?;
        out.u32(if self.clean { FLAG_CLEAN } else { 0 })?;
        out.u8(self.num_legs)?;
        out.u8(self.own_slot)?;
        out.u8(self.source.unwrap_or(NO_SLOT))?;
        out.u8(self.md.flags())?;
        out.u32(self.block_size)?;
        out.u32(self.md.size)?;
        out.u8(self.md.dif_type)?;
        out.u8(self.md.dif_pi_format)?;
        out.reserved::<6>()?;
        out.u64(self.data_size_blocks)?;
        out.u64(self.region_size_blocks)?;
        out.u64(self.update_time)?;
        out.reserved::<96>()?;
        for leg in &self.legs {
            leg.encode(&mut out)?;
        }
        out.finish();
        Ok(())
    }

    /// Reads one copy; `Ok(None)` if there is none. What is not 0 after its 4096 bytes is no matter.
    ///
    /// # Errors
    /// There is one, but it is damaged, of a later version, or says what cannot be.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Option<Self>, FormatError> {
        if !bytes.starts_with(MAGIC) {
            return Ok(None);
        }
        let copy = bytes.first_chunk().ok_or(FormatError::TooShort {
            len: bytes.len(),
            need: SUPERBLOCK_BYTES,
        })?;
        let (stored, computed) = crc_of(copy);
        if stored != computed {
            return Err(FormatError::Crc { stored, computed });
        }
        let superblock = Self::parse_fields(Reader::new(copy))?;
        superblock.check()?;
        Ok(Some(superblock))
    }

    fn parse_fields(mut from: Reader<'_>) -> Result<Self, FormatError> {
        from.array::<{ MAGIC.len() }>()?;
        match from.u32()? {
            VERSION => {}
            0 => return Err(refused("the version", 0, "the first one is 1")),
            version => {
                return Err(FormatError::NewerVersion {
                    version,
                    known: VERSION,
                });
            }
        }
        from.u32()?;
        let generation = from.u64()?;
        let epoch = from.u64()?;
        let uuid = from.uuid()?;
        let name = from.name("the array's name")?;
        let flags = from.u32()?;
        if flags & !FLAG_CLEAN != 0 {
            return Err(refused("flags", flags.into(), "some are not known"));
        }
        let num_legs = from.u8()?;
        let own_slot = from.u8()?;
        let source = Some(from.u8()?).filter(|source| *source != NO_SLOT);
        let md_flags = from.u8()?;
        if md_flags & !(MD_FLAG_INTERLEAVED | MD_FLAG_DIF_HEAD) != 0 {
            let field = "flags of the blocks' metadata";
            return Err(refused(field, md_flags.into(), "some are not known"));
        }
        let block_size = from.u32()?;
        let md = MdFormat {
            size: from.u32()?,
            interleaved: md_flags & MD_FLAG_INTERLEAVED != 0,
            dif_type: from.u8()?,
            dif_pi_format: from.u8()?,
            dif_is_head: md_flags & MD_FLAG_DIF_HEAD != 0,
        };
        from.reserved::<6>()?;
        let data_size_blocks = from.u64()?;
        let region_size_blocks = from.u64()?;
        let update_time = from.u64()?;
        from.reserved::<96>()?;
        let mut legs = [LegEntry::default(); LEGS_MAX];
        for (slot, leg) in (0..).zip(&mut legs) {
            *leg = LegEntry::parse(slot, &mut from)?;
        }
        from.reserved::<{ SUPERBLOCK_BYTES - 256 - LEGS_MAX * 128 }>()?;
        Ok(Self {
            generation,
            epoch,
            uuid,
            name,
            clean: flags & FLAG_CLEAN != 0,
            num_legs,
            own_slot,
            source,
            block_size,
            md,
            data_size_blocks,
            region_size_blocks,
            update_time,
            legs,
        })
    }

    /// Whether it says what can be.
    fn check(&self) -> Result<(), FormatError> {
        if !(1..=GENERATION_MAX).contains(&self.generation) {
            let why = "generations are from 1 to 2^63 - 1";
            return Err(refused("the generation", self.generation, why));
        }
        if self.epoch == 0 {
            return Err(refused("the epoch", 0, "no array has it"));
        }
        if self.uuid.is_nil() {
            return Err(refused("the array's uuid", 0, "it must have one"));
        }
        if self.name.is_empty() {
            return Err(FormatError::Name {
                field: "the array's name",
                why: "it is empty",
            });
        }
        if !(1..=LEGS_MAX).contains(&self.num_legs.into()) {
            let why = "an array has 1 to 16";
            return Err(refused("the number of legs", self.num_legs.into(), why));
        }
        check_block_size(self.block_size)?;
        self.md.check()?;
        for (slot, leg) in (0..).zip(&self.legs) {
            self.check_leg(slot, leg)?;
        }
        self.check_slots()?;
        Layout::of(self).map(drop)
    }

    fn check_leg(&self, slot: u8, leg: &LegEntry) -> Result<(), FormatError> {
        let refused = |field, value, why| {
            Err(FormatError::LegValue {
                slot,
                field,
                value,
                why,
            })
        };
        if leg.state == LegState::Absent {
            if *leg != LegEntry::default() {
                return refused("the state", 0, "an absent leg has nothing else");
            }
            return Ok(());
        }
        if slot >= self.num_legs {
            let why = "the array has fewer slots";
            return refused("the state", leg.state as u64, why);
        }
        if leg.uuid.is_nil() {
            return refused("the uuid", 0, "it must have one");
        }
        let twin = self.present().find(|(_, other)| other.uuid == leg.uuid);
        if let Some((other, _)) = twin.filter(|(other, _)| *other != slot) {
            return Err(FormatError::DuplicateLeg {
                slots: [other, slot],
            });
        }
        if leg.left_generation > self.generation {
            let why = "the array has not come there";
            return refused("the generation it left in", leg.left_generation, why);
        }
        if leg.checkpoint_blocks > self.data_size_blocks {
            let why = "there is less data";
            return refused("the checkpoint, in blocks,", leg.checkpoint_blocks, why);
        }
        let layout = Layout::with_data(
            self.block_size,
            leg.data_offset_blocks,
            self.data_size_blocks,
            None,
        );
        match layout {
            Err(FormatError::Value { field, value, why }) => refused(field, value, why),
            other => other.map(drop),
        }
    }

    fn check_slots(&self) -> Result<(), FormatError> {
        let state = |slot: u8| self.leg(slot).map_or(LegState::Absent, |leg| leg.state);
        if state(self.own_slot) == LegState::Absent {
            let why = "there is no leg in this slot";
            return Err(refused("its own slot", self.own_slot.into(), why));
        }
        if let Some(source) = self.source
            && state(source) != LegState::InSync
        {
            let why = "no leg in sync is in this slot";
            return Err(refused("the slot of the source", source.into(), why));
        }
        if !(self.legs.iter()).any(|leg| leg.state == LegState::InSync) {
            return Err(FormatError::NoLegInSync);
        }
        Ok(())
    }
}

impl MdFormat {
    fn flags(&self) -> u8 {
        let interleaved = if self.interleaved {
            MD_FLAG_INTERLEAVED
        } else {
            0
        };
        let dif_head = if self.dif_is_head {
            MD_FLAG_DIF_HEAD
        } else {
            0
        };
        interleaved | dif_head
    }

    fn check(&self) -> Result<(), FormatError> {
        let why = "there is no such type";
        if self.dif_type > 3 {
            return Err(refused("the DIF type", self.dif_type.into(), why));
        }
        if self.dif_pi_format > 2 {
            return Err(refused("the DIF format", self.dif_pi_format.into(), why));
        }
        let why = "it is at most 65536, and 0 only if nothing else is said of it";
        if self.size > MD_SIZE_MAX || (self.size == 0 && *self != Self::default()) {
            let field = "the size of the blocks' metadata";
            return Err(refused(field, self.size.into(), why));
        }
        Ok(())
    }
}

pub(super) fn refused(field: &'static str, value: u64, why: &'static str) -> FormatError {
    FormatError::Value { field, value, why }
}

/// The checksum that a copy has, and the one that it should have.
fn crc_of(copy: &[u8; SUPERBLOCK_BYTES]) -> (u32, u32) {
    let (before, rest) = copy.split_at_checked(CRC_AT).unwrap_or_default();
    let (stored, after) = rest.split_first_chunk().unwrap_or((&[0; 4], &[]));
    (
        u32::from_le_bytes(*stored),
        crc32c(&[before, &[0; 4], after]),
    )
}
