use alloc::vec;

use super::*;

/// Bytes, and where they are.
type Pieces<'a> = &'a [(usize, &'a [u8])];

/// A leg with these bytes on it.
fn leg(pieces: Pieces<'_>) -> Vec<u8> {
    let mut leg = vec![0; LOOKED_AT_BYTES];
    for (at, bytes) in pieces {
        leg[*at..][..bytes.len()].copy_from_slice(bytes);
    }
    leg
}

#[test]
fn what_is_known_is_recognised() {
    let cases: &[(Pieces, &str)] = &[
        (&[(0, b"BARERAID")], "a mirror of this driver"),
        (&[(65536, b"BARERAID")], "a mirror of this driver"),
        (&[(0, b"SPDKRAID")], "an array of SPDK's bdev_raid"),
        (&[(0, b"SPDKBLOB")], "an SPDK blobstore"),
        (&[(512, b"EFI PART")], "a GPT"),
        (&[(4096, b"EFI PART")], "a GPT"),
        (
            &[(512, b"LABELONE\x01\0\0\0\0\0\0\0....    LVM2 001")],
            "an LVM2",
        ),
        (&[(0, b"LUKS\xba\xbe\0\x02")], "a LUKS"),
        (&[(0x4000, b"SKUL\xba\xbe")], "a LUKS"),
        (&[(3, b"-FVE-FS-"), (510, b"\x55\xaa")], "a BitLocker"),
        (&[(4086, b"SWAPSPACE2")], "swap"),
        (&[(65526, b"SWAPSPACE2")], "swap"),
        (&[(65536 + 64, b"_BHRfS_M")], "a btrfs"),
        (&[(3, b"NTFS    "), (510, b"\x55\xaa")], "an NTFS"),
        (&[(3, b"EXFAT   "), (510, b"\x55\xaa")], "an exFAT"),
        (&[(54, b"FAT16   "), (510, b"\x55\xaa")], "a FAT"),
        (&[(82, b"FAT32   "), (510, b"\x55\xaa")], "a FAT"),
        (
            &[(
                4120,
                b"\xc6\x85\x73\xf6\x66\xce\x90\xa9\xd9\x6a\x60\xcf\x80\x3d\xf7\xef",
            )],
            "a bcachefs",
        ),
        (
            &[(
                4120,
                b"\xc6\x85\x73\xf6\x4e\x1a\x45\xca\x82\x65\xf5\x7f\x48\xba\x6d\x81",
            )],
            "a bcachefs file system or a bcache",
        ),
        (&[(0x8001, b"CD001\x01\0")], "an ISO 9660"),
        (
            &[(0, b"\xfc\x4e\x2b\xa9\x01\0\0\0")],
            "a member of a Linux md",
        ),
        (
            &[(4096, b"\xfc\x4e\x2b\xa9\x01\0\0\0")],
            "a member of a Linux md",
        ),
        (&[(0, b"XFSB\0\0\x10\0"), (102, b"\x02\0")], "an XFS"),
        (
            &[(
                1024,
                b"\x10\x20\xf5\xf2\x01\0\x10\0\x09\0\0\0\x03\0\0\0\x0c\0\0\0",
            )],
            "an F2FS",
        ),
        (
            &[(0x2_1000, b"\x0c\xb1\xba\0\0\0\0\0")],
            "a member of a ZFS",
        ),
        (
            &[(0x2_1400, b"\0\0\0\0\0\xba\xb1\x0c")],
            "a member of a ZFS",
        ),
        (
            &[
                (446, b"\x80\x01\x01\0\x83\xfe\xff\xff\0\x08\0\0\0\0\x10\0"),
                (510, b"\x55\xaa"),
            ],
            "an MBR",
        ),
    ];
    for (pieces, expected) in cases {
        let found = recognise(&leg(pieces));
        assert!(
            found.is_some_and(|found| found.starts_with(expected)),
            "{found:?} / {expected}"
        );
    }
}

/// The superblock that `mkfs.ext4` made on 16 MiB.
#[test]
fn what_mkfs_makes_is_recognised() {
    let ext4 = hex("
        001000000040000033030000eb360000f50f0000010000000000000000000000
        00200000002000000008000000000000cdaf046b0000ffff53ef010001000000
        cdaf046b000000000000000001000000000000000b000000000100003c000000
    ");
    assert_eq!(
        recognise(&leg(&[(1024, &ext4)])),
        Some("an ext2, ext3 or ext4 file system")
    );
}

#[test]
fn what_only_looks_like_it_is_not() {
    let cases: &[Pieces] = &[
        &[],
        // No partitions, nonsense for one, and a boot loader without.
        &[(510, b"\x55\xaa")],
        &[
            (446, b"\x12\x01\x01\0\x83\xfe\xff\xff\0\x08\0\0\0\0\x10\0"),
            (510, b"\x55\xaa"),
        ],
        &[
            (446, b"\x80\x01\x01\0\x83\xfe\xff\xff\0\x08\0\0\0\0\0\0"),
            (510, b"\x55\xaa"),
        ],
        &[(1024 + 56, b"\x53\xef")],
        &[(0, b"XFSB")],
        &[(0, b"\xfc\x4e\x2b\xa9\x05\0\0\0")],
        &[(1024, b"\x10\x20\xf5\xf2")],
        &[(0, b"NTFS    ")],
        &[(1, b"SPDKRAID")],
    ];
    for pieces in cases {
        assert_eq!(recognise(&leg(pieces)), None, "{pieces:?}");
    }
    assert_eq!(recognise(&[]), None);
    assert_eq!(recognise(&[0xff; 4096]), None);
}

#[test]
fn a_short_leg_is_looked_at_as_far_as_it_goes() {
    let leg = leg(&[(65536 + 64, b"_BHRfS_M")]);
    assert_eq!(recognise(&leg[..65536 + 72]), Some("a btrfs file system"));
    for len in [0, 1, 511, 512, 4096, 65536 + 71] {
        assert_eq!(recognise(&leg[..len]), None);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn noise_is_nothing(seed: u64) {
        // xorshift: fast enough for so many bytes.
        let mut state = seed | 1;
        let mut noise = vec![0; LOOKED_AT_BYTES];
        for word in noise.chunks_mut(8) {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            word.copy_from_slice(&state.to_le_bytes());
        }
        prop_assert_eq!(recognise(&noise), None);
    }

    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..9000)) {
        let _ = recognise(&bytes);
    }
}
