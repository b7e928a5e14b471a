//! `malloc`: disks in memory.

use std::ffi::c_int;
use std::ptr;
use std::sync::atomic::{AtomicU32, Ordering};

use barespdk_sys::{
    SPDK_BDEV_IO_STATUS_FAILED, SPDK_BDEV_IO_STATUS_SUCCESS, SPDK_BDEV_IO_TYPE_ABORT,
    SPDK_BDEV_IO_TYPE_COPY, SPDK_BDEV_IO_TYPE_FLUSH, SPDK_BDEV_IO_TYPE_READ,
    SPDK_BDEV_IO_TYPE_RESET, SPDK_BDEV_IO_TYPE_UNMAP, SPDK_BDEV_IO_TYPE_WRITE,
    SPDK_BDEV_IO_TYPE_WRITE_ZEROES, SPDK_BDEV_IO_TYPE_ZCOPY, spdk_bdev_io_status,
    spdk_bdev_io_type, spdk_bdev_module, spdk_io_device_unregister,
};

use super::channel::{self, ChannelRef};
use super::completions::{Completer, Completions};
use super::device::{Device, Disk};
use super::io::{self, Copy, Io};
use super::memory::Memory;
use super::module::Module;

mod rpc;

static MODULE: Module = Module::new(spdk_bdev_module {
    module_init: Some(init),
    module_fini: Some(fini),
    ..Module::blank(c"malloc")
});
static COMPLETER: Completer = Completer::new();
/// How many disks got their name from here.
static NAMES_GIVEN: AtomicU32 = AtomicU32::new(0);

/// Adds the module and its methods.
pub(super) fn add() {
    MODULE.add();
    rpc::add();
}

unsafe extern "C" fn init() -> c_int {
    NAMES_GIVEN.store(0, Ordering::Relaxed);
    // SAFETY: static, and on the application thread.
    unsafe { channel::register_io_device(&raw const COMPLETER, c"bdev_malloc") };
    0
}

unsafe extern "C" fn fini() {
    // SAFETY: registered by `init`.
    unsafe { spdk_io_device_unregister((&raw const COMPLETER).cast_mut().cast(), None) };
}

struct Malloc {
    data: Memory,
    /// Metadata, unless it is interleaved or there is none.
    metadata: Option<Memory>,
    metadata_size: u32,
}

impl Device for Malloc {
    type Channel = ChannelRef<Completions>;

    const MODULE: &'static Module = &MODULE;
    const PRODUCT: &'static std::ffi::CStr = c"Malloc disk";

    fn open(_disk: &Disk<Self>) -> Result<Self::Channel, c_int> {
        COMPLETER.channel()
    }

    fn submit(disk: &Disk<Self>, channel: &Self::Channel, mut io: Io) {
        let status = disk.device().handle(&mut io);
        channel.push(io, status);
    }

    fn supports(&self, kind: spdk_bdev_io_type) -> bool {
        matches!(
            kind,
            SPDK_BDEV_IO_TYPE_READ
                | SPDK_BDEV_IO_TYPE_WRITE
                | SPDK_BDEV_IO_TYPE_FLUSH
                | SPDK_BDEV_IO_TYPE_RESET
                | SPDK_BDEV_IO_TYPE_UNMAP
                | SPDK_BDEV_IO_TYPE_WRITE_ZEROES
                | SPDK_BDEV_IO_TYPE_ZCOPY
                | SPDK_BDEV_IO_TYPE_ABORT
                | SPDK_BDEV_IO_TYPE_COPY
        )
    }

    fn config(disk: &Disk<Self>) -> Option<serde_json::Value> {
        Some(rpc::config(disk))
    }
}

impl Malloc {
    /// Does all that a request asks for. Nothing here takes time but the copying.
    fn handle(&self, io: &mut Io) -> spdk_bdev_io_status {
        let done = match io.kind() {
            SPDK_BDEV_IO_TYPE_READ if io.is_without_buffer() => self.lend(io),
            SPDK_BDEV_IO_TYPE_READ => self.transfer(Copy::ToIovs, io),
            SPDK_BDEV_IO_TYPE_WRITE => self.transfer(Copy::FromIovs, io),
            SPDK_BDEV_IO_TYPE_UNMAP | SPDK_BDEV_IO_TYPE_WRITE_ZEROES => self.zero(io),
            SPDK_BDEV_IO_TYPE_COPY => self.copy(io),
            SPDK_BDEV_IO_TYPE_ZCOPY if io.params().zcopy.start() != 0 => self.lend(io),
            // Nothing is volatile, and nothing is ever outstanding.
            SPDK_BDEV_IO_TYPE_ZCOPY | SPDK_BDEV_IO_TYPE_FLUSH | SPDK_BDEV_IO_TYPE_RESET => Some(()),
            // An abort finds its request completed.
            _ => None,
        };
        match done {
            Some(()) => SPDK_BDEV_IO_STATUS_SUCCESS,
            None => SPDK_BDEV_IO_STATUS_FAILED,
        }
    }

    fn data(&self, io: &Io) -> Option<*mut u8> {
        self.data.at(io.offset_bytes(), io.len_bytes())
    }

    /// The metadata of a request's blocks, and its bytes; None without separate metadata.
    fn metadata(&self, io: &Io) -> Option<(*mut u8, usize)> {
        let size = u64::from(self.metadata_size);
        let params = io.params();
        let len = params.num_blocks * size;
        let at = self
            .metadata
            .as_ref()?
            .at(params.offset_blocks * size, len)?;
        Some((at, len as usize))
    }

    fn transfer(&self, direction: Copy, io: &Io) -> Option<()> {
        let len = io.len_bytes();
        let data = self.data(io)?;
        if !io::covers(io.iovs(), len) {
            return None;
        }
        // SAFETY: `data` has `len` bytes, which the iovecs cover. They are the caller's memory,
        // valid while the request is, and not the disk's. Two requests for the same blocks may race
        // from two threads; then their data may mix, as on any disk.
        unsafe { io::copy(direction, data, len as usize, io.iovs()) };

        let buffer = io.params().md_buf.cast::<u8>();
        if let (false, Some((metadata, len))) = (buffer.is_null(), self.metadata(io)) {
            // SAFETY: `metadata` has `len` bytes, and the caller's buffer as many, as its request
            // is for so many blocks.
            unsafe {
                match direction {
                    Copy::ToIovs => ptr::copy_nonoverlapping(metadata, buffer, len),
                    Copy::FromIovs => ptr::copy_nonoverlapping(buffer, metadata, len),
                }
            }
        }
        Some(())
    }

    /// Lends the disk's own memory to who asked without a buffer.
    fn lend(&self, io: &mut Io) -> Option<()> {
        let data = self.data(io)?;
        let len = io.len_bytes() as usize;
        let metadata = self.metadata(io);
        // SAFETY: a place in the request, which is ours.
        let own = unsafe { &raw mut (*io.as_ptr()).iov };
        let params = io.params_mut();
        if params.iovs.is_null() {
            params.iovs = own;
        }
        params.iovcnt = 1;
        // SAFETY: a request without a buffer has one iovec, at least the one of its own.
        unsafe {
            *params.iovs = libc::iovec {
                iov_base: data.cast(),
                iov_len: len,
            };
        }
        if let Some((metadata, _)) = metadata {
            params.md_buf = metadata.cast();
        }
        Some(())
    }

    fn zero(&self, io: &Io) -> Option<()> {
        let data = self.data(io)?;
        // SAFETY: `data` has that many bytes. For races see `transfer`.
        unsafe { data.write_bytes(0, io.len_bytes() as usize) };
        Some(())
    }

    fn copy(&self, io: &Io) -> Option<()> {
        let to = self.data(io)?;
        let params = io.params();
        let block_size = io.len_bytes() / params.num_blocks.max(1);
        let from = self.data.at(
            params.copy.src_offset_blocks.checked_mul(block_size)?,
            io.len_bytes(),
        )?;
        // SAFETY: both have that many bytes, and may overlap. For races see `transfer`.
        unsafe { ptr::copy(from, to, io.len_bytes() as usize) };
        Some(())
    }
}
