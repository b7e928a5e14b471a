//! An I/O in flight, as the one sees it who waits for it.

use core::fmt;
use core::future::Future;
use core::pin::Pin;
use core::ptr::NonNull;
use core::task::{Context, Poll};

use barespdk_alloc_dma::DmaBuf;

use super::slot::Slot;
use super::status::IoError;
use crate::errno::Errno;

/// An I/O to a lower bdev. It was submitted when this was made; awaiting it gives the outcome.
///
/// It may be dropped at any time: the I/O goes on, its memory stays until it is over, and the request
/// that it belongs to is completed only then. Several are in flight at once when they are made one
/// after the other and then awaited; it costs least to await first the one that was made last, as
/// the task is then polled once where they end in order.
///
/// Forgotten, as [`core::mem::forget`] does, it keeps its channel for ever, and so the bdev from going.
///
/// Bound to its thread:
///
/// ```compile_fail,E0277
/// fn is_send<T: Send>() {}
/// is_send::<barespdk::bdev::Io>();
/// ```
#[must_use = "the outcome says whether the I/O was done"]
pub struct Io {
    slot: Option<NonNull<Slot>>,
    /// Why there is no slot.
    refused: Errno,
}

impl Io {
    /// # Safety
    /// The slot was taken and issued or refused, for this value alone.
    pub(super) unsafe fn new(slot: NonNull<Slot>) -> Self {
        Self {
            slot: Some(slot),
            refused: Errno::EALREADY,
        }
    }

    pub(super) fn refused(errno: Errno) -> Self {
        Self {
            slot: None,
            refused: errno,
        }
    }

    pub(super) fn slot(&self) -> Option<NonNull<Slot>> {
        self.slot
    }

    /// Asks for the outcome; with it, `look` sees the slot, before that goes.
    #[inline]
    pub(super) fn poll_slot(
        &mut self,
        cx: &mut Context<'_>,
        look: impl FnOnce(&Slot),
    ) -> Poll<Result<(), IoError>> {
        let Some(slot) = self.slot else {
            return Poll::Ready(Err(IoError::Submit(self.refused)));
        };
        // SAFETY: the slot is ours until detached.
        let this = unsafe { slot.as_ref() };
        let outcome = this.poll(cx.waker());
        if outcome.is_ready() {
            look(this);
            self.slot = None;
            // SAFETY: the slot is forgotten.
            unsafe { Slot::detach(slot) };
        }
        outcome
    }
}

impl Future for Io {
    /// Why the I/O was not done. Polled again after its end, it is `Submit(EALREADY)`.
    type Output = Result<(), IoError>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.poll_slot(cx, |_| ())
    }
}

impl Drop for Io {
    #[inline]
    fn drop(&mut self) {
        if let Some(slot) = self.slot.take() {
            // SAFETY: the slot is ours, and is forgotten.
            unsafe { Slot::detach(slot) };
        }
    }
}

impl fmt::Debug for Io {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.slot.is_some() {
            "Io(in flight)"
        } else {
            "Io(over)"
        })
    }
}

/// An I/O that has a buffer, and gives it back with the outcome. As [`Io`] in all other respects.
#[must_use = "the outcome says whether the I/O was done"]
#[derive(Debug)]
pub struct BufIo {
    io: Io,
    /// The buffer, where the I/O was refused.
    buffer: Option<DmaBuf>,
}

impl BufIo {
    pub(super) fn new(io: Io) -> Self {
        Self { io, buffer: None }
    }

    pub(super) fn refused(errno: Errno, buffer: DmaBuf) -> Self {
        Self {
            io: Io::refused(errno),
            buffer: Some(buffer),
        }
    }

    pub(super) fn slot(&self) -> Option<NonNull<Slot>> {
        self.io.slot()
    }
}

impl Future for BufIo {
    /// The outcome, and the buffer. Polled again after its end, there is no buffer any more.
    type Output = (Result<(), IoError>, Option<DmaBuf>);

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let outcome = this
            .io
            .poll_slot(cx, |slot| this.buffer = slot.take_buffer());
        outcome.map(|outcome| (outcome, this.buffer.take()))
    }
}

/// A seek: the offset in blocks that was found, or `None` where there is none up to the end.
#[must_use = "a seek is for its result"]
#[derive(Debug)]
pub struct SeekIo(pub(super) Io);

impl Future for SeekIo {
    type Output = Result<Option<u64>, IoError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut offset = u64::MAX;
        self.0
            .poll_slot(cx, |slot| offset = slot.result())
            .map(|outcome| {
                // SPDK says with the largest number that there is none.
                outcome.map(|()| (offset != u64::MAX).then_some(offset))
            })
    }
}
