//! The tables of `raid1/FORMAT.md`, against what is written.

use super::*;

const DOCUMENT: &str = include_str!("../../../FORMAT.md");

/// Finds a field, by its name in the tables; `None` for one that is not a number of the sample.
type Fields<'a> = &'a dyn Fn(&str) -> Option<Vec<u8>>;

/// Compares the table under a heading with bytes: the fields follow each other, to the end of the bytes,
/// and have what they should.
fn check(heading: &str, bytes: &[u8], fields: Fields<'_>) {
    let section = DOCUMENT
        .split_once(&std::format!("\n{heading}\n"))
        .unwrap()
        .1;
    let rows = section
        .lines()
        .skip_while(|line| !line.starts_with("| 0 |"))
        .take_while(|line| line.starts_with('|'));
    let mut end = 0;
    for row in rows {
        let mut cells = row.split('|').skip(1).map(str::trim);
        let mut number = || cells.next().unwrap().parse::<usize>().unwrap();
        let (offset, size) = (number(), number());
        let field = cells.next().unwrap().trim_matches('`');
        assert_eq!(offset, end, "{field}");
        end += size;
        let found = &bytes[offset..end];
        let expected = match field {
            "reserved" => alloc::vec![0; size],
            field => fields(field).unwrap_or(found.to_vec()),
        };
        assert_eq!(found, expected, "{field}");
    }
    assert_eq!(end, bytes.len(), "{heading}");
}

fn text(text: &str) -> Vec<u8> {
    let mut field = text.as_bytes().to_vec();
    field.resize(64, 0);
    field
}

macro_rules! fields {
    ($($field:literal: $value:expr,)*) => {
        &|field| match field {
            $($field => Some(AsRef::<[u8]>::as_ref(&$value).to_vec()),)*
            "crc" | "legs" => None,
            field => panic!("{field}: no such field"),
        }
    };
}

#[test]
fn superblock() {
    let superblock = sample();
    check(
        "## Superblock",
        &encoded(&superblock),
        fields! {
            "magic": b"BARERAID",
            "version": 1_u32.to_le_bytes(),
            "generation": 7_u64.to_le_bytes(),
            "epoch": 0x0102_0304_0506_0708_u64.to_le_bytes(),
            "uuid": [0xaa; 16],
            "name": text("Mirror0"),
            "flags": 1_u32.to_le_bytes(),
            "num_legs": [4],
            "own_slot": [3],
            "source": [0],
            "md_flags": [3],
            "block_size": 512_u32.to_le_bytes(),
            "md_size": 8_u32.to_le_bytes(),
            "dif_type": [1],
            "dif_pi_format": [0],
            "data_size_blocks": superblock.data_size_blocks.to_le_bytes(),
            "region_size_blocks": 2048_u64.to_le_bytes(),
            "update_time": superblock.update_time.to_le_bytes(),
        },
    );
}

#[test]
fn leg() {
    let bytes = encoded(&sample());
    let entry = |slot: usize| &bytes[256 + slot * 128..][..128];
    check(
        "### Entry of a leg",
        entry(1),
        fields! {
            "leg_uuid": [0x22; 16],
            "state": [3],
            "leg_flags": [1],
            "data_offset_blocks": 4096_u64.to_le_bytes(),
            "left_generation": 6_u64.to_le_bytes(),
            "checkpoint_blocks": 0_u64.to_le_bytes(),
            "base_name": text("Leg1"),
        },
    );
    assert_eq!(entry(2), [0; 128]);
    assert_eq!(entry(3)[40..48], 0x1234_u64.to_le_bytes());
}

#[test]
fn leaf() {
    let bits = [0x5a; 496];
    let mut leaf = [0; LEAF_BYTES];
    encode_leaf(
        BitmapId::missed(2),
        5,
        0x0102_0304_0506_0708,
        &bits,
        &mut leaf,
    );
    check(
        "### Leaf",
        &leaf,
        fields! {
            "identity": (3 * 65536 + 5_u32).to_le_bytes(),
            "epoch": 0x0102_0304_0506_0708_u64.to_le_bytes(),
            "bits": bits,
        },
    );
}

#[test]
fn bdev_raid() {
    let mut array = BdevRaid::parse(include_bytes!(
        "../../../fuzz/corpus/import/spdk-26.01-leg-removed"
    ))
    .unwrap()
    .unwrap();
    array.sequence = 9;
    let bytes = array.encode().unwrap();
    check(
        "## Arrays of SPDK's `bdev_raid`",
        &bytes[..256],
        fields! {
            "magic": b"SPDKRAID",
            "version_major": 1_u16.to_le_bytes(),
            "version_minor": 0_u16.to_le_bytes(),
            "length": 384_u32.to_le_bytes(),
            "flags": [0; 4],
            "uuid": array.uuid.as_bytes(),
            "name": text("Array0"),
            "num_blocks": 30720_u64.to_le_bytes(),
            "block_size": 512_u32.to_le_bytes(),
            "level": 1_u32.to_le_bytes(),
            "strip_size": [0; 4],
            "array_state": [0; 4],
            "sequence": 9_u64.to_le_bytes(),
            "num_bases": [2],
            "num_entries": [2],
        },
    );
    check(
        "### Entry of a base bdev",
        &bytes[320..384],
        fields! {
            "base_uuid": array.bases[1].unwrap().uuid.as_bytes(),
            "data_offset": 2048_u64.to_le_bytes(),
            "data_size": 30720_u64.to_le_bytes(),
            "state": 0_u32.to_le_bytes(),
            "base_flags": [0; 4],
            "slot": [1],
        },
    );
}

/// What the text says of sizes and places.
#[test]
fn numbers() {
    assert_eq!(REGIONS_MAX, 126_976);
    assert_eq!((REGIONS_PER_LEAF, LEAVES_PER_BITMAP), (3968, 32));
    assert_eq!(SUPERBLOCK_OFFSETS, [0, 64 << 10]);
    let layout = |block_size| Layout::new(1 << 30, block_size, 0, None).unwrap();
    for (block_size, leaves_end) in [(512, 400), (4096, 400), (32768, 416), (65536, 448)] {
        let leaves = layout(block_size).leaves();
        let bytes = |blocks| blocks * u64::from(block_size);
        assert_eq!(bytes(leaves.offset_blocks), 128 << 10);
        assert_eq!(
            bytes(leaves.offset_blocks + leaves.num_blocks),
            leaves_end << 10
        );
    }
    for slot in 0..LEGS_MAX {
        let unit = layout(4096).unit_of(BitmapId::missed(slot), 0);
        let place = layout(4096).unit(unit).offset_blocks * 4096;
        assert_eq!(place, (144 + 16 * slot as u64) << 10);
    }
    assert_eq!(LEGS_MAX, 16);
}
