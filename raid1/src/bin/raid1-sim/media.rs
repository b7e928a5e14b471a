//! What the metadata on the legs says, read with nothing of the driver's, from `raid1/FORMAT.md` alone.

use std::cmp::Reverse;

use crate::plan::BLOCK_SIZE;

/// Bytes that a mirror with metadata keeps for itself at the start of each leg.
pub(crate) const RESERVED_BYTES: u64 = 1 << 20;

/// Where copies of the superblock begin, in bytes.
const SUPERBLOCKS: [usize; 2] = [0, 64 << 10];
const SUPERBLOCK_BYTES: usize = 4096;
const LEAVES: usize = 128 << 10;
const LEAF_BYTES: usize = 512;
const LEAVES_PER_BITMAP: usize = 32;
const LEGS_MAX: usize = 16;
/// Where the entries of the legs begin in a superblock, and what each takes.
const ENTRIES: usize = 256;
const ENTRY_BYTES: usize = 128;

/// The state of a leg that has all data.
const IN_SYNC: u8 = 1;

/// The state of a leg that was taken out.
const FAILED: u8 = 3;

/// What the superblock of a leg says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Superblock {
    pub(crate) generation: u64,
    pub(crate) epoch: u64,
    pub(crate) is_clean: bool,
    pub(crate) own_slot: usize,
    /// The leg that is right where others may differ from it.
    pub(crate) source: Option<usize>,
    pub(crate) data_size_blocks: u64,
    region_size_blocks: u64,
    /// By slot.
    states: Vec<u8>,
}

impl Superblock {
    fn parse(bytes: &[u8]) -> Option<Self> {
        let bytes = bytes.get(..SUPERBLOCK_BYTES)?;
        let u32_at =
            |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap_or_default());
        let u64_at =
            |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap_or_default());
        let mut zeroed = bytes.to_vec();
        zeroed[12..16].fill(0);
        if &bytes[..8] != b"BARERAID" || u32_at(8) != 1 || crc32c(&zeroed) != u32_at(12) {
            return None;
        }
        let entry = |slot: usize| ENTRIES + slot * ENTRY_BYTES;
        Some(Self {
            generation: u64_at(16),
            epoch: u64_at(24),
            is_clean: u32_at(112) & 1 != 0,
            own_slot: bytes[117].into(),
            source: Some(usize::from(bytes[118])).filter(|slot| *slot < LEGS_MAX),
            data_size_blocks: u64_at(136),
            region_size_blocks: u64_at(144),
            states: (0..LEGS_MAX).map(|slot| bytes[entry(slot) + 16]).collect(),
        })
    }

    /// The newest one of a leg, whose first bytes are given.
    pub(crate) fn of(leg: &[u8]) -> Option<Self> {
        let copies = SUPERBLOCKS.map(|at| Self::parse(leg.get(at..)?));
        let copies = copies.into_iter().flatten();
        copies.max_by_key(|superblock| superblock.generation)
    }

    fn state(&self, slot: usize) -> u8 {
        self.states.get(slot).copied().unwrap_or_default()
    }

    /// The regions that the write-intent bitmap of this leg has: all of a leaf that is torn.
    fn intent(&self, leg: &[u8]) -> Vec<bool> {
        let regions = self
            .data_size_blocks
            .div_ceil(self.region_size_blocks.max(1));
        let bits = (LEAF_BYTES - 16) * 8;
        let most = LEAVES_PER_BITMAP * bits;
        let leaf_of = |index: usize| {
            let at = LEAVES + index * LEAF_BYTES;
            leg.get(at..at + LEAF_BYTES).filter(|leaf| {
                leaf[..4] == crc32c(&leaf[4..]).to_le_bytes()
                    && leaf[4..8] == (index as u32).to_le_bytes()
                    && leaf[8..16] == self.epoch.to_le_bytes()
            })
        };
        let is_set = |region: usize| match leaf_of(region / bits) {
            Some(leaf) => leaf[16 + region % bits / 8] >> (region % 8) & 1 != 0,
            None => true,
        };
        (0..(regions as usize).min(most)).map(is_set).collect()
    }
}

/// A leg's superblock, and the regions that it says may be written to.
pub(crate) type Own = (Superblock, Vec<bool>);

/// Reads the metadata of a leg from its reserved bytes.
pub(crate) fn own(reserved: &[u8]) -> Option<Own> {
    let superblock = Superblock::of(reserved)?;
    let intent = superblock.intent(reserved);
    Some((superblock, intent))
}

/// The legs of a run as their metadata has them, by index.
#[derive(Clone, Debug)]
pub(crate) struct Media {
    legs: Vec<Option<Own>>,
    /// The index of a leg with the newest one.
    newest: Option<usize>,
}

impl Media {
    /// Puts together what is [`Own`] to each leg.
    pub(crate) fn of(legs: impl Iterator<Item = Option<Own>>) -> Self {
        let legs: Vec<_> = legs.collect();
        // Of two alike, the one that went on without the other: which was a generation ahead of it.
        let rank = |index: &usize| {
            let (own, _) = legs[*index].as_ref()?;
            let in_sync = own.states.iter().filter(|state| **state == IN_SYNC);
            Some((own.generation, Reverse(in_sync.count())))
        };
        let newest = (0..legs.len())
            .filter(|index| legs[*index].is_some())
            .max_by_key(rank);
        Self { legs, newest }
    }

    /// The superblock that is right about all legs.
    pub(crate) fn newest(&self) -> Option<&Superblock> {
        self.own(self.newest?)
    }

    /// A leg's own superblock.
    pub(crate) fn own(&self, leg: usize) -> Option<&Superblock> {
        let (own, _) = self.legs.get(leg)?.as_ref()?;
        Some(own)
    }

    /// Whether a leg is of the mirror, whatever it lacks.
    pub(crate) fn is_member(&self, leg: usize) -> bool {
        let epoch = |superblock: &Superblock| superblock.epoch;
        let own = self.own(leg).map(epoch);
        own.is_some() && own == self.newest().map(epoch)
    }

    /// Whether a leg has all data.
    pub(crate) fn is_in_sync(&self, leg: usize) -> bool {
        let (Some(newest), Some(own)) = (self.newest(), self.own(leg)) else {
            return false;
        };
        self.is_member(leg) && newest.state(own.own_slot) == IN_SYNC
    }

    /// Whether a leg was taken out.
    pub(crate) fn is_out(&self, leg: usize) -> bool {
        let state = |own: &Superblock| self.newest().map(|newest| newest.state(own.own_slot));
        self.is_member(leg) && self.own(leg).and_then(state) == Some(FAILED)
    }

    /// The leg that is right where legs in sync may differ.
    pub(crate) fn source(&self) -> Option<usize> {
        let source = self.newest()?.source?;
        (0..self.legs.len()).find(|leg| {
            self.is_member(*leg) && self.own(*leg).map(|own| own.own_slot) == Some(source)
        })
    }

    /// Whether no region of a leg may differ from those of the other legs.
    pub(crate) fn is_clear(&self, leg: usize) -> bool {
        let intent = self.legs.get(leg).and_then(Option::as_ref);
        intent.is_some_and(|(_, intent)| !intent.contains(&true))
    }

    /// Whether a block may differ from leg to leg, says any leg in sync.
    pub(crate) fn may_differ(&self, block: u64) -> bool {
        let in_sync = (0..self.legs.len()).filter(|leg| self.is_in_sync(*leg));
        let mut in_sync = in_sync.filter_map(|leg| self.legs[leg].as_ref());
        in_sync.any(|(own, intent)| {
            let region = (block / own.region_size_blocks.max(1)) as usize;
            intent.get(region).copied().unwrap_or(true)
        })
    }

    /// Whether a block may differ from leg to leg until the next start makes them equal.
    pub(crate) fn is_dirty(&self, block: u64) -> bool {
        let newest = self.newest.and_then(|leg| self.legs[leg].as_ref());
        newest.is_none_or(|(newest, intent)| {
            let region = (block / newest.region_size_blocks.max(1)) as usize;
            !newest.is_clean && intent.get(region).copied().unwrap_or(true)
        })
    }
}

/// Of some bytes of a leg, how many blocks.
pub(crate) const fn blocks(bytes: u64) -> u64 {
    bytes / BLOCK_SIZE as u64
}

const fn table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 {
                crc >> 1 ^ 0x82f6_3b78
            } else {
                crc >> 1
            };
            bit += 1;
        }
        table[byte] = crc;
        byte += 1;
    }
    table
}

static TABLE: [u32; 256] = table();

fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, crc32c_step)
}

/// Without its inversions, as `bdev_raid` has it.
pub(crate) fn crc32c_bare(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0, crc32c_step)
}

fn crc32c_step(crc: u32, byte: &u8) -> u32 {
    crc >> 8 ^ TABLE[(crc as u8 ^ byte) as usize]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leg(generation: u64, slot: u8, states: &[u8]) -> Vec<u8> {
        let mut leg = vec![0; RESERVED_BYTES as usize];
        let at = SUPERBLOCKS[generation as usize % 2];
        let copy = &mut leg[at..at + SUPERBLOCK_BYTES];
        copy[..8].copy_from_slice(b"BARERAID");
        copy[8] = 1;
        copy[16..24].copy_from_slice(&generation.to_le_bytes());
        copy[117] = slot;
        copy[118] = 0xff;
        for (slot, state) in states.iter().enumerate() {
            copy[ENTRIES + slot * ENTRY_BYTES + 16] = *state;
        }
        let crc = crc32c(copy).to_le_bytes();
        copy[12..16].copy_from_slice(&crc);
        leg
    }

    #[test]
    fn a_known_checksum() {
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
    }

    #[test]
    fn the_newest_is_right() {
        let legs = [leg(4, 0, &[1, 1]), leg(5, 1, &[3, 1])];
        let media = Media::of(legs.iter().map(|leg| own(leg)));
        assert_eq!(media.newest().unwrap().generation, 5);
        assert!(!media.is_in_sync(0) && media.is_in_sync(1));
        assert!(media.is_member(0) && !media.is_member(2));
        assert_eq!(media.source(), None);
    }

    #[test]
    fn a_torn_copy_leaves_the_other() {
        let mut torn = leg(4, 0, &[1, 1, 1]);
        let newer = leg(5, 0, &[1, 1, 3]);
        torn[64 << 10..][..512].copy_from_slice(&newer[64 << 10..][..512]);
        let media = Media::of([own(&torn)].into_iter());
        assert_eq!(media.newest().unwrap().generation, 4);
    }
}
