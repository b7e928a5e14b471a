//! A request on its way: what the module's memory in the request holds, and what follows from a
//! result.

use std::ffi::c_int;
use std::ptr;

use barespdk_sys::{
    SPDK_BDEV_IO_STATUS_FAILED, SPDK_BDEV_IO_STATUS_NOMEM, SPDK_BDEV_IO_STATUS_SUCCESS,
    SPDK_BDEV_IO_TYPE_READ, spdk_bdev_io, spdk_bdev_io_get_buf, spdk_io_channel,
    spdk_io_channel_get_ctx,
};
use libc::iovec;

use super::super::device::Disk;
use super::super::io::Io;
use super::job::{CUT_SHORT, Job, Operation};
use super::{Aio, AioChannel, removal};

/// A request that the engine has.
struct Flight {
    channel: *const AioChannel,
    operation: Operation,
    /// Bytes of a transfer that are done.
    done: u64,
    /// What is left of the iovecs of a transfer that was done in part.
    rest: Option<Box<[iovec]>>,
}

pub(super) unsafe extern "C" fn ctx_size() -> c_int {
    size_of::<Flight>() as c_int
}

/// Reads or writes, once the request has memory that the file can use.
pub(super) fn transfer(io: Io) {
    let len = io.len_bytes();
    // SAFETY: a request of this module on its thread, which the callback takes over.
    unsafe { spdk_bdev_io_get_buf(io.into_raw(), Some(transfer_with_buffer), len) };
}

unsafe extern "C" fn transfer_with_buffer(
    ch: *mut spdk_io_channel,
    io: *mut spdk_bdev_io,
    success: bool,
) {
    // SAFETY: given away in `transfer`.
    let io = unsafe { Io::from_raw(io) };
    if !success {
        io.complete(SPDK_BDEV_IO_STATUS_FAILED);
        return;
    }
    // SAFETY: the bdev is registered while it has requests, and the channel is of it.
    let (disk, channel) = unsafe {
        (
            &*(*io.bdev()).ctxt.cast::<Disk<Aio>>(),
            &*spdk_io_channel_get_ctx(ch).cast::<AioChannel>(),
        )
    };
    let operation = match io.kind() {
        SPDK_BDEV_IO_TYPE_READ => Operation::Read,
        _ => Operation::Write,
    };
    start(disk, channel, io, operation);
}

/// Makes what was written durable.
pub(super) fn sync(disk: &Disk<Aio>, channel: &AioChannel, io: Io) {
    start(disk, channel, io, Operation::Sync);
}

/// Unmaps the blocks of a request.
pub(super) fn unmap(disk: &Disk<Aio>, channel: &AioChannel, io: Io) {
    start(disk, channel, io, Operation::PunchHole);
}

/// Zeroes the blocks of a request.
pub(super) fn write_zeroes(disk: &Disk<Aio>, channel: &AioChannel, io: Io) {
    start(disk, channel, io, Operation::ZeroRange);
}

fn start(disk: &Disk<Aio>, channel: &AioChannel, io: Io, operation: Operation) {
    channel.in_flight.set(channel.in_flight.get() + 1);
    let flight = Flight {
        channel,
        operation,
        done: 0,
        rest: None,
    };
    go(disk, channel, io, flight);
}

/// Hands a request to the engine.
fn go(disk: &Disk<Aio>, channel: &AioChannel, io: Io, flight: Flight) {
    let aio = disk.device();
    let iovs = flight.rest.as_deref().unwrap_or(io.iovs());
    let job = Job {
        token: io.as_ptr() as u64,
        fd: aio.file.as_raw_fd(),
        operation: flight.operation,
        offset: io.offset_bytes() + flight.done,
        len: io.len_bytes(),
        file_len: match aio.file.is_block_device() {
            true => 0,
            false => disk.num_blocks() * u64::from(disk.block_size()),
        },
        iovs: iovs.as_ptr(),
        iovcnt: iovs.len(),
        nowait: aio.nowait,
    };
    // SAFETY: memory of the module, of the size of a `Flight`, that nobody else uses.
    unsafe { io.driver_ctx::<Flight>().write(flight) };
    let _ = io.into_raw();
    // SAFETY: the request, and so its memory and the file, stay until `finished` takes it back.
    unsafe {
        match &channel.writes {
            Some(lane) if job.operation == Operation::Write => channel.engine.start_in(lane, job),
            _ => channel.engine.start(job),
        }
    }
}

/// Goes on with a request whose job is done.
///
/// # Safety
///
/// `token` is of a job that [`go`] started, and comes back once.
pub(super) unsafe fn finished(token: u64, result: i32) {
    // SAFETY: given away in `go`, which wrote the flight; the bdev is registered while it has
    // requests.
    let (io, flight, disk) = unsafe {
        let io = Io::from_raw(ptr::with_exposed_provenance_mut(token as usize));
        let flight = io.driver_ctx::<Flight>().read();
        let disk = &*(*io.bdev()).ctxt.cast::<Disk<Aio>>();
        (io, flight, disk)
    };
    // SAFETY: the channel stays while it has requests.
    let channel = unsafe { &*flight.channel };
    match next(disk, &io, flight, result) {
        Next::Again(flight) => go(disk, channel, io, flight),
        Next::Status(status) => {
            channel.in_flight.set(channel.in_flight.get() - 1);
            io.complete(status);
        }
        Next::Errno(rc) => {
            channel.in_flight.set(channel.in_flight.get() - 1);
            io.complete_errno(rc);
        }
    }
}

/// What follows from a result.
enum Next {
    Again(Flight),
    Status(c_int),
    Errno(c_int),
}

fn next(disk: &Disk<Aio>, io: &Io, flight: Flight, result: i32) -> Next {
    let aio = disk.device();
    match (flight.operation, result) {
        (Operation::Read | Operation::Write, 1..) => {
            let done = flight.done + result as u64;
            if done == io.len_bytes() {
                return Next::Status(SPDK_BDEV_IO_STATUS_SUCCESS);
            }
            let iovs = flight.rest.as_deref().unwrap_or(io.iovs());
            let rest = Some(after(iovs, result as usize));
            Next::Again(Flight {
                done,
                rest,
                ..flight
            })
        }
        // The file ends within the blocks, or its device is gone.
        (Operation::Read | Operation::Write, 0) => gone_or(disk, || {
            error_log!("{}: end of file within the blocks\n", disk.name_text());
            Next::Status(SPDK_BDEV_IO_STATUS_FAILED)
        }),
        (_, CUT_SHORT) => gone_or(disk, || {
            error_log!("{}: the file was cut short\n", disk.name_text());
            Next::Status(SPDK_BDEV_IO_STATUS_FAILED)
        }),
        (_, 0..) => Next::Status(SPDK_BDEV_IO_STATUS_SUCCESS),
        (Operation::PunchHole, rc) if is_unsupported(rc) && aio.file.is_block_device() => {
            Next::Again(Flight {
                operation: Operation::Discard,
                ..flight
            })
        }
        (Operation::ZeroRange, rc) if is_unsupported(rc) => Next::Again(Flight {
            operation: Operation::WriteZeroes,
            ..flight
        }),
        (_, rc) if rc == -libc::EAGAIN => Next::Status(SPDK_BDEV_IO_STATUS_NOMEM),
        (_, rc) if rc == -libc::EINTR => Next::Again(flight),
        (_, rc) if rc == -libc::EIO => gone_or(disk, || failed(disk, rc)),
        (_, rc) => failed(disk, rc),
    }
}

fn failed(disk: &Disk<Aio>, rc: c_int) -> Next {
    error_log!("{}: I/O failed: rc {rc}\n", disk.name_text());
    Next::Errno(rc)
}

/// A file that is empty is gone, and its bdev goes too.
fn gone_or(disk: &Disk<Aio>, otherwise: impl FnOnce() -> Next) -> Next {
    if disk.device().file.size() > 0 {
        return otherwise();
    }
    removal::begin(disk);
    Next::Errno(-libc::ENODEV)
}

fn is_unsupported(rc: i32) -> bool {
    matches!(-rc, libc::EOPNOTSUPP | libc::ENOSYS)
}

/// The iovecs without their first `done` bytes.
fn after(iovs: &[iovec], mut done: usize) -> Box<[iovec]> {
    let mut rest = Vec::with_capacity(iovs.len());
    for iov in iovs {
        let skip = done.min(iov.iov_len);
        done -= skip;
        if iov.iov_len > skip {
            rest.push(iovec {
                iov_base: iov.iov_base.wrapping_byte_add(skip),
                iov_len: iov.iov_len - skip,
            });
        }
    }
    rest.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lengths(iovs: &[iovec]) -> Vec<(usize, usize)> {
        iovs.iter()
            .map(|iov| (iov.iov_base.addr(), iov.iov_len))
            .collect()
    }

    #[test]
    fn the_rest_starts_where_the_kernel_stopped() {
        let iovs = [(0x1000, 8), (0x2000, 0), (0x3000, 4)].map(|(base, len)| iovec {
            iov_base: ptr::without_provenance_mut(base),
            iov_len: len,
        });
        assert_eq!(lengths(&after(&iovs, 0)), [(0x1000, 8), (0x3000, 4)]);
        assert_eq!(lengths(&after(&iovs, 3)), [(0x1003, 5), (0x3000, 4)]);
        assert_eq!(lengths(&after(&iovs, 8)), [(0x3000, 4)]);
        assert_eq!(lengths(&after(&iovs, 11)), [(0x3003, 1)]);
        assert_eq!(lengths(&after(&iovs, 12)), []);
    }
}
