//! A leg, as the superblock has it.

use barespdk::uuid::Uuid;

use super::bytes::{Reader, Writer};
use super::error::FormatError;
use super::name::Name;

const FLAG_WRITE_MOSTLY: u8 = 1 << 0;

/// What a leg is in its mirror.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[repr(u8)]
pub(crate) enum LegState {
    /// Nothing: the slot has no leg.
    #[default]
    Absent = 0,
    /// It has all data.
    InSync = 1,
    /// It is written to, but has missed something, and is read by nobody.
    Rebuilding = 2,
    /// It has failed, or gone, and has missed all writes since.
    Failed = 3,
    /// It has no data, and waits to take the place of one that fails.
    Spare = 4,
}

impl TryFrom<u8> for LegState {
    type Error = FormatError;

    fn try_from(value: u8) -> Result<Self, FormatError> {
        Ok(match value {
            0 => Self::Absent,
            1 => Self::InSync,
            2 => Self::Rebuilding,
            3 => Self::Failed,
            4 => Self::Spare,
            _ => {
                return Err(FormatError::Value {
                    field: "the state of a leg",
                    value: value.into(),
                    why: "there is no such state",
                });
            }
        })
    }
}

/// A slot of a mirror, and what is known of the leg in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) struct LegEntry {
    /// Made up when the leg came in; not that of its bdev, which may have none, or share it with a copy.
    pub(crate) uuid: Uuid,
    pub(crate) state: LegState,
    /// Read from only where no other leg can be.
    pub(crate) write_mostly: bool,
    pub(crate) data_offset_blocks: u64,
    /// The last generation that may have been written to this leg, if it is not in sync.
    pub(crate) left_generation: u64,
    /// How far a rebuild has come.
    pub(crate) checkpoint_blocks: u64,
    /// The name of its bdev when it was last seen, for messages.
    pub(crate) base_name: Name,
}

impl LegEntry {
    pub(super) fn encode(&self, out: &mut Writer<'_>) -> Result<(), FormatError> {
        out.uuid(self.uuid)?;
        out.u8(self.state as u8)?;
        out.u8(if self.write_mostly {
            FLAG_WRITE_MOSTLY
        } else {
            0
        })?;
        out.reserved::<6>()?;
        out.u64(self.data_offset_blocks)?;
        out.u64(self.left_generation)?;
        out.u64(self.checkpoint_blocks)?;
        out.name(&self.base_name)?;
        out.reserved::<16>()
    }

    pub(super) fn parse(slot: u8, from: &mut Reader<'_>) -> Result<Self, FormatError> {
        let uuid = from.uuid()?;
        let state = from.u8()?;
        let flags = from.u8()?;
        if flags & !FLAG_WRITE_MOSTLY != 0 {
            return Err(FormatError::LegValue {
                slot,
                field: "flags",
                value: flags.into(),
                why: "some are not known",
            });
        }
        from.reserved::<6>()?;
        let leg = Self {
            uuid,
            state: state.try_into()?,
            write_mostly: flags & FLAG_WRITE_MOSTLY != 0,
            data_offset_blocks: from.u64()?,
            left_generation: from.u64()?,
            checkpoint_blocks: from.u64()?,
            base_name: from.name("the name of a base bdev")?,
        };
        from.reserved::<16>()?;
        Ok(leg)
    }
}
