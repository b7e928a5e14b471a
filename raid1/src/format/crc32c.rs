//! The checksum of all metadata.

use crc::{Algorithm, CRC_32_ISCSI, Crc, Digest};

static ISCSI: Crc<u32> = Crc::<u32>::new(&CRC_32_ISCSI);

/// CRC-32C of the pieces one after the other, as iSCSI, NVMe and ext4 have it.
pub(super) fn crc32c(pieces: &[&[u8]]) -> u32 {
    finish(ISCSI.digest(), pieces)
}

/// What SPDK's `bdev_raid` takes for it: `spdk_crc32c_update` from 0, without the inversions before and
/// after.
pub(super) fn crc32c_bare(pieces: &[&[u8]]) -> u32 {
    const BARE: Algorithm<u32> = Algorithm {
        init: 0,
        xorout: 0,
        ..CRC_32_ISCSI
    };
    static CRC: Crc<u32> = Crc::<u32>::new(&BARE);
    finish(CRC.digest(), pieces)
}

fn finish(mut digest: Digest<'_, u32>, pieces: &[&[u8]]) -> u32 {
    pieces.iter().for_each(|piece| digest.update(piece));
    digest.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_sums() {
        assert_eq!(crc32c(&[b"1234", b"", b"56789"]), 0xe306_9283);
        assert_eq!(crc32c(&[&[0; 32]]), 0x8a91_36aa);
        assert_eq!(crc32c_bare(&[&[0; 32]]), 0);
        // The two differ by what the inversion of the first 4 bytes does.
        assert_eq!(
            !crc32c_bare(&[&[!b'1', !b'2', !b'3', !b'4'], b"56789"]),
            0xe306_9283
        );
    }
}
