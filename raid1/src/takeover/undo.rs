//! What was on the legs of an array before it was taken over.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use barespdk::log_error;
use barespdk_alloc_dma::DmaBuf;

use crate::format::{SUPERBLOCK_BYTES, SUPERBLOCK_OFFSETS};
use crate::leg::Leg;
use crate::offline;

/// Where superblocks of ours come, for each leg.
pub(crate) struct Undo {
    legs: Vec<(Leg, [DmaBuf; 2])>,
}

impl Undo {
    /// # Errors
    /// Says which leg cannot be read.
    pub(super) async fn of(legs: impl Iterator<Item = &Leg>) -> Result<Self, String> {
        let mut undo = Self { legs: Vec::new() };
        for leg in legs {
            let failed = |reason| format!("base bdev '{}' {reason}", leg.name);
            let [copy_a, copy_b] = SUPERBLOCK_OFFSETS;
            let copy_a = offline::read(&leg.desc, copy_a, SUPERBLOCK_BYTES).await;
            let copy_b = offline::read(&leg.desc, copy_b, SUPERBLOCK_BYTES).await;
            let copies = [copy_a.map_err(failed)?, copy_b.map_err(failed)?];
            undo.legs.push((leg.clone(), copies));
        }
        Ok(undo)
    }

    /// Makes the legs those of the array again, in the order of an export: as long as a copy of ours is on all
    /// of them, ours counts.
    pub(crate) async fn restore(&self, mirror: &str) {
        for (copy, offset) in SUPERBLOCK_OFFSETS.into_iter().enumerate() {
            for (leg, copies) in &self.legs {
                let before = copies[copy].as_slice();
                if let Err(reason) = offline::write(&leg.desc, offset, before, 0).await {
                    log_error!(
                        "raid1 {mirror}: base bdev '{}' has metadata of a mirror that was not taken over: \
                         {reason}",
                        leg.name
                    );
                }
            }
        }
    }
}
