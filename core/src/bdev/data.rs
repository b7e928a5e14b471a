//! What an I/O moves: a view of memory, scattered or not, that is never copied on the way.

use alloc::boxed::Box;
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::cell::Cell;
use core::ffi::{c_int, c_void};
use core::marker::PhantomData;
use core::ops::Range;
use core::ptr::{self, NonNull};

use barespdk_alloc_dma::DmaBuf;
use barespdk_sys as ffi;
use libc::iovec;

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

/// What C needs to know of a view.
pub(crate) struct Span {
    pub(crate) iovs: *mut iovec,
    pub(crate) iovcnt: c_int,
    /// Separate metadata of the range, or null.
    pub(crate) metadata: *mut c_void,
}

/// What C needs to know of all the data of a request.
pub(crate) struct Whole {
    pub(crate) iovs: *mut iovec,
    pub(crate) iovcnt: c_int,
    pub(crate) num_blocks: u64,
}

/// Whether a request is of data alone, checked as its bdev says.
///
/// # Safety
/// The I/O is alive, and of a type that carries data.
#[inline]
pub(crate) unsafe fn is_plain(io: NonNull<ffi::spdk_bdev_io>) -> bool {
    // SAFETY: the caller's word.
    unsafe {
        let params = &raw const (*io.as_ptr()).u.bdev;
        (*params).md_buf.is_null()
            && (*params).memory_domain.is_null()
            && (*params).dif_check_flags == (*(*io.as_ptr()).bdev).dif_check_flags
    }
}

/// The iovecs of a part of a view, built for one I/O: a few in place, more in a box.
pub(crate) enum PartIovs {
    Few([iovec; 2]),
    Many(Box<[iovec]>),
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

    /// The iovecs of the source, whole.
    fn source_iovs(&self) -> (*mut iovec, usize) {
        match &self.source {
            Source::Request(io) => {
                // SAFETY: the request is borrowed, so alive, and carries iovecs.
                unsafe {
                    let params = &raw const (*io.as_ptr()).u.bdev;
                    let count = usize::try_from((*params).iovcnt).unwrap_or(0);
                    let iovs = (*params).iovs;
                    (iovs, if iovs.is_null() { 0 } else { count })
                }
            }
            Source::Fused(io) => {
                // SAFETY: as above.
                unsafe {
                    let params = &raw const (*io.as_ptr()).u.bdev;
                    let count = usize::try_from((*params).fused_iovcnt).unwrap_or(0);
                    let iovs = (*params).fused_iovs;
                    (iovs, if iovs.is_null() { 0 } else { count })
                }
            }
            Source::Nvme(io) => {
                // SAFETY: the request is borrowed, so alive, and an NVMe command. Where it has one
                // buffer, `answer::prepare` has made an iovec of it.
                unsafe {
                    let params = &raw const (*io.as_ptr()).u.nvme_passthru;
                    if u32::from((*io.as_ptr()).r#type) == IoType::NVME_IOV_MD.raw() {
                        let count = usize::try_from((*params).iovcnt).unwrap_or(0);
                        let iovs = (*params).iovs;
                        (iovs, if iovs.is_null() { 0 } else { count })
                    } else {
                        (&raw mut (*io.as_ptr()).iov, 1)
                    }
                }
            }
            Source::Buffer(shared) => (shared.iov.as_ptr(), 1),
            Source::Nothing => (ptr::null_mut(), 0),
        }
    }

    /// Visits the pieces of the view, cut to it.
    fn visit_iovs(&self, mut visit: impl FnMut(iovec)) {
        let (iovs, count) = self.source_iovs();
        let Part {
            offset: mut skip,
            len: mut left,
        } = self.range();
        for index in 0..count {
            if left == 0 {
                return;
            }
            // SAFETY: `source_iovs` gave this many.
            let iov = unsafe { *iovs.add(index) };
            let len = iov.iov_len as u64;
            if skip >= len {
                skip -= len;
                continue;
            }
            let take = (len - skip).min(left);
            // No buffer stays no buffer, wherever the view begins in it.
            let skip_here = if iov.iov_base.is_null() {
                0
            } else {
                skip as usize
            };
            visit(iovec {
                iov_base: iov.iov_base.wrapping_byte_add(skip_here),
                iov_len: take as usize,
            });
            skip = 0;
            left -= take;
        }
    }

    /// The request, and what C needs to know of its data, where the view is all of it, in blocks of
    /// `block_size`, with nothing but data.
    #[inline(always)]
    pub(crate) fn whole_request(
        &self,
        block_size: u32,
    ) -> Option<(NonNull<ffi::spdk_bdev_io>, Whole)> {
        let Source::Request(io) = self.source else {
            return None;
        };
        // SAFETY: the request is borrowed, so alive; with a count above 0 the iovecs are there.
        unsafe {
            let params = &raw const (*io.as_ptr()).u.bdev;
            let (iovs, iovcnt) = ((*params).iovs, (*params).iovcnt);
            let fits = (*(*io.as_ptr()).bdev).blocklen == block_size
                && self.part.is_none()
                && is_plain(io)
                && iovcnt > 0
                && !iovs.is_null()
                // Of no buffer see `span`.
                && !(*iovs).iov_base.is_null();
            fits.then_some((
                io,
                Whole {
                    iovs,
                    iovcnt,
                    num_blocks: (*params).num_blocks,
                },
            ))
        }
    }

    /// What C needs to know of the view. Iovecs that are not the source's own are put into `part`,
    /// which must stay at its place as long as C uses them.
    ///
    /// # Errors
    /// - `EFAULT` where the memory is less than the view says, or is not there yet,
    /// - `EINVAL` where separate metadata is cut inside a block,
    /// - `ENOMEM`.
    #[inline]
    pub(crate) fn span(&self, part: &mut Option<PartIovs>) -> Result<Span, Errno> {
        let metadata = self.metadata()?;
        if self.part.is_none() {
            let (iovs, count) = self.source_iovs();
            // A lower bdev would lend a missing buffer one of its own, and take it back with its own
            // I/O, before ours has ended.
            // SAFETY: `source_iovs` gave `count` iovecs.
            if count == 0 || unsafe { (*iovs).iov_base }.is_null() {
                return Err(Errno::EFAULT);
            }
            let iovcnt = c_int::try_from(count).map_err(|_| Errno::EINVAL)?;
            return Ok(Span {
                iovs,
                iovcnt,
                metadata,
            });
        }
        self.part_span(metadata, part)
    }

    #[cold]
    fn part_span(&self, metadata: *mut c_void, part: &mut Option<PartIovs>) -> Result<Span, Errno> {
        let (mut count, mut len, mut all_there) = (0_usize, 0_u64, true);
        self.visit_iovs(|iov| {
            count += 1;
            len += iov.iov_len as u64;
            all_there &= !iov.iov_base.is_null();
        });
        if len != self.len() || !all_there {
            return Err(Errno::EFAULT);
        }
        let iovcnt = c_int::try_from(count).map_err(|_| Errno::EINVAL)?;
        let nothing = iovec {
            iov_base: ptr::null_mut(),
            iov_len: 0,
        };
        let iovs = if count <= 2 {
            let mut few = [nothing; 2];
            let mut places = few.iter_mut();
            self.visit_iovs(|iov| {
                if let Some(place) = places.next() {
                    *place = iov;
                }
            });
            *part = Some(PartIovs::Few(few));
            part.as_mut()
        } else {
            let mut many = Vec::new();
            many.try_reserve_exact(count).map_err(|_| Errno::ENOMEM)?;
            self.visit_iovs(|iov| many.push(iov));
            *part = Some(PartIovs::Many(many.into_boxed_slice()));
            part.as_mut()
        };
        let iovs = match iovs {
            Some(PartIovs::Few(few)) => few.as_mut_ptr(),
            Some(PartIovs::Many(many)) => many.as_mut_ptr(),
            None => ptr::null_mut(),
        };
        Ok(Span {
            iovs,
            iovcnt,
            metadata,
        })
    }

    /// The separate metadata that belongs to the range, or null.
    #[inline]
    fn metadata(&self) -> Result<*mut c_void, Errno> {
        let Source::Request(io) = self.source else {
            return Ok(ptr::null_mut());
        };
        // SAFETY: the request is borrowed, so alive.
        let (metadata, bdev) = unsafe { ((*io.as_ptr()).u.bdev.md_buf, (*io.as_ptr()).bdev) };
        let offset = self.range().offset;
        if metadata.is_null() || offset == 0 {
            return Ok(metadata);
        }
        // SAFETY: a request's bdev is alive.
        let (block_size, metadata_size) =
            unsafe { (u64::from((*bdev).blocklen), u64::from((*bdev).md_len)) };
        match (
            offset.checked_div(block_size),
            offset.checked_rem(block_size),
        ) {
            (Some(block), Some(0)) => {
                Ok(metadata.wrapping_byte_add((block * metadata_size) as usize))
            }
            _ => Err(Errno::EINVAL),
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
