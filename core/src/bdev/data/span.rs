//! A view as C takes it: by its iovecs, and the metadata that goes with them.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::ffi::{c_int, c_void};
use core::ptr::{self, NonNull};

use barespdk_sys as ffi;
use libc::iovec;

use super::{Data, Part, Source};
use crate::bdev::IoType;
use crate::errno::Errno;

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

impl Data<'_> {
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
    pub(super) fn visit_iovs(&self, mut visit: impl FnMut(iovec)) {
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
}
