//! Wakers, in two forms.
//!
//! - The *borrowed* waker is what a poll passes down: it points to the task itself, costs nothing,
//!   and cannot outlive the poll, as it is only ever lent out.
//! - A clone of it is an *owned* waker: a reference to a [`WakeCell`], which outlives the task. The
//!   cell knows its task until that is over, and looks at it on the task's own thread alone. So a
//!   waker may be kept, called twice, from any thread, during a poll, after the task's end: it
//!   never reaches recycled memory, and never polls a task on a foreign thread.
//!
//! What this does not guarantee: that a task is polled soon after a wake from another thread. Its
//! thread's executor must tick.

use core::ptr::{self, NonNull};
use core::task::{RawWaker, RawWakerVTable, Waker};

use super::inbox::Inbox;
use super::sync::{Arc, AtomicBool, AtomicPtr, Cell, Ordering};
use super::task::{self, Header};

/// What the owned wakers of one task share.
pub(crate) struct WakeCell {
    inbox: Arc<Inbox>,
    /// The task, until it is over. Read and written on its own thread alone.
    task: Cell<Option<NonNull<Header>>>,
    /// Whether the cell is in the inbox, which then owns one reference of it.
    queued: AtomicBool,
    /// The next cell in the inbox.
    pub(super) next: AtomicPtr<WakeCell>,
}

// SAFETY: all fields are for any thread but `task`, which `wake_here` and `set_task` touch, whose
// callers are on the task's own thread.
unsafe impl Send for WakeCell {}
// SAFETY: as above.
unsafe impl Sync for WakeCell {}

impl WakeCell {
    /// A cell for a task, with one reference, as a raw pointer that owns it.
    pub(super) fn new(inbox: Arc<Inbox>, task: NonNull<Header>) -> *mut WakeCell {
        let cell = Arc::new(WakeCell {
            inbox,
            task: Cell::new(Some(task)),
            queued: AtomicBool::new(false),
            next: AtomicPtr::new(ptr::null_mut()),
        });
        Arc::into_raw(cell).cast_mut()
    }

    /// Gives up the one reference that a raw pointer owns.
    ///
    /// # Safety
    /// The pointer came from [`WakeCell::new`] or [`WakeCell::add_reference`], and is not used again.
    pub(super) unsafe fn discard(cell: *mut WakeCell) {
        // SAFETY: the caller's word.
        drop(unsafe { Arc::from_raw(cell) });
    }

    /// Adds a reference, owned by the pointer that comes back.
    fn add_reference(&self) -> *const WakeCell {
        let cell = ptr::from_ref(self);
        // SAFETY: every cell lives in an `Arc`, made by `new`; the borrow shows that it is alive.
        unsafe { Arc::increment_strong_count(cell) };
        cell
    }

    /// Gives the cell another task, or none.
    ///
    /// # Safety
    /// On the thread of the task (the old and the new one have the same executor).
    pub(super) unsafe fn set_task(&self, task: Option<NonNull<Header>>) {
        self.task.set(task);
    }

    /// Wakes the task, if it is still there.
    ///
    /// # Safety
    /// On the thread of the task's executor.
    unsafe fn wake_here(&self) {
        if let Some(task) = self.task.get() {
            // SAFETY: a task clears this field before it goes (`Header::retire`), on this thread.
            unsafe { task::wake(task) };
        }
    }

    /// Wakes the task from whatever thread.
    fn wake(&self) {
        if self.inbox.is_here() {
            // SAFETY: this is the executor's thread.
            unsafe { self.wake_here() };
        } else if !self.queued.swap(true, Ordering::AcqRel) {
            self.inbox.push(self.add_reference().cast_mut());
        }
    }

    /// What the inbox does with a cell that it held: wakes the task, drops the reference.
    ///
    /// # Safety
    /// The cell was just taken out of the inbox, on the executor's thread.
    pub(super) unsafe fn deliver(cell: *mut WakeCell) {
        // SAFETY: the inbox owned one reference, and gave it to us.
        let cell = unsafe { Arc::from_raw(cell.cast_const()) };
        // Before the task is polled: a wake that comes during that poll must enter the inbox again.
        // It acquires what wakers did who found the flag set, and so did not enter it.
        cell.queued.swap(false, Ordering::AcqRel);
        // SAFETY: the executor's thread.
        unsafe { cell.wake_here() };
    }

    /// Drops the reference of a cell that will not be delivered any more, its executor being gone.
    ///
    /// # Safety
    /// The cell was just taken out of the inbox.
    pub(super) unsafe fn forsake(cell: *mut WakeCell) {
        // SAFETY: the inbox owned one reference, and gave it to us.
        unsafe { Self::discard(cell) };
    }
}

/// The waker that a poll lends out. It must not be dropped by the caller, nor kept.
///
/// # Safety
/// The task is alive, and the waker is gone, as are all borrows of it, before the poll ends.
pub(super) unsafe fn borrowed(task: NonNull<Header>) -> Waker {
    // SAFETY: the functions of the vtable keep the contract of `RawWaker`, for as long as the task
    // is alive; a clone is an owned waker, which does not need the task.
    unsafe { Waker::new(task.as_ptr().cast_const().cast(), &BORROWED) }
}

/// The task of a borrowed waker; `None` for every other waker.
///
/// The task is alive as long as the waker is borrowed, and not necessarily of this thread: a poll
/// may lend its waker to others. Compare the pointer with one whose thread is known, or look at
/// nothing but what is for any thread.
pub(crate) fn task_of(waker: &Waker) -> Option<NonNull<Header>> {
    if ptr::eq(waker.vtable(), &BORROWED) {
        NonNull::new(waker.data().cast_mut().cast())
    } else {
        None
    }
}

// Statics, not constants: `task_of` tells wakers apart by the vtable's address.
static BORROWED: RawWakerVTable =
    RawWakerVTable::new(borrowed_clone, borrowed_wake, borrowed_wake, nothing);
static OWNED: RawWakerVTable =
    RawWakerVTable::new(owned_clone, owned_wake, owned_wake_by_ref, owned_drop);

/// The task of a borrowed waker.
///
/// # Safety
/// The data is that of a borrowed waker that is alive.
unsafe fn borrowed_task(data: *const ()) -> NonNull<Header> {
    // SAFETY: `borrowed` made the data from a task.
    unsafe { NonNull::new_unchecked(data.cast_mut().cast()) }
}

unsafe fn borrowed_clone(data: *const ()) -> RawWaker {
    // SAFETY: the contract of `RawWaker`: the waker is alive, and so is its task.
    let cell = unsafe {
        let task = borrowed_task(data);
        task.as_ref().wake_cell(task)
    };
    RawWaker::new(cell.add_reference().cast(), &OWNED)
}

unsafe fn borrowed_wake(data: *const ()) {
    // SAFETY: as in `borrowed_clone`.
    let task = unsafe { borrowed_task(data) };
    // SAFETY: as in `borrowed_clone`.
    let header = unsafe { task.as_ref() };
    if header.executor().is_here() {
        // SAFETY: alive, and this is its thread.
        unsafe { task::wake(task) };
    } else {
        // A poll may lend its waker to a scoped thread.
        header.wake_cell(task).wake();
    }
}

unsafe fn nothing(_: *const ()) {}

/// The cell of an owned waker, without giving up its reference.
///
/// # Safety
/// The data is that of a living owned waker.
unsafe fn owned_cell<'a>(data: *const ()) -> &'a WakeCell {
    // SAFETY: the waker owns a reference of the cell.
    unsafe { &*data.cast::<WakeCell>() }
}

unsafe fn owned_clone(data: *const ()) -> RawWaker {
    // SAFETY: the contract of `RawWaker`: the waker is alive.
    RawWaker::new(unsafe { owned_cell(data) }.add_reference().cast(), &OWNED)
}

unsafe fn owned_wake(data: *const ()) {
    // SAFETY: the contract of `RawWaker`: the reference becomes ours.
    unsafe { Arc::from_raw(data.cast::<WakeCell>()) }.wake();
}

unsafe fn owned_wake_by_ref(data: *const ()) {
    // SAFETY: the contract of `RawWaker`: the waker is alive.
    unsafe { owned_cell(data) }.wake();
}

unsafe fn owned_drop(data: *const ()) {
    // SAFETY: the contract of `RawWaker`: the reference becomes ours.
    drop(unsafe { Arc::from_raw(data.cast::<WakeCell>()) });
}
