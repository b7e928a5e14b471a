//! A request passed on to lower bdevs by the future that serves it.

use core::future::Future;
use core::pin::Pin;
use core::ptr::NonNull;
use core::task::{Context, Poll};

use barespdk_sys as ffi;

use super::lanes::Lanes;
use crate::bdev::op::Op;
use crate::bdev::{Channel, IoError};
use crate::errno::Errno;

/// A request that is passed on: see [`Request::fan_out`](super::Request::fan_out).
///
/// Each of `read`, `write`, … submits to one lower bdev, at once, the blocks of the request, moved by
/// an offset; lanes are counted from 0 in the order of submission. Awaiting `&mut` this value waits
/// for all, and tells which have [`Failed`]. It may be dropped at any time: the I/O goes on, and the
/// request is completed only when it has ended.
#[must_use = "the outcome says whether the I/O was done"]
pub struct FanOut<'a> {
    lanes: Lanes<'a>,
}

/// Which lanes of a [`FanOut`] have failed, as bits. I/O beyond [`LANES_MAX`](super::LANES_MAX) is not submitted, and
/// counts as one more lane, of this number, that has failed with `E2BIG`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failed(pub u32);

impl Failed {
    /// Whether none has.
    #[inline]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl<'a> FanOut<'a> {
    /// # Safety
    /// The I/O is alive during `'a`, of a bdev of ours, with a task.
    #[inline(always)]
    pub(super) unsafe fn new(io: NonNull<ffi::spdk_bdev_io>) -> Result<Self, Errno> {
        // SAFETY: the caller's word.
        let lanes = unsafe { Lanes::new(io) };
        if lanes.fan().lend() {
            Ok(Self { lanes })
        } else {
            Err(Errno::EBUSY)
        }
    }

    /// The lanes of a pass that was in vain, and what was noted then.
    ///
    /// # Safety
    /// As for [`FanOut::new`].
    #[inline]
    pub(super) unsafe fn in_vain(io: NonNull<ffi::spdk_bdev_io>) -> Option<(Self, u32)> {
        // SAFETY: the caller's word.
        let lanes = unsafe { Lanes::new(io) };
        if !lanes.fan().lend_in_vain() {
            return None;
        }
        let note = lanes.fan().note();
        Some((Self { lanes }, note))
    }

    /// How many lanes were used: at most [`LANES_MAX`](super::LANES_MAX).
    #[inline]
    pub fn lanes(&self) -> usize {
        self.lanes.fan().begun()
    }

    /// Why a lane has failed; `None` for one that has not.
    pub fn error(&self, lane: usize) -> Option<IoError> {
        self.lanes.fan().error(lane)
    }

    /// Reads the data of the request from `offset_blocks` of a lower bdev. Fails with `EPERM` for a
    /// request that is no read: its data is its submitter's.
    #[inline]
    pub fn read(&mut self, channel: &Channel, offset_blocks: u64) {
        self.lanes.read(channel, offset_blocks);
    }

    /// Writes the data of the request at `offset_blocks` of a lower bdev.
    #[inline]
    pub fn write(&mut self, channel: &Channel, offset_blocks: u64) {
        self.lanes.write(channel, offset_blocks);
    }

    /// Writes zeroes over as many blocks as the request has.
    pub fn write_zeroes(&mut self, channel: &Channel, offset_blocks: u64) {
        self.lanes.plain(channel, offset_blocks, Op::WriteZeroes);
    }

    /// Unmaps as many blocks as the request has.
    pub fn unmap(&mut self, channel: &Channel, offset_blocks: u64) {
        self.lanes.plain(channel, offset_blocks, Op::Unmap);
    }

    /// Flushes as many blocks as the request has.
    pub fn flush(&mut self, channel: &Channel, offset_blocks: u64) {
        self.lanes.plain(channel, offset_blocks, Op::Flush);
    }

    /// Resets a lower bdev.
    pub fn reset(&mut self, channel: &Channel) {
        self.lanes.submit(channel, || Op::Reset);
    }
}

impl Future for FanOut<'_> {
    /// Which lanes have failed.
    type Output = Failed;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Failed> {
        let fan = self.lanes.fan();
        if !fan.is_in_flight() {
            return Poll::Ready(Failed(fan.failed()));
        }
        fan.listen(self.lanes.task(), cx.waker());
        Poll::Pending
    }
}

impl Drop for FanOut<'_> {
    #[inline]
    fn drop(&mut self) {
        self.lanes.fan().take_back();
    }
}
