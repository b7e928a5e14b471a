//! Why bytes are not metadata that can be worked with.

use core::fmt;

/// What is wrong, and with which field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FormatError {
    /// Fewer bytes than that takes.
    TooShort { len: usize, need: usize },
    /// Torn, or damaged.
    Crc { stored: u32, computed: u32 },
    /// Written by a later version of this driver.
    NewerVersion { version: u32, known: u32 },
    /// A number that makes no sense.
    Value {
        field: &'static str,
        value: u64,
        why: &'static str,
    },
    /// The same, of the leg in a slot.
    LegValue {
        slot: u8,
        field: &'static str,
        value: u64,
        why: &'static str,
    },
    /// Text that is no name.
    Name {
        field: &'static str,
        why: &'static str,
    },
    /// A byte that is 0 in all that this version writes is not.
    Reserved { offset: usize },
    /// Two legs have the same uuid.
    DuplicateLeg { slots: [u8; 2] },
    /// No leg has all the data.
    NoLegInSync,
    /// The two copies are not of one array.
    StrangeCopies,
    /// The size of a region, in bytes, is no power of two within these bounds.
    RegionSize { value: u64, min: u64, max: u64 },
    /// A leg has no room for data.
    LegTooSmall { blocks: u64, need: u64 },
    /// An array of SPDK's `bdev_raid` of a level that is not raid1.
    Level(u32),
}

impl fmt::Display for FormatError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::TooShort { len, need } => write!(f, "{len} bytes where {need} are needed"),
            Self::Crc { stored, computed } => write!(
                f,
                "the checksum is {stored:#010x}, that of the bytes is {computed:#010x}"
            ),
            Self::NewerVersion { version, known } => write!(
                f,
                "it has version {version}, this driver knows versions up to {known}"
            ),
            Self::Value { field, value, why } => write!(f, "{field} is {value}: {why}"),
            Self::LegValue {
                slot,
                field,
                value,
                why,
            } => write!(f, "{field} of the leg in slot {slot} is {value}: {why}"),
            Self::Name { field, why } => write!(f, "{field} is no name: {why}"),
            Self::Reserved { offset } => {
                write!(f, "byte {offset} is not 0, as all reserved ones are")
            }
            Self::DuplicateLeg { slots: [a, b] } => {
                write!(f, "the legs in slots {a} and {b} have the same uuid")
            }
            Self::NoLegInSync => f.write_str("no leg is in sync"),
            Self::StrangeCopies => f.write_str("its two copies are of different arrays"),
            Self::RegionSize { value, min, max } => write!(
                f,
                "a region of {value} bytes: it must be a power of two from {min} to {max}"
            ),
            Self::LegTooSmall { blocks, need } => write!(
                f,
                "a base bdev of {blocks} blocks is too small: {need} are needed"
            ),
            Self::Level(level) => {
                let name = match level {
                    0 => " (raid0)",
                    0x5f => " (raid5f)",
                    99 => " (concat)",
                    _ => "",
                };
                write!(f, "level is {level}{name}: only raid1 is taken over")
            }
        }
    }
}

impl core::error::Error for FormatError {}
