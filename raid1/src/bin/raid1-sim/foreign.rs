//! The superblock of an array of SPDK's `bdev_raid`, from `raid1/FORMAT.md` alone.

use barespdk::uuid::Uuid;

use crate::media::crc32c_bare;
use crate::plan::{BLOCK_SIZE, NUM_BLOCKS};

const HEADER_BYTES: usize = 256;
const ENTRY_BYTES: usize = 64;

/// The uuid of a leg's bdev, by which `bdev_raid` knows it.
pub(crate) fn uuid(leg: usize) -> Uuid {
    Uuid::from_bytes([0x40 + leg as u8; 16])
}

/// What is on each leg of an array of so many, whose data begins at a block.
pub(crate) fn superblock(name: &str, legs: usize, data_offset_blocks: u64) -> Vec<u8> {
    let mut bytes = vec![0; HEADER_BYTES + legs * ENTRY_BYTES];
    let length = bytes.len() as u32;
    let mut put = |at: usize, what: &[u8]| bytes[at..at + what.len()].copy_from_slice(what);
    put(0, b"SPDKRAID");
    put(8, &1_u16.to_le_bytes());
    put(12, &length.to_le_bytes());
    put(24, &[0x77; 16]);
    put(40, name.as_bytes());
    put(104, &NUM_BLOCKS.to_le_bytes());
    put(112, &BLOCK_SIZE.to_le_bytes());
    put(116, &1_u32.to_le_bytes());
    put(128, &1_u64.to_le_bytes());
    put(136, &[legs as u8]);
    put(255, &[legs as u8]);
    for leg in 0..legs {
        let at = HEADER_BYTES + leg * ENTRY_BYTES;
        put(at, uuid(leg).as_bytes());
        put(at + 16, &data_offset_blocks.to_le_bytes());
        put(at + 24, &NUM_BLOCKS.to_le_bytes());
        put(at + 32, &1_u32.to_le_bytes());
        put(at + 40, &[leg as u8]);
    }
    let crc = crc32c_bare(&bytes).to_le_bytes();
    bytes[16..20].copy_from_slice(&crc);
    bytes
}

/// How often the superblock was written that begins a leg, if it is a whole one.
pub(crate) fn sequence(leg: &[u8]) -> Option<u64> {
    let length = u32::from_le_bytes(leg.get(12..16)?.try_into().ok()?);
    let mut bytes = leg.get(..length as usize)?.to_vec();
    if bytes.len() < HEADER_BYTES || !bytes.starts_with(b"SPDKRAID") {
        return None;
    }
    let crc = std::mem::take(bytes[16..20].first_chunk_mut::<4>()?);
    let is_whole = crc32c_bare(&bytes).to_le_bytes() == crc;
    let sequence = u64::from_le_bytes(bytes[128..136].try_into().ok()?);
    is_whole.then_some(sequence)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_what_spdk_writes() {
        let made_by_spdk = include_bytes!("../../../fuzz/corpus/import/spdk-26.01-two-legs");
        assert_eq!(sequence(made_by_spdk), Some(1));
        let ours = superblock("Array0", 2, 2048);
        assert_eq!(sequence(&ours), Some(1));
        // All but uuids, checksum and size.
        let same = [0..16, 20..24, 40..104, 112..256, 272..280, 288..320];
        for range in same {
            assert_eq!(ours[range.clone()], made_by_spdk[range]);
        }
    }
}
