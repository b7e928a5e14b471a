use super::*;

/// What SPDK v26.01 wrote for a raid1 of two legs, and when one had been taken out.
const MADE_BY_SPDK: &[u8] = include_bytes!("../../../fuzz/corpus/import/spdk-26.01-two-legs");
const LEG_TAKEN_OUT: &[u8] = include_bytes!("../../../fuzz/corpus/import/spdk-26.01-leg-removed");

fn made_by_spdk() -> BdevRaid {
    let base = |uuid: &str| {
        Some(Base {
            uuid: Uuid::parse(uuid).unwrap(),
            data_offset_blocks: 2048,
            data_size_blocks: 30720,
            state: BaseState::Configured,
        })
    };
    let mut bases = [None; LEGS_MAX];
    bases[0] = base("919c4215-ad58-467c-8235-85f6ac27cf15");
    bases[1] = base("94b0a055-8b17-4edf-a015-a5241f609168");
    BdevRaid {
        uuid: Uuid::parse("12345678-9abc-4def-8123-456789abcdef").unwrap(),
        name: Name::cut("Array0"),
        num_blocks: 30720,
        block_size: 512,
        sequence: 1,
        bases,
        num_bases: 2,
    }
}

/// Makes the checksum fit.
fn seal(bytes: &mut [u8]) {
    bytes[16..20].fill(0);
    let crc = crc32c::crc32c_bare(&[bytes]);
    bytes[16..20].copy_from_slice(&crc.to_le_bytes());
}

#[test]
fn what_spdk_wrote_is_read_and_written_alike() {
    let array = made_by_spdk();
    assert_eq!(BdevRaid::parse(MADE_BY_SPDK), Ok(Some(array.clone())));
    let bytes = array.encode().unwrap();
    assert_eq!((bytes.len(), &bytes[..384]), (512, MADE_BY_SPDK));

    let mut degraded = array;
    degraded.sequence = 2;
    degraded.bases[1].as_mut().unwrap().state = BaseState::Missing;
    assert_eq!(BdevRaid::parse(LEG_TAKEN_OUT), Ok(Some(degraded.clone())));
    assert_eq!(degraded.encode().unwrap()[..384], *LEG_TAKEN_OUT);
}

#[test]
fn a_damaged_byte_is_noticed() {
    for at in 0..MADE_BY_SPDK.len() {
        for flip in [0x01, 0x80, 0xff] {
            let mut damaged = MADE_BY_SPDK.to_vec();
            damaged[at] ^= flip;
            match BdevRaid::parse(&damaged) {
                Ok(None) => assert!(at < 8),
                Err(FormatError::Crc { .. }) => assert!(at >= 8),
                Err(FormatError::TooShort { .. } | FormatError::Value { .. }) => {
                    assert!((12..16).contains(&at), "byte {at}");
                }
                other => panic!("byte {at}: {other:?}"),
            }
        }
    }
}

#[test]
fn what_cannot_be_taken_over_is_refused() {
    let cases: &[(usize, &[u8], &str)] = &[
        (
            8,
            &[2],
            "it has version 2, this driver knows versions up to 1",
        ),
        (8, &[0], "the version is 0"),
        (12, &[0xff, 0], "the length is 255"),
        (12, &[0, 0, 0, 0xff], "the length is 4278190080"),
        (
            12,
            &[0x00, 1],
            "the length is 256: it is not that of its base bdevs",
        ),
        (12, &[0xc0, 1], "384 bytes where 448 are needed"),
        (20, &[1], "flags is 1"),
        (24, &[0; 16], "the array's uuid is 0"),
        (40, &[0; 64], "the array's name is no name: it is empty"),
        (40, &[0xff], "the array's name is no name: it is not UTF-8"),
        (104, &[0; 8], "the number of blocks is 0"),
        (
            104,
            &[1, 0x78],
            "the size of the data, in blocks, of the leg in slot 0 is 30720: the array",
        ),
        (112, &[0, 3], "the block size is 768"),
        (116, &[0], "level is 0 (raid0): only raid1"),
        (116, &[0x5f], "level is 95 (raid5f): only raid1"),
        (116, &[99], "level is 99 (concat): only raid1"),
        (116, &[10], "level is 10: only raid1"),
        (136, &[1], "the number of base bdevs is 1"),
        (136, &[17], "the number of base bdevs is 17"),
        (255, &[1], "the length is 384: it is not that"),
        (256, &[0; 16], "the uuid of the leg in slot 0 is 0"),
        (
            256,
            b"\x94\xb0\xa0\x55\x8b\x17\x4e\xdf\xa0\x15\xa5\x24\x1f\x60\x91\x68",
            "the legs in slots 0 and 1 have",
        ),
        (
            272,
            &[0xff, 7],
            "the offset of the data, in blocks, of the leg in slot 0 is 2047: the data overlaps",
        ),
        (
            272,
            &[0xff; 8],
            "the offset of the data, in blocks, of the leg in slot 0 is 18446744073709551615",
        ),
        (
            280,
            &[0xff; 8],
            "the size of the data, in blocks, of the leg in slot 0 is 18446744073709551615",
        ),
        (288, &[4], "the state of the leg in slot 0 is 4"),
        (292, &[1], "flags of the leg in slot 0 is 1"),
        (
            296,
            &[2],
            "the slot of the leg in slot 2 is 2: the array has fewer",
        ),
        (
            296,
            &[0xff],
            "the slot of the leg in slot 255 is 255: the array has fewer",
        ),
        (
            296,
            &[1],
            "the slot of the leg in slot 1 is 1: another base bdev has it",
        ),
    ];
    for (at, field, expected) in cases {
        let mut bytes = MADE_BY_SPDK.to_vec();
        bytes[*at..][..field.len()].copy_from_slice(field);
        let length = usize::from(bytes[12]) | usize::from(bytes[13]) << 8;
        seal(&mut bytes[..length.clamp(256, 384)]);
        let error = BdevRaid::parse(&bytes).expect_err(expected);
        assert!(message(error).starts_with(expected), "{error} / {expected}");
    }
    let mut bytes = LEG_TAKEN_OUT.to_vec();
    bytes[288] = 2;
    seal(&mut bytes);
    assert_eq!(BdevRaid::parse(&bytes), Err(FormatError::NoLegInSync));
}

#[test]
fn a_later_minor_version_is_read() {
    let mut bytes = MADE_BY_SPDK.to_vec();
    bytes[10] = 3;
    bytes[200] = 1;
    seal(&mut bytes);
    assert_eq!(BdevRaid::parse(&bytes), Ok(Some(made_by_spdk())));
}

proptest! {
    #[test]
    fn what_is_written_is_read(
        block_log in 9..=16_u32,
        bases in proptest::collection::vec(
            proptest::option::of((any::<[u8; 16]>(), 2048..1_u64 << 30, 0..1_u64 << 30, any::<bool>())),
            1..LEGS_MAX,
        ),
        (num_blocks, sequence) in (1..1_u64 << 30, any::<u64>()),
    ) {
        let mut array = BdevRaid { num_blocks, sequence, block_size: 1 << block_log, ..made_by_spdk() };
        array.num_bases = bases.len() as u8 + 1;
        for (to, from) in array.bases[1..].iter_mut().zip(bases) {
            *to = from.map(|(uuid, data_offset_blocks, more, configured)| Base {
                uuid: Uuid::from_bytes(uuid),
                data_offset_blocks,
                data_size_blocks: num_blocks + more,
                state: if configured { BaseState::Configured } else { BaseState::Failed },
            });
        }
        array.bases[0].as_mut().unwrap().data_size_blocks = num_blocks;
        let bytes = array.encode().unwrap();
        prop_assert_eq!(bytes.len() % (1 << block_log), 0);
        prop_assert_eq!(BdevRaid::parse(&bytes), Ok(Some(array)));
    }

    #[test]
    fn no_bytes_panic(
        mut bytes in proptest::collection::vec(any::<u8>(), 0..2000),
        length in 0..2000_u32,
    ) {
        let _ = BdevRaid::parse(&bytes);
        bytes.splice(..0, *b"SPDKRAID\x01\0\0\0");
        bytes.splice(12..12, length.to_le_bytes());
        if let Some(bytes) = bytes.get_mut(..length as usize)
            && bytes.len() >= 256
        {
            seal(bytes);
        }
        let _ = BdevRaid::parse(&bytes);
    }

    /// With a checksum that fits, as an attacker would make it.
    #[test]
    fn what_is_read_can_be_written(
        changes in proptest::collection::vec((0..384_usize, any::<u8>()), 1..4),
    ) {
        let mut bytes = MADE_BY_SPDK.to_vec();
        for (at, byte) in changes {
            bytes[at] = byte;
        }
        seal(&mut bytes);
        if let Ok(Some(read)) = BdevRaid::parse(&bytes) {
            prop_assert_eq!(BdevRaid::parse(&read.encode().unwrap()), Ok(Some(read)));
        }
    }
}
