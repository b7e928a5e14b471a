//! What the first MiB of a file says: whether it is a leg, and of which mirror. Only as much of a
//! superblock is read as it takes to know that; `FORMAT.md` has all of it.

use std::fmt;

use crc::{CRC_32_ISCSI, Crc};

/// Metadata takes this much of the beginning of a leg, in bytes.
pub(crate) const METADATA_BYTES: u64 = 1 << 20;

const MAGIC: &[u8] = b"BARERAID";
const VERSION: u32 = 1;
const COPY_BYTES: usize = 4096;
const COPY_OFFSETS: [usize; 2] = [0, 64 << 10];
const LEGS_OFFSET: usize = 256;
const LEG_BYTES: usize = 128;
const LEGS_MAX: u8 = 16;
const FLAG_CLEAN: u32 = 1;

static CRC32C: Crc<u32> = Crc::<u32>::new(&CRC_32_ISCSI);

/// What a file has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    /// Zeros as far as metadata goes.
    Blank,
    Leg(Box<Peek>),
    /// Something else, in words.
    Other(&'static str),
}

/// A superblock, in part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Peek {
    pub(crate) generation: u64,
    pub(crate) epoch: u64,
    pub(crate) uuid: Uuid,
    pub(crate) name: String,
    pub(crate) is_clean: bool,
    pub(crate) own_slot: u8,
    pub(crate) block_size: u32,
    pub(crate) data_size_blocks: u64,
    /// By slot.
    pub(crate) legs: Vec<PeekLeg>,
}

/// What a superblock says of a leg, in part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PeekLeg {
    pub(crate) uuid: Uuid,
    pub(crate) state: u8,
    pub(crate) data_offset_blocks: u64,
    pub(crate) base_name: String,
}

impl PeekLeg {
    pub(crate) const IN_SYNC: u8 = 1;
    pub(crate) const REBUILDING: u8 = 2;

    /// Whether the mirror does not start by itself without it.
    pub(crate) fn is_counted_on(&self) -> bool {
        matches!(self.state, Self::IN_SYNC | Self::REBUILDING)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Uuid([u8; 16]);

impl fmt::Display for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, byte) in self.0.iter().enumerate() {
            let dash = if matches!(index, 4 | 6 | 8 | 10) {
                "-"
            } else {
                ""
            };
            write!(f, "{dash}{byte:02x}")?;
        }
        Ok(())
    }
}

impl Peek {
    pub(crate) fn own_leg(&self) -> Option<&PeekLeg> {
        self.legs.get(usize::from(self.own_slot))
    }

    /// The size of the mirror.
    pub(crate) fn size_bytes(&self) -> u64 {
        self.data_size_blocks
            .saturating_mul(u64::from(self.block_size))
    }

    /// What a leg of the mirror must have.
    pub(crate) fn leg_bytes(&self) -> u64 {
        let offset = self.own_leg().map_or(0, |leg| leg.data_offset_blocks);
        self.size_bytes()
            .saturating_add(offset.saturating_mul(u64::from(self.block_size)))
    }
}

/// Says what a file has, by its first [`METADATA_BYTES`], or fewer if it has no more.
pub(crate) fn content(start: &[u8]) -> Content {
    if start.iter().all(|byte| *byte == 0) {
        return Content::Blank;
    }
    let copies = COPY_OFFSETS.map(|offset| start.get(offset..offset + COPY_BYTES));
    let copies = copies
        .into_iter()
        .flatten()
        .filter(|copy| copy.starts_with(MAGIC));
    let copies: Vec<_> = copies.collect();
    if copies.is_empty() {
        return Content::Other("data, and no metadata of a mirror");
    }
    // A torn one does not count.
    let whole = copies.into_iter().filter(|copy| is_whole(copy));
    let whole: Vec<_> = whole.map(parse).collect();
    match whole.into_iter().collect::<Option<Vec<_>>>().as_deref() {
        None => Content::Other("metadata of a mirror that this version cannot read"),
        Some([]) => Content::Other("damaged metadata of a mirror"),
        Some([one]) => Content::Leg(Box::new(one.clone())),
        Some([one, other, ..]) if one.uuid != other.uuid => {
            Content::Other("metadata of two mirrors")
        }
        Some([one, other, ..]) => {
            let newer = if one.generation > other.generation {
                one
            } else {
                other
            };
            Content::Leg(Box::new(newer.clone()))
        }
    }
}

fn is_whole(copy: &[u8]) -> bool {
    let (Some(head), Some(tail)) = (copy.get(..12), copy.get(16..)) else {
        return false;
    };
    let mut digest = CRC32C.digest();
    for part in [head, &[0; 4], tail] {
        digest.update(part);
    }
    u32_at(copy, 12) == Some(digest.finalize())
}

fn parse(copy: &[u8]) -> Option<Peek> {
    if u32_at(copy, 8)? != VERSION {
        return None;
    }
    let num_legs = Some(*copy.get(116)?).filter(|number| (1..=LEGS_MAX).contains(number))?;
    let leg = |slot: u8| {
        let entry = copy.get(LEGS_OFFSET + usize::from(slot) * LEG_BYTES..)?;
        Some(PeekLeg {
            uuid: uuid_at(entry, 0)?,
            state: *entry.get(16)?,
            data_offset_blocks: u64_at(entry, 24)?,
            base_name: text(entry.get(48..112)?),
        })
    };
    Some(Peek {
        generation: u64_at(copy, 16)?,
        epoch: u64_at(copy, 24)?,
        uuid: uuid_at(copy, 32)?,
        name: text(copy.get(48..112)?),
        is_clean: u32_at(copy, 112)? & FLAG_CLEAN != 0,
        own_slot: Some(*copy.get(117)?).filter(|slot| *slot < num_legs)?,
        block_size: u32_at(copy, 120)?,
        data_size_blocks: u64_at(copy, 136)?,
        legs: (0..num_legs).map(leg).collect::<Option<_>>()?,
    })
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn uuid_at(bytes: &[u8], at: usize) -> Option<Uuid> {
    Some(Uuid(*bytes.get(at..)?.first_chunk()?))
}

/// Text that ends with a NUL.
fn text(field: &[u8]) -> String {
    let text = field.split(|byte| *byte == 0).next().unwrap_or_default();
    String::from_utf8_lossy(text).into_owned()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// The first MiB of a leg of a mirror of two, as the driver would write it.
    pub(crate) fn leg(
        name: &str,
        mirror: u8,
        slot: u8,
        generation: u64,
        states: [u8; 2],
    ) -> Vec<u8> {
        let mut copy = vec![0; COPY_BYTES];
        let mut put = |at: usize, bytes: &[u8]| copy[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, MAGIC);
        put(8, &VERSION.to_le_bytes());
        put(16, &generation.to_le_bytes());
        put(24, &7_u64.to_le_bytes());
        put(32, &[mirror; 16]);
        put(48, name.as_bytes());
        put(112, &FLAG_CLEAN.to_le_bytes());
        put(116, &[2, slot, 255]);
        put(120, &4096_u32.to_le_bytes());
        put(136, &2048_u64.to_le_bytes());
        for (index, state) in (0..).zip(states) {
            let at = LEGS_OFFSET + usize::from(index) * LEG_BYTES;
            put(at, &[0x10 + index; 16]);
            put(at + 16, &[state]);
            put(at + 24, &256_u64.to_le_bytes());
            put(at + 48, format!("{name}-leg{index}").as_bytes());
        }
        let crc = CRC32C.checksum(&copy);
        copy[12..16].copy_from_slice(&crc.to_le_bytes());
        let mut start = vec![0; METADATA_BYTES as usize];
        let at = COPY_OFFSETS[(generation % 2) as usize];
        start[at..at + COPY_BYTES].copy_from_slice(&copy);
        start
    }

    #[test]
    fn a_leg_is_known() {
        let Content::Leg(peek) = content(&leg("m", 5, 1, 3, [1, 3])) else {
            panic!("no leg");
        };
        assert_eq!(
            (peek.name.as_str(), peek.own_slot, peek.generation),
            ("m", 1, 3)
        );
        assert_eq!(
            peek.uuid.to_string(),
            "05050505-0505-0505-0505-050505050505"
        );
        assert_eq!((peek.size_bytes(), peek.leg_bytes()), (8 << 20, 9 << 20));
        assert!(peek.legs[0].is_counted_on() && !peek.legs[1].is_counted_on());
        assert_eq!(peek.legs[1].base_name, "m-leg1");
        assert!(peek.is_clean);
    }

    #[test]
    fn the_newer_copy_counts_and_a_torn_one_does_not() {
        let mut both = leg("m", 5, 0, 3, [1, 1]);
        both[..4096].copy_from_slice(&leg("m", 5, 0, 4, [1, 3])[..4096]);
        let generation = |start: &[u8]| match content(start) {
            Content::Leg(peek) => Some(peek.generation),
            _ => None,
        };
        assert_eq!(generation(&both), Some(4));
        both[2000] ^= 1;
        assert_eq!(generation(&both), Some(3));
        both[(64 << 10) + 2000] ^= 1;
        assert_eq!(
            content(&both),
            Content::Other("damaged metadata of a mirror")
        );
    }

    #[test]
    fn what_is_no_leg() {
        assert_eq!(content(&[0; 8192]), Content::Blank);
        assert_eq!(content(&[]), Content::Blank);
        assert!(
            matches!(content(&[1; 8192]), Content::Other(what) if what.contains("no metadata"))
        );
        let mut two = leg("m", 5, 0, 3, [1, 1]);
        two[..4096].copy_from_slice(&leg("m", 6, 0, 4, [1, 1])[..4096]);
        assert_eq!(content(&two), Content::Other("metadata of two mirrors"));
    }
}
