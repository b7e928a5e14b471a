//! The executor of one thread. It knows no SPDK: it needs a thread id, and a clock handed to
//! [`Executor::tick`].
//!
//! ```text
//!   other threads                              this thread
//!  ┌─────────────┐ push  ┌────────┐ deliver ┌──────────┐ turn  ┌──────────────┐
//!  │ owned waker ├──────►│ inbox  ├────────►│ run list ├──────►│ task::poll   │
//!  └─────────────┘       └────────┘         └──▲────▲──┘       └──▲───────────┘
//!                                     wake     │    │ expire      │ start, resume
//!                           waker, same thread ┘    └ timers      └ first poll; completion of an I/O
//! ```
//!
//! A task is a [`Header`](task::Header) in front of a future, in memory that somebody else owns: the
//! context of an SPDK request, a box, a slot of a [`TaskPool`]. Polling, waking and releasing one
//! allocates nothing; cloning its waker takes a wake cell, which the executor keeps for the next.

pub(crate) mod inbox;
pub(crate) mod pool;
pub(crate) mod run_list;
pub(crate) mod spawned;
pub(crate) mod sync;
pub(crate) mod task;
pub(crate) mod timers;
pub(crate) mod waker;

#[cfg(all(test, loom))]
mod loom_tests;
#[cfg(all(test, not(loom)))]
mod tests;

use core::cell::{Cell, RefCell};
use core::ptr::NonNull;

pub use pool::TaskPool;
pub use timers::TimersFull;

use inbox::Inbox;
pub(crate) use inbox::Kick;
use run_list::RunList;
use spawned::SpawnedList;
use sync::Arc;
use task::Header;
use timers::Timers;
use waker::WakeCell;

/// How many tasks one [`Executor::tick`] polls at the most, so that a task that wakes itself for
/// ever does not keep its thread from the others' pollers.
pub(crate) const BUDGET: usize = 64;

/// How many wake cells are kept for the next tasks that need one.
const SPARE_CELLS: usize = 64;

/// The executor of one thread: neither `Send` nor `Sync`.
///
/// Tasks point to it, so it must not move nor be dropped while there is one; see [`Header::new`].
pub(crate) struct Executor {
    run: RunList,
    inbox: Arc<Inbox>,
    timers: Timers,
    spawned: SpawnedList,
    /// The task whose code runs; the innermost one, where a poll submits to a bdev of our own.
    current: Cell<Option<NonNull<Header>>>,
    spare_cells: RefCell<heapless::Vec<Arc<WakeCell>, SPARE_CELLS>>,
}

impl Executor {
    /// The executor of the thread that calls. `thread_id` tells the threads apart that there are
    /// at one time. `kick` rouses the thread for wakes from others, where it may sleep.
    pub(crate) fn new(thread_id: fn() -> usize, kick: Option<Kick>) -> Self {
        Self {
            run: RunList::new(),
            inbox: Arc::new(Inbox::new(thread_id, kick)),
            timers: Timers::new(),
            spawned: SpawnedList::new(),
            current: Cell::new(None),
            spare_cells: RefCell::new(heapless::Vec::new()),
        }
    }

    /// Whether the caller is on this executor's thread.
    pub(crate) fn is_here(&self) -> bool {
        self.inbox.is_here()
    }

    /// The task that is being polled, or whose future is being dropped.
    pub(crate) fn current(&self) -> Option<NonNull<Header>> {
        self.current.get()
    }

    /// Whether [`Executor::tick`] has nothing to do before the earliest timer.
    #[inline]
    pub(crate) fn is_idle(&self) -> bool {
        self.run.is_empty() && self.inbox.is_empty()
    }

    /// The timers of this thread.
    pub(crate) fn timers(&self) -> &Timers {
        &self.timers
    }

    /// Takes in wakes from other threads, fires the timers due at `now_ticks`, and polls up to
    /// [`BUDGET`] tasks. Returns whether there was anything to do.
    ///
    /// On the executor's thread, outside of polls.
    pub(crate) fn tick(&self, now_ticks: u64) -> bool {
        if !self.inbox.is_empty() {
            // SAFETY: the executor is not `Sync`: a shared reference to it is on its thread.
            unsafe { self.inbox.deliver() };
        }
        self.timers.expire(now_ticks);
        for polled in 0..BUDGET {
            let Some(task) = self.run.pop() else {
                return polled > 0;
            };
            // SAFETY: just popped.
            unsafe { task::turn(task) };
        }
        true
    }

    /// Drops all futures that were spawned here; of those that hold operations in flight the
    /// memory goes when the last of these ends.
    pub(crate) fn cancel_spawned(&self) {
        self.spawned.cancel_all();
    }

    /// Makes `task` the current one, until the value that comes back is dropped.
    fn enter(&self, task: NonNull<Header>) -> Entered<'_> {
        Entered {
            current: &self.current,
            outer: self.current.replace(Some(task)),
        }
    }

    fn new_wake_cell(&self, task: NonNull<Header>) -> *mut WakeCell {
        // A poll may lend its waker to another thread, which must not touch the spare cells.
        let spare = if self.is_here() {
            self.spare_cells
                .try_borrow_mut()
                .ok()
                .and_then(|mut cells| cells.pop())
        } else {
            None
        };
        match spare {
            Some(cell) => {
                // SAFETY: this is the executor's thread.
                unsafe { cell.set_task(Some(task)) };
                Arc::into_raw(cell).cast_mut()
            }
            None => WakeCell::new(Arc::clone(&self.inbox), task),
        }
    }

    /// Detaches a cell from its task, and keeps it for the next task if no waker has it.
    ///
    /// # Safety
    /// The pointer owns one reference, which is given up; on the executor's thread.
    unsafe fn retire_wake_cell(&self, cell: *mut WakeCell) {
        // SAFETY: the caller's word.
        let mut cell = unsafe {
            (*cell).set_task(None);
            Arc::from_raw(cell.cast_const())
        };
        if Arc::get_mut(&mut cell).is_some()
            && let Ok(mut cells) = self.spare_cells.try_borrow_mut()
        {
            // Where there are enough already, this one is freed.
            drop(cells.push(cell));
        }
    }
}

/// While it lives, a task is the current one. A guard, so that a panic in the task leaves no
/// dangling pointer behind where panics unwind.
struct Entered<'a> {
    current: &'a Cell<Option<NonNull<Header>>>,
    outer: Option<NonNull<Header>>,
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        self.current.set(self.outer);
    }
}

impl Drop for Executor {
    fn drop(&mut self) {
        // By the contract of `Header::new`: these would be left with a dangling pointer.
        debug_assert!(self.run.is_empty(), "a queued task outlives its executor");
        debug_assert!(
            self.spawned.is_empty(),
            "a spawned task outlives its executor"
        );
        self.inbox.close();
    }
}
