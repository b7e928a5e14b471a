//! Quiescing: a module has nobody use a range of its bdev for a while.

use std::ffi::{c_int, c_void};
use std::ptr::{self, NonNull};

use barespdk_sys::*;

use super::device::{Bdev, Life};
use super::range::{self, Owner};
use super::request::Span;

/// A range that is quiet, or is about to be.
pub(super) struct Quiesced {
    cb: spdk_bdev_quiesce_cb,
    cb_arg: *mut c_void,
}

fn call(cb: spdk_bdev_quiesce_cb, cb_arg: *mut c_void) {
    if let Some(cb) = cb {
        // SAFETY: what was asked for, once.
        unsafe { cb(cb_arg, 0) };
    }
}

fn check(device: Bdev, module: *mut spdk_bdev_module, span: Span) -> Result<(), c_int> {
    if !ptr::eq(device.module(), module) || !device.has_blocks(span.offset_blocks, span.num_blocks)
    {
        return Err(-libc::EINVAL);
    }
    let control = device.control();
    if control.life == Life::Removing && control.descs.is_empty() {
        return Err(-libc::ENODEV);
    }
    Ok(())
}

fn quiesce(
    device: Bdev,
    module: *mut spdk_bdev_module,
    span: Span,
    cb: spdk_bdev_quiesce_cb,
    cb_arg: *mut c_void,
) -> c_int {
    if let Err(rc) = check(device, module, span) {
        return rc;
    }
    let quiesced = NonNull::from(Box::leak(Box::new(Quiesced { cb, cb_arg })));
    range::lock(device, Owner::Quiesce(quiesced), span, |owner| {
        if let Owner::Quiesce(quiesced) = owner {
            // SAFETY: alive until it is unlocked, which nobody has asked for yet.
            let (cb, cb_arg) = unsafe { (quiesced.as_ref().cb, quiesced.as_ref().cb_arg) };
            call(cb, cb_arg);
        }
    });
    0
}

fn unquiesce(
    device: Bdev,
    module: *mut spdk_bdev_module,
    span: Span,
    cb: spdk_bdev_quiesce_cb,
    cb_arg: *mut c_void,
) -> c_int {
    if let Err(rc) = check(device, module, span) {
        return rc;
    }
    let Some(quiesced) = range::quiesced(device, span) else {
        error_log!("the range to unquiesce was not found\n");
        return -libc::EINVAL;
    };
    // SAFETY: the module has it: nobody else looks at it until it is unlocked.
    unsafe { *quiesced.as_ptr() = Quiesced { cb, cb_arg } };
    range::unlock(device, Owner::Quiesce(quiesced), span, |owner| {
        if let Owner::Quiesce(quiesced) = owner {
            // SAFETY: made by `quiesce`; no lock has it any more.
            let quiesced = unsafe { Box::from_raw(quiesced.as_ptr()) };
            call(quiesced.cb, quiesced.cb_arg);
        }
    });
    0
}

/// Keeps requests to a range of blocks back, and calls `cb_fn` when those in flight are done. By the
/// bdev's module, on an SPDK thread.
#[unsafe(no_mangle)]
unsafe extern "C" fn spdk_bdev_quiesce_range(
    bdev: *mut spdk_bdev,
    module: *mut spdk_bdev_module,
    offset: u64,
    length: u64,
    cb_fn: spdk_bdev_quiesce_cb,
    cb_arg: *mut c_void,
) -> c_int {
    let span = Span {
        offset_blocks: offset,
        num_blocks: length,
    };
    // SAFETY: the module's own bdev, which is registered.
    quiesce(unsafe { Bdev::new(bdev) }, module, span, cb_fn, cb_arg)
}

/// Ends what `spdk_bdev_quiesce_range` began, for the same range.
#[unsafe(no_mangle)]
unsafe extern "C" fn spdk_bdev_unquiesce_range(
    bdev: *mut spdk_bdev,
    module: *mut spdk_bdev_module,
    offset: u64,
    length: u64,
    cb_fn: spdk_bdev_quiesce_cb,
    cb_arg: *mut c_void,
) -> c_int {
    let span = Span {
        offset_blocks: offset,
        num_blocks: length,
    };
    // SAFETY: as above.
    unquiesce(unsafe { Bdev::new(bdev) }, module, span, cb_fn, cb_arg)
}

same_as_declared!(spdk_bdev_quiesce_range, spdk_bdev_unquiesce_range);
