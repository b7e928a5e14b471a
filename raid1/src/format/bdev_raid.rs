//! The superblock of SPDK's `bdev_raid`, for arrays that are taken over from it and given back.
//!
//! C: `module/bdev/raid/bdev_raid.h` of SPDK v26.01. One copy, at block 0, of 256 bytes and 64 for each
//! base bdev; data begins at 1 MiB or later.

use alloc::vec;
use alloc::vec::Vec;

use barespdk::uuid::Uuid;

use super::LEGS_MAX;
use super::bytes::{Reader, Writer};
use super::crc32c::crc32c_bare;
use super::error::FormatError;
use super::layout::{Layout, check_block_size};
use super::name::Name;

pub(super) const MAGIC: &[u8; 8] = b"SPDKRAID";

const VERSION_MAJOR: u16 = 1;
const VERSION_MINOR: u16 = 0;

/// `enum raid_level`: `RAID1`.
const LEVEL_RAID1: u32 = 1;

const HEADER_BYTES: usize = 256;
const BASE_BYTES: usize = 64;

/// Where the checksum is.
const CRC_AT: usize = 16;

/// Fewer are no raid1 to SPDK.
const BASES_MIN: u8 = 2;

/// `enum raid_bdev_sb_base_bdev_state`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum BaseState {
    /// It was taken out.
    Missing = 0,
    Configured = 1,
    Failed = 2,
    Spare = 3,
}

/// A base bdev of an array.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Base {
    /// That of the bdev.
    pub(crate) uuid: Uuid,
    pub(crate) data_offset_blocks: u64,
    pub(crate) data_size_blocks: u64,
    pub(crate) state: BaseState,
}

/// A raid1 array of SPDK's. The same on all its base bdevs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BdevRaid {
    pub(crate) uuid: Uuid,
    pub(crate) name: Name,
    pub(crate) num_blocks: u64,
    /// Bytes of data in a block.
    pub(crate) block_size: u32,
    /// 1 more with each write of the superblock. The highest is right about the others.
    pub(crate) sequence: u64,
    /// By slot; `None` where the superblock says nothing of it.
    pub(crate) bases: [Option<Base>; LEGS_MAX],
    /// Slots of the array.
    pub(crate) num_bases: u8,
}

impl BdevRaid {
    /// The longest superblock that an array of ours can have, in bytes: what to read.
    pub(crate) const BYTES_MAX: usize = HEADER_BYTES + LEGS_MAX * BASE_BYTES;

    /// The base bdevs that the superblock says something of, with their slots.
    pub(crate) fn bases(&self) -> impl Iterator<Item = (u8, &Base)> {
        (0..)
            .zip(&self.bases)
            .filter_map(|(slot, base)| Some((slot, base.as_ref()?)))
    }

    /// Reads the superblock from the first [`BdevRaid::BYTES_MAX`] bytes of data; `Ok(None)` if there is
    /// none.
    ///
    /// # Errors
    /// There is one, but it is damaged, not of a raid1 that can be taken over, or says what cannot be.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Option<Self>, FormatError> {
        if !bytes.starts_with(MAGIC) {
            return Ok(None);
        }
        let mut from = Reader::new(bytes);
        from.array::<{ MAGIC.len() }>()?;
        let major = from.u16()?;
        // Minor versions are compatible.
        from.u16()?;
        let length = from.u32()?;
        check_crc(bytes, length)?;
        match major {
            VERSION_MAJOR => {}
            0 => return Err(refused("the version", 0, "the first one is 1")),
            newer => {
                return Err(FormatError::NewerVersion {
                    version: newer.into(),
                    known: VERSION_MAJOR.into(),
                });
            }
        }
        from.u32()?;
        let flags = from.u32()?;
        if flags != 0 {
            return Err(refused("flags", flags.into(), "some are not known"));
        }
        let uuid = from.uuid()?;
        let name = from.name("the array's name")?;
        let num_blocks = from.u64()?;
        let block_size = from.u32()?;
        match from.u32()? {
            LEVEL_RAID1 => {}
            other => return Err(FormatError::Level(other)),
        }
        // The size of a strip, which a raid1 does not have, and a state that is never set.
        from.array::<8>()?;
        let sequence = from.u64()?;
        let num_bases = from.u8()?;
        from.array::<118>()?;
        let num_entries = from.u8()?;
        let mut array = Self {
            uuid,
            name,
            num_blocks,
            block_size,
            sequence,
            bases: [None; LEGS_MAX],
            num_bases,
        };
        array.check_header()?;
        if length as usize != HEADER_BYTES + usize::from(num_entries) * BASE_BYTES {
            let why = "it is not that of its base bdevs";
            return Err(refused("the length", length.into(), why));
        }
        for _ in 0..num_entries {
            array.parse_base(&mut from)?;
        }
        array.check_bases()?;
        Ok(Some(array))
    }

    fn parse_base(&mut self, from: &mut Reader<'_>) -> Result<(), FormatError> {
        let uuid = from.uuid()?;
        let data_offset_blocks = from.u64()?;
        let data_size_blocks = from.u64()?;
        let state = from.u32()?;
        let flags = from.u32()?;
        let slot = from.u8()?;
        from.array::<23>()?;
        let refused = |field, value, why| {
            Err(FormatError::LegValue {
                slot,
                field,
                value,
                why,
            })
        };
        let state = match state {
            0 => BaseState::Missing,
            1 => BaseState::Configured,
            2 => BaseState::Failed,
            3 => BaseState::Spare,
            _ => return refused("the state", state.into(), "there is no such state"),
        };
        if flags != 0 {
            return refused("flags", flags.into(), "some are not known");
        }
        let why = "the array has fewer slots";
        if slot >= self.num_bases {
            return refused("the slot", slot.into(), why);
        }
        let Some(entry) = self.bases.get_mut(usize::from(slot)) else {
            return refused("the slot", slot.into(), why);
        };
        if entry.is_some() {
            return refused("the slot", slot.into(), "another base bdev has it");
        }
        *entry = Some(Base {
            uuid,
            data_offset_blocks,
            data_size_blocks,
            state,
        });
        Ok(())
    }

    fn check_header(&self) -> Result<(), FormatError> {
        if self.uuid.is_nil() {
            return Err(refused("the array's uuid", 0, "it must have one"));
        }
        if self.name.is_empty() {
            return Err(FormatError::Name {
                field: "the array's name",
                why: "it is empty",
            });
        }
        if !(BASES_MIN..=LEGS_MAX as u8).contains(&self.num_bases) {
            let why = "a mirror has 2 to 16";
            let field = "the number of base bdevs";
            return Err(refused(field, self.num_bases.into(), why));
        }
        if self.num_blocks == 0 {
            return Err(refused("the number of blocks", 0, "there is no data"));
        }
        check_block_size(self.block_size)
    }

    fn check_bases(&self) -> Result<(), FormatError> {
        let configured = |base: &Base| base.state == BaseState::Configured;
        // What is said of the others may be as old as they are.
        for (slot, base) in self.bases().filter(|(_, base)| configured(base)) {
            let refused = |field, value, why| {
                Err(FormatError::LegValue {
                    slot,
                    field,
                    value,
                    why,
                })
            };
            if base.uuid.is_nil() {
                return refused("the uuid", 0, "it must have one");
            }
            let twin = self
                .bases()
                .find(|(of, twin)| *of != slot && configured(twin) && twin.uuid == base.uuid);
            if let Some((other, _)) = twin {
                return Err(FormatError::DuplicateLeg {
                    slots: [slot, other],
                });
            }
            if base.data_size_blocks < self.num_blocks {
                let why = "the array has more blocks";
                return refused(
                    "the size of the data, in blocks,",
                    base.data_size_blocks,
                    why,
                );
            }
            let layout = Layout::with_data(
                self.block_size,
                base.data_offset_blocks,
                base.data_size_blocks,
                None,
            );
            match layout {
                Err(FormatError::Value { field, value, why }) => {
                    return refused(field, value, why);
                }
                other => other.map(drop)?,
            }
        }
        if self.bases().any(|(_, base)| configured(base)) {
            return Ok(());
        }
        Err(FormatError::NoLegInSync)
    }

    /// The superblock, to be written from block 0 on, with 0 after it up to a whole block.
    ///
    /// # Errors
    /// It says something that [`BdevRaid::parse`] would refuse.
    pub(crate) fn encode(&self) -> Result<Vec<u8>, FormatError> {
        self.check_header()?;
        self.check_bases()?;
        let entries = self.bases().count();
        if let Some((slot, _)) = self.bases().find(|(slot, _)| *slot >= self.num_bases) {
            let why = "the array has fewer slots";
            return Err(refused("the slot", slot.into(), why));
        }
        let length = HEADER_BYTES + entries * BASE_BYTES;
        let mut bytes = vec![0; length.next_multiple_of(self.block_size as usize)];
        // At most LEGS_MAX entries.
        self.encode_fields(Writer::new(&mut bytes), length as u32, entries as u8)?;
        let crc = crc_of(&bytes, length).map(|(_, computed)| computed);
        if let (Some(crc), Some(field)) = (crc, bytes.get_mut(CRC_AT..CRC_AT + 4)) {
            field.copy_from_slice(&crc.to_le_bytes());
        }
        Ok(bytes)
    }

    fn encode_fields(
        &self,
        mut out: Writer<'_>,
        length: u32,
        entries: u8,
    ) -> Result<(), FormatError> {
        out.bytes(MAGIC)?;
        out.u16(VERSION_MAJOR)?;
        out.u16(VERSION_MINOR)?;
        out.u32(length)?;
        // The checksum, and flags.
        out.reserved::<8>()?;
        out.uuid(self.uuid)?;
        out.name(&self.name)?;
        out.u64(self.num_blocks)?;
        out.u32(self.block_size)?;
        out.u32(LEVEL_RAID1)?;
        // The size of a strip, and a state.
        out.reserved::<8>()?;
        out.u64(self.sequence)?;
        out.u8(self.num_bases)?;
        out.reserved::<118>()?;
        out.u8(entries)?;
        for (slot, base) in self.bases() {
            out.uuid(base.uuid)?;
            out.u64(base.data_offset_blocks)?;
            out.u64(base.data_size_blocks)?;
            out.u32(base.state as u32)?;
            out.u32(0)?;
            out.u8(slot)?;
            out.reserved::<23>()?;
        }
        out.finish();
        Ok(())
    }
}

fn refused(field: &'static str, value: u64, why: &'static str) -> FormatError {
    FormatError::Value { field, value, why }
}

fn check_crc(bytes: &[u8], length: u32) -> Result<(), FormatError> {
    const LENGTH_MAX: usize = HEADER_BYTES + u8::MAX as usize * BASE_BYTES;
    let need = length as usize;
    if !(HEADER_BYTES..=LENGTH_MAX).contains(&need) {
        let why = "it is from 256 to 16576";
        return Err(refused("the length", length.into(), why));
    }
    match crc_of(bytes, need) {
        None => Err(FormatError::TooShort {
            len: bytes.len(),
            need,
        }),
        Some((stored, computed)) if stored != computed => {
            Err(FormatError::Crc { stored, computed })
        }
        Some(_) => Ok(()),
    }
}

/// The checksum that a superblock has, and the one that it should have; `None` if it is cut off.
fn crc_of(bytes: &[u8], length: usize) -> Option<(u32, u32)> {
    let (before, rest) = bytes.get(..length)?.split_at_checked(CRC_AT)?;
    let (stored, after) = rest.split_first_chunk()?;
    Some((
        u32::from_le_bytes(*stored),
        crc32c_bare(&[before, &[0; 4], after]),
    ))
}
