//! C: spdk/thread.h
//!
//! Lightweight threads, messages, pollers, io_devices and their channels.
//!
//! An SPDK thread is run by one OS thread at a time. "On an SPDK thread" below means from a message,
//! a poller or another callback that SPDK runs there; the *current* thread is that one.

use core::ffi::{c_char, c_int, c_uint, c_void};

use crate::cpuset::spdk_cpuset;

opaque! {
    /// A lightweight thread. Owned by SPDK; a pointer is valid until the thread was destroyed, which
    /// happens after `spdk_thread_exit` once its channels and pollers are gone.
    spdk_thread
}
opaque! {
    /// A function that a thread calls again and again. Owned by the thread that registered it.
    spdk_poller
}
opaque! {
    /// A thread's reference-counted handle of an io_device. To be used on its own thread only.
    spdk_io_channel
}
opaque! {
    /// A file descriptor whose readability calls a function on a thread. Owned by the thread that
    /// registered it.
    spdk_interrupt
}
opaque! {
    /// The state of one `spdk_for_each_channel`. Valid until `spdk_for_each_channel_continue`.
    spdk_io_channel_iter
}

enumeration! {
    /// What a poller function returns: whether it found work. A statistic alone.
    spdk_thread_poller_rc: c_uint {
        /// Nothing was done.
        SPDK_POLLER_IDLE = 0,
        /// Something was done.
        SPDK_POLLER_BUSY = 1,
    }
}

/// Size in bytes of `struct spdk_io_channel`; the channel's context starts right behind it.
pub const SPDK_IO_CHANNEL_STRUCT_SIZE: usize = 96;

/// A message. Runs once on the thread that it was sent to.
pub type spdk_msg_fn = Option<unsafe extern "C" fn(ctx: *mut c_void)>;

/// A poller's function. Runs on the thread that registered it; returns a [`spdk_thread_poller_rc`],
/// or a negative value, which counts as idle.
pub type spdk_poller_fn = Option<unsafe extern "C" fn(ctx: *mut c_void) -> c_int>;

/// What an interrupt calls when its file descriptor is readable, on the thread that registered it;
/// returns a [`spdk_thread_poller_rc`], or a negative value.
pub type spdk_interrupt_fn = Option<unsafe extern "C" fn(ctx: *mut c_void) -> c_int>;

/// Initialises the context of a new channel, on the thread that asked for it. `ctx_buf` is zeroed
/// memory of the size given at registration, owned by the channel. Returns 0 or a negative errno
/// value, which makes `spdk_get_io_channel` return NULL.
pub type spdk_io_channel_create_cb =
    Option<unsafe extern "C" fn(io_device: *mut c_void, ctx_buf: *mut c_void) -> c_int>;

/// Ends the context of a channel, on the channel's thread, after its last reference was put.
pub type spdk_io_channel_destroy_cb =
    Option<unsafe extern "C" fn(io_device: *mut c_void, ctx_buf: *mut c_void)>;

/// Says that an io_device has no channels left. Runs on the thread that unregistered it.
pub type spdk_io_device_unregister_cb = Option<unsafe extern "C" fn(io_device: *mut c_void)>;

/// One step of `spdk_for_each_channel`, on the thread of the channel at hand.
pub type spdk_channel_msg = Option<unsafe extern "C" fn(i: *mut spdk_io_channel_iter)>;

/// The end of `spdk_for_each_channel`, on the thread that started it. `status` is 0 or what a step
/// passed to `spdk_for_each_channel_continue`.
pub type spdk_channel_for_each_cpl =
    Option<unsafe extern "C" fn(i: *mut spdk_io_channel_iter, status: c_int)>;

unsafe extern "C" {
    /// The current SPDK thread, or NULL outside of one. Any OS thread.
    pub fn spdk_get_thread() -> *mut spdk_thread;

    /// Makes `thread` (or none, NULL) the current thread of this OS thread. Two OS threads must
    /// never run one SPDK thread at a time; the caller vouches for that.
    pub fn spdk_set_thread(thread: *mut spdk_thread);

    /// The first thread created, or NULL before that and after its end. Any OS thread.
    pub fn spdk_thread_get_app_thread() -> *mut spdk_thread;

    /// Whether `thread`, or the current one for NULL, is the application thread.
    pub fn spdk_thread_is_app_thread(thread: *mut spdk_thread) -> bool;

    /// Creates a thread. `name` (NULL: made from its address) and `cpumask` (NULL: all cores) are
    /// copied. Any OS thread. Returns NULL without memory or if the framework refuses it. The
    /// thread is SPDK's; end it with `spdk_thread_exit`.
    pub fn spdk_thread_create(name: *const c_char, cpumask: *const spdk_cpuset)
    -> *mut spdk_thread;

    /// Starts the end of the current thread: it goes on until its pollers are unregistered and its
    /// channels are put (or five seconds have passed). `thread` must be the current one. Returns 0.
    pub fn spdk_thread_exit(thread: *mut spdk_thread) -> c_int;

    /// Whether a thread runs, that is neither exits nor has ended.
    pub fn spdk_thread_is_running(thread: *mut spdk_thread) -> bool;

    /// The name of a thread, owned by it.
    pub fn spdk_thread_get_name(thread: *const spdk_thread) -> *const c_char;

    /// The id of a thread: positive and never used again.
    pub fn spdk_thread_get_id(thread: *const spdk_thread) -> u64;

    /// The thread of an id, or NULL. The pointer is as good as the caller's knowledge that the
    /// thread does not end meanwhile. Any OS thread.
    pub fn spdk_thread_get_by_id(id: u64) -> *mut spdk_thread;

    /// Number of threads alive. Any OS thread.
    pub fn spdk_thread_get_count() -> u32;

    /// Runs `fn_(ctx)` on `thread` later, in the order sent. Any OS thread, as long as `thread` is not
    /// destroyed. Returns 0. SPDK aborts the process if `thread` has ended (a thread that is still
    /// exiting takes messages) or if its message pool is exhausted.
    pub fn spdk_thread_send_msg(
        thread: *const spdk_thread,
        fn_: spdk_msg_fn,
        ctx: *mut c_void,
    ) -> c_int;

    /// Registers a poller on the current thread: called every `period_microseconds`, or in every
    /// round for 0. `name` (NULL allowed) is copied. Returns NULL outside of a thread, on a thread
    /// that has ended or without memory.
    pub fn spdk_poller_register_named(
        fn_: spdk_poller_fn,
        arg: *mut c_void,
        period_microseconds: u64,
        name: *const c_char,
    ) -> *mut spdk_poller;

    /// Ends a poller and sets `*ppoller` to NULL; a NULL poller is ignored. On the poller's thread,
    /// also from its own function. The function is not called any more afterwards.
    pub fn spdk_poller_unregister(ppoller: *mut *mut spdk_poller);

    /// Stops calling a poller until it is resumed. On the poller's thread.
    pub fn spdk_poller_pause(poller: *mut spdk_poller);

    /// Calls a paused poller again. On the poller's thread.
    pub fn spdk_poller_resume(poller: *mut spdk_poller);

    /// Whether threads may sleep until a file descriptor wakes them, so that interrupts can be
    /// registered. Never changes once the first thread is there. Any OS thread.
    pub fn spdk_interrupt_mode_is_enabled() -> bool;

    /// Has `fn_(arg)` called on the current thread whenever `efd` is readable. `name` (NULL: that of the
    /// function) is copied; `efd` stays the caller's, and open until it is unregistered. Returns NULL
    /// without memory, for a descriptor that cannot be waited for or is registered already, and (with an
    /// error in the log) where `spdk_interrupt_mode_is_enabled` says no. On a thread that runs.
    pub fn spdk_interrupt_register(
        efd: c_int,
        fn_: spdk_interrupt_fn,
        arg: *mut c_void,
        name: *const c_char,
    ) -> *mut spdk_interrupt;

    /// Ends an interrupt and sets `*pintr` to NULL; a NULL interrupt is ignored. On the interrupt's
    /// thread, also from its own function. The function is not called any more afterwards.
    pub fn spdk_interrupt_unregister(pintr: *mut *mut spdk_interrupt);

    /// Makes the address `io_device` a device with channels whose contexts have `ctx_size` bytes.
    /// `name` (NULL allowed) is copied. On an SPDK thread. SPDK logs and ignores a second
    /// registration of one address.
    pub fn spdk_io_device_register(
        io_device: *mut c_void,
        create_cb: spdk_io_channel_create_cb,
        destroy_cb: spdk_io_channel_destroy_cb,
        ctx_size: u32,
        name: *const c_char,
    );

    /// Ends a device: no new channels, and `unregister_cb` (NULL allowed) on the current thread once
    /// the last one is gone. On an SPDK thread. What the address points to must live until then.
    pub fn spdk_io_device_unregister(
        io_device: *mut c_void,
        unregister_cb: spdk_io_device_unregister_cb,
    );

    /// The current thread's channel of a device, with a reference for the caller; made if there is
    /// none yet. NULL: no such device, the thread has ended, no memory, or `create_cb` failed.
    pub fn spdk_get_io_channel(io_device: *mut c_void) -> *mut spdk_io_channel;

    /// Gives a reference back. On the channel's thread. After the last one the channel is destroyed
    /// by a message, not within this call.
    pub fn spdk_put_io_channel(ch: *mut spdk_io_channel);

    /// Takes another reference and returns `ch`. On the channel's thread.
    pub fn spdk_io_channel_ref(ch: *mut spdk_io_channel) -> *mut spdk_io_channel;

    /// The channel of a context.
    pub fn spdk_io_channel_from_ctx(ctx: *mut c_void) -> *mut spdk_io_channel;

    /// Calls `fn_` for each channel of a device, one after the other, each on its own thread and
    /// each going on at `spdk_for_each_channel_continue`; then `cpl` on the current thread, which
    /// must be an SPDK thread.
    pub fn spdk_for_each_channel(
        io_device: *mut c_void,
        fn_: spdk_channel_msg,
        ctx: *mut c_void,
        cpl: spdk_channel_for_each_cpl,
    );

    /// The channel at hand of an iteration; it has no reference of its own. Not in `cpl`.
    pub fn spdk_io_channel_iter_get_channel(i: *mut spdk_io_channel_iter) -> *mut spdk_io_channel;

    /// The `ctx` of an iteration.
    pub fn spdk_io_channel_iter_get_ctx(i: *mut spdk_io_channel_iter) -> *mut c_void;

    /// Goes on to the next channel, or to `cpl` for a `status` other than 0. On the thread of the
    /// channel at hand, once for each step.
    pub fn spdk_for_each_channel_continue(i: *mut spdk_io_channel_iter, status: c_int);
}

/// The context of a channel, or NULL for NULL. Owned by the channel.
///
/// Stands for the C: `(uint8_t *)ch + SPDK_IO_CHANNEL_STRUCT_SIZE` (C asserts on NULL).
///
/// # Safety
///
/// `ch` is NULL or a channel that the caller holds a reference of, on the channel's thread.
#[inline]
pub unsafe fn spdk_io_channel_get_ctx(ch: *mut spdk_io_channel) -> *mut c_void {
    if ch.is_null() {
        return core::ptr::null_mut();
    }
    // SAFETY: a channel is one allocation of SPDK_IO_CHANNEL_STRUCT_SIZE bytes followed by its
    // context, whose size may be 0: the sum is within it or just past its end.
    unsafe { ch.cast::<u8>().add(SPDK_IO_CHANNEL_STRUCT_SIZE).cast() }
}
