//! What other software has on a leg: that which is not to be overwritten unasked.

use super::{SUPERBLOCK_OFFSETS, bdev_raid, superblock};

/// How much of a leg is looked at, in bytes from its start.
pub(crate) const LOOKED_AT_BYTES: usize = 256 << 10;

/// Bytes that stand for something all by themselves: there are enough of them.
struct Signature {
    what: &'static str,
    at: &'static [usize],
    bytes: &'static [u8],
}

const SIGNATURES: &[Signature] = &[
    Signature {
        what: "a mirror of this driver",
        at: &[
            SUPERBLOCK_OFFSETS[0] as usize,
            SUPERBLOCK_OFFSETS[1] as usize,
        ],
        bytes: superblock::MAGIC,
    },
    Signature {
        what: "an array of SPDK's bdev_raid",
        at: &[0],
        bytes: bdev_raid::MAGIC,
    },
    Signature {
        what: "an SPDK blobstore (logical volumes)",
        at: &[0],
        bytes: b"SPDKBLOB",
    },
    // In its second block, of whatever size.
    Signature {
        what: "a GPT partition table",
        at: &[512, 1024, 2048, 4096, 8192, 16384, 32768, 65536],
        bytes: b"EFI PART",
    },
    Signature {
        what: "an LVM2 physical volume",
        at: &[0, 512, 1024, 1536],
        bytes: b"LABELONE",
    },
    Signature {
        what: "a LUKS encrypted volume",
        at: &[0],
        bytes: b"LUKS\xba\xbe",
    },
    // The second header of LUKS2, where it may be.
    Signature {
        what: "a LUKS encrypted volume",
        at: &[0x4000, 0x8000, 0x1_0000, 0x2_0000],
        bytes: b"SKUL\xba\xbe",
    },
    Signature {
        what: "a BitLocker volume",
        at: &[3],
        bytes: b"-FVE-FS-",
    },
    Signature {
        what: "swap space",
        at: &[4096 - 10, 8192 - 10, 16384 - 10, 65536 - 10],
        bytes: b"SWAPSPACE2",
    },
    Signature {
        what: "swap space",
        at: &[4096 - 10, 8192 - 10, 16384 - 10, 65536 - 10],
        bytes: b"SWAP-SPACE",
    },
    Signature {
        what: "a btrfs file system",
        at: &[0x1_0040],
        bytes: b"_BHRfS_M",
    },
    Signature {
        what: "an NTFS file system",
        at: &[3],
        bytes: b"NTFS    ",
    },
    Signature {
        what: "an exFAT file system",
        at: &[3],
        bytes: b"EXFAT   ",
    },
    Signature {
        what: "a FAT file system",
        at: &[54],
        bytes: b"FAT12   ",
    },
    Signature {
        what: "a FAT file system",
        at: &[54],
        bytes: b"FAT16   ",
    },
    Signature {
        what: "a FAT file system",
        at: &[82],
        bytes: b"FAT32   ",
    },
    // Two uuids that it has had; the first is bcache's, too.
    Signature {
        what: "a bcachefs file system or a bcache device",
        at: &[4096 + 24],
        bytes: b"\xc6\x85\x73\xf6\x4e\x1a\x45\xca\x82\x65\xf5\x7f\x48\xba\x6d\x81",
    },
    Signature {
        what: "a bcachefs file system",
        at: &[4096 + 24],
        bytes: b"\xc6\x85\x73\xf6\x66\xce\x90\xa9\xd9\x6a\x60\xcf\x80\x3d\xf7\xef",
    },
    Signature {
        what: "a Ceph BlueStore device",
        at: &[0],
        bytes: b"bluestore block device",
    },
    Signature {
        what: "an ISO 9660 file system",
        at: &[0x8001],
        bytes: b"CD001\x01",
    },
];

/// Says what a leg has on it, by its first [`LOOKED_AT_BYTES`], or fewer if there are no more; `None` if
/// it is nothing known. A leg may have more than one; the first that is found counts.
pub(crate) fn recognise(leg: &[u8]) -> Option<&'static str> {
    let leg = leg.get(..LOOKED_AT_BYTES).unwrap_or(leg);
    let signed =
        |signature: &&Signature| (signature.at.iter()).any(|at| is_at(leg, *at, signature.bytes));
    if let Some(signature) = SIGNATURES.iter().find(signed) {
        return Some(signature.what);
    }
    type Is = fn(&[u8]) -> bool;
    let checks: [(Is, _); 6] = [
        (is_md, "a member of a Linux md array"),
        (is_ext, "an ext2, ext3 or ext4 file system"),
        (is_xfs, "an XFS file system"),
        (is_f2fs, "an F2FS file system"),
        (is_zfs, "a member of a ZFS pool"),
        // Boot sectors of file systems look like it, at a glance.
        (is_mbr, "an MBR partition table"),
    ];
    let found = checks.iter().find(|(is, _)| is(leg));
    found.map(|(_, what)| *what)
}

fn is_at(leg: &[u8], at: usize, bytes: &[u8]) -> bool {
    leg.get(at..).is_some_and(|leg| leg.starts_with(bytes))
}

fn field<const N: usize>(leg: &[u8], at: usize) -> Option<[u8; N]> {
    leg.get(at..)?.first_chunk().copied()
}

fn u16_le(leg: &[u8], at: usize) -> Option<u16> {
    field(leg, at).map(u16::from_le_bytes)
}

fn u32_le(leg: &[u8], at: usize) -> Option<u32> {
    field(leg, at).map(u32::from_le_bytes)
}

/// Versions 1.1 and 1.2, whose superblock is in front: magic, major version.
fn is_md(leg: &[u8]) -> bool {
    const MAGIC: u32 = 0xa92b_4efc;
    [0, 4096].iter().any(|at| {
        let version = u32_le(leg, at + 4);
        u32_le(leg, *at) == Some(MAGIC) && version == Some(1)
    })
}

/// Its magic has two bytes only: some more must make sense.
fn is_ext(leg: &[u8]) -> bool {
    const MAGIC: u16 = 0xef53;
    const AT: usize = 1024;
    let counts = [0, 32, 40].map(|at| u32_le(leg, AT + at));
    u16_le(leg, AT + 56) == Some(MAGIC)
        // Inodes; blocks and inodes of a group.
        && counts.iter().all(|count| count.is_some_and(|count| count > 0))
        // Blocks of 1 KiB to 64 KiB.
        && u32_le(leg, AT + 24).is_some_and(|log| log <= 6)
        // Revision.
        && u32_le(leg, AT + 76).is_some_and(|revision| revision <= 1)
        // Valid, errors, orphans, replay of a fast commit.
        && u16_le(leg, AT + 58).is_some_and(|state| state <= 0x3f)
}

/// Magic, sizes of blocks and sectors; big endian.
fn is_xfs(leg: &[u8]) -> bool {
    let block_size = field(leg, 4).map(u32::from_be_bytes);
    let sector_size = field(leg, 102).map(u16::from_be_bytes);
    leg.starts_with(b"XFSB")
        && block_size.is_some_and(|size| size.is_power_of_two() && (512..=65536).contains(&size))
        && sector_size.is_some_and(|size| size.is_power_of_two() && size >= 512)
}

/// Magic, and sizes of sectors, blocks as logarithms.
fn is_f2fs(leg: &[u8]) -> bool {
    const MAGIC: u32 = 0xf2f5_2010;
    const AT: usize = 1024;
    u32_le(leg, AT) == Some(MAGIC)
        && u32_le(leg, AT + 8).is_some_and(|log| (9..=16).contains(&log))
        && u32_le(leg, AT + 16).is_some_and(|log| (12..=16).contains(&log))
}

/// One of the uberblocks in the second half of the first label, in the byte order of who wrote it.
fn is_zfs(leg: &[u8]) -> bool {
    const MAGIC: u64 = 0x00ba_b10c;
    let (uberblocks, _) = leg.get(128 << 10..).unwrap_or_default().as_chunks::<1024>();
    uberblocks.iter().any(|uberblock| {
        let magic = uberblock.first_chunk();
        magic.is_some_and(|magic| {
            [u64::from_le_bytes(*magic), u64::from_be_bytes(*magic)].contains(&MAGIC)
        })
    })
}

/// The signature has two bytes only: there must be a partition, and no nonsense.
fn is_mbr(leg: &[u8]) -> bool {
    let Some(table) = field::<64>(leg, 446) else {
        return false;
    };
    let (entries, _) = table.as_chunks::<16>();
    let is_entry = |entry: &[u8; 16]| {
        // Active or not.
        let [0 | 0x80, ..] = entry else {
            return false;
        };
        let is_empty = entry.iter().all(|byte| *byte == 0);
        let has = |at| u32_le(entry, at).is_some_and(|sectors| sectors > 0);
        let has_type = entry.get(4).is_some_and(|partition| *partition != 0);
        is_empty || (has_type && has(8) && has(12))
    };
    field(leg, 510) == Some([0x55, 0xaa])
        && entries.iter().all(is_entry)
        && entries
            .iter()
            .any(|entry| entry.iter().any(|byte| *byte != 0))
}
