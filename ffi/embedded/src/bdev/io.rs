//! A request, as the layer itself sees it.

use std::ffi::{c_int, c_void};
use std::mem::{offset_of, size_of};
use std::ops::{Deref, DerefMut};
use std::ptr::{self, NonNull};

use barespdk_sys::*;
use libc::iovec;

use super::channel::Channel;
use super::desc::Desc;
use super::device::Bdev;
use super::list::{Link, Links};

/// Bits of `internal.f`, which this layer is free to use as it likes.
pub(super) mod flag {
    /// The module is being called with the request: it may not complete before that call is over.
    pub(in super::super) const IN_SUBMIT: u8 = 1;
    /// The request is served by several others.
    pub(in super::super) const SPLIT: u8 = 1 << 1;
    /// The request is a part of another one, or serves such a part.
    pub(in super::super) const CHILD: u8 = 1 << 2;
    /// The request has a buffer of this layer's.
    pub(in super::super) const HAS_BUFFER: u8 = 1 << 3;
    /// That buffer stands for the submitter's own.
    pub(in super::super) const BOUNCED: u8 = 1 << 4;
}

/// Where a request that is served by parts stands.
#[repr(C)]
#[derive(Clone, Copy)]
pub(super) struct Split {
    pub(super) next_offset_blocks: u64,
    pub(super) remaining_blocks: u64,
    pub(super) outstanding: u32,
}

/// What a bounced request had before.
#[repr(C)]
#[derive(Clone, Copy)]
pub(super) struct Bounce {
    pub(super) iovs: *mut iovec,
    pub(super) iovcnt: c_int,
    /// What it has instead.
    pub(super) iov: iovec,
    /// NULL where the metadata is not bounced.
    pub(super) metadata: *mut c_void,
    pub(super) metadata_len: usize,
}

/// A buffer of the pools.
#[repr(C)]
#[derive(Clone, Copy)]
pub(super) struct Lent {
    pub(super) base: *mut u8,
    /// What the module asked for, in bytes.
    pub(super) len: u64,
    /// Whether it is one of the large ones.
    pub(super) is_large: bool,
}

/// This layer's part of a request, which C does not see. What it holds is written before it is
/// read, but for `wait`.
#[repr(C)]
pub(super) struct Own {
    links: Links,
    pub(super) split: Split,
    pub(super) bounce: Bounce,
    pub(super) lent: Lent,
    pub(super) get_buf: spdk_bdev_io_get_buf_cb,
    /// Goes on with a request that waited for another one of the pool.
    pub(super) go_on: Option<fn(Io)>,
    pub(super) wait: spdk_bdev_io_wait_entry,
}

const TAIL: usize =
    offset_of!(spdk_bdev_io, internal) + offset_of!(spdk_bdev_io_internal_fields, _tail);
const _: () = assert!(
    size_of::<Own>() + offset_of!(spdk_bdev_io_internal_fields, _tail)
        <= size_of::<spdk_bdev_io_internal_fields>()
        && TAIL.is_multiple_of(align_of::<Own>())
);

/// A request of the pools.
///
/// Whoever has one vouches for this: it is used on the thread of its channel only, and not after it
/// was given back. That is a rule of the ABI, which no type can keep for us. References that come
/// from it live for one expression; nothing of them is kept while others are called.
#[repr(transparent)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Io(NonNull<spdk_bdev_io>);

impl Io {
    /// # Safety
    /// A request of the pools, of this thread, and it is used as [`Io`] says.
    #[inline]
    pub(super) unsafe fn new(raw: *mut spdk_bdev_io) -> Self {
        // SAFETY: the caller's word.
        Self(unsafe { NonNull::new_unchecked(raw) })
    }

    #[inline]
    pub(super) fn raw(self) -> *mut spdk_bdev_io {
        self.0.as_ptr()
    }

    #[inline]
    pub(super) fn context(self) -> *mut c_void {
        self.0.as_ptr().cast()
    }

    fn own_ptr(self) -> *mut Own {
        self.raw().cast::<u8>().wrapping_add(TAIL).cast()
    }

    #[inline]
    pub(super) fn own(&self) -> &Own {
        // SAFETY: the tail holds it, see the assertion; zero bytes at first, which are valid.
        unsafe { &*self.own_ptr() }
    }

    #[inline]
    pub(super) fn own_mut(&mut self) -> &mut Own {
        // SAFETY: as above.
        unsafe { &mut *self.own_ptr() }
    }

    /// Its own iovec, a place that does not move.
    pub(super) fn iov(self) -> *mut iovec {
        // SAFETY: alive; no reference is made.
        unsafe { &raw mut (*self.raw()).iov }
    }

    /// Its iovec for a bounce buffer, a place that does not move.
    pub(super) fn bounce_iov(self) -> *mut iovec {
        // SAFETY: as above.
        unsafe { &raw mut (*self.own_ptr()).bounce.iov }
    }

    /// Its iovecs for parts of it, places that do not move.
    pub(super) fn child_iovs(self) -> *mut iovec {
        // SAFETY: as above.
        unsafe { (&raw mut (*self.raw()).child_iov).cast() }
    }

    pub(super) fn wait_entry(self) -> *mut spdk_bdev_io_wait_entry {
        // SAFETY: as above.
        unsafe { &raw mut (*self.own_ptr()).wait }
    }

    #[inline]
    pub(super) fn io_type(self) -> spdk_bdev_io_type {
        spdk_bdev_io_type::from(self.r#type)
    }

    #[inline]
    pub(super) fn params(&self) -> &spdk_bdev_io_block_params {
        // SAFETY: all members of the union are plain data.
        unsafe { &self.u.bdev }
    }

    #[inline]
    pub(super) fn params_mut(&mut self) -> &mut spdk_bdev_io_block_params {
        // SAFETY: as above.
        unsafe { &mut self.u.bdev }
    }

    /// Its channel, which outlives it.
    #[inline]
    pub(super) fn channel<'a>(self) -> &'a Channel {
        // SAFETY: set when it was taken; a channel with requests is not destroyed.
        unsafe { &*self.internal.ch.cast::<Channel>() }
    }

    /// The channel as users know it.
    pub(super) fn io_channel(self) -> *mut spdk_io_channel {
        // SAFETY: the context of an io_channel.
        unsafe { spdk_io_channel_from_ctx(self.internal.ch.cast()) }
    }

    #[inline]
    pub(super) fn device(self) -> Bdev {
        // SAFETY: set when it was taken; a bdev with channels is not destroyed.
        unsafe { Bdev::new(self.bdev) }
    }

    /// The descriptor that it was submitted with, which its owner keeps open until it is complete.
    pub(super) fn desc<'a>(self) -> &'a Desc {
        // SAFETY: see above.
        unsafe { Desc::of(self.internal.desc) }
    }

    #[inline]
    pub(super) fn has(self, flag: u8) -> bool {
        // SAFETY: a union of one integer.
        unsafe { self.internal.f.raw & flag != 0 }
    }

    #[inline]
    pub(super) fn set(mut self, flag: u8) {
        // SAFETY: as above.
        unsafe { self.internal.f.raw |= flag };
    }

    #[inline]
    pub(super) fn clear(mut self, flag: u8) {
        // SAFETY: as above.
        unsafe { self.internal.f.raw &= !flag };
    }

    #[inline]
    pub(super) fn status(self) -> spdk_bdev_io_status {
        spdk_bdev_io_status::from(self.internal.status)
    }

    /// `status` is one of [`spdk_bdev_io_status`], all of which fit.
    #[inline]
    pub(super) fn set_status(mut self, status: spdk_bdev_io_status) {
        self.internal.status = status as i8;
    }

    /// Calls its submitter back. It may be gone afterwards.
    #[inline]
    pub(super) fn call_back(self) {
        let success = self.status() == SPDK_BDEV_IO_STATUS_SUCCESS;
        if let Some(cb) = self.internal.cb {
            // SAFETY: what the submitter asked for, once.
            unsafe { cb(self.raw(), success, self.internal.caller_ctx) };
        }
    }

    /// Has `f` called with the request by a message to this thread.
    pub(super) fn later(self, f: spdk_msg_fn) {
        // SAFETY: the thread of the channel, which does not end before the request; `f` takes it.
        unsafe { spdk_thread_send_msg(self.channel().thread, f, self.context()) };
    }

    /// Prepares a request that was just taken from the pool. The rest of its parameters is zero.
    #[inline]
    pub(super) fn prepare(
        &mut self,
        io_type: spdk_bdev_io_type,
        channel: &Channel,
        desc: &Desc,
        cb: spdk_bdev_io_completion_cb,
        cb_arg: *mut c_void,
    ) {
        // SAFETY: the parameters are plain data, for which zeroes will do; the tail, of no use here,
        // is left as it is.
        unsafe {
            let params = (&raw mut (*self.raw()).u.bdev).cast::<u8>();
            ptr::write_bytes(params, 0, offset_of!(spdk_bdev_io_block_params, _tail));
        }
        let io: &mut spdk_bdev_io = self;
        io.bdev = channel.device.raw();
        io.r#type = io_type as u8;
        io.num_retries = 0;
        io.internal.ch = ptr::from_ref(channel).cast_mut().cast();
        io.internal.f.raw = 0;
        io.internal.status = SPDK_BDEV_IO_STATUS_PENDING as i8;
        io.internal.desc = desc.raw();
        io.internal.cb = cb;
        io.internal.caller_ctx = cb_arg;
        io.internal.error.nvme = spdk_bdev_io_internal_fields__error__nvme {
            cdw0: 0,
            sct: 0,
            sc: 0,
        };
        self.own_mut().get_buf = None;
    }
}

impl Deref for Io {
    type Target = spdk_bdev_io;

    #[inline]
    fn deref(&self) -> &spdk_bdev_io {
        // SAFETY: see `Io`.
        unsafe { self.0.as_ref() }
    }
}

impl DerefMut for Io {
    #[inline]
    fn deref_mut(&mut self) -> &mut spdk_bdev_io {
        // SAFETY: see `Io`.
        unsafe { self.0.as_mut() }
    }
}

/// The lists of a channel: of what was submitted, of what a range keeps back.
pub(super) struct InChannel;

impl Link for InChannel {
    fn of(io: Io) -> *mut Links {
        // SAFETY: alive; no reference is made.
        unsafe { (&raw mut (*io.raw()).internal.ch_link).cast() }
    }
}
const _: () = assert!(size_of::<Links>() == size_of::<spdk_bdev_io_internal_fields__ch_link>());

/// The queues that a request may wait in: for memory, for a buffer, for its turn.
pub(super) struct InQueue;

impl Link for InQueue {
    fn of(io: Io) -> *mut Links {
        // SAFETY: alive; no reference is made.
        unsafe { &raw mut (*io.own_ptr()).links }
    }
}
