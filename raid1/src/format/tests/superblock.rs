use std::format;

use super::*;

proptest! {
    #[test]
    fn what_is_written_is_read(superblock in superblocks(), longer in 0..5000_usize) {
        let mut bytes = alloc::vec![0xee; SUPERBLOCK_BYTES + longer];
        superblock.encode(&mut bytes).unwrap();
        prop_assert!(bytes[SUPERBLOCK_BYTES..].iter().all(|byte| *byte == 0));
        prop_assert_eq!(Superblock::parse(&bytes), Ok(Some(superblock)));
    }

    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..5000)) {
        let _ = Superblock::parse(&bytes);
        let _ = Superblock::parse(&signed(b"BARERAID", bytes));
    }

    /// With a checksum that fits, as an attacker would make it.
    #[test]
    fn what_is_read_can_be_written(
        superblock in superblocks(),
        changes in proptest::collection::vec((0..2304_usize, any::<u8>()), 1..4),
    ) {
        let mut bytes = encoded(&superblock);
        for (at, byte) in changes {
            bytes[at] = byte;
        }
        seal(&mut bytes);
        if let Ok(Some(read)) = Superblock::parse(&bytes) {
            prop_assert_eq!(encoded(&read), bytes);
        }
    }
}

#[test]
fn a_damaged_byte_is_noticed() {
    let bytes = encoded(&sample());
    for at in 0..SUPERBLOCK_BYTES {
        for flip in [0x01, 0x80, 0xff] {
            let mut damaged = bytes.clone();
            damaged[at] ^= flip;
            match Superblock::parse(&damaged) {
                Ok(None) => assert!(at < 8),
                Err(FormatError::Crc { .. }) => assert!(at >= 8),
                other => panic!("byte {at}: {other:?}"),
            }
        }
    }
}

#[test]
fn a_torn_write_is_noticed() {
    let (old, new) = (
        sample(),
        Superblock {
            generation: 9,
            clean: false,
            ..sample()
        },
    );
    let (old, new) = (encoded(&old), encoded(&new));
    for sector in 1..SUPERBLOCK_BYTES / 512 {
        let (head, tail) = (&new[..sector * 512], &old[sector * 512..]);
        let torn = [head, tail].concat();
        // What differs is in the first sector: the rest is of no matter.
        assert_eq!(torn == new, Superblock::parse(&torn).is_ok());
        let torn = [&old[..sector * 512], &new[sector * 512..]].concat();
        assert_eq!(torn == old, Superblock::parse(&torn).is_ok());
        let fresh = [head, &alloc::vec![0; tail.len()]].concat();
        assert_eq!(fresh == new, Superblock::parse(&fresh).is_ok());
    }
}

#[test]
fn too_few_bytes() {
    let bytes = encoded(&sample());
    for len in [0, 7] {
        assert_eq!(Superblock::parse(&bytes[..len]), Ok(None));
    }
    for len in [8, 512, SUPERBLOCK_BYTES - 1] {
        let error = Superblock::parse(&bytes[..len]).unwrap_err();
        assert_eq!(message(error), format!("{len} bytes where 4096 are needed"));
        let mut short = alloc::vec![0; len];
        assert_eq!(sample().encode(&mut short), Err(error));
    }
}

/// Each is refused by the writer, and by the reader if it is written all the same.
#[test]
fn what_makes_no_sense_is_refused() {
    type Spoil = fn(&mut Superblock);
    let cases: &[(Spoil, &str)] = &[
        (|s| s.generation = 0, "the generation is 0"),
        (
            |s| s.generation = 1 << 63,
            "the generation is 9223372036854775808",
        ),
        (|s| s.epoch = 0, "the epoch is 0"),
        (|s| s.uuid = Uuid::NIL, "the array's uuid is 0"),
        (
            |s| s.name = Name::default(),
            "the array's name is no name: it is empty",
        ),
        (|s| s.num_legs = 0, "the number of legs is 0"),
        (|s| s.num_legs = 17, "the number of legs is 17"),
        (
            |s| s.num_legs = 3,
            "the state of the leg in slot 3 is 2: the array has fewer slots",
        ),
        (|s| s.own_slot = 2, "its own slot is 2: there is no leg"),
        (|s| s.own_slot = 16, "its own slot is 16: there is no leg"),
        (
            |s| s.source = Some(1),
            "the slot of the source is 1: no leg in sync",
        ),
        (
            |s| s.source = Some(200),
            "the slot of the source is 200: no leg in sync",
        ),
        (|s| s.block_size = 520, "the block size is 520"),
        (|s| s.block_size = 256, "the block size is 256"),
        (|s| s.block_size = 1 << 17, "the block size is 131072"),
        (|s| s.block_size = 0, "the block size is 0"),
        (|s| s.md.size = 0, "the size of the blocks' metadata is 0"),
        (
            |s| s.md.size = 65537,
            "the size of the blocks' metadata is 65537",
        ),
        (|s| s.md.dif_type = 4, "the DIF type is 4"),
        (|s| s.md.dif_pi_format = 3, "the DIF format is 3"),
        (
            |s| s.data_size_blocks = 0,
            "the size of the data, in blocks, of the leg in slot 0 is 0: there is no data",
        ),
        (
            |s| s.data_size_blocks = 1 << 55,
            "the size of the data, in blocks, of the leg in slot 0 is 36028797018963968: it is beyond 2^64",
        ),
        (
            |s| s.data_size_blocks = (1 << 55) - 2048,
            "the data ends beyond 2^64",
        ),
        (
            |s| s.data_size_blocks = 126_977 * 2048,
            "a region of 1048576 bytes: it must be a power of two from 2097152 to",
        ),
        (|s| s.region_size_blocks = 0, "a region of 0 bytes"),
        (
            |s| s.region_size_blocks = 3,
            "a region of 1536 bytes: it must be a power of two from 8192 to 536870912",
        ),
        (
            |s| s.region_size_blocks = u64::MAX,
            "the size of a region, in blocks, is 18446744073709551615",
        ),
        (
            |s| s.region_size_blocks = 1 << 21,
            "a region of 1073741824 bytes",
        ),
        (
            |s| s.legs[0].state = LegState::Spare,
            "the slot of the source is 0",
        ),
        (
            |s| (s.source, s.legs[0].state) = (None, LegState::Failed),
            "no leg is in sync",
        ),
        (
            |s| s.legs[1].uuid = s.legs[0].uuid,
            "the legs in slots 0 and 1 have the same uuid",
        ),
        (
            |s| s.legs[1].uuid = Uuid::NIL,
            "the uuid of the leg in slot 1 is 0",
        ),
        (
            |s| s.legs[2].uuid = uuid(9),
            "the state of the leg in slot 2 is 0: an absent leg has nothing else",
        ),
        (
            |s| s.legs[15].base_name = Name::cut("x"),
            "the state of the leg in slot 15 is 0: an absent leg",
        ),
        (
            |s| s.legs[1].left_generation = 8,
            "the generation it left in of the leg in slot 1 is 8",
        ),
        (
            |s| s.legs[1].data_offset_blocks = 2047,
            "the offset of the data, in blocks, of the leg in slot 1 is 2047: the data overlaps the metadata",
        ),
        (
            |s| s.legs[1].data_offset_blocks = 0,
            "the leg in slot 1 is 0: the data overlaps",
        ),
        (
            |s| s.legs[1].data_offset_blocks = 1 << 55,
            "the leg in slot 1 is 36028797018963968: it is beyond",
        ),
        (
            |s| s.legs[1].data_offset_blocks = (1 << 55) - 2048,
            "the leg in slot 1 is 36028797018961920: the data ends beyond",
        ),
    ];
    for (spoil, expected) in cases {
        let mut superblock = sample();
        spoil(&mut superblock);
        let mut bytes = encoded(&sample());
        let error = superblock.encode(&mut bytes).expect_err(expected);
        assert!(message(error).contains(expected), "{error} / {expected}");
        superblock.encode_unchecked(&mut bytes).unwrap();
        assert_eq!(Superblock::parse(&bytes), Err(error), "{expected}");
    }
}

/// What the writer cannot even say.
#[test]
fn bytes_that_are_not_known_are_refused() {
    let cases: &[(usize, &[u8], &str)] = &[
        (
            8,
            &[2, 0, 0, 0],
            "it has version 2, this driver knows versions up to 1",
        ),
        (8, &[0, 0, 0, 0], "the version is 0"),
        (48, &[0xff], "the array's name is no name: it is not UTF-8"),
        (
            48,
            &[0],
            "the array's name is no name: something follows its NUL",
        ),
        (
            48,
            &[b'x'; 64],
            "the array's name is no name: no NUL ends it",
        ),
        (112, &[3], "flags is 3: some are not known"),
        (119, &[7], "flags of the blocks' metadata is 7"),
        (130, &[1], "byte 130 is not 0"),
        (255, &[1], "byte 255 is not 0"),
        (
            256 + 128 + 16,
            &[5],
            "the state of a leg is 5: there is no such state",
        ),
        (
            256 + 128 + 17,
            &[3],
            "flags of the leg in slot 1 is 3: some are not known",
        ),
        (
            256 + 128 + 48,
            &[0xc3, 0],
            "the name of a base bdev is no name",
        ),
        (256 + 18, &[1], "byte 274 is not 0"),
        (2304, &[1], "byte 2304 is not 0"),
        (4095, &[1], "byte 4095 is not 0"),
    ];
    for (at, field, expected) in cases {
        let mut bytes = encoded(&sample());
        bytes[*at..][..field.len()].copy_from_slice(field);
        seal(&mut bytes);
        let error = Superblock::parse(&bytes).expect_err(expected);
        assert!(message(error).starts_with(expected), "{error} / {expected}");
    }
}
