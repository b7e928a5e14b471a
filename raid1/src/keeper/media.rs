//! The metadata on one leg, as it is written. Used on the app thread alone.

use core::time::Duration;

use barespdk::bdev::{self, DifChecks, IoError, IoType, Status};
use barespdk::errno::Errno;
use barespdk::runtime;
use barespdk_alloc_dma::DmaBuf;

use crate::format::{Extent, Layout};
use crate::interleaved::Blocks;
use crate::leg::Leg;

/// How often what fails is tried.
const TRIES: u32 = 3;

/// How often what a reset aborts is tried: for as long as resets take.
const ABORTED_TRIES: u32 = 500;

/// How long to wait before the next try.
const PAUSE: Duration = Duration::from_millis(10);

/// A leg's place for metadata.
pub(super) struct Medium {
    channel: bdev::Channel,
    blocks: Blocks,
    /// Bytes of data in a unit.
    unit: usize,
    /// The blocks of one unit; `None` while it is being written, and after it was lost.
    buffer: Option<DmaBuf>,
}

impl Medium {
    /// # Errors
    /// There is no channel, or no memory.
    pub(super) fn open(leg: &Leg, layout: &Layout) -> Result<Self, Errno> {
        let (blocks, unit) = (Blocks::of(&leg.desc), layout.write_unit as usize);
        let buffer = leg.desc.buffer(blocks.spread_len(unit));
        Ok(Self {
            channel: bdev::Channel::leaving_out(DifChecks::ALL, &leg.desc)?,
            blocks,
            unit,
            buffer: Some(buffer.map_err(|_| Errno::ENOMEM)?),
        })
    }

    /// Writes one unit, all data of which `fill` makes; the old content of the buffer is of no meaning.
    pub(super) async fn write(
        &mut self,
        extent: Extent,
        fill: impl FnOnce(&mut [u8]),
    ) -> Result<(), IoError> {
        let Some(mut buffer) = self.buffer.take() else {
            return Err(IoError::Submit(Errno::ENOMEM));
        };
        let bytes = buffer.as_mut_slice();
        fill(bytes.get_mut(..self.unit).unwrap_or_default());
        self.blocks.spread(bytes);
        let mut tries = 0;
        loop {
            let (outcome, given_back) = self.channel.write_buf(buffer, extent.offset_blocks).await;
            let Some(again) = given_back else {
                return outcome;
            };
            tries += 1;
            if is_over(&outcome, tries).await {
                self.buffer = Some(again);
                return outcome;
            }
            buffer = again;
        }
    }

    /// Reads one unit, its data alone.
    pub(super) async fn read(&self, extent: Extent, len: usize) -> Result<DmaBuf, IoError> {
        let len = self.blocks.spread_len(len);
        let buffer = self.channel.desc().buffer(len);
        let buffer = buffer.map_err(|_| IoError::Submit(Errno::ENOMEM))?;
        let (outcome, buffer) = self.channel.read_buf(buffer, extent.offset_blocks).await;
        outcome?;
        let mut buffer = buffer.ok_or(IoError::Submit(Errno::ENOMEM))?;
        let len = self.blocks.gather(buffer.as_mut_slice());
        let shorter = buffer.set_len(len);
        shorter.map_err(|_| IoError::Submit(Errno::EINVAL))?;
        Ok(buffer)
    }

    /// Has what was written survive a loss of power.
    pub(super) async fn flush(&self) -> Result<(), IoError> {
        let desc = self.channel.desc();
        // A leg that cannot flush has nothing to flush.
        if !desc.supports(IoType::FLUSH) {
            return Ok(());
        }
        let mut tries = 0;
        loop {
            let outcome = self.channel.flush(0, desc.num_blocks()).await;
            tries += 1;
            // Not another flush after one that failed: it may know nothing of what was lost.
            let aborted = outcome == Err(IoError::Failed(Status::Aborted));
            if !aborted || is_over(&outcome, tries).await {
                return outcome;
            }
        }
    }
}

/// Whether what was tried so often is to be left as it is; else it is time for another try.
async fn is_over(outcome: &Result<(), IoError>, tries: u32) -> bool {
    let most = match outcome {
        Ok(()) => return true,
        Err(IoError::Failed(Status::Aborted)) => ABORTED_TRIES,
        Err(_) => TRIES,
    };
    tries >= most || runtime::sleep(PAUSE).await.is_err()
}
