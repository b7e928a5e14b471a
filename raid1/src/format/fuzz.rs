//! What the fuzzers of `raid1/fuzz` do with an input; and the unit tests, with the corpus of those.
//! Each panics if what it looks for is found.

use super::superblock::MAGIC;
use super::*;

/// Any bytes as copies of a superblock, and with a checksum that fits, so that it keeps no input out:
/// what is read must be written as it was.
pub(crate) fn superblock(input: &[u8]) {
    let mut sealed = [0; SUPERBLOCK_BYTES];
    sealed
        .iter_mut()
        .zip(input)
        .for_each(|(to, from)| *to = *from);
    sealed[..MAGIC.len()].copy_from_slice(MAGIC);
    sealed[12..16].fill(0);
    let crc = crc32c::crc32c(&[&sealed]);
    sealed[12..16].copy_from_slice(&crc.to_le_bytes());

    let mut copy = sealed;
    match Superblock::parse(&sealed) {
        Ok(None) => panic!("the magic is there"),
        Ok(Some(superblock)) => {
            superblock.encode(&mut copy).expect("it was read");
            assert_eq!(copy, sealed);
            let layout = Layout::of(&superblock).expect("it was read");
            assert!(u64::from(layout.num_regions) <= REGIONS_MAX);
            for (slot, leg) in superblock.present() {
                let need = superblock.blocks_needed(slot).expect("it was checked");
                assert!(leg.data_offset_blocks < need);
            }
        }
        Err(error) => assert!(!alloc::format!("{error}").is_empty()),
    }
    let (_, second) = input.split_at(input.len() / 2);
    for (a, b) in [
        (input, second),
        (&sealed[..], second),
        (second, &sealed[..]),
    ] {
        if let Err(error) = newest(a, b) {
            assert!(!alloc::format!("{error}").is_empty());
        }
    }
}

/// Any bytes as leaves: the words of all regions come, in order, and whatever no valid leaf tells is set.
pub(crate) fn bitmap(input: &[u8]) {
    let Some(([regions @ .., bitmap, epoch], area)) = input.split_first_chunk::<5>() else {
        return;
    };
    let [a, b, c] = *regions;
    let num_regions = u32::from_le_bytes([a, b, c & 1, 0]);
    let bitmap = BitmapId::missed((*bitmap).into());
    let epoch = u64::from(*epoch);
    // Where the bitmap is, in the leaves of a leg.
    let start = bitmap.index() * LEAVES_PER_BITMAP * LEAF_BYTES;
    let mut leaves = alloc::vec![0; start];
    leaves.extend_from_slice(area);
    // Every other leaf gets a valid frame: else none has.
    for (leaf, bytes) in leaves[start..]
        .chunks_exact_mut(LEAF_BYTES)
        .enumerate()
        .step_by(2)
    {
        let bytes: &mut [u8; LEAF_BYTES] = bytes.try_into().expect("chunks are of this size");
        let bits = *bytes.last_chunk().expect("a leaf is longer");
        encode_leaf(bitmap, leaf, epoch, &bits, bytes);
    }
    let mut next = 0;
    let invalid = read_bitmap(&leaves, bitmap, epoch, num_regions, |index, word| {
        assert_eq!(index, next);
        next += 1;
        let first = index * 64;
        let leaf = first / REGIONS_PER_LEAF;
        let at = start + leaf * LEAF_BYTES;
        let bytes = leaves.get(at..at + LEAF_BYTES).unwrap_or_default();
        let room = (num_regions as usize - first).min(64) as u32;
        let all = u64::MAX >> (64 - room);
        let expected =
            match parse_leaf(bitmap, leaf, epoch, bytes).filter(|_| leaf < LEAVES_PER_BITMAP) {
                None => all,
                Some(bits) => {
                    let at = first % REGIONS_PER_LEAF / 8;
                    u64::from_le_bytes(bits[at..at + 8].try_into().expect("8 bytes")) & all
                }
            };
        assert_eq!(word, expected);
    });
    assert_eq!(next, (num_regions as usize).div_ceil(64));
    assert!(invalid <= (num_regions as usize).div_ceil(REGIONS_PER_LEAF));
}

/// Any bytes as an array of SPDK's `bdev_raid`, and as anything else that may be on a leg.
pub(crate) fn import(input: &[u8]) {
    let mut sealed = input.to_vec();
    if let Some(bytes) = sealed.get_mut(..BdevRaid::BYTES_MAX.min(input.len()))
        && let Some(([magic @ .., _, _, _, _, a, b, c, d], _)) = bytes.split_first_chunk_mut::<16>()
    {
        magic.copy_from_slice(bdev_raid::MAGIC);
        let length = u32::from_le_bytes([*a, *b, *c, *d]) as usize;
        if let Some(bytes) = sealed.get_mut(..length)
            && length >= 256
        {
            bytes[16..20].fill(0);
            let crc = crc32c::crc32c_bare(&[bytes]);
            bytes[16..20].copy_from_slice(&crc.to_le_bytes());
        }
    }
    for bytes in [input, &sealed] {
        match BdevRaid::parse(bytes) {
            Ok(None) => {}
            Ok(Some(array)) => {
                let written = array.encode().expect("it was read");
                assert_eq!(BdevRaid::parse(&written), Ok(Some(array)));
            }
            Err(error) => assert!(!alloc::format!("{error}").is_empty()),
        }
        let _ = recognise(bytes);
    }
}
