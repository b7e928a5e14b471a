//! Blocks that have metadata between their data: how bytes stand in them.
//!
//! ```text
//!  gathered   0      512    1024   1536
//!             ├──────┼──────┼──────┤
//!             │ data │ data │ data │
//!             └──────┴──────┴──────┘
//!  spread     0      512  520    1032 1040   1552 1560
//!             ├──────┼────┼──────┼────┼──────┼────┤
//!             │ data │ md │ data │ md │ data │ md │
//!             └──────┴────┴──────┴────┴──────┴────┘
//! ```
//!
//! Where there is none, or where it stands apart, both are the same.

use barespdk::bdev::Desc;

/// What is written as metadata of blocks that have no protection information.
const NOTHING: u8 = 0;

/// What is written as metadata of blocks that have some: tags of ones, which tell whoever reads the block that
/// nothing is to be checked.
const UNCHECKED: u8 = 0xff;

/// The blocks of a bdev.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Blocks {
    /// Bytes of data in a block.
    data: usize,
    /// Bytes of a block.
    whole: usize,
    metadata: u8,
}

impl Blocks {
    pub(crate) fn of(desc: &Desc) -> Self {
        Self {
            data: desc.data_block_size().max(1) as usize,
            whole: desc.block_size().max(1) as usize,
            metadata: match desc.dif_type() {
                0 => NOTHING,
                _ => UNCHECKED,
            },
        }
    }

    /// Which block has a byte of the data.
    pub(crate) fn at(self, offset: u64) -> u64 {
        offset / self.data as u64
    }

    /// How many bytes the blocks have that have `len` bytes of data.
    pub(crate) fn spread_len(self, len: usize) -> usize {
        len.div_ceil(self.data) * self.whole
    }

    /// Makes blocks of the data that their first bytes are.
    pub(crate) fn spread(self, bytes: &mut [u8]) {
        if self.data == self.whole {
            return;
        }
        // From the last on: no block stands before its data does.
        for block in (0..bytes.len() / self.whole).rev() {
            let (from, to) = (block * self.data, block * self.whole);
            bytes.copy_within(from..from + self.data, to);
            bytes[to + self.data..to + self.whole].fill(self.metadata);
        }
    }

    /// Makes the data of blocks their first bytes. How many these are.
    pub(crate) fn gather(self, bytes: &mut [u8]) -> usize {
        if self.data == self.whole {
            return bytes.len();
        }
        let blocks = bytes.len() / self.whole;
        for block in 0..blocks {
            let from = block * self.whole;
            bytes.copy_within(from..from + self.data, block * self.data);
        }
        blocks * self.data
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;
    use alloc::vec::Vec;

    use super::{Blocks, NOTHING, UNCHECKED};

    fn blocks(data: usize, whole: usize, metadata: u8) -> Blocks {
        Blocks {
            data,
            whole,
            metadata,
        }
    }

    /// No two neighbours are alike.
    fn content(len: usize) -> Vec<u8> {
        (0..len).map(|at| (at % 251) as u8 + 1).collect()
    }

    #[test]
    fn data_is_spread_and_gathered() {
        for (data, metadata_len) in [(512, 8), (512, 1), (4096, 64), (8, 16)] {
            for (count, metadata) in [(1, NOTHING), (2, UNCHECKED), (9, NOTHING)] {
                let blocks = blocks(data, data + metadata_len, metadata);
                let gathered = content(count * data);
                assert_eq!(
                    blocks.spread_len(gathered.len()),
                    count * (data + metadata_len)
                );
                let mut bytes = gathered.clone();
                bytes.resize(blocks.spread_len(gathered.len()), 0xa5);
                blocks.spread(&mut bytes);
                let expected: Vec<u8> = gathered
                    .chunks(data)
                    .flat_map(|block| block.iter().copied().chain(vec![metadata; metadata_len]))
                    .collect();
                assert_eq!(bytes, expected);
                // Whatever stands there is ignored.
                for block in bytes.chunks_mut(data + metadata_len) {
                    block[data..].fill(0x5a);
                }
                assert_eq!(blocks.gather(&mut bytes), gathered.len());
                assert_eq!(bytes[..gathered.len()], gathered);
            }
        }
    }

    #[test]
    fn plain_blocks_stay_as_they_are() {
        let blocks = blocks(512, 512, UNCHECKED);
        let before = content(1536);
        let mut bytes = before.clone();
        blocks.spread(&mut bytes);
        assert_eq!(bytes, before);
        assert_eq!(blocks.gather(&mut bytes), 1536);
        assert_eq!(bytes, before);
        assert_eq!((blocks.spread_len(1), blocks.spread_len(1536)), (512, 1536));
    }

    #[test]
    fn places_are_told_by_data() {
        let blocks = blocks(512, 520, NOTHING);
        assert_eq!(
            [0, 511, 512, 64 << 10].map(|at| blocks.at(at)),
            [0, 0, 1, 128]
        );
        assert_eq!(
            [0, 1, 4096].map(|len| blocks.spread_len(len)),
            [0, 520, 4160]
        );
    }
}
