//! Channels: what a thread has for a bdev.

use std::cell::{Cell, RefCell};
use std::ffi::{c_int, c_void};
use std::ptr::{self, NonNull};

use barespdk_sys::*;

use super::desc::Desc;
use super::device::{Bdev, Record};
use super::histogram::Histogram;
use super::io::{InChannel, InQueue};
use super::list::List;
use super::pool::Pool;
use super::range::Lock;
use super::shared::Shared;
use super::stat::ChannelStat;
use super::{buffer, pool};

/// Bits of [`Channel::flags`].
pub(super) mod flag {
    /// A reset is going on: what is submitted is aborted.
    pub(in super::super) const RESETTING: u8 = 1;
    /// There are rate limits.
    pub(in super::super) const THROTTLED: u8 = 1 << 1;
}

/// A thread's channel of a bdev: the context of an io_channel.
pub(super) struct Channel {
    pub(super) device: Bdev,
    /// The module's channel.
    pub(super) lower: *mut spdk_io_channel,
    pub(super) thread: *mut spdk_thread,
    shared: NonNull<Shared>,
    pub(super) flags: Cell<u8>,
    /// Requests that the module has.
    pub(super) outstanding: Cell<u64>,
    /// Requests that were submitted, parts of others too, in that order.
    pub(super) submitted: List<InChannel>,
    /// Requests that a locked range keeps back.
    pub(super) kept_back: List<InChannel>,
    /// Requests that rate limits keep back.
    pub(super) throttled: List<InQueue>,
    pub(super) has_locks: Cell<bool>,
    pub(super) locks: RefCell<Vec<Lock>>,
    pub(super) stat: ChannelStat,
    pub(super) has_histogram: Cell<bool>,
    pub(super) histogram: RefCell<Option<Histogram>>,
}

impl Channel {
    /// # Safety
    /// An io_channel of a bdev, that the caller has, on its thread, during `'a`.
    #[inline]
    pub(super) unsafe fn of<'a>(raw: *mut spdk_io_channel) -> &'a Self {
        // SAFETY: the caller's word; the context was made by `create`.
        unsafe { &*spdk_io_channel_get_ctx(raw).cast() }
    }

    /// The channel as users know it.
    pub(super) fn raw(&self) -> *mut spdk_io_channel {
        // SAFETY: the context of an io_channel.
        unsafe { spdk_io_channel_from_ctx(ptr::from_ref(self).cast_mut().cast()) }
    }

    /// What it shares with other bdevs of the module's channel.
    #[inline]
    pub(super) fn shared(&self) -> &Shared {
        // SAFETY: this channel counts as a user of it.
        unsafe { self.shared.as_ref() }
    }

    #[inline]
    pub(super) fn pool(&self) -> &Pool {
        self.shared().pool()
    }

    #[inline]
    pub(super) fn has_flag(&self, flag: u8) -> bool {
        self.flags.get() & flag != 0
    }

    pub(super) fn set_flag(&self, flag: u8, on: bool) {
        let others = self.flags.get() & !flag;
        self.flags.set(if on { others | flag } else { others });
    }

    /// Counts a request that the module gets.
    #[inline]
    pub(super) fn begin(&self) {
        self.outstanding.set(self.outstanding.get() + 1);
        let shared = self.shared();
        shared.outstanding.set(shared.outstanding.get() + 1);
    }

    /// Counts a request that the module gave back.
    #[inline]
    pub(super) fn end(&self) {
        self.outstanding.set(self.outstanding.get() - 1);
        let shared = self.shared();
        shared.outstanding.set(shared.outstanding.get() - 1);
    }

    /// Aborts what waits to be submitted to the module, for memory or for a buffer.
    pub(super) fn abort_waiting(&self) {
        self.shared().abort_all(self);
        buffer::abort_all(self);
    }
}

pub(super) unsafe extern "C" fn create(io_device: *mut c_void, context: *mut c_void) -> c_int {
    // SAFETY: the io_device is the record of a bdev, registered with this callback, which is alive
    // as long as that is.
    let record = unsafe { &*io_device.cast::<Record>() };
    let device = record.device;
    let Some(get_io_channel) = device.functions().get_io_channel else {
        return -libc::ENOMEM;
    };
    // SAFETY: on an SPDK thread, with the module's context.
    let lower = unsafe { get_io_channel(device.ctxt()) };
    if lower.is_null() {
        return -libc::ENOMEM;
    }
    let Some(shared) = pool::shared_of(lower) else {
        // SAFETY: got above.
        unsafe { spdk_put_io_channel(lower) };
        return -libc::ENOMEM;
    };
    let control = device.control();
    let locks = control.ranges.for_new_channel();
    let channel = Channel {
        device,
        lower,
        // SAFETY: on an SPDK thread.
        thread: unsafe { spdk_get_thread() },
        shared,
        flags: Cell::new(0),
        outstanding: Cell::new(0),
        submitted: List::new(),
        kept_back: List::new(),
        throttled: List::new(),
        has_locks: Cell::new(!locks.is_empty()),
        locks: RefCell::new(locks),
        stat: ChannelStat::new(),
        has_histogram: Cell::new(control.histogram.enabled),
        histogram: RefCell::new(control.histogram.make()),
    };
    channel.set_flag(flag::THROTTLED, record.throttle.is_on());
    // A reset freezes the channels that there are when it begins; one that is made meanwhile may
    // submit to the module, which is then the one to sort it out.
    // SAFETY: memory for one, of the size that was registered.
    unsafe { context.cast::<Channel>().write(channel) };
    0
}

pub(super) unsafe extern "C" fn destroy(_: *mut c_void, context: *mut c_void) {
    let context = context.cast::<Channel>();
    // SAFETY: made by `create`; nobody has the channel any more.
    let channel = unsafe { &*context };
    {
        let mut control = channel.device.control();
        control.stat.add(&channel.stat.get());
    }
    channel.abort_waiting();
    let (lower, shared) = (channel.lower, channel.shared);
    // SAFETY: made by `create`, and not used after this.
    unsafe { context.drop_in_place() };
    pool::release(shared);
    // SAFETY: got by `create`.
    unsafe { spdk_put_io_channel(lower) };
}

#[unsafe(no_mangle)]
unsafe extern "C" fn spdk_bdev_get_io_channel(desc: *mut spdk_bdev_desc) -> *mut spdk_io_channel {
    // SAFETY: the caller has it open.
    let record = unsafe { Desc::of(desc) }.device.record();
    // SAFETY: on an SPDK thread; registered as long as the bdev is open.
    unsafe { spdk_get_io_channel(record.io_device()) }
}

same_as_declared!(spdk_bdev_get_io_channel);

/// A visit to every channel of a bdev, one after the other, each on its thread.
struct Walk<C> {
    context: C,
    step: fn(Step<C>),
    done: fn(C, c_int),
}

/// One step of a walk: a channel, on its thread. The walk goes on when it is told to.
pub(super) struct Step<C> {
    iter: *mut spdk_io_channel_iter,
    _walk: std::marker::PhantomData<C>,
}

impl<C> Step<C> {
    pub(super) fn channel(&self) -> &Channel {
        // SAFETY: at hand until the walk goes on; it is a channel of a bdev.
        unsafe { Channel::of(spdk_io_channel_iter_get_channel(self.iter)) }
    }

    pub(super) fn context(&mut self) -> &mut C {
        // SAFETY: the walk is with this step alone until it goes on.
        unsafe { &mut (*spdk_io_channel_iter_get_ctx(self.iter).cast::<Walk<C>>()).context }
    }

    /// Goes on to the next channel, or to the end for a status other than 0.
    pub(super) fn go_on(self, status: c_int) {
        // SAFETY: once for each step, as this takes it.
        unsafe { spdk_for_each_channel_continue(self.iter, status) };
    }

    pub(super) fn into_raw(self) -> *mut c_void {
        self.iter.cast()
    }

    /// # Safety
    /// From `into_raw`, once, for the same `C`.
    pub(super) unsafe fn from_raw(raw: *mut c_void) -> Self {
        Self {
            iter: raw.cast(),
            _walk: std::marker::PhantomData,
        }
    }
}

/// Visits every channel of a bdev. `done` runs on this thread with 0 or the status that ended it.
pub(super) fn for_each<C: 'static>(
    device: Bdev,
    context: C,
    step: fn(Step<C>),
    done: fn(C, c_int),
) {
    let walk = Box::new(Walk {
        context,
        step,
        done,
    });
    // SAFETY: on an SPDK thread; the bdev is registered; the walk is with one thread at a time.
    unsafe {
        spdk_for_each_channel(
            device.record().io_device(),
            Some(walk_step::<C>),
            Box::into_raw(walk).cast(),
            Some(walk_done::<C>),
        );
    }
}

unsafe extern "C" fn walk_step<C>(iter: *mut spdk_io_channel_iter) {
    // SAFETY: begun by `for_each` with a walk of this type.
    unsafe {
        let walk = spdk_io_channel_iter_get_ctx(iter).cast::<Walk<C>>();
        ((*walk).step)(Step::from_raw(iter.cast()));
    }
}

unsafe extern "C" fn walk_done<C>(iter: *mut spdk_io_channel_iter, status: c_int) {
    // SAFETY: as above; this is the last that is heard of it.
    let walk = unsafe { Box::from_raw(spdk_io_channel_iter_get_ctx(iter).cast::<Walk<C>>()) };
    (walk.done)(walk.context, status);
}

/// A reference to this thread's channel, taken once more.
pub(super) fn hold(raw: *mut spdk_io_channel) -> *mut spdk_io_channel {
    if raw.is_null() {
        return ptr::null_mut();
    }
    // SAFETY: of this thread; the caller has a reference or a request of it.
    unsafe { spdk_io_channel_ref(raw) }
}
