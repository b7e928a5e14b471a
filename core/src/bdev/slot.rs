//! A slot: what an I/O to a lower bdev needs from submission to completion.
//!
//! C points to the slot, and through it to the buffers, until the completion callback has run.
//! So slots belong to the channel, not to the future that waits for the I/O: that may be dropped
//! or forgotten at any time. A slot keeps alive:
//! - its channel, which owns the slots, and with it the descriptor and the runtime,
//! - the task in whose name the I/O was submitted (its `parent`), hence the request whose data moves,
//! - the buffers.
//!
//! ```text
//!  Free ──(1) take──► Taken ──(2) issue──► InFlight ──(3) complete──► Done ──(4) detach───► Free
//!                      │ ▲  ENOMEM            ▲            ▲             (or at once, where
//!                      ▼ │                    │            │              nobody waits)
//!                     Waiting ──(5) retry─────┘            │
//!                      └────── error, or nobody waits ─────┘
//! ```
//!
//! 1. [`Slots::take`].
//! 2. [`Slot::issue`].
//! 3. `complete`, called by SPDK.
//! 4. [`Slot::detach`], by the [`Io`](super::Io).
//! 5. `retry`, called by SPDK when there is memory again.

mod pool;

use alloc::rc::Rc;
use core::any::Any;
use core::cell::{Cell, UnsafeCell};
use core::ffi::{c_int, c_void};
use core::ptr::{self, NonNull};
use core::task::{Poll, Waker};

use barespdk_alloc_dma::DmaBuf;
use barespdk_sys as ffi;

pub(super) use self::pool::Slots;
use self::pool::free;
use super::channel::ChannelInner;
use super::data::{PartIovs, SharedBuf};
use super::io_type::IoType;
use super::op::Op;
use super::status::{IoError, Status};
use crate::errno::Errno;
use crate::executor::task::Header;
use crate::executor::waker;
use crate::planted;

/// How often an I/O is tried again at once, where SPDK says that it lacks memory and also that
/// there is no need to wait for it: then there are `spdk_bdev_io`, and it is the process that has no
/// memory, for which there is no queue to wait in.
const RETRIES_AT_ONCE: u32 = 3;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Free,
    Taken,
    Waiting,
    InFlight,
    Done,
}

/// Who is told when the I/O is done.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Listener {
    /// Nobody yet: the future was not polled, or sits behind others that are.
    Nobody,
    /// The parent, which is polled at once, in place.
    Parent,
    /// The waker.
    Waker,
    /// The function in `done`.
    Function,
}

/// What is called, with a context, when an I/O is over.
pub(crate) type Done = unsafe fn(*mut c_void, Result<(), IoError>);

/// What the memory under an I/O is kept by.
pub(super) enum Keep {
    Nothing,
    Buffer(DmaBuf),
    Shared(Rc<SharedBuf>),
    SharedPair(Rc<SharedBuf>, Rc<SharedBuf>),
    /// What the one who waits looks into.
    Other(#[expect(dead_code, reason = "kept, and dropped")] Rc<dyn Any>),
}

/// See the module's documentation.
#[repr(C, align(64))]
pub(crate) struct Slot {
    /// The channel that owns the slot.
    channel: NonNull<ChannelInner>,
    parent: Cell<Option<NonNull<Header>>>,
    next_free: Cell<Option<NonNull<Slot>>>,
    outcome: Cell<Result<(), IoError>>,
    phase: Cell<Phase>,
    listener: Cell<Listener>,
    /// How often the slot was taken.
    turn: Cell<u32>,
    /// Whether an [`Io`](super::Io) waits for the outcome.
    attached: Cell<bool>,
    /// Whether any of the fields below holds something to drop.
    laden: Cell<bool>,
    /// What the I/O has found, beyond its data.
    result: Cell<u64>,
    keep: Cell<Keep>,
    waker: Cell<Option<Waker>>,
    done: Cell<Option<(Done, *mut c_void)>>,
    part: UnsafeCell<Option<PartIovs>>,
    op: Cell<Op>,
    wait: UnsafeCell<ffi::spdk_bdev_io_wait_entry>,
}

impl Slot {
    fn new(channel: NonNull<ChannelInner>) -> Self {
        Self {
            channel,
            parent: Cell::new(None),
            next_free: Cell::new(None),
            outcome: Cell::new(Ok(())),
            result: Cell::new(0),
            phase: Cell::new(Phase::Free),
            listener: Cell::new(Listener::Nobody),
            turn: Cell::new(0),
            attached: Cell::new(false),
            laden: Cell::new(false),
            keep: Cell::new(Keep::Nothing),
            waker: Cell::new(None),
            done: Cell::new(None),
            part: UnsafeCell::new(None),
            op: Cell::new(Op::Nothing),
            wait: UnsafeCell::new(ffi::spdk_bdev_io_wait_entry {
                bdev: ptr::null_mut(),
                cb_fn: None,
                cb_arg: ptr::null_mut(),
                dep_unblock: false,
                pad: [0; 7],
                link: ffi::spdk_bdev_io_wait_entry__link {
                    tqe_next: ptr::null_mut(),
                    tqe_prev: ptr::null_mut(),
                },
            }),
        }
    }

    /// The number of what the slot was taken for, in the channel that owns it; `None` for another one.
    pub(super) fn turn_in(&self, channel: &Rc<ChannelInner>) -> Option<u32> {
        (self.channel.as_ptr().cast_const() == Rc::as_ptr(channel)).then(|| self.turn.get())
    }

    /// Keeps what owns the memory under the I/O.
    pub(super) fn keep(&self, keep: Keep) {
        self.laden.set(true);
        self.keep.set(keep);
    }

    /// The place for iovecs that are built for this I/O.
    ///
    /// # Safety
    /// The slot was taken and not issued, and no other reference from here is alive.
    #[allow(clippy::mut_from_ref)]
    pub(super) unsafe fn part(&self) -> &mut Option<PartIovs> {
        // SAFETY: C does not know the slot yet; the caller's word.
        unsafe { &mut *self.part.get() }
    }

    /// Says that [`Slot::part`] was used.
    pub(super) fn load(&self) {
        self.laden.set(true);
    }

    /// Transition 2. `op` makes the operation: once more where it has to wait, so that on the way to
    /// SPDK it is never put into memory.
    ///
    /// # Safety
    /// The slot was taken; what the operation points to is kept by the slot or its parent.
    #[inline(always)]
    pub(super) unsafe fn issue(slot: NonNull<Slot>, op: impl Fn() -> Op) {
        // SAFETY: a taken slot is alive.
        let this = unsafe { slot.as_ref() };
        this.phase.set(Phase::InFlight);
        let made = op();
        // SAFETY: a taken slot keeps its channel; the rest is the caller's word.
        let rc =
            unsafe { made.submit(this.channel.as_ref(), callback(&made), slot.as_ptr().cast()) };
        if rc != 0 {
            // SAFETY: SPDK has not taken the I/O, so the slot is ours.
            unsafe { Self::not_taken(slot, op(), rc) };
        }
    }

    /// Takes over an operation that SPDK has refused.
    ///
    /// # Safety
    /// The slot was taken, for this alone; what the operation points to stays until `done` was called
    /// with `context`.
    pub(super) unsafe fn submit_later(
        slot: NonNull<Slot>,
        op: Op,
        rc: c_int,
        done: Done,
        context: *mut c_void,
    ) {
        // SAFETY: a taken slot is alive.
        let this = unsafe { slot.as_ref() };
        this.listener.set(Listener::Function);
        this.done.set(Some((done, context)));
        // SAFETY: SPDK has not taken the I/O.
        unsafe { Self::not_taken(slot, op, rc) };
    }

    /// Ends an I/O that was not given to SPDK.
    ///
    /// # Safety
    /// The slot was taken and not issued.
    pub(super) unsafe fn refuse(slot: NonNull<Slot>, errno: Errno) {
        // SAFETY: not issued, so C does not know it.
        unsafe { settle(slot, Err(IoError::Submit(errno))) };
    }

    #[cold]
    unsafe fn not_taken(slot: NonNull<Slot>, op: Op, mut rc: c_int) {
        // SAFETY: alive, by the caller's word.
        let this = unsafe { slot.as_ref() };
        // SAFETY: a taken slot keeps its channel.
        let channel = unsafe { this.channel.as_ref() };
        for _ in 0..RETRIES_AT_ONCE {
            if rc != -libc::ENOMEM || planted::is("no_memory_is_an_error") {
                break;
            }
            this.op.set(op);
            this.phase.set(Phase::Waiting);
            // SAFETY: the entry is in no queue, as the I/O is in nobody's hands; it stays at its
            // place until `retry`, as a slot that waits is not freed.
            let queued = unsafe {
                let entry = this.wait.get();
                (*entry).bdev = channel.bdev();
                (*entry).cb_fn = Some(retry);
                (*entry).cb_arg = slot.as_ptr().cast();
                ffi::spdk_bdev_queue_io_wait(channel.bdev(), channel.raw(), entry)
            };
            if queued == 0 {
                return;
            }
            // There is memory after all.
            this.phase.set(Phase::InFlight);
            // SAFETY: as in `issue`.
            rc = unsafe { op.submit(channel, callback(&op), slot.as_ptr().cast()) };
            if rc == 0 {
                return;
            }
        }
        // SAFETY: SPDK has not taken the I/O.
        unsafe { settle(slot, Err(IoError::Submit(Errno::new(rc)))) };
    }

    /// Asks for the outcome; where there is none yet, notes who is to be told.
    #[inline]
    pub(super) fn poll(&self, waker: &Waker) -> Poll<Result<(), IoError>> {
        if self.phase.get() == Phase::Done {
            return Poll::Ready(self.outcome.get());
        }
        // The parent is kept by the slot, so it can be polled without a waker of its own.
        if self.parent.get().is_some() && waker::task_of(waker) == self.parent.get() {
            self.listener.set(Listener::Parent);
        } else {
            self.listen_by(waker);
        }
        Poll::Pending
    }

    #[cold]
    fn listen_by(&self, waker: &Waker) {
        self.laden.set(true);
        self.listener.set(Listener::Waker);
        let old = self.waker.take();
        let same = old.as_ref().is_some_and(|old| old.will_wake(waker));
        self.waker.set(if same { old } else { Some(waker.clone()) });
    }

    /// What an I/O that is done has found: the offset of a seek, the location of an append, dword 0 of
    /// an NVMe completion.
    pub(super) fn result(&self) -> u64 {
        self.result.get()
    }

    /// The buffer of an I/O that is done.
    pub(super) fn take_buffer(&self) -> Option<DmaBuf> {
        match self.keep.replace(Keep::Nothing) {
            Keep::Buffer(buffer) => Some(buffer),
            Keep::Nothing | Keep::Shared(_) | Keep::SharedPair(..) | Keep::Other(_) => None,
        }
    }

    /// Transition 4: nobody waits for the outcome any more.
    ///
    /// # Safety
    /// Called once, by the one who waited, who does not touch the slot after.
    #[inline]
    pub(super) unsafe fn detach(slot: NonNull<Slot>) {
        // SAFETY: a slot that is attached is alive.
        let this = unsafe { slot.as_ref() };
        if this.phase.get() == Phase::Done {
            // SAFETY: done, so C does not know the slot any more, and the caller gives it up.
            unsafe { free(slot) };
        } else {
            this.abandon();
        }
    }

    #[cold]
    fn abandon(&self) {
        self.attached.set(false);
        self.listener.set(Listener::Nobody);
        drop(self.waker.take());
    }
}

#[inline(always)]
fn callback(op: &Op) -> ffi::spdk_bdev_io_completion_cb {
    if matches!(
        op,
        Op::SeekData(_) | Op::SeekHole(_) | Op::ZoneAppend(..) | Op::Nvme(_)
    ) {
        Some(complete_with_result)
    } else {
        Some(complete)
    }
}

/// Transition 3: SPDK calls this once for each I/O that it took.
unsafe extern "C" fn complete(io: *mut ffi::spdk_bdev_io, success: bool, slot: *mut c_void) {
    // SAFETY: SPDK hands over a complete I/O, and gets it back here, once; with it comes the slot
    // that it was submitted with.
    unsafe {
        let outcome = if success {
            Ok(())
        } else {
            Err(IoError::Failed(Status::of(NonNull::new_unchecked(io))))
        };
        ffi::spdk_bdev_free_io(io);
        if planted::is("completion_lost") && io.addr().is_multiple_of(7) {
            return;
        }
        settle(NonNull::new_unchecked(slot.cast()), outcome);
    }
}

/// As `complete`, for an I/O that finds something.
unsafe extern "C" fn complete_with_result(
    io: *mut ffi::spdk_bdev_io,
    success: bool,
    slot: *mut c_void,
) {
    // SAFETY: as in `complete`; of the unions, the member that belongs to the type is read.
    unsafe {
        let result = match IoType::from_raw((*io).r#type.into()) {
            IoType::SEEK_DATA | IoType::SEEK_HOLE => ffi::spdk_bdev_io_get_seek_offset(io),
            IoType::ZONE_APPEND => (*io).u.bdev.offset_blocks,
            _ => (*io).internal.error.nvme.cdw0.into(),
        };
        (*slot.cast::<Slot>()).result.set(result);
        complete(io, success, slot);
    }
}

/// Transition 5: SPDK calls this when there is memory again.
unsafe extern "C" fn retry(slot: *mut c_void) {
    // SAFETY: the slot that was queued; it waits, so it is alive.
    unsafe {
        let slot = NonNull::new_unchecked(slot.cast::<Slot>());
        let op = slot.as_ref().op.get();
        if !slot.as_ref().attached.get() {
            // Nobody wants it any more, and it never began.
            settle(slot, Err(IoError::Failed(Status::Aborted)));
        } else if is_late(op) {
            settle(slot, Err(IoError::Failed(Status::Failed)));
        } else {
            Slot::issue(slot, || op);
        }
    }
}

/// Whether this aborts an I/O that has ended while the abort waited, and whose slot is another's now.
///
/// # Safety
/// The operation is that of a slot in use.
unsafe fn is_late(op: Op) -> bool {
    match op {
        // SAFETY: a slot of the same channel, which the caller's keeps.
        Op::Abort(target, turn) => unsafe { target.as_ref() }.turn.get() != turn,
        _ => false,
    }
}

/// The I/O is over: tells who waits, and lets go of the parent.
///
/// # Safety
/// C does not know the slot any more.
#[inline]
unsafe fn settle(slot: NonNull<Slot>, outcome: Result<(), IoError>) {
    // SAFETY: a slot that was not settled is alive.
    let this = unsafe { slot.as_ref() };
    let parent = this.parent.get();
    let listener = this.listener.get();
    if this.laden.get() {
        this.release_memory();
    }
    this.outcome.set(outcome);
    this.phase.set(Phase::Done);
    if listener == Listener::Parent
        && let Some(parent) = parent
    {
        // SAFETY: held by `take`, once, on this thread. The parent may consume the slot, which is
        // not touched any more.
        unsafe { Header::unhold_and_resume(parent) };
        return;
    }
    // SAFETY: C does not know the slot any more; the rest is the caller's word.
    unsafe { settle_aside(slot) };
    if let Some(parent) = parent {
        // SAFETY: held by `take`, once, on this thread.
        unsafe { Header::unhold(parent) };
    }
}

/// Settles an I/O for which its parent does not wait at this moment.
///
/// # Safety
/// The slot is done, and not freed.
#[inline]
unsafe fn settle_aside(slot: NonNull<Slot>) {
    // SAFETY: not freed, by the caller's word.
    let this = unsafe { slot.as_ref() };
    if !this.attached.get() {
        // SAFETY: nobody else has the slot.
        unsafe { free(slot) };
        return;
    }
    match this.listener.get() {
        Listener::Waker => {
            if let Some(waker) = this.waker.take() {
                waker.wake();
            }
        }
        Listener::Function => {
            let (done, outcome) = (this.done.take(), this.outcome.get());
            // SAFETY: the slot was for `done` alone, which is called once, as it was promised.
            unsafe {
                free(slot);
                if let Some((done, context)) = done {
                    done(context, outcome);
                }
            }
        }
        Listener::Nobody | Listener::Parent => {}
    }
}

impl Slot {
    /// C has let go of the memory: it may be looked at again.
    #[cold]
    fn release_memory(&self) {
        match self.keep.replace(Keep::Nothing) {
            Keep::Nothing | Keep::Other(_) => {}
            // A buffer is handed back by `take_buffer`.
            Keep::Buffer(buffer) => self.keep.set(Keep::Buffer(buffer)),
            Keep::Shared(shared) => shared.end(),
            Keep::SharedPair(first, second) => {
                first.end();
                second.end();
            }
        }
        // SAFETY: C does not know the slot any more, and nobody else borrows this.
        unsafe { *self.part.get() = None };
    }
}
