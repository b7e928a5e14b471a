//! What is on a bdev: whether it is a leg.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString};

use barespdk::bdev::Desc;
use barespdk_alloc_dma::DmaBuf;

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
}

/// Looks at a bdev: two reads of 4 KiB. On the app thread.
pub(super) async fn probe(desc: &Desc) -> Probed {
    let block_size = desc.block_size();
    let room = desc.num_blocks().saturating_mul(block_size.into());
    if !BLOCK_SIZES.contains(&block_size)
        || !block_size.is_power_of_two()
        || room <= DATA_OFFSET_MIN
    {
        return Probed::Foreign;
    }
    let mut copies = [None, None];
    let mut failed = None;
    for (copy, offset) in copies.iter_mut().zip(SUPERBLOCK_OFFSETS) {
        match offline::read(desc, offset, SUPERBLOCK_BYTES).await {
            Ok(buffer) => *copy = Some(buffer),
            Err(error) => failed = Some(error),
        }
    }
    let bytes = |copy: &Option<DmaBuf>| match copy {
        Some(copy) => copy.as_slice().to_vec(),
        None => Default::default(),
    };
    let found = format::newest(&bytes(&copies[0]), &bytes(&copies[1]));
    match (found, failed) {
        (Ok(None), _) => Probed::Foreign,
        (Ok(Some(_)) | Err(_), Some(error)) => {
            Probed::Unusable(format!("a copy of the superblock cannot be read: {error}"))
        }
        (Ok(Some(found)), None) => Probed::Leg(Box::new(found.superblock)),
        (Err(error), None) => Probed::Unusable(error.to_string()),
    }
}
