//! `aio`: files and block devices, through io_uring where the machine allows it.
//!
//! ```text
//!   disk channel ──start(job)──► engine, one a thread ──► ring: submitted once a round
//!        ▲                            │        ├────────► lane: writes through the page cache
//!        │                            │        └────────► threads: what the ring cannot do, or all
//!        └──────finished(token)───────┘ poller; a sleeping reactor wakes by a file descriptor
//! ```

use std::cell::Cell;
use std::ffi::{CStr, c_int};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use barespdk_sys::{
    SPDK_BDEV_IO_STATUS_FAILED, SPDK_BDEV_IO_TYPE_FLUSH, SPDK_BDEV_IO_TYPE_READ,
    SPDK_BDEV_IO_TYPE_RESET, SPDK_BDEV_IO_TYPE_UNMAP, SPDK_BDEV_IO_TYPE_WRITE,
    SPDK_BDEV_IO_TYPE_WRITE_ZEROES, spdk_bdev_io_type, spdk_bdev_module, spdk_io_device_unregister,
};
use serde_json::Value;

use self::engine::{Engine, Engines};
use self::file::File;
use self::lane::Lane;
use super::channel::{self, ChannelRef};
use super::device::{Device, Disk};
use super::io::Io;
use super::module::Module;

mod engine;
mod file;
mod flight;
mod job;
mod lane;
mod removal;
mod reset;
mod ring;
mod rpc;
mod threads;

static MODULE: Module = Module::new(spdk_bdev_module {
    module_init: Some(init),
    module_fini: Some(fini),
    get_ctx_size: Some(flight::ctx_size),
    ..Module::blank(c"aio")
});
static ENGINES: Engines = Engines::new();

/// Adds the module and its methods.
pub(super) fn add() {
    MODULE.add();
    rpc::add();
}

unsafe extern "C" fn init() -> c_int {
    // SAFETY: static, and on the application thread.
    unsafe { channel::register_io_device(&raw const ENGINES, c"aio_module") };
    0
}

unsafe extern "C" fn fini() {
    // SAFETY: registered by `init`.
    unsafe { spdk_io_device_unregister((&raw const ENGINES).cast_mut().cast(), None) };
}

/// One file.
struct Aio {
    file: File,
    /// As it was given.
    filename: String,
    block_size_override: bool,
    readonly: bool,
    /// Whether blocks may be unmapped and zeroed in the file system.
    fallocate: bool,
    /// Whether to fail rather than wait for a device that is busy.
    nowait: bool,
    /// Whether it was to go past the page cache.
    direct: bool,
    /// Whether its removal has begun because the file is gone.
    removing: AtomicBool,
}

/// One thread's part of a file.
struct AioChannel {
    engine: ChannelRef<Engine>,
    /// Where writes go that pass through the page cache.
    writes: Option<Arc<Lane>>,
    /// Requests that are with the engine.
    in_flight: Cell<usize>,
}

impl Device for Aio {
    type Channel = AioChannel;

    const MODULE: &'static Module = &MODULE;
    const PRODUCT: &'static CStr = c"AIO disk";

    fn open(disk: &Disk<Self>) -> Result<AioChannel, c_int> {
        let engine = ChannelRef::get(&ENGINES).ok_or(-libc::ENOMEM)?;
        let file = &disk.device().file;
        let is_cached = !file.is_direct() && !file.is_block_device();
        Ok(AioChannel {
            writes: is_cached.then(|| engine.lane()),
            engine,
            in_flight: Cell::new(0),
        })
    }

    fn submit(disk: &Disk<Self>, channel: &AioChannel, io: Io) {
        let aio = disk.device();
        match io.kind() {
            SPDK_BDEV_IO_TYPE_WRITE if aio.readonly => io.complete(SPDK_BDEV_IO_STATUS_FAILED),
            SPDK_BDEV_IO_TYPE_READ | SPDK_BDEV_IO_TYPE_WRITE => flight::transfer(io),
            SPDK_BDEV_IO_TYPE_FLUSH => flight::sync(disk, channel, io),
            SPDK_BDEV_IO_TYPE_UNMAP | SPDK_BDEV_IO_TYPE_WRITE_ZEROES if !aio.fallocate => {
                io.complete_errno(-libc::ENOTSUP);
            }
            SPDK_BDEV_IO_TYPE_UNMAP => flight::unmap(disk, channel, io),
            SPDK_BDEV_IO_TYPE_WRITE_ZEROES => flight::write_zeroes(disk, channel, io),
            SPDK_BDEV_IO_TYPE_RESET => reset::start(disk, io),
            _ => io.complete(SPDK_BDEV_IO_STATUS_FAILED),
        }
    }

    fn supports(&self, kind: spdk_bdev_io_type) -> bool {
        match kind {
            SPDK_BDEV_IO_TYPE_READ
            | SPDK_BDEV_IO_TYPE_WRITE
            | SPDK_BDEV_IO_TYPE_FLUSH
            | SPDK_BDEV_IO_TYPE_RESET => true,
            SPDK_BDEV_IO_TYPE_UNMAP | SPDK_BDEV_IO_TYPE_WRITE_ZEROES => self.fallocate,
            _ => false,
        }
    }

    fn info(disk: &Disk<Self>) -> Option<(&'static str, Value)> {
        Some(("aio", rpc::info(disk.device())))
    }

    fn config(disk: &Disk<Self>) -> Option<Value> {
        Some(rpc::config(disk))
    }
}

impl Aio {
    /// Whether this call is the first one to begin the removal.
    fn begin_removal(&self) -> bool {
        !self.removing.swap(true, Ordering::Relaxed)
    }
}
