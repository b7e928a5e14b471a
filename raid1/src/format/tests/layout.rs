use std::format;

use super::*;

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
const TIB: u64 = 1 << 40;

#[test]
fn where_things_are() {
    let layout = Layout::new(GIB / 512, 512, 0, None).unwrap();
    let extent = |offset_blocks, num_blocks| Extent {
        offset_blocks,
        num_blocks,
    };
    assert_eq!(
        layout,
        Layout {
            block_size: 512,
            write_unit: 4096,
            data_offset_blocks: 2048,
            data_size_blocks: (GIB - MIB) / 512,
            region_size_blocks: 2048,
            num_regions: 1023,
        }
    );
    assert_eq!(layout.superblock(6), extent(0, 8));
    assert_eq!(layout.superblock(7), extent(128, 8));
    assert_eq!(layout.leaves(), extent(256, 544));
    assert_eq!((layout.num_units(), layout.unit(67)), (68, extent(792, 8)));
    assert_eq!(layout.unit_of(BitmapId::INTENT, 1022), 0);
    assert_eq!(layout.unit_of(BitmapId::INTENT, 8 * 3968), 1);
    assert_eq!(layout.unit_of(BitmapId::missed(0), 0), 4);
    assert_eq!(layout.unit_of(BitmapId::missed(15), 126_975), 67);

    let layout = Layout::new(GIB / 65536, 65536, 0, None).unwrap();
    assert_eq!((layout.write_unit, layout.data_offset_blocks), (65536, 16));
    assert_eq!(layout.superblock(1), extent(1, 1));
    // 64 KiB hold four bitmaps.
    assert_eq!((layout.num_units(), layout.leaves()), (5, extent(2, 5)));
    assert_eq!(layout.unit_of(BitmapId::missed(2), 126_975), 0);
    assert_eq!(layout.unit_of(BitmapId::missed(3), 0), 1);
    assert_eq!(layout.unit_of(BitmapId::missed(15), 0), 4);
}

#[test]
fn data_begins_at_a_boundary() {
    assert_eq!(data_offset_blocks(512, 0), Ok(2048));
    assert_eq!(data_offset_blocks(4096, 256), Ok(256));
    assert_eq!(data_offset_blocks(512, 2047), Ok(4094));
    assert_eq!(data_offset_blocks(512, u32::MAX), Ok(u32::MAX.into()));
    assert!(data_offset_blocks(520, 0).is_err());
}

#[test]
fn regions_fit_the_bitmap() {
    let region_bytes = |leg_bytes: u64| {
        let layout = Layout::new(leg_bytes / 4096, 4096, 0, None).unwrap();
        layout.region_size_blocks * 4096
    };
    assert_eq!(region_bytes(2 * MIB), MIB);
    assert_eq!(region_bytes(MIB + 126_976 * MIB), MIB);
    assert_eq!(region_bytes(2 * MIB + 126_976 * MIB), 2 * MIB);
    assert_eq!(region_bytes(TIB), 16 * MIB);
    assert_eq!(region_bytes(u64::MAX), 1 << 48);
}

#[test]
fn a_region_size_can_be_asked_for() {
    let ask = |bytes| Layout::new(GIB / 512, 512, 0, Some(bytes));
    for (bytes, num_regions) in [(16384, 65472), (MIB, 1023), (GIB, 1)] {
        let layout = ask(bytes).unwrap();
        assert_eq!(u64::from(layout.num_regions), num_regions);
        assert_eq!(layout.region_size_blocks * 512, bytes);
    }
    for bytes in [0, 1, 8192, 16383, 16385, 3 * MIB, 2 * GIB, u64::MAX] {
        assert_eq!(
            message(ask(bytes).unwrap_err()),
            format!(
                "a region of {bytes} bytes: it must be a power of two from 16384 to 1073741824"
            )
        );
    }
}

#[test]
fn legs_without_room() {
    for blocks in [0, 2047, 2048] {
        assert_eq!(
            message(Layout::new(blocks, 512, 0, None).unwrap_err()),
            format!("a base bdev of {blocks} blocks is too small: 2049 are needed")
        );
    }
    let layout = Layout::new(2049, 512, 0, None).unwrap();
    assert_eq!((layout.data_size_blocks, layout.num_regions), (1, 1));
    // 2^64 bytes and more.
    assert!(Layout::new(u64::MAX, 512, 0, None).is_err());
    assert!(Layout::new(1 << 55, 512, 0, None).is_err());
}

#[test]
fn a_superblock_has_the_layout_of_its_own_leg() {
    let superblock = sample();
    let layout = Layout::of(&superblock).unwrap();
    assert_eq!((layout.data_offset_blocks, layout.num_regions), (2048, 512));
    let other = Superblock {
        own_slot: 1,
        ..superblock
    };
    assert_eq!(Layout::of(&other).unwrap().data_offset_blocks, 4096);
    assert_eq!(other.blocks_needed(1), Some(4096 + 0x10_0000));
}

proptest! {
    #[test]
    fn every_layout_fits(
        leg_blocks in any::<u64>().prop_flat_map(|blocks| (0..64_u32).prop_map(move |shift| blocks >> shift)),
        log in 0..20_u32,
        boundary: u32,
        region_log in proptest::option::of(0..64_u32),
    ) {
        let asked = region_log.map(|log| 1 << log);
        let Ok(layout) = Layout::new(leg_blocks, 1 << log, boundary, asked) else {
            return Ok(());
        };
        let region = layout.region_size_blocks;
        prop_assert_eq!(layout.data_offset_blocks + layout.data_size_blocks, leg_blocks);
        prop_assert!(region.is_power_of_two());
        prop_assert!(asked.is_none_or(|asked| region << log == asked));
        prop_assert!((1..=REGIONS_MAX).contains(&layout.num_regions.into()));
        prop_assert_eq!(u64::from(layout.num_regions), layout.data_size_blocks.div_ceil(region));
        let leaves = layout.leaves();
        prop_assert!(leaves.offset_blocks + leaves.num_blocks <= layout.data_offset_blocks);
        prop_assert_eq!(layout.unit(layout.num_units()).offset_blocks, leaves.offset_blocks + leaves.num_blocks);
    }
}
