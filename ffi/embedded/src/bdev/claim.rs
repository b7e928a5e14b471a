//! Claims: a module has a bdev to itself, for writing.

use std::ffi::c_int;
use std::ptr::NonNull;

use barespdk_sys::*;

use super::desc::Desc;
use super::device::Bdev;

/// What RPCs call such a claim.
pub(super) const NAME: &str = "exclusive_write";

#[unsafe(no_mangle)]
unsafe extern "C" fn spdk_bdev_module_claim_bdev(
    bdev: *mut spdk_bdev,
    desc: *mut spdk_bdev_desc,
    module: *mut spdk_bdev_module,
) -> c_int {
    // SAFETY: the caller's bdev, which is open, or being examined.
    let device = unsafe { Bdev::new(bdev) };
    let mut control = device.control();
    if control.claim.is_some() {
        error_log!("bdev {:?} is claimed already\n", device.name());
        return -libc::EPERM;
    }
    control.claim = NonNull::new(module);
    if !desc.is_null() {
        // SAFETY: the caller has it open.
        unsafe { Desc::of(desc) }.make_writable();
    }
    0
}

#[unsafe(no_mangle)]
unsafe extern "C" fn spdk_bdev_module_release_bdev(bdev: *mut spdk_bdev) {
    // SAFETY: the caller's bdev, which it has claimed.
    unsafe { Bdev::new(bdev) }.control().claim = None;
}

same_as_declared!(spdk_bdev_module_claim_bdev, spdk_bdev_module_release_bdev);
