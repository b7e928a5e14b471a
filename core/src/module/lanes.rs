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
use core::cell::{Cell, UnsafeCell};
use core::ffi::{c_int, c_void};
use core::marker::PhantomData;
use core::mem::MaybeUninit;
use core::ptr::NonNull;
use core::task::Waker;

use barespdk_sys as ffi;

use super::request::{self, Front, TASK_ALIGN};
use crate::bdev::channel::{Channel, ChannelInner};
use crate::bdev::data::{self, task_of};
use crate::bdev::op::{Blocks, Extra, Iovs, Op};
use crate::bdev::{IoError, IoType, Status};
use crate::errno::Errno;
use crate::executor::task::Header;
use crate::executor::waker;

/// To how many lower bdevs a request can be passed on at once.
pub const LANES_MAX: usize = 16;

const _: () = assert!(LANES_MAX <= TASK_ALIGN && LANES_MAX <= u16::BITS as usize);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Listener {
    /// Nobody yet.
    Nobody,
    /// Nobody yet: the lanes are those of a pass that was in vain, and not looked at so far.
    InVain,
    /// The request's own task, which is polled at once, in place.
    Task,
    /// The waker.
    Waker,
    /// There is no task yet: the request is complete where no lane has failed, and served anew else.
    Request,
}

/// One I/O of a request that is passed on.
union Lane {
    /// While it is in flight: its channel, of which it holds a reference.
    channel: NonNull<ChannelInner>,
    /// When it has failed.
    error: IoError,
}

/// What a request's task has for passing it on.
pub(super) struct Fan {
    lanes: [UnsafeCell<MaybeUninit<Lane>>; LANES_MAX],
    waker: Cell<Option<Waker>>,
    /// How many lanes were used.
    begun: Cell<u8>,
    /// What the device has noted while it passed the request on.
    note: Cell<u32>,
    /// Which lanes are in flight, and [`GUARD`].
    in_flight: Cell<u32>,
    /// Which lanes have failed, [`TOO_MANY`], and [`TELL`].
    failed: Cell<u32>,
    listener: Cell<Listener>,
    /// Whether there is a [`FanOut`](super::FanOut).
    lent: Cell<bool>,
    /// Whether an I/O is being taken back from SPDK, which has refused it.
    refusing: Cell<bool>,
}

/// Counts as a lane as long as [`Device::pass`](super::Device::pass) runs: lanes that end meanwhile
/// do not end the request under it.
const GUARD: u32 = 1 << LANES_MAX;

/// Counts as a failed lane where more were asked for than there are: what was not submitted must not
/// pass for done.
const TOO_MANY: u32 = 1 << LANES_MAX;

/// Counts as a failed lane of a request whose device wants to be told when it has been passed on, so
/// that nobody else pays for the question.
const TELL: u32 = TOO_MANY << 1;

/// What the lanes of a request have made of it that was passed on without a task.
pub(super) enum Outcome {
    /// All has been done.
    Done,
    /// The same, and the device wants to be told.
    DoneAndTell,
    /// Something has failed.
    InVain,
}

impl Fan {
    #[inline]
    pub(super) const fn new() -> Self {
        Self {
            lanes: [const { UnsafeCell::new(MaybeUninit::uninit()) }; LANES_MAX],
            waker: Cell::new(None),
            begun: Cell::new(0),
            note: Cell::new(0),
            in_flight: Cell::new(0),
            failed: Cell::new(0),
            listener: Cell::new(Listener::Nobody),
            lent: Cell::new(false),
            refusing: Cell::new(false),
        }
    }

    /// Makes the fan of a request that is passed on without a task; field by field, as most of it
    /// needs no value yet.
    ///
    /// # Safety
    /// The place is ours to write.
    #[inline(always)]
    pub(super) unsafe fn begin_passing(fan: *mut Self) {
        // SAFETY: the caller's word.
        unsafe {
            (&raw mut (*fan).waker).write(Cell::new(None));
            (&raw mut (*fan).begun).write(Cell::new(0));
            (&raw mut (*fan).note).write(Cell::new(0));
            (&raw mut (*fan).in_flight).write(Cell::new(GUARD));
            (&raw mut (*fan).failed).write(Cell::new(0));
            (&raw mut (*fan).listener).write(Cell::new(Listener::Request));
            (&raw mut (*fan).lent).write(Cell::new(false));
            (&raw mut (*fan).refusing).write(Cell::new(false));
        }
    }

    /// Lends the fan to a [`FanOut`](super::FanOut): all lanes are unused. `false` where it is lent, or
    /// lanes are in flight.
    #[inline(always)]
    pub(super) fn lend(&self) -> bool {
        if self.lent.get() || self.in_flight.get() != 0 {
            return false;
        }
        self.lent.set(true);
        self.begun.set(0);
        self.failed.set(0);
        true
    }

    /// Takes the fan back. Lanes that are in flight go on.
    #[inline(always)]
    pub(super) fn take_back(&self) {
        self.drop_waker();
        self.listener.set(Listener::Nobody);
        self.lent.set(false);
    }

    /// Notes that a task takes over from a pass that was in vain: lanes and note stay.
    pub(super) fn take_over(&self) {
        self.failed.set(self.failed.get() & !TELL);
        self.listener.set(Listener::InVain);
    }

    /// Lends the lanes of a pass that was in vain, once. `false` where there was none, or lanes were
    /// used since.
    #[inline]
    pub(super) fn lend_in_vain(&self) -> bool {
        if self.lent.get() || self.listener.get() != Listener::InVain {
            return false;
        }
        self.listener.set(Listener::Nobody);
        self.lent.set(true);
        true
    }

    #[inline(always)]
    pub(super) fn note(&self) -> u32 {
        self.note.get()
    }

    #[inline(always)]
    pub(super) fn set_note(&self, note: u32) {
        self.note.set(note);
    }

    /// Has the device told when no lane has failed.
    #[inline(always)]
    pub(super) fn tell(&self) {
        self.failed.set(self.failed.get() | TELL);
    }

    /// What became of a request that was passed on, when no lane is in flight any more.
    #[inline(always)]
    pub(super) fn outcome(&self) -> Outcome {
        match self.failed.get() {
            0 => Outcome::Done,
            TELL => Outcome::DoneAndTell,
            _ => Outcome::InVain,
        }
    }

    /// Ends what [`Fan::begin_passing`] began. Whether lanes are in flight.
    #[inline(always)]
    pub(super) fn end_passing(&self) -> bool {
        let in_flight = self.in_flight.get() & !GUARD;
        self.in_flight.set(in_flight);
        in_flight != 0
    }

    /// How many lanes were used.
    #[inline(always)]
    pub(super) fn begun(&self) -> usize {
        usize::from(self.begun.get())
    }

    /// Whether lanes are in flight.
    #[inline(always)]
    pub(super) fn is_in_flight(&self) -> bool {
        self.in_flight.get() != 0
    }

    /// Which lanes have failed, as bits; and one more where there were too few.
    #[inline(always)]
    pub(super) fn failed(&self) -> u32 {
        self.failed.get()
    }

    /// Says who is told when no lane is in flight any more.
    #[inline]
    pub(super) fn listen(&self, task: NonNull<Header>, waker: &Waker) {
        if waker::task_of(waker) == Some(task) {
            self.drop_waker();
            self.listener.set(Listener::Task);
        } else {
            self.waker.set(Some(waker.clone()));
            self.listener.set(Listener::Waker);
        }
    }

    /// Why a lane has failed; `None` for one that has not.
    pub(super) fn error(&self, lane: usize) -> Option<IoError> {
        if lane > LANES_MAX || self.failed.get() & 1 << lane == 0 {
            return None;
        }
        match self.lanes.get(lane) {
            // SAFETY: a lane whose bit is set holds an error, and is not in flight.
            Some(place) => Some(unsafe { (*place.get()).assume_init_ref().error }),
            None => Some(IoError::Submit(Errno::E2BIG)),
        }
    }

    /// Whether [`Fan::waker`] may hold something to drop.
    #[inline]
    pub(super) fn drop_waker(&self) {
        if self.listener.get() == Listener::Waker {
            drop(self.waker.take());
        }
    }

    #[cold]
    fn fail(&self, lane: usize, error: IoError) {
        if let Some(place) = self.lanes.get(lane) {
            // SAFETY: the lane is not in flight for C any more; of one thread, and nobody borrows it.
            unsafe { place.get().write(MaybeUninit::new(Lane { error })) };
            self.failed.set(self.failed.get() | 1 << lane);
        }
    }
}

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
