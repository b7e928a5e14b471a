use std::alloc::{self, Layout};
use std::ffi::c_int;
use std::io;
use std::os::fd::RawFd;

use libc::iovec;

/// Most iovecs that the kernel takes at once.
const IOVECS_MAX: usize = 1024;
/// Most bytes to ask for at once; the kernel stops a page short of 2 GiB.
const LEN_MAX: usize = 1 << 30;
/// Zeroes written at once.
const ZEROES_LEN: u64 = 1 << 20;
/// Alignment of these zeroes: enough for any device.
const ZEROES_ALIGN: usize = 4096;

/// Result of a job that would make a file longer again which has been cut short: what was behind its end
/// is lost, and would be read as zeroes. The kernel has no such error of what a job does.
pub(super) const CUT_SHORT: i32 = -libc::ENODATA;

/// `BLKDISCARD` of `linux/fs.h`.
const BLKDISCARD: libc::Ioctl = 0x1277;

/// What to do to a range of a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Operation {
    /// Read into the iovecs.
    Read,
    /// Write the iovecs.
    Write,
    /// Make what was written durable.
    Sync,
    /// Make a hole, with zeroes in it.
    PunchHole,
    /// Turn it to zeroes in the file system.
    ZeroRange,
    /// Write zeroes.
    WriteZeroes,
    /// Tell the device that the data is of no use.
    Discard,
}

impl Operation {
    /// How `fallocate` does it.
    pub(super) fn fallocate_mode(self) -> Option<c_int> {
        match self {
            Self::PunchHole => Some(libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE),
            Self::ZeroRange => Some(libc::FALLOC_FL_ZERO_RANGE),
            _ => None,
        }
    }

    /// Whether it makes a file longer that ends before.
    fn lengthens(self) -> bool {
        matches!(self, Self::Write | Self::ZeroRange | Self::WriteZeroes)
    }
}

/// Something to do to a file. Who starts it keeps file and memory until it is done.
pub(super) struct Job {
    /// Comes back with the result.
    pub(super) token: u64,
    pub(super) fd: RawFd,
    pub(super) operation: Operation,
    /// In bytes.
    pub(super) offset: u64,
    /// In bytes, of operations without iovecs.
    pub(super) len: u64,
    /// Bytes that the file has if it is whole; 0 where it cannot be cut short.
    pub(super) file_len: u64,
    /// Memory to read into or to write; at least one of a read or write.
    pub(super) iovs: *const iovec,
    pub(super) iovcnt: usize,
    /// Whether to fail rather than wait.
    pub(super) nowait: bool,
}

// SAFETY: the pointers are only followed by who does the job, and what they point to stays until
// it is done, whichever thread does it.
unsafe impl Send for Job {}

/// The memory of a transfer, as the kernel takes it.
pub(super) enum Buffers {
    One(*mut u8, u32),
    Many(*const iovec, u32),
}

impl Job {
    /// The flags of a transfer.
    pub(super) fn rw_flags(&self) -> c_int {
        if self.nowait { libc::RWF_NOWAIT } else { 0 }
    }

    /// The memory of a transfer, or the first part of it.
    pub(super) fn buffers(&self) -> Buffers {
        if self.iovcnt == 1 {
            // SAFETY: there is one iovec.
            let iov = unsafe { &*self.iovs };
            return Buffers::One(iov.iov_base.cast(), iov.iov_len.min(LEN_MAX) as u32);
        }
        Buffers::Many(self.iovs, self.iovcnt.min(IOVECS_MAX) as u32)
    }

    /// Whether the result is [`CUT_SHORT`], and nothing is to be done.
    pub(super) fn is_refused(&self) -> bool {
        if self.file_len == 0 || !self.operation.lengthens() {
            return false;
        }
        // SAFETY: numbers alone, for which zeroes will do.
        let mut status: libc::statx = unsafe { std::mem::zeroed() };
        // What this machine knows, for which nobody waits.
        let flags = libc::AT_EMPTY_PATH | libc::AT_STATX_DONT_SYNC;
        // SAFETY: an open file, an empty path, and memory of the right type.
        let rc = unsafe {
            let path = c"".as_ptr();
            libc::statx(self.fd, path, flags, libc::STATX_SIZE, &raw mut status)
        };
        rc == 0 && status.stx_size < self.file_len
    }

    /// Does it, and blocks for as long as it takes. The bytes done, or a negative errno value.
    pub(super) fn run(&self) -> i32 {
        if self.is_refused() {
            return CUT_SHORT;
        }
        loop {
            let rc = match self.operation {
                Operation::WriteZeroes => return self.write_zeroes(),
                operation => self.call(operation),
            };
            if rc >= 0 {
                return rc as i32;
            }
            match errno() {
                libc::EINTR => {}
                error => return -error,
            }
        }
    }

    fn call(&self, operation: Operation) -> isize {
        let offset = self.offset as libc::off_t;
        let flags = self.rw_flags();
        let count = self.iovcnt.min(IOVECS_MAX) as c_int;
        // SAFETY: the file is open and the iovecs are valid until the job is done.
        unsafe {
            match operation {
                Operation::Read => libc::preadv2(self.fd, self.iovs, count, offset, flags),
                Operation::Write => libc::pwritev2(self.fd, self.iovs, count, offset, flags),
                Operation::Sync => libc::fdatasync(self.fd) as isize,
                Operation::Discard => {
                    let range = [self.offset, self.len];
                    libc::ioctl(self.fd, BLKDISCARD, range.as_ptr()) as isize
                }
                Operation::PunchHole | Operation::ZeroRange | Operation::WriteZeroes => {
                    let mode = operation.fallocate_mode().unwrap_or_default();
                    libc::fallocate(self.fd, mode, offset, self.len as libc::off_t) as isize
                }
            }
        }
    }

    fn write_zeroes(&self) -> i32 {
        let len = self.len.min(ZEROES_LEN) as usize;
        let Ok(layout) = Layout::from_size_align(len.max(1), ZEROES_ALIGN) else {
            return -libc::EINVAL;
        };
        // SAFETY: the size is not 0.
        let zeroes = unsafe { alloc::alloc_zeroed(layout) };
        if zeroes.is_null() {
            return -libc::ENOMEM;
        }
        let mut done = 0;
        let mut rc = 0;
        while done < self.len {
            let count = (self.len - done).min(ZEROES_LEN) as usize;
            let offset = (self.offset + done) as libc::off_t;
            // SAFETY: the buffer has `count` bytes, and the file is open.
            let written = unsafe { libc::pwrite(self.fd, zeroes.cast(), count, offset) };
            match written {
                1.. => done += written as u64,
                0 => rc = -libc::EIO,
                _ if errno() == libc::EINTR => {}
                _ => rc = -errno(),
            }
            if rc != 0 {
                break;
            }
        }
        // SAFETY: allocated above with this layout.
        unsafe { alloc::dealloc(zeroes, layout) };
        rc
    }
}

/// The error of the last call of the C library on this thread.
pub(super) fn errno() -> c_int {
    io::Error::last_os_error()
        .raw_os_error()
        .unwrap_or(libc::EIO)
}
