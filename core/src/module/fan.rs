//! Where the I/O stand of a request that is passed on, which ones have failed, and who is told at the end.

use core::cell::{Cell, UnsafeCell};
use core::mem::MaybeUninit;
use core::ptr::NonNull;
use core::task::Waker;

use super::request::TASK_ALIGN;
use crate::bdev::IoError;
use crate::bdev::channel::ChannelInner;
use crate::errno::Errno;
use crate::executor::task::Header;
use crate::executor::waker;

/// To how many lower bdevs a request can be passed on at once.
pub const LANES_MAX: usize = 16;

const _: () = assert!(LANES_MAX <= TASK_ALIGN && LANES_MAX <= u16::BITS as usize);

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Listener {
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
pub(super) union Lane {
    /// While it is in flight: its channel, of which it holds a reference.
    pub(super) channel: NonNull<ChannelInner>,
    /// When it has failed.
    pub(super) error: IoError,
}

/// What a request's task has for passing it on.
pub(super) struct Fan {
    pub(super) lanes: [UnsafeCell<MaybeUninit<Lane>>; LANES_MAX],
    pub(super) waker: Cell<Option<Waker>>,
    /// How many lanes were used.
    pub(super) begun: Cell<u8>,
    /// What the device has noted while it passed the request on.
    note: Cell<u32>,
    /// Which lanes are in flight, and [`GUARD`].
    pub(super) in_flight: Cell<u32>,
    /// Which lanes have failed, [`TOO_MANY`], and [`TELL`].
    pub(super) failed: Cell<u32>,
    pub(super) listener: Cell<Listener>,
    /// Whether there is a [`FanOut`](super::FanOut).
    lent: Cell<bool>,
    /// Whether an I/O is being taken back from SPDK, which has refused it.
    pub(super) refusing: Cell<bool>,
}

/// Counts as a lane as long as [`Device::pass`](super::Device::pass) runs: lanes that end meanwhile
/// do not end the request under it.
const GUARD: u32 = 1 << LANES_MAX;

/// Counts as a failed lane where more were asked for than there are: what was not submitted must not
/// pass for done.
pub(super) const TOO_MANY: u32 = 1 << LANES_MAX;

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
    pub(super) fn fail(&self, lane: usize, error: IoError) {
        if let Some(place) = self.lanes.get(lane) {
            // SAFETY: the lane is not in flight for C any more; of one thread, and nobody borrows it.
            unsafe { place.get().write(MaybeUninit::new(Lane { error })) };
            self.failed.set(self.failed.get() | 1 << lane);
        }
    }
}
