//! I/O with separate metadata in a buffer of one's own. That of a request goes with its
//! [`Data`](super::Data).

use alloc::rc::Rc;
use core::future::Future;
use core::pin::Pin;
use core::ptr;
use core::task::{Context, Poll};

use barespdk_alloc_dma::DmaBuf;
use libc::iovec;

use super::channel::Channel;
use super::data::PartIovs;
use super::io::Io;
use super::op::{Blocks, Extra, Iovs, Op};
use super::slot::Keep;
use super::status::IoError;
use crate::errno::Errno;

/// An I/O that has a buffer of data and one of metadata, and gives them back with the outcome. As [`Io`]
/// in all other respects.
#[must_use = "the outcome says whether the I/O was done"]
#[derive(Debug)]
pub struct MetadataIo {
    io: Io,
    /// Shared with the slot while in flight.
    buffers: Option<Rc<(DmaBuf, DmaBuf)>>,
}

impl Future for MetadataIo {
    /// The outcome, and data and metadata. Polled again after its end, there are no buffers any more.
    type Output = (Result<(), IoError>, Option<(DmaBuf, DmaBuf)>);

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        this.io.poll_slot(cx, |_| ()).map(|outcome| {
            // The slot has let go of them.
            (outcome, this.buffers.take().and_then(Rc::into_inner))
        })
    }
}

impl Channel {
    /// Reads from `offset_blocks` into a buffer, all of it, and the metadata of these blocks into another.
    /// Refused with `EINVAL` where the bdev has no
    /// [separate metadata](super::Desc::is_md_separate), or [another size](super::Desc::md_size) of it.
    pub fn read_with_metadata(
        &self,
        data: DmaBuf,
        metadata: DmaBuf,
        offset_blocks: u64,
    ) -> MetadataIo {
        self.transfer_with_metadata(Op::ReadExtra, data, metadata, offset_blocks)
    }

    /// Writes a buffer, all of it, at `offset_blocks`, and the metadata of these blocks. Refused as
    /// [`Channel::read_with_metadata`].
    pub fn write_with_metadata(
        &self,
        data: DmaBuf,
        metadata: DmaBuf,
        offset_blocks: u64,
    ) -> MetadataIo {
        self.transfer_with_metadata(Op::WriteExtra, data, metadata, offset_blocks)
    }

    fn transfer_with_metadata(
        &self,
        op: fn(Iovs, Blocks, Extra) -> Op,
        data: DmaBuf,
        metadata: DmaBuf,
        offset_blocks: u64,
    ) -> MetadataIo {
        let count = self.blocks_of_buffer(&data);
        let fits = self.desc().is_md_separate()
            && count.is_some_and(|count| {
                let len = count.checked_mul(self.desc().md_size().into());
                len == Some(metadata.len() as u64)
            });
        let buffers = Rc::new((data, metadata));
        let io = match count.filter(|_| fits) {
            Some(count) => self.with_slot(None, |slot| {
                let (data, metadata) = &*buffers;
                let iov = iovec {
                    iov_base: data.as_ptr().cast_mut().cast(),
                    iov_len: data.len(),
                };
                let extra = Extra {
                    metadata: metadata.as_ptr().cast_mut().cast(),
                    memory_domain: ptr::null_mut(),
                    memory_domain_ctx: ptr::null_mut(),
                    dif_check_flags_exclude_mask: 0,
                };
                slot.keep(Keep::Other(Rc::clone(&buffers) as Rc<_>));
                // SAFETY: the slot was just taken.
                let part = unsafe { slot.part() };
                let PartIovs::Few(few) = part.insert(PartIovs::Few([iov; 2])) else {
                    return Err(Errno::EINVAL);
                };
                let iovs = Iovs {
                    iovs: few.as_mut_ptr(),
                    count: 1,
                };
                let blocks = Blocks {
                    offset: offset_blocks,
                    count,
                };
                Ok(op(iovs, blocks, extra))
            }),
            None => Io::refused(Errno::EINVAL),
        };
        MetadataIo {
            io,
            buffers: Some(buffers),
        }
    }
}
