//! What was on legs before metadata of a mirror came there, for when that mirror does not come about.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use barespdk::bdev::{Channel, DifChecks};
use barespdk::log_error;

use crate::buffer::Buffer;
use crate::format::{Extent, Layout};
use crate::leg::Leg;
use crate::offline;

/// The places of metadata: the two copies of the superblock, and the leaves.
const PLACES: usize = 3;

/// What is in these places of each leg: whole blocks, with whatever metadata they have.
pub(crate) struct Undo {
    legs: Vec<(Leg, [Option<Buffer>; PLACES])>,
    /// The first block of each, and how many there are.
    places: [(u64, u64); PLACES],
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
        let places = [layout.superblock(0), layout.superblock(1), layout.leaves()].map(at);
        let [copy_a, copy_b, leaves] = places;
        let mut undo = Self {
            legs: Vec::new(),
            places,
        };
        for leg in legs {
            let keep = |read: Result<Buffer, String>| match read {
                Ok(read) => Ok(Some(read)),
                Err(_) if may_go => Ok(None),
                Err(reason) => Err(format!("base bdev '{}' cannot be read: {reason}", leg.name)),
            };
            let before = [
                keep(read(leg, copy_a).await)?,
                keep(read(leg, copy_b).await)?,
                keep(read(leg, leaves).await)?,
            ];
            undo.legs.push((leg.clone(), before));
        }
        Ok(undo)
    }

    /// Makes the legs what they were: one place after the other, each on all legs. As long as a copy of ours is
    /// on all of them, ours counts.
    pub(crate) async fn restore(mut self, mirror: &str) {
        for (place, extent) in self.places.into_iter().enumerate() {
            for (leg, before) in &mut self.legs {
                let Some(before) = &mut before[place] else {
                    continue;
                };
                if let Err(reason) = write(leg, extent, before).await {
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

fn at(extent: Extent) -> (u64, u64) {
    (extent.offset_blocks, extent.num_blocks)
}

async fn read(leg: &Leg, at: (u64, u64)) -> Result<Buffer, String> {
    let mut buffer = Buffer::new(&leg.desc, at.1).map_err(|error| error.to_string())?;
    let channel = channel(leg)?;
    let outcome = buffer.read(&channel, at).await;
    outcome.map_err(|error| error.to_string())?;
    Ok(buffer)
}

async fn write(leg: &Leg, at: (u64, u64), before: &mut Buffer) -> Result<(), String> {
    let channel = channel(leg)?;
    let outcome = before.write(&channel, at).await;
    outcome.map_err(|error| error.to_string())?;
    let flushed = offline::flush(&channel).await;
    flushed.map_err(|error| error.to_string())
}

/// What was there need not have been right.
fn channel(leg: &Leg) -> Result<Channel, String> {
    Channel::leaving_out(DifChecks::ALL, &leg.desc).map_err(|errno| errno.to_string())
}
