use std::ffi::{CStr, c_int, c_void};
use std::marker::PhantomData;
use std::ops::Deref;
use std::ptr::{self, NonNull};

use barespdk_sys::{
    spdk_get_io_channel, spdk_io_channel, spdk_io_channel_get_ctx, spdk_io_device_register,
    spdk_put_io_channel,
};

/// What has a channel on each thread that uses it.
///
/// Its address identifies it, so that it may not have size 0.
pub(super) trait IoDevice: Sync + 'static {
    /// One thread's part of it. Made and dropped on that thread.
    type Channel: 'static;

    /// Makes the current thread's channel, or fails with a negative errno value.
    fn open(&self) -> Result<Self::Channel, c_int>;
}

/// Lets threads have channels of a device. The name is copied.
///
/// # Safety
///
/// `device` is valid until it was unregistered and the callback of that ran. On an SPDK thread.
pub(super) unsafe fn register_io_device<D: IoDevice>(device: *const D, name: &CStr) {
    const {
        assert!(size_of::<D>() > 0, "the address must be the device's own");
        assert!(align_of::<D::Channel>() <= 8, "contexts are aligned to 8");
        assert!(size_of::<D::Channel>() <= u32::MAX as usize);
    }
    // SAFETY: as this function demands; `create` and `destroy` agree on the context's type and size.
    unsafe {
        spdk_io_device_register(
            device.cast_mut().cast(),
            Some(create::<D>),
            Some(destroy::<D>),
            size_of::<D::Channel>() as u32,
            name.as_ptr(),
        );
    }
}

unsafe extern "C" fn create<D: IoDevice>(device: *mut c_void, ctx: *mut c_void) -> c_int {
    // SAFETY: the address that was registered, valid until it is unregistered.
    let device = unsafe { &*device.cast::<D>() };
    match device.open() {
        Ok(channel) => {
            // SAFETY: memory of the size registered, aligned to 8 and owned by the new channel.
            unsafe { ctx.cast::<D::Channel>().write(channel) };
            0
        }
        Err(rc) => rc,
    }
}

unsafe extern "C" fn destroy<D: IoDevice>(_device: *mut c_void, ctx: *mut c_void) {
    // SAFETY: `create` wrote it, and nobody has a reference of the channel any more.
    unsafe { ctx.cast::<D::Channel>().drop_in_place() };
}

/// A reference of the current thread's channel; put when dropped.
pub(super) struct ChannelRef<C> {
    raw: NonNull<spdk_io_channel>,
    // Stays on its thread.
    _channel: PhantomData<*const C>,
}

impl<C> ChannelRef<C> {
    /// The current thread's channel of a device; None if there is no memory or it refuses.
    pub(super) fn get<D: IoDevice<Channel = C>>(device: &'static D) -> Option<Self> {
        // SAFETY: on an SPDK thread, as everything in this crate that is not started by hand. An
        // address that is not registered gives NULL.
        let raw = unsafe { spdk_get_io_channel(ptr::from_ref(device).cast_mut().cast()) };
        Some(Self {
            raw: NonNull::new(raw)?,
            _channel: PhantomData,
        })
    }
}

impl ChannelRef<()> {
    /// Takes over a reference to a channel of which nothing is known.
    ///
    /// # Safety
    ///
    /// The reference is the caller's, who gives it away. On the channel's thread.
    pub(super) unsafe fn from_raw(raw: NonNull<spdk_io_channel>) -> Self {
        Self {
            raw,
            _channel: PhantomData,
        }
    }

    /// The channel; it keeps its reference.
    pub(super) fn as_ptr(&self) -> *mut spdk_io_channel {
        self.raw.as_ptr()
    }
}

impl<C> Deref for ChannelRef<C> {
    type Target = C;

    fn deref(&self) -> &C {
        // SAFETY: the reference keeps the channel, and `create` made its context.
        unsafe { &*spdk_io_channel_get_ctx(self.raw.as_ptr()).cast() }
    }
}

impl<C> Drop for ChannelRef<C> {
    fn drop(&mut self) {
        // SAFETY: a reference of its own, on the channel's thread.
        unsafe { spdk_put_io_channel(self.raw.as_ptr()) };
    }
}
