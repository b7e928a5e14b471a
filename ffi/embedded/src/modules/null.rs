//! `null`: disks that forget what is written. What a read finds is what was in its buffer before.

use std::ffi::{CStr, c_int};
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

use barespdk_sys::{
    SPDK_BDEV_IO_STATUS_FAILED, SPDK_BDEV_IO_STATUS_SUCCESS, SPDK_BDEV_IO_TYPE_ABORT,
    SPDK_BDEV_IO_TYPE_READ, SPDK_BDEV_IO_TYPE_RESET, SPDK_BDEV_IO_TYPE_WRITE,
    SPDK_BDEV_IO_TYPE_WRITE_ZEROES, SPDK_ENV_NUMA_ID_ANY, spdk_bdev_io_type, spdk_bdev_module,
    spdk_io_device_unregister,
};

use super::channel::{self, ChannelRef};
use super::completions::{Completer, Completions};
use super::device::{Device, Disk};
use super::io::Io;
use super::memory::Memory;
use super::module::Module;

mod rpc;

static MODULE: Module = Module::new(spdk_bdev_module {
    module_init: Some(init),
    module_fini: Some(fini),
    ..Module::blank(c"null")
});
static COMPLETER: Completer = Completer::new();
/// Zeroes for reads that leave it to the module to find memory; a leaked [`Memory`].
static ZEROES: AtomicPtr<Memory> = AtomicPtr::new(ptr::null_mut());

/// Longest read without a buffer in bytes: what the bdev layer's own buffers have.
const ZEROES_LEN: usize = 64 << 10;

/// Adds the module and its methods.
pub(super) fn add() {
    MODULE.add();
    rpc::add();
}

unsafe extern "C" fn init() -> c_int {
    let Some(zeroes) = Memory::new(ZEROES_LEN, 0, SPDK_ENV_NUMA_ID_ANY) else {
        return -libc::ENOMEM;
    };
    ZEROES.store(Box::into_raw(Box::new(zeroes)), Ordering::Release);
    // SAFETY: static, and on the application thread.
    unsafe { channel::register_io_device(&raw const COMPLETER, c"null_bdev") };
    0
}

unsafe extern "C" fn fini() {
    let zeroes = ZEROES.swap(ptr::null_mut(), Ordering::AcqRel);
    if !zeroes.is_null() {
        // SAFETY: from `Box::into_raw`; no bdev is left that could lend it.
        drop(unsafe { Box::from_raw(zeroes) });
    }
    // SAFETY: registered by `init`.
    unsafe { spdk_io_device_unregister((&raw const COMPLETER).cast_mut().cast(), None) };
}

struct Null;

impl Device for Null {
    type Channel = ChannelRef<Completions>;

    const MODULE: &'static Module = &MODULE;
    const PRODUCT: &'static CStr = c"Null disk";

    fn open(_disk: &Disk<Self>) -> Result<Self::Channel, c_int> {
        COMPLETER.channel()
    }

    fn submit(_disk: &Disk<Self>, channel: &Self::Channel, mut io: Io) {
        let done = match io.kind() {
            SPDK_BDEV_IO_TYPE_READ if io.is_without_buffer() => lend_zeroes(&mut io),
            SPDK_BDEV_IO_TYPE_READ
            | SPDK_BDEV_IO_TYPE_WRITE
            | SPDK_BDEV_IO_TYPE_WRITE_ZEROES
            | SPDK_BDEV_IO_TYPE_RESET => true,
            SPDK_BDEV_IO_TYPE_ABORT => channel.abort(io.to_abort()),
            _ => false,
        };
        let status = match done {
            true => SPDK_BDEV_IO_STATUS_SUCCESS,
            false => SPDK_BDEV_IO_STATUS_FAILED,
        };
        channel.push(io, status);
    }

    fn supports(&self, kind: spdk_bdev_io_type) -> bool {
        matches!(
            kind,
            SPDK_BDEV_IO_TYPE_READ
                | SPDK_BDEV_IO_TYPE_WRITE
                | SPDK_BDEV_IO_TYPE_WRITE_ZEROES
                | SPDK_BDEV_IO_TYPE_RESET
                | SPDK_BDEV_IO_TYPE_ABORT
        )
    }

    fn config(disk: &Disk<Self>) -> Option<serde_json::Value> {
        Some(rpc::config(disk))
    }
}

/// Whether there were enough of them.
fn lend_zeroes(io: &mut Io) -> bool {
    let len = io.len_bytes();
    let zeroes = ZEROES.load(Ordering::Acquire);
    // SAFETY: NULL, or leaked until the module ends, when there are no requests any more.
    let Some(zeroes) = (unsafe { zeroes.as_ref() }).and_then(|zeroes| zeroes.at(0, len)) else {
        return false;
    };
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
            iov_base: zeroes.cast(),
            iov_len: len as usize,
        };
    }
    true
}
