//! I/O to lower bdevs of the blocks and the data of a request: what [`FanOut`](super::FanOut) and
//! [`Pass`](super::Pass) are made of.
//!
//! What C points to lies with the request's task, in `driver_ctx`, and stays there until the last of
//! the I/O has ended, whatever becomes of the future: the task is held as long as any is in flight.
//! Where there is no task yet, nothing else can complete the request. So passing on takes no memory,
//! and costs a few instructions for each lower bdev.
//!
//! C gets one word for each I/O: the address of the task, and in its low bits the lane, which says
//! which of the I/O it is.

use alloc::rc::Rc;
use core::ffi::{c_int, c_void};
use core::marker::PhantomData;
use core::mem::MaybeUninit;
use core::ptr::NonNull;

use barespdk_sys as ffi;

use super::fan::{Fan, LANES_MAX, Lane, Listener, TOO_MANY};
use super::request::{self, Front, TASK_ALIGN};
use crate::bdev::channel::{Channel, ChannelInner};
use crate::bdev::data::{self, task_of};
use crate::bdev::op::{Blocks, Extra, Iovs, Op};
use crate::bdev::{IoError, IoType, Status};
use crate::errno::Errno;
use crate::executor::task::Header;

/// The fan of a request's task.
///
/// # Safety
/// The task is that of a request, with a fan, and alive during `'a`.
#[inline(always)]
unsafe fn fan_of<'a>(task: NonNull<Header>) -> &'a Fan {
    // SAFETY: the task of a request begins with this; the caller's word. Nothing but the fan is
    // borrowed: of a request that is passed on without a task there is nothing else.
    unsafe { &(*task.cast::<Front>().as_ptr()).fan }
}

/// The lanes of a request, to submit I/O on.
pub(super) struct Lanes<'a> {
    io: NonNull<ffi::spdk_bdev_io>,
    _request: PhantomData<&'a ()>,
}

impl Lanes<'_> {
    /// # Safety
    /// The I/O is alive during the lifetime, of a bdev of ours, and its context has a fan.
    #[inline(always)]
    pub(super) unsafe fn new(io: NonNull<ffi::spdk_bdev_io>) -> Self {
        Self {
            io,
            _request: PhantomData,
        }
    }

    #[inline(always)]
    pub(super) fn task(&self) -> NonNull<Header> {
        // SAFETY: alive during the lifetime, of a bdev of ours, with a task or the place for one.
        unsafe { task_of(self.io) }
    }

    #[inline(always)]
    pub(super) fn fan(&self) -> &Fan {
        // SAFETY: as above.
        unsafe { fan_of(self.task()) }
    }

    #[inline(always)]
    pub(super) fn io_type(&self) -> IoType {
        // SAFETY: alive during the lifetime.
        IoType::from_raw(u32::from(unsafe { (*self.io.as_ptr()).r#type }))
    }

    #[inline(always)]
    pub(super) fn params(&self) -> &ffi::spdk_bdev_io_block_params {
        // SAFETY: alive during the lifetime; all members of the union are plain data.
        unsafe { &(*self.io.as_ptr()).u.bdev }
    }

    /// The blocks of the request, from `offset_blocks` on.
    #[inline(always)]
    fn blocks(&self, offset_blocks: u64) -> Blocks {
        Blocks {
            offset: offset_blocks,
            count: self.params().num_blocks,
        }
    }

    /// Whether there is data to move.
    #[inline(always)]
    pub(super) fn has_data(&self) -> bool {
        self.io_type().carries_data() && self.has_buffer()
    }

    /// Whether there is a buffer, in a request of a type that carries data.
    #[inline(always)]
    pub(super) fn has_buffer(&self) -> bool {
        let params = self.params();
        // SAFETY: with a count above 0 the iovecs are there.
        params.iovcnt > 0 && !params.iovs.is_null() && !unsafe { (*params.iovs).iov_base }.is_null()
    }

    #[inline(always)]
    pub(super) fn read(&mut self, channel: &Channel, offset_blocks: u64) {
        // What a write or a compare brings is its submitter's, who does not expect it to change.
        if self.io_type() != IoType::READ {
            self.refuse(Errno::EPERM);
            return;
        }
        let there = self.has_buffer();
        self.transfer(there, channel, offset_blocks, Op::Read, Op::ReadExtra);
    }

    #[inline(always)]
    pub(super) fn write(&mut self, channel: &Channel, offset_blocks: u64) {
        let there = self.has_data();
        self.transfer(there, channel, offset_blocks, Op::Write, Op::WriteExtra);
    }

    #[inline(always)]
    pub(super) fn plain(
        &mut self,
        channel: &Channel,
        offset_blocks: u64,
        op: impl Fn(Blocks) -> Op,
    ) {
        let blocks = self.blocks(offset_blocks);
        self.submit(channel, || op(blocks));
    }

    #[inline(always)]
    fn transfer(
        &mut self,
        there: bool,
        channel: &Channel,
        offset_blocks: u64,
        plain: impl Fn(Iovs, Blocks) -> Op,
        extended: impl Fn(Iovs, Blocks, Extra) -> Op,
    ) {
        let params = self.params();
        // SAFETY: the I/O and its bdev are alive during the lifetime.
        let block_size = unsafe { (*(*self.io.as_ptr()).bdev).blocklen };
        // Of no buffer see `Data::span`.
        if !there || block_size != channel.block_size() {
            self.refuse(if there { Errno::EINVAL } else { Errno::EFAULT });
            return;
        }
        let iovs = Iovs {
            iovs: params.iovs,
            count: params.iovcnt,
        };
        let blocks = self.blocks(offset_blocks);
        // SAFETY: alive during the lifetime; with a buffer, so of a type that carries data.
        if unsafe { data::is_plain(self.io) } {
            self.submit(channel, || plain(iovs, blocks));
        } else {
            // SAFETY: as above.
            let extra = unsafe { Extra::of(self.io, params.md_buf) };
            self.transfer_rare(channel, extended(iovs, blocks, extra));
        }
    }

    #[cold]
    fn transfer_rare(&mut self, channel: &Channel, op: Op) {
        // SAFETY: alive during the lifetime.
        if unsafe { channel.inner().fits_metadata_of(self.io) } {
            self.submit(channel, || op);
        } else {
            self.refuse(Errno::EINVAL);
        }
    }

    /// Uses a lane for an I/O that is not submitted.
    #[cold]
    fn refuse(&mut self, errno: Errno) {
        let fan = self.fan();
        let lane = usize::from(fan.begun.get());
        if lane < LANES_MAX {
            fan.begun.set(fan.begun.get() + 1);
            fan.fail(lane, IoError::Submit(errno));
        } else {
            self.too_many();
        }
    }

    /// Notes that there is no lane for an I/O.
    #[cold]
    fn too_many(&self) {
        let fan = self.fan();
        fan.failed.set(fan.failed.get() | TOO_MANY);
    }

    /// Submits an operation on the next lane. What it points to is the request's.
    #[inline(always)]
    pub(super) fn submit(&mut self, channel: &Channel, op: impl Fn() -> Op) {
        let (task, fan, channel) = (self.task(), self.fan(), channel.inner());
        let lane = usize::from(fan.begun.get());
        let Some(place) = fan.lanes.get(lane) else {
            self.too_many();
            return;
        };
        fan.begun.set(fan.begun.get() + 1);
        if fan.in_flight.get() == 0 && fan.listener.get() != Listener::Request {
            // SAFETY: alive during the lifetime, and there is a task.
            unsafe { task.as_ref() }.hold();
        }
        fan.in_flight.set(fan.in_flight.get() | 1 << lane);
        // SAFETY: the reference that is added belongs to the lane, until it is done; the pointer is
        // that of the `Rc`, which is borrowed. What the operation points to is the request's, which
        // is held. The address of a task has zeroes where the lane goes.
        let rc = unsafe {
            let raw = Rc::as_ptr(channel);
            Rc::increment_strong_count(raw);
            let channel = NonNull::new_unchecked(raw.cast_mut());
            place.get().write(MaybeUninit::new(Lane { channel }));
            let context = task
                .as_ptr()
                .cast::<c_void>()
                .map_addr(|address| address | lane);
            op().submit(channel.as_ref(), Some(lane_done), context)
        };
        if rc != 0 {
            self.not_taken(channel, lane, op(), rc);
        }
    }

    /// SPDK has not taken an I/O: it waits for memory, in a slot of its channel, or has failed.
    #[cold]
    fn not_taken(&mut self, channel: &Rc<ChannelInner>, lane: usize, op: Op, rc: c_int) {
        let (task, fan) = (self.task(), self.fan());
        fan.refusing.set(true);
        // SAFETY: the lane's own reference, given up once, as C did not take the I/O. The slot that
        // waits has one of its own; and what the operation points to is the request's, which the
        // lane holds until `waited` has been called.
        unsafe {
            Rc::decrement_strong_count(Rc::as_ptr(channel));
            let context = task
                .as_ptr()
                .cast::<c_void>()
                .map_addr(|address| address | lane);
            channel.submit_later(op, rc, waited, context);
        }
        fan.refusing.set(false);
        if fan.in_flight.get() == 0 && fan.listener.get() != Listener::Request {
            // SAFETY: held by the first lane, once for all. The future is being polled, or dropped,
            // so the task is not released by this.
            unsafe { Header::unhold(task) };
        }
    }
}

/// The task and the lane of an I/O, from what C was given.
#[inline(always)]
fn split(context: *mut c_void) -> (NonNull<Header>, usize) {
    let lane = context.addr() & (TASK_ALIGN - 1);
    let task = context
        .map_addr(|address| address & !(TASK_ALIGN - 1))
        .cast();
    // SAFETY: the context was made from a task, which is not null.
    (unsafe { NonNull::new_unchecked(task) }, lane)
}

/// SPDK calls this once for each I/O that it took.
unsafe extern "C" fn lane_done(io: *mut ffi::spdk_bdev_io, success: bool, context: *mut c_void) {
    let (task, lane) = split(context);
    // SAFETY: the request is not complete as long as a lane is in flight. SPDK hands over a complete
    // I/O, and gets it back here, once. The lane's channel was noted by `submit`, which made the lane
    // one of those that there are.
    unsafe {
        let fan = fan_of(task);
        let channel = (*fan.lanes.get_unchecked(lane).get())
            .assume_init_ref()
            .channel;
        if !success {
            fan.fail(
                lane,
                IoError::Failed(Status::of(NonNull::new_unchecked(io))),
            );
        }
        ffi::spdk_bdev_free_io(io);
        Rc::decrement_strong_count(channel.as_ptr());
        end_lane(task, lane);
    }
}

/// An I/O that had to wait for memory is over.
unsafe fn waited(context: *mut c_void, outcome: Result<(), IoError>) {
    let (task, lane) = split(context);
    // SAFETY: the request is not complete as long as a lane is in flight, and this one is, until now.
    unsafe {
        if let Err(error) = outcome {
            fan_of(task).fail(lane, error);
        }
        if fan_of(task).refusing.get() {
            // It did not have to wait: `not_taken` goes on.
            let fan = fan_of(task);
            fan.in_flight.set(fan.in_flight.get() & !(1 << lane));
        } else {
            end_lane(task, lane);
        }
    }
}

/// # Safety
/// The lane was in flight, and C does not know it any more. The caller does not touch the task after.
#[inline(always)]
unsafe fn end_lane(task: NonNull<Header>, lane: usize) {
    // SAFETY: the request is not complete as long as a lane is in flight.
    let fan = unsafe { fan_of(task) };
    let in_flight = fan.in_flight.get() & !(1 << lane);
    fan.in_flight.set(in_flight);
    if in_flight != 0 {
        return;
    }
    match fan.listener.get() {
        // SAFETY: passed on without a task; all lanes have ended.
        Listener::Request => return unsafe { request::passed(task, fan.outcome()) },
        // SAFETY: held by the first lane, once for all.
        Listener::Task => return unsafe { Header::unhold_and_resume(task) },
        Listener::Waker | Listener::Nobody | Listener::InVain => {}
    }
    if fan.listener.get() == Listener::Waker
        && let Some(waker) = fan.waker.take()
    {
        waker.wake();
    }
    // SAFETY: held by the first lane, once for all.
    unsafe { Header::unhold(task) };
}
