//! What an I/O moves: a view of memory, scattered or not, that is never copied on the way.

mod span;

use alloc::rc::Rc;
use core::cell::Cell;
use core::ffi::c_void;
use core::marker::PhantomData;
use core::ops::Range;
use core::ptr::{self, NonNull};

use barespdk_alloc_dma::DmaBuf;
use barespdk_sys as ffi;
use libc::iovec;

pub(crate) use self::span::{PartIovs, is_plain};
use super::io_type::IoType;
use super::nvme::NvmeCommand;
use crate::errno::Errno;
use crate::executor::task::Header;

/// A view of the data of a request, or of a buffer: a range of bytes, in one piece or scattered.
///
/// Views of one piece of memory may overlap, and a device may be moving data through them, so a view
/// never lends a `&[u8]`; it copies in and out, and only while no I/O through the memory is in
/// flight. Cloning and [slicing](Data::slice) a view moves no data.
///
/// A view of a request's data lives as long as the request is borrowed. Bound to its thread.
#[derive(Clone)]
pub struct Data<'a> {
    source: Source,
    /// Which bytes of the source; all of them where nothing is said, as nearly always.
    part: Option<Part>,
    _request: PhantomData<&'a ()>,
}

#[derive(Clone, Copy)]
struct Part {
    offset: u64,
    len: u64,
}

#[derive(Clone)]
enum Source {
    Nothing,
    /// A request of ours, with a task header at the begin of its `driver_ctx`.
    Request(NonNull<ffi::spdk_bdev_io>),
    /// What such a request writes if its data compares equal.
    Fused(NonNull<ffi::spdk_bdev_io>),
    /// What such a request, an NVMe command, moves.
    Nvme(NonNull<ffi::spdk_bdev_io>),
    Buffer(Rc<SharedBuf>),
}

/// A buffer that views share, and I/O in flight keeps.
pub(crate) struct SharedBuf {
    iov: Cell<iovec>,
    buffer: DmaBuf,
    in_flight: Cell<u32>,
}

impl SharedBuf {
    pub(crate) fn begin(&self) {
        self.in_flight.set(self.in_flight.get() + 1);
    }

    pub(crate) fn end(&self) {
        self.in_flight.set(self.in_flight.get() - 1);
    }
}

/// The header of a request's task: it stands at the begin of `driver_ctx`, behind the I/O.
///
/// # Safety
/// The I/O is alive, and was submitted to a bdev of ours.
pub(crate) unsafe fn task_of(io: NonNull<ffi::spdk_bdev_io>) -> NonNull<Header> {
    // SAFETY: SPDK allocates the context behind the I/O, in one piece with it.
    unsafe { io.add(1) }.cast()
}

impl<'a> Data<'a> {
    /// All data of a request.
    ///
    /// # Safety
    /// The I/O was submitted to a bdev of ours with a task, carries iovecs, and outlives `'a`.
    #[inline(always)]
    pub(crate) unsafe fn of_request(io: NonNull<ffi::spdk_bdev_io>) -> Self {
        Self {
            source: Source::Request(io),
            part: None,
            _request: PhantomData,
        }
    }

    /// The data of a request that has none.
    pub(crate) fn nothing() -> Self {
        Self {
            source: Source::Nothing,
            part: None,
            _request: PhantomData,
        }
    }

    /// What a request to compare and write is to write.
    ///
    /// # Safety
    /// As for [`Data::of_request`]; besides, the request is to compare and write.
    pub(crate) unsafe fn of_fused(io: NonNull<ffi::spdk_bdev_io>) -> Self {
        // SAFETY: the caller's word.
        Self {
            source: Source::Fused(io),
            ..unsafe { Self::of_request(io) }
        }
    }

    /// What an NVMe command moves.
    ///
    /// # Safety
    /// The I/O was submitted to a bdev of ours with a task, carries an NVMe command, with iovecs, and
    /// outlives `'a`.
    pub(crate) unsafe fn of_nvme(io: NonNull<ffi::spdk_bdev_io>) -> Self {
        Self {
            source: Source::Nvme(io),
            part: None,
            _request: PhantomData,
        }
    }

    /// Turns a buffer into data that several I/O can move parts of. [`Data::into_buffer`] takes it
    /// out again. Allocates; [`Channel::read_buf`](super::Channel::read_buf) does not.
    pub fn from_buffer(buffer: DmaBuf) -> Data<'static> {
        let len = buffer.len();
        let iov = Cell::new(iovec {
            iov_base: buffer.as_ptr().cast_mut().cast::<c_void>(),
            iov_len: len,
        });
        let shared = Rc::new(SharedBuf {
            iov,
            buffer,
            in_flight: Cell::new(0),
        });
        Data {
            source: Source::Buffer(shared),
            part: None,
            _request: PhantomData,
        }
    }

    /// Takes the buffer out.
    ///
    /// # Errors
    /// Gives the view back where it is of a request, where others share the buffer, or where an
    /// I/O through it is in flight.
    pub fn into_buffer(self) -> Result<DmaBuf, Self> {
        let Self {
            source,
            part,
            _request,
        } = self;
        match source {
            Source::Buffer(shared) => match Rc::try_unwrap(shared) {
                Ok(shared) => Ok(shared.buffer),
                Err(shared) => Err(Self {
                    source: Source::Buffer(shared),
                    part,
                    _request,
                }),
            },
            source => Err(Self {
                source,
                part,
                _request,
            }),
        }
    }

    /// The length of the source.
    fn source_len(&self) -> u64 {
        match &self.source {
            Source::Nothing => 0,
            Source::Request(io) | Source::Fused(io) => {
                // SAFETY: the request is borrowed, so alive.
                unsafe {
                    let params = &raw const (*io.as_ptr()).u.bdev;
                    let block_size = u64::from((*(*io.as_ptr()).bdev).blocklen);
                    (*params).num_blocks.saturating_mul(block_size)
                }
            }
            // SAFETY: the request is borrowed, so alive, and an NVMe command.
            Source::Nvme(io) => unsafe { (*io.as_ptr()).u.nvme_passthru.nbytes as u64 },
            Source::Buffer(shared) => shared.buffer.len() as u64,
        }
    }

    fn range(&self) -> Part {
        self.part.unwrap_or_else(|| Part {
            offset: 0,
            len: self.source_len(),
        })
    }

    /// The length in bytes.
    pub fn len(&self) -> u64 {
        self.range().len
    }

    /// Whether there are no bytes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many blocks of `block_size` bytes the view holds.
    ///
    /// # Errors
    /// `EINVAL` where `block_size` is 0 or does not divide the length.
    pub fn blocks(&self, block_size: u32) -> Result<u64, Errno> {
        let block_size = u64::from(block_size);
        match (
            self.len().checked_div(block_size),
            self.len().checked_rem(block_size),
        ) {
            (Some(blocks), Some(0)) => Ok(blocks),
            _ => Err(Errno::EINVAL),
        }
    }

    /// A part of the view, in bytes from its begin.
    ///
    /// # Errors
    /// `EINVAL` where the range is not in the view.
    pub fn slice(&self, bytes: Range<u64>) -> Result<Self, Errno> {
        let Part { offset, len } = self.range();
        if bytes.start > bytes.end || bytes.end > len {
            return Err(Errno::EINVAL);
        }
        let part = Part {
            offset: offset + bytes.start,
            len: bytes.end - bytes.start,
        };
        Ok(Self {
            part: Some(part),
            ..self.clone()
        })
    }

    /// Copies the data from the begin of the view into `target`, as many bytes as that holds.
    ///
    /// # Errors
    /// - `EINVAL` where the view is shorter than `target`,
    /// - `EBUSY` where an I/O through the memory is in flight,
    /// - `EFAULT` where the request has no buffer yet, or one in another memory domain.
    pub fn copy_to(&self, target: &mut [u8]) -> Result<(), Errno> {
        let mut at = target.as_mut_ptr();
        self.for_each_piece(target.len(), |piece, len| {
            // SAFETY: the piece has `len` bytes, which nobody writes while no I/O is in flight, and
            // the pieces add up to the length of `target`.
            unsafe {
                ptr::copy_nonoverlapping(piece, at, len);
                at = at.add(len);
            }
        })
    }

    /// Copies `source` to the begin of the view.
    ///
    /// # Errors
    /// As [`Data::copy_to`]; besides, `EPERM` where the data is that of a request that brings it
    /// (write, compare), whose submitter does not expect it to change.
    pub fn copy_from(&self, source: &[u8]) -> Result<(), Errno> {
        if !self.may_be_read_into() {
            return Err(Errno::EPERM);
        }
        let mut at = source.as_ptr();
        self.for_each_piece(source.len(), |piece, len| {
            // SAFETY: as in `copy_to`; the memory is that of a read, or of a buffer of ours, so that
            // it may be written.
            unsafe {
                ptr::copy_nonoverlapping(at, piece, len);
                at = at.add(len);
            }
        })
    }

    fn for_each_piece(
        &self,
        len: usize,
        mut visit: impl FnMut(*mut u8, usize),
    ) -> Result<(), Errno> {
        let Part { offset, len: all } = self.range();
        if len as u64 > all {
            return Err(Errno::EINVAL);
        }
        if self.is_busy() {
            return Err(Errno::EBUSY);
        }
        let part = Self {
            part: Some(Part {
                offset,
                len: len as u64,
            }),
            ..self.clone()
        };
        if let Some(io) = self.block_request() {
            // SAFETY: the request is borrowed, so alive.
            let params = unsafe { &raw const (*io.as_ptr()).u.bdev };
            // SAFETY: as above.
            if !unsafe { (*params).memory_domain }.is_null() {
                return Err(Errno::EFAULT);
            }
        }
        let mut copied = 0;
        let mut all_there = true;
        part.visit_iovs(|iov| {
            all_there &= !iov.iov_base.is_null();
            if all_there {
                visit(iov.iov_base.cast(), iov.iov_len);
                copied += iov.iov_len;
            }
        });
        if all_there && copied == len {
            Ok(())
        } else {
            Err(Errno::EFAULT)
        }
    }

    /// Whether the memory may be changed: not that of a request which brings its data.
    #[inline(always)]
    pub(crate) fn may_be_read_into(&self) -> bool {
        if let Source::Nvme(io) = self.source {
            // SAFETY: the request is borrowed, so alive, and an NVMe command.
            return NvmeCommand::from_raw(unsafe { &(*io.as_ptr()).u.nvme_passthru.cmd }).reads();
        }
        // SAFETY: the request is borrowed, so alive.
        self.request()
            .is_none_or(|io| unsafe { u32::from((*io.as_ptr()).r#type) } == IoType::READ.raw())
    }

    fn is_busy(&self) -> bool {
        match &self.source {
            Source::Request(io) | Source::Fused(io) | Source::Nvme(io) => {
                // SAFETY: the request is borrowed, so alive, and has a task.
                unsafe { task_of(*io).as_ref() }.holds() > 0
            }
            Source::Buffer(shared) => shared.in_flight.get() > 0,
            Source::Nothing => false,
        }
    }

    /// The request that the data belongs to.
    #[inline]
    pub(crate) fn request(&self) -> Option<NonNull<ffi::spdk_bdev_io>> {
        match self.source {
            Source::Request(io) | Source::Fused(io) | Source::Nvme(io) => Some(io),
            Source::Buffer(_) | Source::Nothing => None,
        }
    }

    /// The request that the data belongs to, where that is of a type whose parameters are blocks.
    #[inline]
    pub(crate) fn block_request(&self) -> Option<NonNull<ffi::spdk_bdev_io>> {
        match self.source {
            Source::Request(io) | Source::Fused(io) => Some(io),
            Source::Nvme(_) | Source::Buffer(_) | Source::Nothing => None,
        }
    }

    /// What an I/O in flight keeps of the view, besides its request.
    #[inline]
    pub(crate) fn shared(&self) -> Option<Rc<SharedBuf>> {
        match &self.source {
            Source::Request(_) | Source::Fused(_) | Source::Nvme(_) | Source::Nothing => None,
            Source::Buffer(shared) => Some(Rc::clone(shared)),
        }
    }
}
