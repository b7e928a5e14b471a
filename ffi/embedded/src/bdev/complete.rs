//! The way of a request back to its submitter.

use std::ffi::{c_int, c_void};

use barespdk_sys::*;

use super::io::{Io, flag};
use super::{bounce, reset};

/// NVMe's generic status code type, its success, and a command that was aborted by request.
const SCT_GENERIC: c_int = 0;
const SC_SUCCESS: c_int = 0;
const SC_ABORTED_BY_REQUEST: c_int = 7;

/// Takes a request back from its module.
#[inline]
pub(super) fn complete(io: Io, status: spdk_bdev_io_status) {
    if io.status() != SPDK_BDEV_IO_STATUS_PENDING {
        error_log!(
            "module {} completes a request twice\n",
            io.device().module_name()
        );
        return;
    }
    io.set_status(status);
    if io.io_type() == SPDK_BDEV_IO_TYPE_RESET {
        reset::unfreeze(io);
        return;
    }
    let channel = io.channel();
    channel.end();
    let shared = channel.shared();
    if status == SPDK_BDEV_IO_STATUS_NOMEM {
        io.set_status(SPDK_BDEV_IO_STATUS_PENDING);
        shared.wait(io);
        return;
    }
    if io.has(flag::BOUNCED) {
        bounce::restore(io);
        bounce::put(io);
    }
    if !shared.waiting.is_empty() {
        shared.retry();
    }
    report(io);
}

/// Reports a request that was submitted; not from inside its submission.
#[inline]
pub(super) fn report(io: Io) {
    if io.has(flag::IN_SUBMIT) {
        io.later(Some(report_message));
        return;
    }
    // SAFETY: any thread.
    let ticks = unsafe { spdk_get_ticks() }.wrapping_sub(io.internal.submit_tsc);
    let channel = io.channel();
    channel.submitted.remove(io);
    if channel.has_histogram.get()
        && let Some(histogram) = channel.histogram.borrow_mut().as_mut()
    {
        histogram.tally(io.io_type(), ticks);
    }
    if io.status() == SPDK_BDEV_IO_STATUS_SUCCESS {
        let bytes = io
            .params()
            .num_blocks
            .wrapping_mul(u64::from(io.device().blocklen()));
        channel.stat.count(io, bytes, ticks);
    } else {
        io.device().control().errors.count(io.status());
    }
    io.call_back();
}

unsafe extern "C" fn report_message(io: *mut c_void) {
    // SAFETY: a request that is complete and not reported.
    report(unsafe { Io::new(io.cast()) });
}

/// Reports a request that was not submitted, by a message, as this may be inside of its submission.
#[cold]
pub(super) fn unsubmitted(io: Io) {
    io.later(Some(unsubmitted_message));
}

unsafe extern "C" fn unsubmitted_message(io: *mut c_void) {
    // SAFETY: a request whose status is set.
    unsafe { Io::new(io.cast()) }.call_back();
}

/// Ends a request with a status, by a message, that was not submitted.
#[cold]
pub(super) fn end_later(io: Io, status: spdk_bdev_io_status) {
    io.set_status(status);
    unsubmitted(io);
}

/// Ends a request that was served by others and not submitted itself. Not inside of its submission.
pub(super) fn end(io: Io, status: spdk_bdev_io_status) {
    io.set_status(status);
    io.call_back();
}

#[unsafe(no_mangle)]
unsafe extern "C" fn spdk_bdev_io_complete(
    bdev_io: *mut spdk_bdev_io,
    status: spdk_bdev_io_status,
) {
    // SAFETY: the module has the request, on its thread, and gives it up.
    complete(unsafe { Io::new(bdev_io) }, status);
}

#[unsafe(no_mangle)]
unsafe extern "C" fn spdk_bdev_io_complete_nvme_status(
    bdev_io: *mut spdk_bdev_io,
    cdw0: u32,
    sct: c_int,
    sc: c_int,
) {
    // SAFETY: as above.
    let mut io = unsafe { Io::new(bdev_io) };
    let status = match (sct, sc) {
        (SCT_GENERIC, SC_SUCCESS) => SPDK_BDEV_IO_STATUS_SUCCESS,
        (SCT_GENERIC, SC_ABORTED_BY_REQUEST) => SPDK_BDEV_IO_STATUS_ABORTED,
        _ => SPDK_BDEV_IO_STATUS_NVME_ERROR,
    };
    io.internal.error.nvme = spdk_bdev_io_internal_fields__error__nvme {
        cdw0,
        sct: sct as u8,
        sc: sc as u8,
    };
    complete(io, status);
}

#[unsafe(no_mangle)]
unsafe extern "C" fn spdk_bdev_io_complete_scsi_status(
    bdev_io: *mut spdk_bdev_io,
    sc: spdk_scsi_status,
    sk: spdk_scsi_sense,
    asc: u8,
    ascq: u8,
) {
    // SAFETY: as above.
    let mut io = unsafe { Io::new(bdev_io) };
    if sc == SPDK_SCSI_STATUS_GOOD {
        complete(io, SPDK_BDEV_IO_STATUS_SUCCESS);
        return;
    }
    io.internal.error.scsi = spdk_bdev_io_internal_fields__error__scsi {
        sc: sc as u8,
        sk: sk as u8,
        asc,
        ascq,
    };
    complete(io, SPDK_BDEV_IO_STATUS_SCSI_ERROR);
}

#[unsafe(no_mangle)]
unsafe extern "C" fn spdk_bdev_io_complete_aio_status(
    bdev_io: *mut spdk_bdev_io,
    aio_result: c_int,
) {
    // SAFETY: as above.
    let mut io = unsafe { Io::new(bdev_io) };
    io.internal.error.aio_result = aio_result;
    complete(
        io,
        if aio_result == 0 {
            SPDK_BDEV_IO_STATUS_SUCCESS
        } else {
            SPDK_BDEV_IO_STATUS_AIO_ERROR
        },
    );
}

#[unsafe(no_mangle)]
unsafe extern "C" fn spdk_bdev_io_get_io_channel(
    bdev_io: *mut spdk_bdev_io,
) -> *mut spdk_io_channel {
    // SAFETY: the module has the request, on its thread.
    unsafe { Io::new(bdev_io) }.channel().lower
}

#[unsafe(no_mangle)]
unsafe extern "C" fn spdk_bdev_io_get_submit_tsc(bdev_io: *mut spdk_bdev_io) -> u64 {
    // SAFETY: the module has the request, on its thread.
    unsafe { Io::new(bdev_io) }.internal.submit_tsc
}

same_as_declared!(
    spdk_bdev_io_complete,
    spdk_bdev_io_complete_nvme_status,
    spdk_bdev_io_complete_scsi_status,
    spdk_bdev_io_complete_aio_status,
    spdk_bdev_io_get_io_channel,
    spdk_bdev_io_get_submit_tsc
);
