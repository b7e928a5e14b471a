use alloc::collections::BTreeSet;
use alloc::vec;

use super::*;

const EPOCH: u64 = 0x0102_0304_0506_0708;

fn layout(block_size: u32, num_regions: u64) -> Layout {
    let data_blocks = (num_regions << 20) / u64::from(block_size);
    Layout::with_data(block_size, 2048, data_blocks, Some(1 << 20)).unwrap()
}

/// All leaves of a leg, with these regions set in one bitmap and none in the others.
fn written(layout: &Layout, bitmap: BitmapId, set: &BTreeSet<u32>) -> Vec<u8> {
    let unit_bytes = layout.write_unit as usize;
    let mut area = vec![0xee; layout.num_units() * unit_bytes];
    for (unit, out) in area.chunks_mut(unit_bytes).enumerate() {
        let word = |of: BitmapId, word: usize| {
            let first = word as u32 * 64;
            let regions = set.range(first..first + 64).filter(|_| of == bitmap);
            regions.fold(0, |bits, region| bits | 1_u64 << (region - first))
        };
        encode_unit(layout, unit, EPOCH, word, out);
    }
    area
}

/// The regions that are set, and how many leaves were not valid. All words must come, in order.
fn read(area: &[u8], bitmap: BitmapId, epoch: u64, num_regions: u32) -> (BTreeSet<u32>, usize) {
    let (mut set, mut next) = (BTreeSet::new(), 0);
    let invalid = read_bitmap(area, bitmap, epoch, num_regions, |index, word| {
        assert_eq!(index, next);
        next += 1;
        set.extend(
            (0..64)
                .filter(|bit| word >> bit & 1 != 0)
                .map(|bit| index as u32 * 64 + bit),
        );
    });
    assert_eq!(next, num_regions.div_ceil(64) as usize);
    assert!(set.last().is_none_or(|last| *last < num_regions));
    (set, invalid)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_written_is_read(
        log in 9..=16_u32,
        num_regions in 1..=126_976_u32,
        set in proptest::collection::vec(any::<prop::sample::Index>(), 0..50),
        slot in 0..LEGS_MAX,
    ) {
        let set = set.iter().map(|region| region.index(num_regions as usize) as u32).collect();
        let layout = layout(1 << log, num_regions.into());
        prop_assert_eq!(layout.num_regions, num_regions);
        for bitmap in [BitmapId::INTENT, BitmapId::missed(slot)] {
            let area = written(&layout, bitmap, &set);
            prop_assert_eq!(read(&area, bitmap, EPOCH, num_regions), (set.clone(), 0));
            let other = BitmapId::missed((slot + 1) % LEGS_MAX);
            prop_assert_eq!(read(&area, other, EPOCH, num_regions), (BTreeSet::new(), 0));
        }
    }

    #[test]
    fn no_bytes_panic(
        bytes in proptest::collection::vec(any::<u8>(), 0..5000),
        num_regions in any::<u32>().prop_map(|regions| regions >> 19),
    ) {
        read(&bytes, BitmapId::INTENT, EPOCH, num_regions);
        read(&bytes, BitmapId::missed(15), EPOCH, num_regions);
        let _ = parse_leaf(BitmapId::INTENT, 0, EPOCH, &bytes);
    }
}

#[test]
fn a_leaf_that_is_not_valid_is_set() {
    let num_regions = 4000;
    let layout = layout(512, num_regions.into());
    let set = BTreeSet::from([5, 3999]);
    let area = written(&layout, BitmapId::INTENT, &set);
    // In leaf 0.
    for at in 0..LEAF_BYTES {
        let mut damaged = area.clone();
        damaged[at] ^= 0x10;
        let (regions, invalid) = read(&damaged, BitmapId::INTENT, EPOCH, num_regions);
        assert_eq!(invalid, 1);
        assert!(regions.into_iter().eq((0..3968).chain([3999])));
    }
    let all: BTreeSet<u32> = (0..num_regions).collect();
    // Another array's, none at all, and cut off within a leaf.
    for (bytes, epoch) in [(&area[..], EPOCH + 1), (&[], EPOCH), (&area[..511], EPOCH)] {
        assert_eq!(
            read(bytes, BitmapId::INTENT, epoch, num_regions),
            (all.clone(), 2)
        );
    }
    let (regions, invalid) = read(&area[..512], BitmapId::INTENT, EPOCH, num_regions);
    assert_eq!((regions.len(), invalid), (1 + 32, 1));
    // A leaf in another's place.
    let mut moved = area.clone();
    moved.copy_within(..512, 512);
    assert_eq!(read(&moved, BitmapId::INTENT, EPOCH, num_regions).1, 1);
    let mut moved = area;
    moved.copy_within(..1024, LEAVES_PER_BITMAP * LEAF_BYTES);
    assert_eq!(
        read(&moved, BitmapId::missed(0), EPOCH, num_regions),
        (all, 2)
    );
}

#[test]
fn regions_of_a_mirror_that_grew_are_set() {
    let area = written(&layout(512, 100), BitmapId::INTENT, &BTreeSet::from([7]));
    let (regions, invalid) = read(&area, BitmapId::INTENT, EPOCH, 5000);
    assert_eq!(invalid, 0);
    assert!(regions.into_iter().eq([7].into_iter().chain(100..5000)));
}

#[test]
fn more_regions_than_there_is_room_for_are_set() {
    let (regions, invalid) = read(&[], BitmapId::INTENT, EPOCH, 126_977);
    assert_eq!((regions.len(), invalid), (126_977, 33));
}

#[test]
fn a_leaf_has_its_place_in_it() {
    let mut leaf = [0; LEAF_BYTES];
    let mut bits = [0; 496];
    bits[495] = 0x80;
    encode_leaf(BitmapId::missed(1), 3, EPOCH, &bits, &mut leaf);
    assert_eq!(leaf[4..8], [3, 0, 2, 0]);
    let read = |bitmap, leaf_index, epoch| parse_leaf(bitmap, leaf_index, epoch, &leaf);
    assert_eq!(read(BitmapId::missed(1), 3, EPOCH), Some(&bits));
    assert_eq!(read(BitmapId::missed(1), 4, EPOCH), None);
    assert_eq!(read(BitmapId::missed(2), 3, EPOCH), None);
    assert_eq!(read(BitmapId::missed(1), 3, EPOCH + 1), None);
    assert_eq!(
        parse_leaf(BitmapId::missed(1), 3, EPOCH, &leaf[..511]),
        None
    );
}
