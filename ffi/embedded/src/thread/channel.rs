use std::cell::Cell;
use std::ffi::{c_int, c_void};
use std::ptr::null_mut;

use barespdk_sys::{
    SPDK_IO_CHANNEL_STRUCT_SIZE, spdk_io_channel, spdk_io_channel_destroy_cb, spdk_thread_send_msg,
};

use crate::rpc::RpcError;

use super::io_device::{IoDevice, devices, free};
use super::{State, Thread, current, current_or_log};

/// `struct spdk_io_channel`; the context follows it. Only its own thread touches it.
#[repr(C)]
pub(crate) struct Channel {
    device: *mut IoDevice,
    destroy_cb: spdk_io_channel_destroy_cb,
    thread: *mut Thread,
    references: Cell<u32>,
    /// Messages under way that destroy it, if it has no references then.
    destroy_count: Cell<u32>,
    _rest: [u64; 8],
}

const _: () = assert!(size_of::<Channel>() == SPDK_IO_CHANNEL_STRUCT_SIZE);

/// The channel of a pointer from the ABI.
///
/// # Safety
///
/// `ch` is a live channel, on its thread.
unsafe fn of<'a>(ch: *mut spdk_io_channel) -> &'a Channel {
    // SAFETY: as the caller promises.
    unsafe { &*ch.cast::<Channel>() }
}

/// The name of a channel's device.
///
/// # Safety
///
/// `channel` is alive.
pub(super) unsafe fn device_name(channel: *mut Channel) -> String {
    // SAFETY: as the caller promises; a device lives as long as its channels.
    unsafe { &(*(*channel).device).name }
        .to_string_lossy()
        .into_owned()
}

impl Thread {
    /// This thread's channel of a device.
    pub(super) fn channel_of(&self, device_id: u64) -> Option<*mut Channel> {
        self.channels.borrow().get(&device_id).copied()
    }

    /// Calls `f` with the name of the device and the references of each channel.
    pub(crate) fn each_channel(&self, mut f: impl FnMut(&str, u32)) {
        for channel in self.channels.borrow().values() {
            // SAFETY: a channel in the map is alive, and `f` cannot free it.
            unsafe { f(&device_name(*channel), (**channel).references.get()) };
        }
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn spdk_get_io_channel(io_device: *mut c_void) -> *mut spdk_io_channel {
    let all = devices();
    let Some(device) = all.get(io_device) else {
        drop(all);
        error_log!("could not find io_device {io_device:p}\n");
        return null_mut();
    };
    let Some(thread) = current_or_log("spdk_get_io_channel") else {
        return null_mut();
    };
    if thread.state() == State::Exited {
        drop(all);
        error_log!(
            "Thread {} is marked as exited\n",
            thread.name.to_string_lossy()
        );
        return null_mut();
    }
    // SAFETY: registered, so alive; under the lock.
    let it = unsafe { &mut *device };
    if let Some(channel) = thread.channel_of(it.id) {
        // SAFETY: a channel in the map is alive, and of this thread.
        let references = unsafe { &(*channel).references };
        references.set(references.get() + 1);
        return channel.cast();
    }
    let size = SPDK_IO_CHANNEL_STRUCT_SIZE + it.ctx_size as usize;
    // SAFETY: plain numbers.
    let channel: *mut Channel = unsafe { libc::calloc(1, size) }.cast();
    if channel.is_null() {
        drop(all);
        error_log!("could not calloc spdk_io_channel\n");
        return null_mut();
    }
    // SAFETY: new memory, large enough, aligned for all that C has.
    unsafe {
        channel.write(Channel {
            device,
            destroy_cb: it.destroy_cb,
            thread: current(),
            references: Cell::new(1),
            destroy_count: Cell::new(0),
            _rest: [0; 8],
        });
    }
    thread.channels.borrow_mut().insert(it.id, channel);
    it.state.channel_count += 1;
    it.state.threads.insert(thread.id, current());
    let (id, create_cb) = (it.id, it.create_cb);
    drop(all);
    // SAFETY: just behind the structure there are `ctx_size` bytes, zeroed.
    let context = unsafe { channel.add(1) };
    // SAFETY: on the thread of the channel, which lives on whatever the function does.
    let rc = create_cb.map_or(0, |create_cb| unsafe {
        create_cb(io_device, context.cast())
    });
    if rc != 0 {
        // SAFETY: made above; the function failed, so that its context is nothing.
        unsafe { undo(thread, channel, id, rc) };
        return null_mut();
    }
    channel.cast()
}

/// Takes back a channel whose function failed.
unsafe fn undo(thread: &Thread, channel: *mut Channel, id: u64, rc: c_int) {
    let all = devices();
    thread.channels.borrow_mut().remove(&id);
    // SAFETY: the channel counts, so that the device is alive; under the lock.
    let (device, it) = unsafe { ((*channel).device, &mut *(*channel).device) };
    it.state.channel_count -= 1;
    it.state.threads.remove(&thread.id);
    // It may have been unregistered while the function ran.
    let gone = it.state.unregistered && it.state.channel_count == 0;
    let name = it.name.to_string_lossy().into_owned();
    drop(all);
    // SAFETY: in no map any more, made by calloc.
    unsafe { libc::free(channel.cast()) };
    error_log!(
        "could not create io_channel for io_device {name}: {} (rc={rc})\n",
        RpcError::from_errno(rc).message
    );
    if gone {
        // SAFETY: unregistered, and that was its last channel.
        unsafe { free(device) };
    }
}

/// Whether a channel is the current thread's; otherwise an error is logged.
fn is_own(channel: &Channel, what: &str) -> bool {
    let Some(thread) = current_or_log(what) else {
        return false;
    };
    if channel.thread == current() {
        return true;
    }
    // SAFETY: a thread with a channel is alive.
    let right = unsafe { &*channel.thread };
    error_log!(
        "{what}(ch) called from wrong thread {}:{} (should be {}:{})\n",
        thread.name.to_string_lossy(),
        thread.id,
        right.name.to_string_lossy(),
        right.id
    );
    false
}

#[unsafe(no_mangle)]
unsafe extern "C" fn spdk_put_io_channel(ch: *mut spdk_io_channel) {
    // SAFETY: a channel of the caller.
    let channel = unsafe { of(ch) };
    if !is_own(channel, "spdk_put_io_channel") {
        return;
    }
    channel.references.set(channel.references.get() - 1);
    if channel.references.get() == 0 {
        channel.destroy_count.set(channel.destroy_count.get() + 1);
        // SAFETY: the current thread; the channel lives until its last such message.
        unsafe { spdk_thread_send_msg(channel.thread.cast(), Some(put), ch.cast()) };
    }
}

/// The message of [`spdk_put_io_channel`].
unsafe extern "C" fn put(ch: *mut c_void) {
    let channel: *mut Channel = ch.cast();
    // SAFETY: alive until the last such message, on its thread.
    let it = unsafe { &*channel };
    it.destroy_count.set(it.destroy_count.get() - 1);
    if it.references.get() > 0 || it.destroy_count.get() > 0 {
        // Asked for again since.
        return;
    }
    let device = it.device;
    // SAFETY: the current thread.
    let thread = unsafe { &*it.thread };
    let all = devices();
    // SAFETY: the channel counts, so that the device is alive; under the lock.
    unsafe {
        thread.channels.borrow_mut().remove(&(*device).id);
        (*device).state.threads.remove(&thread.id);
    }
    drop(all);
    if let Some(destroy_cb) = it.destroy_cb {
        // SAFETY: on the thread of the channel, once; it still counts, so that the device is alive.
        unsafe { destroy_cb((*device).address, channel.add(1).cast()) };
    }
    let all = devices();
    // SAFETY: as above; under the lock.
    let state = unsafe { &mut (*device).state };
    state.channel_count -= 1;
    let gone = state.unregistered && state.channel_count == 0;
    drop(all);
    // SAFETY: in no map any more, made by calloc.
    unsafe { libc::free(ch) };
    if gone {
        // SAFETY: unregistered, and that was its last channel.
        unsafe { free(device) };
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn spdk_io_channel_ref(ch: *mut spdk_io_channel) -> *mut spdk_io_channel {
    // SAFETY: a channel of the caller.
    let channel = unsafe { of(ch) };
    if !is_own(channel, "spdk_io_channel_ref") {
        return null_mut();
    }
    channel.references.set(channel.references.get() + 1);
    ch
}

#[unsafe(no_mangle)]
unsafe extern "C" fn spdk_io_channel_from_ctx(ctx: *mut c_void) -> *mut spdk_io_channel {
    ctx.wrapping_byte_sub(SPDK_IO_CHANNEL_STRUCT_SIZE).cast()
}

same_as_declared!(
    spdk_get_io_channel,
    spdk_put_io_channel,
    spdk_io_channel_ref,
    spdk_io_channel_from_ctx,
);
