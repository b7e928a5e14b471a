use std::ffi::c_int;
use std::ptr::{self, NonNull};
use std::slice;

use barespdk_sys::{
    SPDK_BDEV_IO_STATUS_AIO_ERROR, SPDK_BDEV_IO_STATUS_NVME_ERROR, SPDK_BDEV_IO_STATUS_SCSI_ERROR,
    spdk_bdev, spdk_bdev_io, spdk_bdev_io_block_params, spdk_bdev_io_complete,
    spdk_bdev_io_complete_aio_status, spdk_bdev_io_complete_nvme_status,
    spdk_bdev_io_complete_scsi_status, spdk_bdev_io_status, spdk_bdev_io_type, spdk_scsi_sense,
    spdk_scsi_status,
};
use libc::iovec;

/// A request in the hands of a module, until it is completed. It stays on its thread.
#[must_use = "a request that is dropped is never completed"]
pub(super) struct Io(NonNull<spdk_bdev_io>);

impl Io {
    /// # Safety
    ///
    /// `raw` was submitted to a module and not completed yet, and this is its thread. There is no
    /// other `Io` of it.
    pub(super) unsafe fn from_raw(raw: *mut spdk_bdev_io) -> Self {
        debug_assert!(!raw.is_null());
        // SAFETY: requests are not NULL.
        Self(unsafe { NonNull::new_unchecked(raw) })
    }

    /// Gives up the ownership, to be taken again with [`Io::from_raw`].
    pub(super) fn into_raw(self) -> *mut spdk_bdev_io {
        self.0.as_ptr()
    }

    /// Its address, which stays the same until it is completed.
    pub(super) fn as_ptr(&self) -> *mut spdk_bdev_io {
        self.0.as_ptr()
    }

    /// Its type.
    pub(super) fn kind(&self) -> spdk_bdev_io_type {
        // SAFETY: the request is ours.
        unsafe { (*self.as_ptr()).r#type }.into()
    }

    /// The bdev that it is for.
    pub(super) fn bdev(&self) -> *mut spdk_bdev {
        // SAFETY: the request is ours.
        unsafe { (*self.as_ptr()).bdev }
    }

    /// Its parameters. Zeroes, or those of other types, if it is not about blocks.
    pub(super) fn params(&self) -> &spdk_bdev_io_block_params {
        // SAFETY: plain memory of the request, initialised to its full size by the bdev layer, and
        // any bit pattern is a value of it.
        unsafe { &(*self.as_ptr()).u.bdev }
    }

    /// Its parameters, to be changed.
    pub(super) fn params_mut(&mut self) -> &mut spdk_bdev_io_block_params {
        // SAFETY: as `params`, and the only `Io` of the request.
        unsafe { &mut (*self.as_ptr()).u.bdev }
    }

    /// Bytes from the start of the bdev to its first block.
    pub(super) fn offset_bytes(&self) -> u64 {
        self.params().offset_blocks * self.block_size()
    }

    /// Bytes of its blocks.
    pub(super) fn len_bytes(&self) -> u64 {
        self.params().num_blocks * self.block_size()
    }

    fn block_size(&self) -> u64 {
        // SAFETY: the bdev lives while it has requests.
        unsafe { (*self.bdev()).blocklen }.into()
    }

    /// Its data; of a read or write.
    pub(super) fn iovs(&self) -> &[iovec] {
        let params = self.params();
        iovecs(params.iovs, params.iovcnt)
    }

    /// Whether a read left it to the module to find memory.
    pub(super) fn is_without_buffer(&self) -> bool {
        self.iovs().first().is_none_or(|iov| iov.iov_base.is_null())
    }

    /// The request that this one is to abort.
    pub(super) fn to_abort(&self) -> *mut spdk_bdev_io {
        // SAFETY: plain memory of the request, and any bit pattern is a value of it.
        unsafe { (*self.as_ptr()).u.abort.bio_to_abort }
    }

    /// The memory that the module has in each request. Not initialised.
    pub(super) fn driver_ctx<T>(&self) -> *mut T {
        const { assert!(align_of::<T>() <= 8) };
        // SAFETY: behind the request, in the same allocation.
        unsafe { ptr::addr_of_mut!((*self.as_ptr()).driver_ctx).cast() }
    }

    /// Completes it.
    pub(super) fn complete(self, status: spdk_bdev_io_status) {
        // SAFETY: ours until now, and completed once, as it goes.
        unsafe { spdk_bdev_io_complete(self.as_ptr(), status) };
    }

    /// Completes it with a negative errno value.
    pub(super) fn complete_errno(self, rc: c_int) {
        // SAFETY: as in `complete`.
        unsafe { spdk_bdev_io_complete_aio_status(self.as_ptr(), rc) };
    }

    /// Completes it as another one ended.
    pub(super) fn complete_as(self, outcome: Outcome) {
        match outcome {
            Outcome::Status(status) => self.complete(status),
            Outcome::Errno(rc) => self.complete_errno(rc),
            Outcome::Nvme { cdw0, sct, sc } => {
                // SAFETY: as in `complete`.
                unsafe { spdk_bdev_io_complete_nvme_status(self.as_ptr(), cdw0, sct, sc) };
            }
            Outcome::Scsi { sc, sk, asc, ascq } => {
                // SAFETY: as in `complete`.
                unsafe { spdk_bdev_io_complete_scsi_status(self.as_ptr(), sc, sk, asc, ascq) };
            }
        }
    }
}

/// How a request ended, with all that its error says.
#[derive(Clone, Copy, Debug)]
pub(super) enum Outcome {
    /// A status that says everything.
    Status(spdk_bdev_io_status),
    /// A negative errno value.
    Errno(c_int),
    /// An NVMe status.
    Nvme { cdw0: u32, sct: c_int, sc: c_int },
    /// A SCSI status.
    Scsi {
        sc: spdk_scsi_status,
        sk: spdk_scsi_sense,
        asc: u8,
        ascq: u8,
    },
}

impl Outcome {
    /// That of a completed request.
    ///
    /// # Safety
    ///
    /// `io` was handed to a completion callback and not freed yet.
    pub(super) unsafe fn of(io: *const spdk_bdev_io) -> Self {
        // SAFETY: the request is the callback's.
        let internal = unsafe { &(*io).internal };
        match c_int::from(internal.status) {
            SPDK_BDEV_IO_STATUS_NVME_ERROR => {
                // SAFETY: the status says which member of the union is valid.
                let error = unsafe { internal.error.nvme };
                Self::Nvme {
                    cdw0: error.cdw0,
                    sct: error.sct.into(),
                    sc: error.sc.into(),
                }
            }
            SPDK_BDEV_IO_STATUS_SCSI_ERROR => {
                // SAFETY: the status says which member of the union is valid.
                let error = unsafe { internal.error.scsi };
                Self::Scsi {
                    sc: error.sc.into(),
                    sk: error.sk.into(),
                    asc: error.asc,
                    ascq: error.ascq,
                }
            }
            SPDK_BDEV_IO_STATUS_AIO_ERROR => {
                // SAFETY: the status says which member of the union is valid.
                Self::Errno(unsafe { internal.error.aio_result })
            }
            status => Self::Status(status),
        }
    }
}

/// An iovec array of the bdev layer. The elements are numbers: what they point to is not touched.
fn iovecs<'a>(iovs: *const iovec, iovcnt: c_int) -> &'a [iovec] {
    match usize::try_from(iovcnt) {
        // SAFETY: the array belongs to a request that is not complete, which the bdev layer checked.
        Ok(count @ 1..) if !iovs.is_null() => unsafe { slice::from_raw_parts(iovs, count) },
        _ => &[],
    }
}

/// Whether iovecs hold at least `len` bytes.
pub(super) fn covers(iovs: &[iovec], len: u64) -> bool {
    let mut rest = len;
    for iov in iovs {
        rest = rest.saturating_sub(iov.iov_len as u64);
    }
    rest == 0
}

/// Which way to copy.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Copy {
    ToIovs,
    FromIovs,
}

/// Copies `len` bytes between memory and the start of iovecs.
///
/// # Safety
///
/// `memory` has `len` bytes and the iovecs cover them; both are valid for what is done to them, and
/// they do not overlap.
pub(super) unsafe fn copy(direction: Copy, memory: *mut u8, len: usize, iovs: &[iovec]) {
    let mut done = 0;
    for iov in iovs {
        let count = iov.iov_len.min(len - done);
        let data = iov.iov_base.cast::<u8>();
        // SAFETY: `done + count` is at most `len`, and `count` at most what the iovec has.
        unsafe {
            match direction {
                Copy::ToIovs => ptr::copy_nonoverlapping(memory.add(done), data, count),
                Copy::FromIovs => ptr::copy_nonoverlapping(data, memory.add(done), count),
            }
        }
        done += count;
        if done == len {
            break;
        }
    }
}
