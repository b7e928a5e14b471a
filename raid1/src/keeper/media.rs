//! The metadata on one leg, as it is written. Used on the app thread alone.

use core::time::Duration;

use barespdk::bdev::{self, IoError, IoType};
use barespdk::errno::Errno;
use barespdk::runtime;
use barespdk_alloc_dma::DmaBuf;

use crate::format::{Extent, Layout};
use crate::leg::Leg;

/// How often a write or a flush of metadata is tried.
const TRIES: u32 = 3;

/// How long to wait before the next try.
const PAUSE: Duration = Duration::from_millis(10);

/// A leg's place for metadata.
pub(super) struct Medium {
    channel: bdev::Channel,
    /// One unit; `None` while it is being written, and after it was lost.
    buffer: Option<DmaBuf>,
}

impl Medium {
    /// # Errors
    /// There is no channel, or no memory.
    pub(super) fn open(leg: &Leg, layout: &Layout) -> Result<Self, Errno> {
        let buffer = leg.desc.buffer(layout.write_unit as usize);
        Ok(Self {
            channel: bdev::Channel::new(&leg.desc)?,
            buffer: Some(buffer.map_err(|_| Errno::ENOMEM)?),
        })
    }

    /// Writes one unit, which `fill` makes; the old content of the buffer is of no meaning.
    pub(super) async fn write(
        &mut self,
        extent: Extent,
        fill: impl FnOnce(&mut [u8]),
    ) -> Result<(), IoError> {
        let Some(mut buffer) = self.buffer.take() else {
            return Err(IoError::Submit(Errno::ENOMEM));
        };
        fill(buffer.as_mut_slice());
        let mut outcome = Ok(());
        for last in (0..TRIES).rev() {
            let (done, given_back) = self.channel.write_buf(buffer, extent.offset_blocks).await;
            outcome = done;
            match given_back {
                Some(again) => buffer = again,
                None => return outcome,
            }
            if outcome.is_ok() || last == 0 || !rest().await {
                break;
            }
        }
        self.buffer = Some(buffer);
        outcome
    }

    /// Has what was written survive a loss of power.
    pub(super) async fn flush(&self) -> Result<(), IoError> {
        let desc = self.channel.desc();
        // A leg that cannot flush has nothing to flush.
        if !desc.supports(IoType::FLUSH) {
            return Ok(());
        }
        self.channel.flush(0, desc.num_blocks()).await
    }
}

/// Whether there is to be another try.
async fn rest() -> bool {
    runtime::sleep(PAUSE).await.is_ok()
}
