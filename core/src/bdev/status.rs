//! How an I/O ended.

use core::fmt;
use core::ptr::NonNull;

use barespdk_sys as ffi;

use crate::errno::Errno;

/// How an I/O ended, with the codes of the protocol that it ended in: `enum spdk_bdev_io_status`
/// and the error that goes with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Done.
    Success,
    /// Failed, for no reason given.
    Failed,
    /// Given up on request, by an abort or a reset.
    Aborted,
    /// The bdev lacks memory now: the bdev layer submits the request again later.
    NoMemory,
    /// A compare found other data.
    Miscompare,
    /// The first of two fused commands failed.
    FirstFusedFailed,
    /// An NVMe error.
    Nvme {
        /// Dword 0 of the completion.
        cdw0: u32,
        /// Status code type, 0 to 7.
        sct: u8,
        /// Status code.
        sc: u8,
    },
    /// A SCSI error.
    Scsi {
        /// Status code.
        sc: u8,
        /// Sense key.
        sk: u8,
        /// Additional sense code.
        asc: u8,
        /// Additional sense code qualifier.
        ascq: u8,
    },
    /// The result of a failed POSIX AIO request, as the kernel gave it (negative).
    Aio(i32),
}

impl Status {
    /// Whether the I/O was done.
    pub const fn is_success(self) -> bool {
        matches!(self, Status::Success)
    }

    /// How an I/O ended that has been completed.
    ///
    /// # Safety
    /// The I/O is alive.
    pub(crate) unsafe fn of(io: NonNull<ffi::spdk_bdev_io>) -> Status {
        // SAFETY: alive, by the caller's word; of the union, SPDK has set the member that belongs to
        // the status, and all are plain integers.
        unsafe {
            let internal = &raw const (*io.as_ptr()).internal;
            let error = &raw const (*internal).error;
            match i32::from((*internal).status) {
                ffi::SPDK_BDEV_IO_STATUS_SUCCESS => Status::Success,
                ffi::SPDK_BDEV_IO_STATUS_ABORTED => Status::Aborted,
                ffi::SPDK_BDEV_IO_STATUS_NOMEM => Status::NoMemory,
                ffi::SPDK_BDEV_IO_STATUS_MISCOMPARE => Status::Miscompare,
                ffi::SPDK_BDEV_IO_STATUS_FIRST_FUSED_FAILED => Status::FirstFusedFailed,
                ffi::SPDK_BDEV_IO_STATUS_NVME_ERROR => {
                    let nvme = (*error).nvme;
                    Status::Nvme {
                        cdw0: nvme.cdw0,
                        sct: nvme.sct,
                        sc: nvme.sc,
                    }
                }
                ffi::SPDK_BDEV_IO_STATUS_SCSI_ERROR => {
                    let scsi = (*error).scsi;
                    Status::Scsi {
                        sc: scsi.sc,
                        sk: scsi.sk,
                        asc: scsi.asc,
                        ascq: scsi.ascq,
                    }
                }
                ffi::SPDK_BDEV_IO_STATUS_AIO_ERROR => Status::Aio((*error).aio_result),
                // FAILED, and whatever a later SPDK may add.
                _ => Status::Failed,
            }
        }
    }

    /// Completes an I/O.
    ///
    /// # Safety
    /// The I/O belongs to a bdev of ours and was not completed; it is not touched after. On its
    /// thread.
    #[inline]
    pub(crate) unsafe fn complete(self, io: NonNull<ffi::spdk_bdev_io>) {
        if self.is_success() {
            // SAFETY: the caller's word.
            unsafe { ffi::spdk_bdev_io_complete(io.as_ptr(), ffi::SPDK_BDEV_IO_STATUS_SUCCESS) };
        } else {
            // SAFETY: the caller's word.
            unsafe { self.complete_failed(io) };
        }
    }

    /// # Safety
    /// As for [`Status::complete`].
    #[cold]
    unsafe fn complete_failed(self, io: NonNull<ffi::spdk_bdev_io>) {
        let io = io.as_ptr();
        // SAFETY: the caller's word.
        unsafe {
            match self {
                Status::Success => {
                    ffi::spdk_bdev_io_complete(io, ffi::SPDK_BDEV_IO_STATUS_SUCCESS);
                }
                Status::Failed => ffi::spdk_bdev_io_complete(io, ffi::SPDK_BDEV_IO_STATUS_FAILED),
                Status::Aborted => ffi::spdk_bdev_io_complete(io, ffi::SPDK_BDEV_IO_STATUS_ABORTED),
                Status::NoMemory => ffi::spdk_bdev_io_complete(io, ffi::SPDK_BDEV_IO_STATUS_NOMEM),
                Status::Miscompare => {
                    ffi::spdk_bdev_io_complete(io, ffi::SPDK_BDEV_IO_STATUS_MISCOMPARE);
                }
                Status::FirstFusedFailed => {
                    ffi::spdk_bdev_io_complete(io, ffi::SPDK_BDEV_IO_STATUS_FIRST_FUSED_FAILED);
                }
                Status::Nvme { cdw0, sct, sc } => {
                    ffi::spdk_bdev_io_complete_nvme_status(io, cdw0, sct.into(), sc.into());
                }
                Status::Scsi { sc, sk, asc, ascq } => {
                    ffi::spdk_bdev_io_complete_scsi_status(io, sc.into(), sk.into(), asc, ascq);
                }
                Status::Aio(result) => ffi::spdk_bdev_io_complete_aio_status(io, result),
            }
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Status::Success => f.write_str("success"),
            Status::Failed => f.write_str("failed"),
            Status::Aborted => f.write_str("aborted"),
            Status::NoMemory => f.write_str("no memory"),
            Status::Miscompare => f.write_str("miscompare"),
            Status::FirstFusedFailed => f.write_str("first fused command failed"),
            Status::Nvme { cdw0, sct, sc } => {
                write!(f, "NVMe error (sct {sct:#x}, sc {sc:#x}, cdw0 {cdw0:#x})")
            }
            Status::Scsi { sc, sk, asc, ascq } => {
                write!(
                    f,
                    "SCSI error (sc {sc:#x}, sk {sk:#x}, asc {asc:#x}, ascq {ascq:#x})"
                )
            }
            Status::Aio(result) => write!(f, "AIO error ({result})"),
        }
    }
}

/// Why an I/O to a lower bdev was not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IoError {
    /// The bdev layer did not take it: `EINVAL` for a range or a buffer that does not fit, `EBADF`
    /// for a write through a descriptor opened for reading, `ENOTSUP`, …
    Submit(Errno),
    /// The bdev did not do it.
    Failed(Status),
}

impl IoError {
    /// The status to complete a request with that failed because of this.
    pub const fn status(self) -> Status {
        match self {
            IoError::Submit(_) => Status::Failed,
            IoError::Failed(status) => status,
        }
    }
}

impl fmt::Display for IoError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            IoError::Submit(errno) => write!(f, "not submitted: {errno}"),
            IoError::Failed(status) => write!(f, "{status}"),
        }
    }
}

impl core::error::Error for IoError {}
