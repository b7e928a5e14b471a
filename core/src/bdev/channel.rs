//! A thread's way to a lower bdev.

mod transfer;

use alloc::rc::Rc;
use core::ffi::{c_int, c_void};
use core::fmt;
use core::ptr::NonNull;

use barespdk_alloc_dma::DmaBuf;
use barespdk_sys as ffi;

pub(super) use self::transfer::Direction;
use self::transfer::blocks_of;
use super::data::{self, Data, task_of};
use super::desc::Desc;
use super::dif::DifChecks;
use super::io::{BufIo, Io, SeekIo};
use super::making;
use super::op::{Blocks, Iovs, Op};
use super::slot::{Done, Keep, Slot, Slots};
use super::status::IoError;
use crate::errno::Errno;
use crate::executor::task::Header;
use crate::runtime::RuntimeRef;

/// A thread's way to a lower bdev: all I/O is submitted through one of these.
///
/// A counted handle; the channel of SPDK is put when the last one is gone and the last I/O is over.
/// It keeps the [`Desc`] open.
///
/// Bound to its SPDK thread. A `thread_local!` of the standard library is bound to the reactor instead,
/// which may run several SPDK threads, and from which SPDK's scheduler may take one away: what is not
/// `Send` does not belong there, but into a [`LocalKey`](crate::local::LocalKey).
///
/// Offsets and counts are in blocks of the lower bdev, lengths of buffers must be multiples of its
/// block size; what does not fit fails with [`IoError::Submit`](super::IoError::Submit) and moves
/// nothing. Where SPDK lacks memory for an I/O, that waits for it in SPDK's queue.
#[derive(Clone)]
pub struct Channel {
    inner: Rc<ChannelInner>,
}

pub(crate) struct ChannelInner {
    raw: NonNull<ffi::spdk_io_channel>,
    desc_raw: *mut ffi::spdk_bdev_desc,
    block_size: u32,
    /// Checks that the bdev is not to do.
    left_out: DifChecks,
    slots: Slots,
    runtime: RuntimeRef,
    desc: Desc,
}

impl Drop for ChannelInner {
    fn drop(&mut self) {
        // SAFETY: got by `Channel::new`, on this thread; no I/O is in flight, as each keeps us.
        unsafe { ffi::spdk_put_io_channel(self.raw.as_ptr()) };
    }
}

impl ChannelInner {
    #[inline]
    pub(crate) fn raw(&self) -> *mut ffi::spdk_io_channel {
        self.raw.as_ptr()
    }

    #[inline]
    pub(crate) fn desc(&self) -> *mut ffi::spdk_bdev_desc {
        self.desc_raw
    }

    pub(super) fn bdev(&self) -> *mut ffi::spdk_bdev {
        self.desc.bdev()
    }

    #[inline]
    pub(super) fn left_out(&self) -> DifChecks {
        self.left_out
    }

    #[inline]
    pub(super) fn slots(&self) -> &Slots {
        &self.slots
    }

    /// Whether the bdev takes the separate metadata of a request, if that has any: as much for each
    /// block, lest it moves more than there is.
    ///
    /// # Safety
    /// The request is alive, and of a type that carries data.
    pub(crate) unsafe fn fits_metadata_of(&self, io: NonNull<ffi::spdk_bdev_io>) -> bool {
        // SAFETY: the caller's word; a request's bdev is alive.
        unsafe {
            let bdev = (*io.as_ptr()).bdev;
            (*io.as_ptr()).u.bdev.md_buf.is_null()
                || ((*bdev).blocklen == self.block_size
                    && (*bdev).md_len == self.desc.md_size()
                    && self.desc.is_md_separate())
        }
    }

    /// Takes over an operation that SPDK has refused with `rc`: it waits for memory, where that is
    /// the reason. `done` is called once, with `context`, when it is over.
    ///
    /// # Safety
    /// What the operation points to stays until then; `context` is what `done` expects.
    pub(crate) unsafe fn submit_later(
        self: &Rc<Self>,
        op: Op,
        rc: c_int,
        done: Done,
        context: *mut c_void,
    ) {
        match Slots::take(self, None) {
            // SAFETY: just taken; the rest is the caller's word.
            Ok(slot) => unsafe { Slot::submit_later(slot, op, rc, done, context) },
            // SAFETY: the caller's word.
            Err(errno) => unsafe { done(context, Err(IoError::Submit(errno))) },
        }
    }
}

impl Channel {
    /// The channel of this thread to the bdev of a descriptor.
    ///
    /// # Errors
    /// `EPERM` outside of SPDK's threads; `ENODEV` where neither an application nor a bdev module of
    /// this crate runs; `EDEADLK` while this very channel is being made, by a bdev of ours on top of
    /// itself; `ENOMEM`.
    pub fn new(desc: &Desc) -> Result<Self, Errno> {
        Self::leaving_out(DifChecks::NONE, desc)
    }

    /// The same; the bdev leaves checks out when it reads and writes through this channel.
    ///
    /// # Errors
    /// As [`Channel::new`].
    pub fn leaving_out(left_out: DifChecks, desc: &Desc) -> Result<Self, Errno> {
        let runtime = RuntimeRef::current()?;
        if making::is_being_made(desc.bdev()) {
            return Err(Errno::EDEADLK);
        }
        // SAFETY: the descriptor is open; an SPDK thread, as there is a runtime.
        let raw = unsafe { ffi::spdk_bdev_get_io_channel(desc.raw()) };
        let raw = NonNull::new(raw).ok_or(Errno::ENOMEM)?;
        Ok(Self {
            inner: Rc::new(ChannelInner {
                raw,
                desc_raw: desc.raw(),
                block_size: desc.block_size(),
                // Most bdevs check nothing: then I/O need not say what not to check.
                left_out: left_out.of(desc.dif_check_flags()),
                slots: Slots::new(),
                runtime,
                desc: desc.clone(),
            }),
        })
    }

    #[inline]
    pub(crate) fn inner(&self) -> &Rc<ChannelInner> {
        &self.inner
    }

    /// The descriptor.
    pub fn desc(&self) -> &Desc {
        &self.inner.desc
    }

    /// Bytes per block.
    #[inline]
    pub fn block_size(&self) -> u32 {
        self.inner.block_size
    }

    /// How much is in flight through this channel, and how many clones it has: a measure of its load.
    #[inline]
    pub fn load(&self) -> usize {
        Rc::strong_count(&self.inner)
    }

    /// Reads from `offset_blocks` into `data`. Fails with `EPERM` for the data of a request that brings
    /// it (write, compare): that is its submitter's.
    #[inline(always)]
    pub fn read(&self, data: &Data<'_>, offset_blocks: u64) -> Io {
        self.transfer(Direction::Read, data, offset_blocks)
    }

    /// Writes `data` at `offset_blocks`.
    #[inline(always)]
    pub fn write(&self, data: &Data<'_>, offset_blocks: u64) -> Io {
        self.transfer(Direction::Write, data, offset_blocks)
    }

    /// Compares `data` with what stands at `offset_blocks`; fails with
    /// [`Status::Miscompare`](super::Status::Miscompare) where that differs.
    pub fn compare(&self, data: &Data<'_>, offset_blocks: u64) -> Io {
        self.transfer(Direction::Compare, data, offset_blocks)
    }

    /// Reads from `offset_blocks` into a buffer, all of it, and gives it back.
    pub fn read_buf(&self, buffer: DmaBuf, offset_blocks: u64) -> BufIo {
        self.transfer_buf(Direction::Read, buffer, offset_blocks)
    }

    /// Writes a buffer, all of it, at `offset_blocks`, and gives it back.
    pub fn write_buf(&self, buffer: DmaBuf, offset_blocks: u64) -> BufIo {
        self.transfer_buf(Direction::Write, buffer, offset_blocks)
    }

    /// Compares a buffer, all of it, with what stands at `offset_blocks`, and gives it back.
    pub fn compare_buf(&self, buffer: DmaBuf, offset_blocks: u64) -> BufIo {
        self.transfer_buf(Direction::Compare, buffer, offset_blocks)
    }

    /// Writes `write` at `offset_blocks` if `compare` stands there, as one step. Both are whole views
    /// of one length: what a request brings, or buffers.
    pub fn compare_and_write(
        &self,
        compare: &Data<'_>,
        write: &Data<'_>,
        offset_blocks: u64,
    ) -> Io {
        let Some(count) = blocks_of(write, self.inner.block_size) else {
            return Io::refused(Errno::EINVAL);
        };
        if compare.len() != write.len() || compare.request() != write.request() {
            return Io::refused(Errno::EINVAL);
        }
        if let Some(io) = write.block_request() {
            // SAFETY: the request is borrowed by its data, so alive.
            if unsafe { !data::is_plain(io) } {
                return Io::refused(Errno::ENOTSUP);
            }
        }
        self.with_slot(write.request(), |slot| {
            let mut part = None;
            let (compare_span, write_span) = (compare.span(&mut part)?, write.span(&mut part)?);
            if part.is_some() {
                return Err(Errno::ENOTSUP);
            }
            if let (Some(compare), Some(write)) = (compare.shared(), write.shared()) {
                compare.begin();
                write.begin();
                slot.keep(Keep::SharedPair(compare, write));
            }
            Ok(Op::CompareAndWrite {
                compare: Iovs {
                    iovs: compare_span.iovs,
                    count: compare_span.iovcnt,
                },
                write: Iovs {
                    iovs: write_span.iovs,
                    count: write_span.iovcnt,
                },
                blocks: Blocks {
                    offset: offset_blocks,
                    count,
                },
            })
        })
    }

    /// Writes zeroes. The bdev layer writes a buffer of them where the bdev cannot.
    pub fn write_zeroes(&self, offset_blocks: u64, num_blocks: u64) -> Io {
        self.plain(Op::WriteZeroes(Blocks {
            offset: offset_blocks,
            count: num_blocks,
        }))
    }

    /// Says that the content of blocks is not needed any more.
    pub fn unmap(&self, offset_blocks: u64, num_blocks: u64) -> Io {
        self.plain(Op::Unmap(Blocks {
            offset: offset_blocks,
            count: num_blocks,
        }))
    }

    /// Brings blocks from a volatile cache to the medium.
    pub fn flush(&self, offset_blocks: u64, num_blocks: u64) -> Io {
        self.plain(Op::Flush(Blocks {
            offset: offset_blocks,
            count: num_blocks,
        }))
    }

    /// Copies blocks inside the bdev.
    pub fn copy(
        &self,
        target_offset_blocks: u64,
        source_offset_blocks: u64,
        num_blocks: u64,
    ) -> Io {
        self.plain(Op::Copy {
            target: Blocks {
                offset: target_offset_blocks,
                count: num_blocks,
            },
            source_offset: source_offset_blocks,
        })
    }

    /// The first block at or behind `offset_blocks` that holds data.
    pub fn seek_data(&self, offset_blocks: u64) -> SeekIo {
        SeekIo(self.plain(Op::SeekData(offset_blocks)))
    }

    /// The first block at or behind `offset_blocks` that holds none.
    pub fn seek_hole(&self, offset_blocks: u64) -> SeekIo {
        SeekIo(self.plain(Op::SeekHole(offset_blocks)))
    }

    /// Resets the bdev. I/O in flight to it may be aborted.
    pub fn reset(&self) -> Io {
        self.plain(Op::Reset)
    }

    /// Asks the bdev to give up an I/O that was submitted through this channel. Fails where that is
    /// over, or cannot be aborted; refused with `EINVAL` where it was submitted through another channel.
    pub fn abort(&self, target: &Io) -> Io {
        self.abort_slot(target.slot())
    }

    /// As [`Channel::abort`].
    pub fn abort_buf(&self, target: &BufIo) -> Io {
        self.abort_slot(target.slot())
    }

    fn abort_slot(&self, slot: Option<NonNull<Slot>>) -> Io {
        let Some(slot) = slot else {
            return Io::refused(Errno::EALREADY);
        };
        // SAFETY: the slot of an I/O that is borrowed, so alive.
        match unsafe { slot.as_ref() }.turn_in(&self.inner) {
            Some(turn) => self.plain(Op::Abort(slot, turn)),
            None => Io::refused(Errno::EINVAL),
        }
    }

    /// Submits an operation without data.
    #[inline]
    pub(super) fn plain(&self, op: Op) -> Io {
        self.with_slot(None, |_| Ok(op))
    }

    /// Submits the operation that `prepare` makes.
    #[inline]
    pub(super) fn with_slot(
        &self,
        request: Option<NonNull<ffi::spdk_bdev_io>>,
        prepare: impl FnOnce(&Slot) -> Result<Op, Errno>,
    ) -> Io {
        let slot = match Slots::take(&self.inner, self.parent(request)) {
            Ok(slot) => slot,
            Err(errno) => return Io::refused(errno),
        };
        // SAFETY: just taken; `prepare` has put into the slot what keeps the operation's memory, or
        // the parent does.
        unsafe {
            match prepare(slot.as_ref()) {
                Ok(op) => Slot::issue(slot, || op),
                Err(errno) => Slot::refuse(slot, errno),
            }
            Io::new(slot)
        }
    }

    /// In whose name an I/O is submitted: the request whose data moves, or the task being polled.
    #[inline]
    fn parent(&self, request: Option<NonNull<ffi::spdk_bdev_io>>) -> Option<NonNull<Header>> {
        match request {
            // SAFETY: the request is borrowed by its data, so alive, and is one of ours.
            Some(io) => Some(unsafe { task_of(io) }),
            None => self.inner.runtime.executor().current(),
        }
    }
}

impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Channel")
            .field("desc", &self.inner.desc)
            .finish_non_exhaustive()
    }
}
