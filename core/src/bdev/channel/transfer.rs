//! How data is moved through a channel: that of a request, whole, as nearly always, or any other.

use core::ffi::c_void;
use core::ptr::{self, NonNull};

use barespdk_alloc_dma::DmaBuf;
use barespdk_sys as ffi;
use libc::iovec;

use super::Channel;
use crate::bdev::data::{self, Data, PartIovs};
use crate::bdev::io::{BufIo, Io};
use crate::bdev::op::{Blocks, Extra, Iovs, Op};
use crate::bdev::slot::{Keep, Slot, Slots};
use crate::errno::Errno;

/// What a transfer does with its data.
#[derive(Clone, Copy)]
pub(in crate::bdev) enum Direction {
    Read,
    Write,
    Compare,
    /// A write to a zone, which is the offset.
    Append,
}

impl Direction {
    #[inline(always)]
    fn op(self, iovs: Iovs, blocks: Blocks) -> Op {
        match self {
            Direction::Read => Op::Read(iovs, blocks),
            Direction::Write => Op::Write(iovs, blocks),
            Direction::Compare => Op::Compare(iovs, blocks, ptr::null_mut()),
            Direction::Append => Op::ZoneAppend(iovs, blocks, ptr::null_mut()),
        }
    }
}

impl Channel {
    #[inline(always)]
    pub(super) fn transfer(&self, direction: Direction, data: &Data<'_>, offset_blocks: u64) -> Io {
        if matches!(direction, Direction::Read) && !data.may_be_read_into() {
            return Io::refused(Errno::EPERM);
        }
        // Nearly always all the data of a request moves, in its own blocks, and nothing goes with it.
        let Some((io, whole)) = data.whole_request(self.inner.block_size) else {
            return self.transfer_part(direction, data, offset_blocks);
        };
        let slot = match Slots::take(&self.inner, self.parent(Some(io))) {
            Ok(slot) => slot,
            Err(errno) => return Io::refused(errno),
        };
        let iovs = Iovs {
            iovs: whole.iovs,
            count: whole.iovcnt,
        };
        let blocks = Blocks {
            offset: offset_blocks,
            count: whole.num_blocks,
        };
        // SAFETY: the iovecs are the request's, which the slot holds as its parent. The slot is for
        // this value alone.
        unsafe {
            Slot::issue(slot, || direction.op(iovs, blocks));
            Io::new(slot)
        }
    }

    #[cold]
    pub(in crate::bdev) fn transfer_part(
        &self,
        direction: Direction,
        data: &Data<'_>,
        offset_blocks: u64,
    ) -> Io {
        let Some(count) = blocks_of(data, self.inner.block_size) else {
            return Io::refused(Errno::EINVAL);
        };
        let blocks = Blocks {
            offset: offset_blocks,
            count,
        };
        self.with_slot(data.request(), |slot| {
            // SAFETY: the slot was just taken.
            let part = unsafe { slot.part() };
            let span = data.span(part)?;
            if part.is_some() {
                slot.load();
            }
            if let Some(shared) = data.shared() {
                shared.begin();
                slot.keep(Keep::Shared(shared));
            }
            let iovs = Iovs {
                iovs: span.iovs,
                count: span.iovcnt,
            };
            let Some((io, extra)) = data
                .block_request()
                // SAFETY: the request is borrowed by its data, so alive, and carries some.
                .and_then(|io| Some((io, unsafe { extra_of(io, span.metadata) }?)))
            else {
                return Ok(direction.op(iovs, blocks));
            };
            // SAFETY: the request is borrowed by its data, so alive.
            if !unsafe { self.inner.fits_metadata_of(io) } {
                return Err(Errno::EINVAL);
            }
            match direction {
                Direction::Read => Ok(Op::ReadExtra(iovs, blocks, extra)),
                Direction::Write => Ok(Op::WriteExtra(iovs, blocks, extra)),
                Direction::Compare if extra.memory_domain.is_null() => {
                    Ok(Op::Compare(iovs, blocks, extra.metadata))
                }
                Direction::Append if extra.memory_domain.is_null() => {
                    Ok(Op::ZoneAppend(iovs, blocks, extra.metadata))
                }
                Direction::Compare | Direction::Append => Err(Errno::ENOTSUP),
            }
        })
    }

    /// How many blocks a buffer holds; `None` where that is no whole number, or none.
    pub(in crate::bdev) fn blocks_of_buffer(&self, buffer: &DmaBuf) -> Option<u64> {
        let (len, block_size) = (buffer.len(), self.inner.block_size as usize);
        (len.checked_rem(block_size) == Some(0) && len > 0).then(|| (len / block_size) as u64)
    }

    pub(super) fn transfer_buf(
        &self,
        direction: Direction,
        buffer: DmaBuf,
        offset_blocks: u64,
    ) -> BufIo {
        let Some(count) = self.blocks_of_buffer(&buffer) else {
            return BufIo::refused(Errno::EINVAL, buffer);
        };
        let blocks = Blocks {
            offset: offset_blocks,
            count,
        };
        let slot = match Slots::take(&self.inner, self.parent(None)) {
            Ok(slot) => slot,
            Err(errno) => return BufIo::refused(errno, buffer),
        };
        // SAFETY: just taken.
        let this = unsafe { slot.as_ref() };
        let iov = iovec {
            iov_base: buffer.as_ptr().cast_mut().cast(),
            iov_len: buffer.len(),
        };
        this.keep(Keep::Buffer(buffer));
        // SAFETY: the slot was just taken.
        let part = unsafe { this.part() };
        let PartIovs::Few(few) = part.insert(PartIovs::Few([iov; 2])) else {
            return BufIo::new(Io::refused(Errno::EINVAL));
        };
        let iovs = Iovs {
            iovs: few.as_mut_ptr(),
            count: 1,
        };
        let op = direction.op(iovs, blocks);
        // SAFETY: the slot keeps the buffer and the iovec; it is for this value alone.
        unsafe {
            Slot::issue(slot, || op);
            BufIo::new(Io::new(slot))
        }
    }
}

/// How many blocks an I/O moves; `None` where that is no whole number, or none: SPDK's modules look
/// at the first piece of memory without asking whether there is one.
pub(super) fn blocks_of(data: &Data<'_>, block_size: u32) -> Option<u64> {
    data.blocks(block_size).ok().filter(|count| *count > 0)
}

/// What goes with a request's data, where it is more than the data.
///
/// # Safety
/// The I/O is alive, and of a type that carries data.
unsafe fn extra_of(io: NonNull<ffi::spdk_bdev_io>, metadata: *mut c_void) -> Option<Extra> {
    // SAFETY: the caller's word.
    unsafe { (!data::is_plain(io)).then(|| Extra::of(io, metadata)) }
}
