//! A task: a header in front of a future, and the states that the two go through.
//!
//! All transitions happen on the task's own thread, so the state is a plain cell. What comes from
//! other threads goes through the [inbox](super::inbox) and arrives as [`wake`].
//!
//! ```text
//!                     ┌──────(3) wake──────► Queued ──(5) cancel──► QueuedDead
//!                     │                       │                        │
//!   start (1)       Idle ◄─(2b) pending─┐    (4) turn               (6) turn
//!     │               │                 │     │                        │
//!     │        (3') resume              │     ▼                        │
//!     └───────────────┴────────────► Polling ◄┘                        │
//!                                     │   │ ▲                          │
//!                     (7) wake, resume│   │ └─ pending: back to Queued │
//!                                     ▼   │                            │
//!                                   Woken │(2a) ready, (8) cancel      │
//!                                     │   │                            │
//!                                     ▼   ▼                            │
//!                                   Draining ◄─────────────────────────┘
//!                                     │
//!                                    (9) last hold gone: release; the memory is no longer ours
//! ```
//!
//! 1. [`start`] polls a new task for the first time.
//! 2. `poll` polls the future: when it is ready (2a) the future is dropped and the task drains; when
//!    it is pending (2b) the task is idle.
//! 3. [`wake`] puts an idle task into the run list; [`resume`] (3') polls it at once, where it is.
//! 4. [`turn`] polls a task that the run list gave back.
//! 5. [`cancel`] of a queued task drops the future; the entry in the run list remains, and
//! 6. [`turn`] only lets it drain.
//! 7. A wake of a task that is being polled marks it; after the poll it goes to the run list.
//! 8. [`cancel`] from inside the task's own poll takes effect when that poll returns.
//! 9. [`Header::unhold`], or the end of the future where nothing is held, calls `release` once.
//!    [`Header::unhold_and_resume`] is 9 where the task drains, else 3' or 7.

use core::cell::Cell;
use core::mem::ManuallyDrop;
use core::ptr::{self, NonNull};
use core::task::{Context, Poll};

use super::Executor;
use super::sync::{AtomicPtr, Ordering};
use super::waker::{self, WakeCell};

/// Where a task stands. See the drawing above.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// Waits for a wake; in no list.
    Idle,
    /// In the run list.
    Queued,
    /// In the run list, its future gone.
    QueuedDead,
    /// Its future is being polled.
    Polling,
    /// Its future is being polled, and was woken meanwhile.
    Woken,
    /// Its future is being polled, and is to be dropped when the poll returns.
    Cancelling,
    /// Its future is gone; what C does in its name is not over yet, or release is about to be called.
    Draining,
}

/// What a kind of task does with its future and its memory.
pub(crate) struct Vtable {
    /// Polls the future. When ready, has stored the output and dropped the future.
    pub(crate) poll: unsafe fn(NonNull<Header>, &mut Context<'_>) -> Poll<()>,
    /// Drops the future, unfinished.
    pub(crate) drop_future: unsafe fn(NonNull<Header>),
    /// Gives the memory back. The header is not touched after.
    pub(crate) release: unsafe fn(NonNull<Header>),
}

/// The head of every task, in front of its future.
pub(crate) struct Header {
    vtable: &'static Vtable,
    executor: NonNull<Executor>,
    /// The next task in the run list.
    pub(super) next: Cell<Option<NonNull<Header>>>,
    state: Cell<State>,
    /// Operations in flight that point into this task's memory, or report to it.
    holds: Cell<u32>,
    /// What the wakers of this task point to; null as long as no waker was cloned.
    cell: AtomicPtr<WakeCell>,
}

impl Header {
    /// A task that was never polled.
    ///
    /// # Safety
    /// The executor outlives the task: it is not dropped before `release` was called.
    pub(crate) unsafe fn new(executor: NonNull<Executor>, vtable: &'static Vtable) -> Self {
        Self {
            vtable,
            executor,
            next: Cell::new(None),
            state: Cell::new(State::Idle),
            holds: Cell::new(0),
            cell: AtomicPtr::new(ptr::null_mut()),
        }
    }

    pub(crate) fn executor(&self) -> &Executor {
        // SAFETY: the executor outlives the task, by the contract of `new`.
        unsafe { self.executor.as_ref() }
    }

    /// Whether the future is gone, or about to be dropped.
    pub(crate) fn is_over(&self) -> bool {
        matches!(
            self.state.get(),
            State::Draining | State::QueuedDead | State::Cancelling
        )
    }

    /// How many operations hold the task.
    pub(crate) fn holds(&self) -> u32 {
        self.holds.get()
    }

    #[cfg(test)]
    pub(super) fn state(&self) -> State {
        self.state.get()
    }

    /// Keeps the memory of the task until [`Header::unhold`]. On the task's own thread.
    pub(crate) fn hold(&self) {
        // 2^32 operations in flight do not fit into any memory, each being larger than a byte.
        self.holds.set(self.holds.get() + 1);
    }

    /// Ends what [`Header::hold`] began, and releases the task where it was the last that it
    /// waited for.
    ///
    /// # Safety
    /// On the task's own thread, once for each `hold`; the caller does not touch the task after.
    #[inline]
    pub(crate) unsafe fn unhold(task: NonNull<Header>) {
        // SAFETY: a held task is alive.
        let header = unsafe { task.as_ref() };
        let holds = header.holds.get() - 1;
        header.holds.set(holds);
        if holds == 0 && header.state.get() == State::Draining {
            // SAFETY: the future is gone, nothing holds the task, and `Draining` is left by this
            // call alone, since only the last hold gets here.
            unsafe { (header.vtable.release)(task) };
        }
    }

    /// [`Header::unhold`], and [`resume`] where there still is a future: what an operation does whose
    /// end the task waits for. The hold is gone before the poll, which may look at
    /// [`Header::holds`] to tell whether anything is still in flight.
    ///
    /// # Safety
    /// As for [`Header::unhold`].
    #[inline]
    pub(crate) unsafe fn unhold_and_resume(task: NonNull<Header>) {
        // SAFETY: a held task is alive.
        let header = unsafe { task.as_ref() };
        if header.state.get() == State::Draining {
            // SAFETY: the caller's word.
            unsafe { Header::unhold(task) };
        } else {
            header.holds.set(header.holds.get() - 1);
            // SAFETY: alive without the hold too, as it has yet to drain. The caller's word.
            unsafe { resume(task) };
        }
    }

    /// The cell that wakers of this task share, made on first use. From any thread while the task
    /// is being polled: that is as long as a borrowed waker can exist.
    pub(super) fn wake_cell(&self, task: NonNull<Header>) -> &WakeCell {
        let mut cell = self.cell.load(Ordering::Acquire);
        if cell.is_null() {
            let new = self.executor().new_wake_cell(task);
            match self.cell.compare_exchange(
                ptr::null_mut(),
                new,
                Ordering::AcqRel,
                Ordering::Acquire,
            ) {
                Ok(_) => cell = new,
                Err(first) => {
                    // SAFETY: `new` was just made and nobody else has seen it.
                    unsafe { WakeCell::discard(new) };
                    cell = first;
                }
            }
        }
        // SAFETY: the header owns one reference of its cell until `retire`.
        unsafe { &*cell }
    }

    /// Detaches the task from its wakers: from now on they wake nothing.
    #[inline]
    fn retire(&self) {
        let cell = self.cell.load(Ordering::Relaxed);
        if !cell.is_null() {
            self.cell.store(ptr::null_mut(), Ordering::Relaxed);
            // SAFETY: this is the reference that `wake_cell` stored, given up once; the task's own
            // thread, as all state changes are. No borrowed waker is left that could race with the
            // store: the last poll has returned.
            unsafe { self.executor().retire_wake_cell(cell) };
        }
    }
}

/// Transition 1: the first poll of a new task.
///
/// # Safety
/// The header is at its final place, in front of the future that its vtable expects; the caller
/// is on the executor's thread and does not touch the task after, as it may be released.
#[inline]
pub(crate) unsafe fn start(task: NonNull<Header>) {
    // SAFETY: a new task is idle; the rest is the caller's word.
    unsafe { poll(task) };
}

/// Transition 3 or 7: the task gets its turn in the run list.
///
/// # Safety
/// The task is alive and the caller is on its thread.
pub(crate) unsafe fn wake(task: NonNull<Header>) {
    // SAFETY: alive, by the caller's word.
    let header = unsafe { task.as_ref() };
    match header.state.get() {
        State::Idle => {
            header.state.set(State::Queued);
            // SAFETY: an idle task is in no list, and a queued one is not released before its turn.
            unsafe { header.executor().run.push(task) };
        }
        State::Polling => header.state.set(State::Woken),
        State::Queued | State::QueuedDead | State::Woken | State::Cancelling | State::Draining => {}
    }
}

/// Transition 3' or 7: polls the task at once, unless it is being polled or queued already.
///
/// # Safety
/// As for [`wake`]; besides, the caller does not touch the task after unless it holds it.
#[inline]
pub(crate) unsafe fn resume(task: NonNull<Header>) {
    // SAFETY: alive, by the caller's word.
    match unsafe { task.as_ref() }.state.get() {
        // SAFETY: idle, so nobody polls the future now.
        State::Idle => unsafe { poll(task) },
        // SAFETY: the caller's word.
        _ => unsafe { wake(task) },
    }
}

/// Transition 4 or 6: what happens to a task when the run list gives it back.
///
/// # Safety
/// The task was just popped from the run list of this thread's executor.
pub(crate) unsafe fn turn(task: NonNull<Header>) {
    // SAFETY: a queued task is alive.
    let header = unsafe { task.as_ref() };
    match header.state.get() {
        // SAFETY: out of the list now, and nobody polls it.
        State::Queued => unsafe { poll(task) },
        // SAFETY: the future was dropped by `cancel`.
        State::QueuedDead => unsafe { drain(task) },
        // Only the two states above are in the list.
        state => debug_assert!(false, "a task in the run list is {state:?}"),
    }
}

/// Transition 5 or 8: drops the future, unfinished.
///
/// # Safety
/// The task is alive and the caller is on its thread; the caller does not touch the task after.
pub(crate) unsafe fn cancel(task: NonNull<Header>) {
    // SAFETY: alive, by the caller's word.
    let header = unsafe { task.as_ref() };
    match header.state.get() {
        State::Idle => {
            // While its destructors run, the future counts as being polled: a wake from inside
            // must not poll it.
            header.state.set(State::Cancelling);
            // SAFETY: idle, so nobody polls the future; it was not dropped before, as that would
            // have left the idle state.
            unsafe {
                drop_future(task);
                drain(task);
            }
        }
        State::Queued => {
            header.state.set(State::QueuedDead);
            // SAFETY: as above.
            unsafe { drop_future(task) };
        }
        State::Polling | State::Woken => header.state.set(State::Cancelling),
        State::Cancelling | State::QueuedDead | State::Draining => {}
    }
}

/// Polls the future and settles what becomes of the task.
///
/// # Safety
/// The task is alive, in no list, not being polled; the caller is on its thread.
unsafe fn poll(task: NonNull<Header>) {
    // SAFETY: alive, by the caller's word.
    let header = unsafe { task.as_ref() };
    header.state.set(State::Polling);
    let entered = header.executor().enter(task);
    // SAFETY: the waker is used by this poll alone; during it the task is alive.
    let waker = ManuallyDrop::new(unsafe { waker::borrowed(task) });
    // SAFETY: the vtable belongs to this task; the state says that nobody else polls it. Should the
    // future unwind, the state stays as it is: the task is leaked, and never polled again.
    let ready = unsafe { (header.vtable.poll)(task, &mut Context::from_waker(&waker)) }.is_ready();
    drop(entered);
    if ready {
        // SAFETY: `poll` dropped the future.
        unsafe { drain(task) };
        return;
    }
    match header.state.get() {
        State::Polling => header.state.set(State::Idle),
        State::Woken => {
            header.state.set(State::Queued);
            // SAFETY: the task was in no list, and a queued one is not released before its turn.
            unsafe { header.executor().run.push(task) };
        }
        State::Cancelling => {
            // SAFETY: the future is there, since it was pending, and nobody polls it.
            unsafe {
                drop_future(task);
                drain(task);
            }
        }
        state => debug_assert!(false, "a task was {state:?} while it was polled"),
    }
}

/// Drops the future, unfinished. Its destructors run in the name of the task: what they submit
/// holds it.
///
/// # Safety
/// The future was neither dropped nor is it being polled; the state says that its end has begun,
/// and keeps the task alive until this returns.
unsafe fn drop_future(task: NonNull<Header>) {
    // SAFETY: alive, by the caller's word.
    let header = unsafe { task.as_ref() };
    let _entered = header.executor().enter(task);
    // SAFETY: the vtable belongs to this task; the rest is the caller's word.
    unsafe { (header.vtable.drop_future)(task) };
}

/// The future is gone: the task waits for what holds it, and is released.
///
/// # Safety
/// The future was dropped; the task is in no list. The caller does not touch the task after.
#[inline]
unsafe fn drain(task: NonNull<Header>) {
    // SAFETY: alive until released below, or by the last `unhold`.
    let header = unsafe { task.as_ref() };
    header.retire();
    header.state.set(State::Draining);
    if header.holds.get() == 0 {
        // SAFETY: the future is gone and nothing holds the task. Nobody else releases it: `unhold`
        // does so only when it takes the last hold, and there is none.
        unsafe { (header.vtable.release)(task) };
    }
}
