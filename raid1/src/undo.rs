//! What was on legs before metadata of a mirror came there, for when that mirror does not come about.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use barespdk::log_error;
use barespdk_alloc_dma::DmaBuf;

use crate::format::{Layout, SUPERBLOCK_BYTES, SUPERBLOCK_OFFSETS};
use crate::leg::Leg;
use crate::offline;

/// The places of metadata: the two copies of the superblock, and the leaves.
const PLACES: usize = 3;

/// What is in these places of each leg.
pub(crate) struct Undo {
    legs: Vec<(Leg, [Option<DmaBuf>; PLACES])>,
    /// In bytes from the start of a leg.
    offsets: [u64; PLACES],
}

impl Undo {
    /// Where it `may_go`, what cannot be read is let go of.
    ///
    /// # Errors
    /// Says which leg cannot be read.
    pub(crate) async fn of(
        legs: impl Iterator<Item = &Leg>,
        layout: &Layout,
        may_go: bool,
    ) -> Result<Self, String> {
        let [copy_a, copy_b] = SUPERBLOCK_OFFSETS;
        let (leaves, block_size) = (layout.leaves(), u64::from(layout.block_size));
        let leaves_offset = leaves.offset_blocks * block_size;
        let leaves_bytes = (leaves.num_blocks * block_size) as usize;
        let mut undo = Self {
            legs: Vec::new(),
            offsets: [copy_a, copy_b, leaves_offset],
        };
        for leg in legs {
            let keep = |read: Result<DmaBuf, String>| match read {
                Ok(read) => Ok(Some(read)),
                Err(_) if may_go => Ok(None),
                Err(reason) => Err(format!("base bdev '{}' {reason}", leg.name)),
            };
            let places = [
                keep(offline::read(&leg.desc, copy_a, SUPERBLOCK_BYTES).await)?,
                keep(offline::read(&leg.desc, copy_b, SUPERBLOCK_BYTES).await)?,
                keep(offline::read(&leg.desc, leaves_offset, leaves_bytes).await)?,
            ];
            undo.legs.push((leg.clone(), places));
        }
        Ok(undo)
    }

    /// Makes the legs what they were: one place after the other, each on all legs. As long as a copy of ours is
    /// on all of them, ours counts.
    pub(crate) async fn restore(&self, mirror: &str) {
        for (place, offset) in self.offsets.into_iter().enumerate() {
            for (leg, places) in &self.legs {
                let Some(before) = places[place].as_ref().map(DmaBuf::as_slice) else {
                    continue;
                };
                if let Err(reason) = offline::write(&leg.desc, offset, before, 0).await {
                    log_error!(
                        "raid1 {mirror}: base bdev '{}' has metadata of a mirror that was not made: \
                         {reason}",
                        leg.name
                    );
                }
            }
        }
    }
}
