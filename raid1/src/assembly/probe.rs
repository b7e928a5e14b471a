//! What is on a bdev: whether it is a leg.

use alloc::boxed::Box;
use alloc::string::{String, ToString};

use barespdk::bdev::Desc;

use crate::format::{
    self, BLOCK_SIZES, DATA_OFFSET_MIN, SUPERBLOCK_BYTES, SUPERBLOCK_OFFSETS, Superblock,
};
use crate::offline;

/// What was found.
pub(super) enum Probed {
    /// Nothing of ours.
    Foreign,
    Leg(Box<Superblock>),
    /// Something of ours that cannot be used, and why.
    Unusable(String),
    /// Why it cannot be said for now.
    Unread(String),
}

/// Looks at a bdev: two reads of 4 KiB. On the app thread.
pub(super) async fn probe(desc: &Desc) -> Probed {
    let block_size = desc.data_block_size();
    let room = desc.num_blocks().saturating_mul(block_size.into());
    if !BLOCK_SIZES.contains(&block_size)
        || !block_size.is_power_of_two()
        || room <= DATA_OFFSET_MIN
    {
        return Probed::Foreign;
    }
    let [copy_a, copy_b] = SUPERBLOCK_OFFSETS;
    let copy_a = offline::read(desc, copy_a, SUPERBLOCK_BYTES).await;
    let copy_b = offline::read(desc, copy_b, SUPERBLOCK_BYTES).await;
    // The one that cannot be read could be the newer.
    let (copy_a, copy_b) = match (copy_a, copy_b) {
        (Ok(copy_a), Ok(copy_b)) => (copy_a, copy_b),
        (Err(reason), _) | (_, Err(reason)) => return Probed::Unread(reason),
    };
    match format::newest(copy_a.as_slice(), copy_b.as_slice()) {
        Ok(None) => Probed::Foreign,
        Ok(Some(found)) => Probed::Leg(Box::new(found.superblock)),
        Err(error) => Probed::Unusable(error.to_string()),
    }
}
