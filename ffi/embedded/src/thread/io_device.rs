use std::collections::BTreeMap;
use std::ffi::{CString, c_char, c_void};
use std::sync::{Mutex, MutexGuard};

use barespdk_sys::{
    spdk_io_channel_create_cb, spdk_io_channel_destroy_cb, spdk_io_device_unregister_cb,
    spdk_thread_send_msg,
};

use super::{Shared, Thread, current, current_or_log, name_of};

/// What an address was registered as. All of it is read and written under the lock of [`DEVICES`],
/// but for what never changes.
pub(super) struct IoDevice {
    /// Orders a thread's channels, so that nothing depends on addresses.
    pub(super) id: u64,
    pub(super) address: *mut c_void,
    pub(super) name: CString,
    pub(super) create_cb: spdk_io_channel_create_cb,
    pub(super) destroy_cb: spdk_io_channel_destroy_cb,
    pub(super) ctx_size: u32,
    pub(super) state: DeviceState,
}

/// The part of a device that changes.
pub(super) struct DeviceState {
    unregister_cb: spdk_io_device_unregister_cb,
    unregister_thread: *mut Thread,
    /// Iterations under way.
    pub(super) for_each_count: u32,
    /// Channels, and those being made.
    pub(super) channel_count: u32,
    /// To be unregistered once no iteration is under way.
    pub(super) pending_unregister: bool,
    pub(super) unregistered: bool,
    /// Where its channels are, by the ids of the threads.
    pub(super) threads: BTreeMap<u64, *mut Thread>,
}

pub(super) struct Devices {
    next_id: u64,
    by_address: BTreeMap<usize, Shared<IoDevice>>,
}

static DEVICES: Mutex<Devices> = Mutex::new(Devices {
    next_id: 1,
    by_address: BTreeMap::new(),
});

/// Takes the lock of all devices. No callback runs under it.
pub(super) fn devices() -> MutexGuard<'static, Devices> {
    DEVICES
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner())
}

impl Devices {
    /// The device of an address.
    pub(super) fn get(&self, address: *mut c_void) -> Option<*mut IoDevice> {
        self.by_address.get(&address.addr()).map(|device| device.0)
    }
}

/// Number of devices that are registered.
pub(crate) fn device_count() -> usize {
    devices().by_address.len()
}

/// Names of the devices that are registered, in the order of their registration.
pub(super) fn names() -> Vec<String> {
    let all = devices();
    let mut found: Vec<(u64, String)> = all
        .by_address
        .values()
        .map(|device| {
            // SAFETY: registered, so alive; read under the lock.
            let device = unsafe { &*device.0 };
            (device.id, device.name.to_string_lossy().into_owned())
        })
        .collect();
    found.sort_unstable();
    found.into_iter().map(|(_, name)| name).collect()
}

#[unsafe(no_mangle)]
unsafe extern "C" fn spdk_io_device_register(
    io_device: *mut c_void,
    create_cb: spdk_io_channel_create_cb,
    destroy_cb: spdk_io_channel_destroy_cb,
    ctx_size: u32,
    name: *const c_char,
) {
    if current_or_log("spdk_io_device_register").is_none() {
        return;
    }
    let mut all = devices();
    let id = all.next_id;
    // SAFETY: as the ABI has it.
    let name = unsafe { name_of(name, || format!("io_device {id}")) };
    if let Some(old) = all.get(io_device) {
        // SAFETY: registered, so alive; read under the lock.
        let old = unsafe { &*old }.name.to_string_lossy().into_owned();
        drop(all);
        error_log!(
            "io_device {io_device:p} already registered (old:{old} new:{})\n",
            name.to_string_lossy()
        );
        return;
    }
    all.next_id += 1;
    let device = Box::into_raw(Box::new(IoDevice {
        id,
        address: io_device,
        name,
        create_cb,
        destroy_cb,
        ctx_size,
        state: DeviceState {
            unregister_cb: None,
            unregister_thread: std::ptr::null_mut(),
            for_each_count: 0,
            channel_count: 0,
            pending_unregister: false,
            unregistered: false,
            threads: BTreeMap::new(),
        },
    }));
    all.by_address.insert(io_device.addr(), Shared(device));
}

#[unsafe(no_mangle)]
unsafe extern "C" fn spdk_io_device_unregister(
    io_device: *mut c_void,
    unregister_cb: spdk_io_device_unregister_cb,
) {
    let Some(thread) = current_or_log("spdk_io_device_unregister") else {
        return;
    };
    let mut all = devices();
    let Some(device) = all.get(io_device) else {
        drop(all);
        error_log!("io_device {io_device:p} not found\n");
        return;
    };
    // SAFETY: registered, so alive; under the lock.
    let state = unsafe { &mut (*device).state };
    if state.pending_unregister && state.for_each_count > 0 {
        drop(all);
        error_log!("io_device {io_device:p} already has a pending unregister\n");
        return;
    }
    state.unregister_cb = unregister_cb;
    state.unregister_thread = current();
    if state.for_each_count > 0 {
        // The last iteration calls this function again.
        state.pending_unregister = true;
        let count = state.for_each_count;
        // SAFETY: as above; the name never changes.
        let name = unsafe { &(*device).name }.to_string_lossy().into_owned();
        drop(all);
        warn_log!("io_device {name} ({io_device:p}) has {count} for_each calls outstanding\n");
        return;
    }
    state.unregistered = true;
    let unused = state.channel_count == 0;
    all.by_address.remove(&io_device.addr());
    if unregister_cb.is_some() {
        // Before the lock is released: then the last channel may go, and its thread send the message.
        thread
            .unregister_count
            .set(thread.unregister_count.get() + 1);
    }
    drop(all);
    if unused {
        // SAFETY: unregistered, and without channels: nobody finds it any more.
        unsafe { free(device) };
    }
}

/// Ends a device that is unregistered and has no channels, and says so on the thread that wants to know.
///
/// # Safety
///
/// It is so, and this is called once.
pub(super) unsafe fn free(device: *mut IoDevice) {
    // SAFETY: nobody else has it, as the caller promises.
    let state = unsafe { &(*device).state };
    if state.unregister_cb.is_none() {
        // SAFETY: made by `Box::into_raw`, and known to nobody else.
        drop(unsafe { Box::from_raw(device) });
    } else {
        // SAFETY: that thread does not exit before the message has run; the message takes the device.
        unsafe {
            spdk_thread_send_msg(state.unregister_thread.cast(), Some(finish), device.cast());
        }
    }
}

/// The message of [`free`].
unsafe extern "C" fn finish(device: *mut c_void) {
    // SAFETY: handed over by `free`.
    let device = unsafe { Box::from_raw(device.cast::<IoDevice>()) };
    // SAFETY: the current thread, which the message was sent to.
    let thread = unsafe { &*device.state.unregister_thread };
    thread
        .unregister_count
        .set(thread.unregister_count.get() - 1);
    if let Some(unregister_cb) = device.state.unregister_cb {
        // SAFETY: on the thread that unregistered the device, once, after its last channel.
        unsafe { unregister_cb(device.address) };
    }
}

/// Unregisters a device for good whose last iteration has ended. Under the lock.
///
/// # Safety
///
/// `device` is registered, and its unregistration pending.
pub(super) unsafe fn go_on_unregistering(device: *mut IoDevice) {
    unsafe extern "C" fn again(device: *mut c_void) {
        let all = devices();
        // SAFETY: while its unregistration is pending, only this message unregisters it.
        let (address, callback) = unsafe {
            let device = device.cast::<IoDevice>();
            ((*device).address, (*device).state.unregister_cb)
        };
        drop(all);
        // SAFETY: on the thread that asked for it.
        unsafe { spdk_io_device_unregister(address, callback) };
    }
    // SAFETY: alive under the lock; the thread waits for the device.
    unsafe {
        let thread = (*device).state.unregister_thread;
        spdk_thread_send_msg(thread.cast(), Some(again), device.cast());
    }
}

same_as_declared!(spdk_io_device_register, spdk_io_device_unregister);
