use std::alloc::{self, Layout};
use std::ffi::{CStr, c_int, c_uint};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

use super::job::errno;

/// `BLKGETSIZE64` of `linux/fs.h`.
const BLKGETSIZE64: libc::Ioctl = 0x8008_1272;
/// `BLKSSZGET` of `linux/fs.h`.
const BLKSSZGET: libc::Ioctl = 0x1268;

/// An open file or block device.
pub(super) struct File {
    fd: OwnedFd,
    is_block_device: bool,
    direct: bool,
}

impl File {
    /// Opens it; past the page cache if that is asked for and the file system can. A negative errno
    /// value otherwise.
    pub(super) fn open(path: &CStr, readonly: bool, direct: bool) -> Result<Self, c_int> {
        let flags = libc::O_CLOEXEC
            | if readonly {
                libc::O_RDONLY
            } else {
                libc::O_RDWR
            };
        let past_cache = match direct {
            true => open(path, flags | libc::O_DIRECT).ok(),
            false => None,
        };
        let (fd, direct) = match past_cache {
            Some(fd) => (fd, true),
            None => (open(path, flags)?, false),
        };
        let is_block_device = kind(fd.as_raw_fd()) == Some(libc::S_IFBLK);
        Ok(Self {
            fd,
            is_block_device,
            direct,
        })
    }

    pub(super) fn as_raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }

    pub(super) fn is_block_device(&self) -> bool {
        self.is_block_device
    }

    /// Whether it goes past the page cache.
    pub(super) fn is_direct(&self) -> bool {
        self.direct
    }

    /// Size in bytes; 0 if it has none any more.
    pub(super) fn size(&self) -> u64 {
        let fd = self.as_raw_fd();
        match kind(fd) {
            Some(libc::S_IFREG) => stat(fd).map_or(0, |stat| stat.st_size as u64),
            Some(libc::S_IFBLK | libc::S_IFCHR) => {
                let mut size = 0_u64;
                // SAFETY: the request stores a number of 64 bits.
                match unsafe { libc::ioctl(fd, BLKGETSIZE64, &raw mut size) } {
                    0 => size,
                    _ => 0,
                }
            }
            _ => 0,
        }
    }

    /// Size in bytes of what the device reads and writes at once; None of a regular file.
    pub(super) fn sector_size(&self) -> Option<u32> {
        let mut size: c_uint = 0;
        // SAFETY: the request stores an int.
        let rc = unsafe { libc::ioctl(self.as_raw_fd(), BLKSSZGET, &raw mut size) };
        (rc == 0 && size != 0).then_some(size)
    }

    /// Goes through the page cache after all if the file cannot do without it in blocks of this
    /// size, a power of two. Nobody may use the file yet.
    pub(super) fn settle(&mut self, block_size: u32) {
        if self.direct && !self.reads_block(block_size) {
            // SAFETY: the file is ours.
            let rc = unsafe {
                let flags = libc::fcntl(self.as_raw_fd(), libc::F_GETFL);
                libc::fcntl(self.as_raw_fd(), libc::F_SETFL, flags & !libc::O_DIRECT)
            };
            self.direct = rc != 0;
        }
    }

    /// Whether a block, neither in the file nor in memory aligned to more than its size, can be read.
    fn reads_block(&self, block_size: u32) -> bool {
        let len = block_size as usize;
        let blocks = self.size() / u64::from(block_size);
        if blocks == 0 {
            return true;
        }
        let Ok(layout) = Layout::from_size_align(len * 2, len * 2) else {
            return false;
        };
        // SAFETY: the size is not 0, as a power of two.
        let memory = unsafe { alloc::alloc(layout) };
        if memory.is_null() {
            return false;
        }
        let offset = if blocks > 1 { len } else { 0 } as libc::off_t;
        // SAFETY: the second half of the memory has `len` bytes.
        let rc = unsafe { libc::pread(self.as_raw_fd(), memory.add(len).cast(), len, offset) };
        let refused = rc < 0 && errno() == libc::EINVAL;
        // SAFETY: allocated above with this layout.
        unsafe { alloc::dealloc(memory, layout) };
        !refused
    }
}

fn open(path: &CStr, flags: c_int) -> Result<OwnedFd, c_int> {
    // SAFETY: a path that ends in NUL.
    match unsafe { libc::open(path.as_ptr(), flags) } {
        // SAFETY: just opened, and nobody else's.
        fd @ 0.. => Ok(unsafe { OwnedFd::from_raw_fd(fd) }),
        _ => Err(-errno()),
    }
}

fn stat(fd: RawFd) -> Option<libc::stat> {
    // SAFETY: numbers alone, for which zeroes will do.
    let mut stat = unsafe { std::mem::zeroed() };
    // SAFETY: an open file and memory of the right type.
    match unsafe { libc::fstat(fd, &raw mut stat) } {
        0 => Some(stat),
        _ => None,
    }
}

fn kind(fd: RawFd) -> Option<libc::mode_t> {
    stat(fd).map(|stat| stat.st_mode & libc::S_IFMT)
}
