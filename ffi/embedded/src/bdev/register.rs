//! How bdevs come and go.
//!
//! ```text
//!  spdk_bdev_register ─► Ready, examined ── spdk_bdev_unregister ──► Unregistering: every channel
//!     aborts what waits ─► (locks of ranges are gone) ─► Removing: openers get REMOVE
//!        ─► (the last descriptor is closed) ─► out of the registry
//!        ─► (the last channel is gone) ─► destruct ─► (it is done) ─► the callback
//! ```

use std::ffi::{CStr, CString, c_char, c_int, c_void};

use barespdk_sys::*;

use super::channel::{self, Channel, flag};
use super::desc::{self, Event};
use super::device::{Bdev, Control, Life, Record, Unregistered};
use super::registry::{Registry, registry};
use super::request::zeroes::ZEROES_LEN;
use super::{buffer, examine, notify, queue_depth, submit, throttle};

/// The text of a UUID.
pub(super) fn uuid_text(uuid: &spdk_uuid) -> String {
    // SAFETY: all its views are bytes.
    let raw = unsafe { uuid.u.raw };
    let mut text = String::with_capacity(36);
    for (index, byte) in raw.iter().enumerate() {
        if matches!(index, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        text.push_str(&format!("{byte:02x}"));
    }
    text
}

/// How many blocks fit into a buffer, with their metadata, wherever it has to begin.
fn blocks_that_fit(device: Bdev, bytes: u64) -> u32 {
    let room = bytes.saturating_sub(device.buf_align() as u64 - 1);
    let blocks = room / device.block_size_with_metadata();
    let unit = u64::from(device.write_unit_size()).max(1);
    (blocks - blocks % unit) as u32
}

/// Fills in what the module left open.
///
/// # Safety
/// A bdev that nobody knows yet, with its block size.
unsafe fn complete_fields(device: Bdev) {
    let raw = device.raw();
    let large = u64::from(buffer::options().large_bufsize);
    // SAFETY: the module has given the bdev to us, and nobody else has seen it.
    unsafe {
        (*raw).aliases.tqh_first = std::ptr::null_mut();
        (*raw).aliases.tqh_last = &raw mut (*raw).aliases.tqh_first;
        for io_type in SPDK_BDEV_IO_TYPE_READ..SPDK_BDEV_NUM_IO_TYPES {
            let asked = device.functions().io_type_supported;
            if asked.is_some_and(|supported| supported(device.ctxt(), io_type)) {
                (*raw).io_type_supported |= 1 << io_type;
            }
        }
        if (*raw).write_unit_size == 0 {
            (*raw).write_unit_size = 1;
        }
        if device.buf_align() > 1 {
            let fits = blocks_that_fit(device, large);
            let max = (*raw).max_rw_size;
            (*raw).max_rw_size = if max == 0 { fits } else { max.min(fits) };
        }
        if (*raw).acwu == 0 {
            (*raw).acwu = (*raw).write_unit_size as u16;
        }
        if (*raw).phys_blocklen == 0 {
            (*raw).phys_blocklen = super::properties::data_block_size(device);
        }
        if !device.handles(SPDK_BDEV_IO_TYPE_COPY) {
            (*raw).max_copy = blocks_that_fit(device, large);
        }
        if !device.handles(SPDK_BDEV_IO_TYPE_WRITE_ZEROES) {
            let fits = blocks_that_fit(device, ZEROES_LEN as u64);
            let boundary = if device.split_on_write_unit() {
                device.write_unit_size()
            } else if device.split_on_optimal_io_boundary() {
                device.optimal_io_boundary()
            } else {
                0
            };
            (*raw).max_write_zeroes = match boundary.min(fits) {
                0 => fits,
                max => max,
            };
        }
    }
}

/// The UUID of a bdev, which gets one if it has none.
fn uuid_of(device: Bdev) -> CString {
    let raw = device.raw();
    // SAFETY: nobody else has seen the bdev.
    let uuid = unsafe {
        if (*raw).uuid.u.raw == [0; 16] {
            spdk_uuid_generate(&raw mut (*raw).uuid);
        }
        (*raw).uuid
    };
    CString::new(uuid_text(&uuid)).unwrap_or_default()
}

fn is_app_thread() -> bool {
    // SAFETY: any thread.
    unsafe { !spdk_get_thread().is_null() && spdk_thread_is_app_thread(std::ptr::null_mut()) }
}

/// # Safety
/// A bdev as `spdk_bdev_register` takes it.
unsafe fn register(raw: *mut spdk_bdev) -> Result<Bdev, c_int> {
    // SAFETY: the caller's word.
    let name = unsafe { (*raw).name };
    // SAFETY: not NULL, so a string.
    if name.is_null() || unsafe { CStr::from_ptr(name) }.is_empty() {
        error_log!("a bdev has to have a name\n");
        return Err(-libc::EINVAL);
    }
    // SAFETY: the caller's word; from here on it is there.
    let device = unsafe { Bdev::new(raw) };
    if device.blocklen() == 0 {
        error_log!("bdev {:?} has blocks of no size\n", device.name());
        return Err(-libc::EINVAL);
    }
    let name = device.name();
    let uuid = uuid_of(device);
    let is_known = |name: &CStr| registry().by_name(name).is_some();
    // This thread alone registers, so it stays as it is.
    if is_known(name) || is_known(&uuid) {
        error_log!("there is a bdev {name:?} or {uuid:?} already\n");
        return Err(-libc::EEXIST);
    }
    // SAFETY: nobody has seen it.
    unsafe { complete_fields(device) };
    let record = Box::leak(Record::new(device));
    device.set_record(record);
    if uuid.as_c_str() != name {
        device.control().aliases.push(uuid.clone());
    }
    let device_name = CString::new([b"bdev_", name.to_bytes()].concat()).unwrap_or_default();
    // SAFETY: on an SPDK thread; the record stays until the io_device is gone; the size is that of
    // the context.
    unsafe {
        spdk_io_device_register(
            record.io_device(),
            Some(channel::create),
            Some(channel::destroy),
            size_of::<Channel>() as u32,
            device_name.as_ptr(),
        );
    }
    let mut registry = registry();
    registry.add_name(name, device);
    registry.add_name(&uuid, device);
    registry.bdevs.push(device);
    Ok(device)
}

#[unsafe(no_mangle)]
unsafe extern "C" fn spdk_bdev_register(bdev: *mut spdk_bdev) -> c_int {
    if !is_app_thread() {
        error_log!("a bdev can only be registered on the app thread\n");
        return -libc::EINVAL;
    }
    // SAFETY: the caller's word.
    let device = match unsafe { register(bdev) } {
        Ok(device) => device,
        Err(rc) => return rc,
    };
    // Keeps the bdev until it has been examined.
    let Ok(desc) = desc::open_by_name(device.name()) else {
        // Nobody else is on this thread, so nobody unregisters it before we have it.
        unreachable!("a bdev that was just registered");
    };
    examine::examine(device);
    examine::wait(move || {
        notify("bdev_register", device);
        // SAFETY: opened above, on this thread, closed once.
        unsafe { desc::close(desc) };
    });
    0
}

/// Tells the openers that a bdev goes, or, where there are none, takes it out of the registry.
/// Whether it is to be destroyed now.
pub(super) fn remove(registry: &mut Registry, control: &mut Control, device: Bdev) -> bool {
    for desc in &control.descs {
        // SAFETY: open.
        unsafe { desc.as_ref() }.notify(Event::Remove);
    }
    if !control.descs.is_empty() {
        return false;
    }
    registry.remove_name(device.name());
    for alias in &control.aliases {
        registry.remove_name(alias);
    }
    registry.bdevs.retain(|other| *other != device);
    notify("bdev_unregister", device);
    control.waits_for_reset = control.reset.is_some();
    !control.waits_for_reset
}

/// Ends a bdev that is out of the registry, when its last channel is gone.
pub(super) fn destroy(device: Bdev) {
    let io_device = device.record().io_device();
    // SAFETY: on an SPDK thread; registered by `register`, and ended once.
    unsafe { spdk_io_device_unregister(io_device, Some(destroyed)) };
}

unsafe extern "C" fn destroyed(io_device: *mut c_void) {
    let record = io_device.cast::<Record>();
    // SAFETY: the record of a bdev without channels and descriptors.
    let device = unsafe { (*record).device };
    let Some(unregistered) = device.control().unregistered else {
        return;
    };
    // SAFETY: any thread.
    if unsafe { spdk_get_thread() } != unregistered.thread {
        // SAFETY: that thread waits for the end of the bdev.
        unsafe { spdk_thread_send_msg(unregistered.thread, Some(destroyed), io_device) };
        return;
    }
    let (destruct, ctxt) = (device.functions().destruct, device.ctxt());
    // SAFETY: the module's function and context; the bdev may be gone afterwards, but for the case
    // that it says otherwise.
    let rc = destruct.map_or(0, |destruct| unsafe { destruct(ctxt) });
    if rc > 0 {
        // `spdk_bdev_destruct_done` has the rest, or has had it.
        return;
    }
    // SAFETY: made by `register`; nobody has it any more.
    drop(unsafe { Box::from_raw(record) });
    unregistered.call(rc);
}

#[unsafe(no_mangle)]
unsafe extern "C" fn spdk_bdev_destruct_done(bdev: *mut spdk_bdev, bdeverrno: c_int) {
    // SAFETY: the bdev is there until this returns; its record was left to us.
    let device = unsafe { Bdev::new(bdev) };
    let record = std::ptr::from_ref(device.record()).cast_mut();
    let unregistered = device.control().unregistered;
    // SAFETY: made by `register`; nobody has it any more.
    drop(unsafe { Box::from_raw(record) });
    if let Some(unregistered) = unregistered {
        unregistered.call(bdeverrno);
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn spdk_bdev_unregister(
    bdev: *mut spdk_bdev,
    cb_fn: spdk_bdev_unregister_cb,
    cb_arg: *mut c_void,
) {
    let unregistered = Unregistered {
        cb: cb_fn,
        arg: cb_arg,
        // SAFETY: any thread.
        thread: unsafe { spdk_get_thread() },
    };
    if unregistered.thread.is_null() {
        unregistered.call(-libc::ENOTSUP);
        return;
    }
    // SAFETY: the caller's word.
    let device = unsafe { Bdev::new(bdev) };
    let mut control = device.control();
    if control.life != Life::Ready {
        drop(control);
        unregistered.call(-libc::EBUSY);
        return;
    }
    control.life = Life::Unregistering;
    control.unregistered = Some(unregistered);
    drop(control);
    queue_depth::set_period(device, 0);
    throttle::stop(device);
    channel::for_each(
        device,
        device,
        |step| {
            let channel = step.channel();
            channel.abort_waiting();
            // What rate limits keep back would wait for ever.
            channel.set_flag(flag::THROTTLED, false);
            let throttled = channel.throttled.take();
            while let Some(io) = throttled.pop_front() {
                submit::pass_on(channel, io);
            }
            step.go_on(0);
        },
        |device, _| go_on(device),
    );
}

/// Goes on with an unregistration when the channels have been told, and no range is locked.
fn go_on(device: Bdev) {
    let mut registry = registry();
    let mut control = device.control();
    if !control.ranges.is_empty() || control.life != Life::Unregistering {
        return;
    }
    // Not before: else the last one who closes the bdev would end it under the walk above.
    control.life = Life::Removing;
    let gone = remove(&mut registry, &mut control, device);
    drop((control, registry));
    if gone {
        destroy(device);
    }
}

pub(super) unsafe extern "C" fn go_on_message(bdev: *mut c_void) {
    // SAFETY: a bdev whose unregistration waits for this.
    go_on(unsafe { Bdev::new(bdev.cast()) });
}

#[unsafe(no_mangle)]
unsafe extern "C" fn spdk_bdev_unregister_by_name(
    bdev_name: *const c_char,
    module: *mut spdk_bdev_module,
    cb_fn: spdk_bdev_unregister_cb,
    cb_arg: *mut c_void,
) -> c_int {
    // SAFETY: the caller passes a string.
    let name = unsafe { CStr::from_ptr(bdev_name) };
    let desc = match desc::open_by_name(name) {
        Ok(desc) => desc,
        Err(rc) => return rc,
    };
    // SAFETY: open.
    let device = unsafe { desc.as_ref() }.device;
    let is_ours = device.module() == module;
    // SAFETY: open until here, on this thread.
    unsafe {
        if is_ours {
            spdk_bdev_unregister(device.raw(), cb_fn, cb_arg);
        }
        desc::close(desc);
    }
    if is_ours { 0 } else { -libc::ENODEV }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn spdk_bdev_notify_blockcnt_change(bdev: *mut spdk_bdev, size: u64) -> c_int {
    // SAFETY: the caller's bdev, which is registered.
    let device = unsafe { Bdev::new(bdev) };
    let control = device.control();
    let before = device.num_blocks();
    if size == before {
        return 0;
    }
    if size < before && !control.descs.is_empty() {
        return -libc::EBUSY;
    }
    notify("bdev_resize", device);
    device.set_num_blocks(size);
    for desc in &control.descs {
        // SAFETY: open.
        unsafe { desc.as_ref() }.notify(Event::Resize);
    }
    0
}

same_as_declared!(
    spdk_bdev_register,
    spdk_bdev_destruct_done,
    spdk_bdev_unregister,
    spdk_bdev_unregister_by_name,
    spdk_bdev_notify_blockcnt_change
);
