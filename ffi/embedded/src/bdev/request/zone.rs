//! Zones: what a zoned bdev says of itself, and requests to them. As the ABI has it, nothing is
//! checked before the module sees these requests.

use std::ffi::{c_int, c_void};
use std::ptr;

use barespdk_sys::*;
use libc::iovec;

use super::{Order, Span, code};
use crate::bdev::submit;

fn try_manage(
    order: Order<'_>,
    io_type: spdk_bdev_io_type,
    params: spdk_bdev_io_zone_mgmt_params,
) -> Result<(), c_int> {
    let mut io = order.take(io_type)?;
    io.u.zone_mgmt = params;
    submit::submit(io);
    Ok(())
}

#[unsafe(no_mangle)]
unsafe extern "C" fn spdk_bdev_get_zone_info(
    desc: *mut spdk_bdev_desc,
    ch: *mut spdk_io_channel,
    zone_id: u64,
    num_zones: usize,
    info: *mut spdk_bdev_zone_info,
    cb: spdk_bdev_io_completion_cb,
    cb_arg: *mut c_void,
) -> c_int {
    // SAFETY: the caller's descriptor and channel, see the ABI.
    let order = unsafe { Order::new(desc, ch, cb, cb_arg) };
    let params = spdk_bdev_io_zone_mgmt_params {
        zone_id,
        num_zones: num_zones as u32,
        zone_action: SPDK_BDEV_ZONE_CLOSE,
        buf: info.cast(),
    };
    code(try_manage(order, SPDK_BDEV_IO_TYPE_GET_ZONE_INFO, params))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn spdk_bdev_zone_management(
    desc: *mut spdk_bdev_desc,
    ch: *mut spdk_io_channel,
    zone_id: u64,
    action: spdk_bdev_zone_action,
    cb: spdk_bdev_io_completion_cb,
    cb_arg: *mut c_void,
) -> c_int {
    // SAFETY: as above.
    let order = unsafe { Order::new(desc, ch, cb, cb_arg) };
    let params = spdk_bdev_io_zone_mgmt_params {
        zone_id,
        num_zones: 1,
        zone_action: action,
        buf: ptr::null_mut(),
    };
    code(try_manage(order, SPDK_BDEV_IO_TYPE_ZONE_MANAGEMENT, params))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn spdk_bdev_zone_appendv_with_md(
    desc: *mut spdk_bdev_desc,
    ch: *mut spdk_io_channel,
    iov: *mut iovec,
    iovcnt: c_int,
    md: *mut c_void,
    zone_id: u64,
    num_blocks: u64,
    cb: spdk_bdev_io_completion_cb,
    cb_arg: *mut c_void,
) -> c_int {
    // SAFETY: as above.
    let order = unsafe { Order::new(desc, ch, cb, cb_arg) };
    let span = Span {
        offset_blocks: zone_id,
        num_blocks,
    };
    let mut io = match order.take_for(SPDK_BDEV_IO_TYPE_ZONE_APPEND, span) {
        Ok(io) => io,
        Err(rc) => return rc,
    };
    let params = io.params_mut();
    (params.iovs, params.iovcnt, params.md_buf) = (iov, iovcnt, md);
    submit::submit(io);
    0
}

#[unsafe(no_mangle)]
unsafe extern "C" fn spdk_bdev_get_zone_size(bdev: *const spdk_bdev) -> u64 {
    // SAFETY: the caller has the bdev open.
    unsafe { (*bdev).zone_size }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn spdk_bdev_get_max_zone_append_size(bdev: *const spdk_bdev) -> u32 {
    // SAFETY: as above.
    unsafe { (*bdev).max_zone_append_size }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn spdk_bdev_get_max_open_zones(bdev: *const spdk_bdev) -> u32 {
    // SAFETY: as above.
    unsafe { (*bdev).max_open_zones }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn spdk_bdev_get_max_active_zones(bdev: *const spdk_bdev) -> u32 {
    // SAFETY: as above.
    unsafe { (*bdev).max_active_zones }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn spdk_bdev_get_optimal_open_zones(bdev: *const spdk_bdev) -> u32 {
    // SAFETY: as above.
    unsafe { (*bdev).optimal_open_zones }
}

same_as_declared!(
    spdk_bdev_get_zone_info,
    spdk_bdev_zone_management,
    spdk_bdev_zone_appendv_with_md,
    spdk_bdev_get_zone_size,
    spdk_bdev_get_max_zone_append_size,
    spdk_bdev_get_max_open_zones,
    spdk_bdev_get_max_active_zones,
    spdk_bdev_get_optimal_open_zones
);
