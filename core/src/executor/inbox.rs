//! Where wakes from other threads arrive: an intrusive, lock-free stack of wake cells that its
//! executor empties at once.
//!
//! Any thread pushes, one takes all; nobody pops one, so there is no ABA. The cells carry their own
//! link, so a wake never fails and never allocates.

use core::ptr;

use super::sync::{AtomicPtr, Ordering};
use super::waker::WakeCell;

/// The value of the head once the executor is gone. Not a cell: cells are not at address 1.
const CLOSED: *mut WakeCell = ptr::without_provenance_mut(1);

/// The inbox of one executor, kept alive by its wake cells.
pub(crate) struct Inbox {
    head: AtomicPtr<WakeCell>,
    thread_id: fn() -> usize,
    owner: usize,
    kick: Option<Kick>,
}

/// What rouses the executor's thread where that may sleep. Of the inbox, hence as long-lived as the last
/// wake cell: a kick that comes late meets nobody else's.
pub(crate) struct Kick {
    /// What the functions get.
    pub(crate) context: *mut (),
    /// Has the thread tick its executor soon. Called on any thread.
    pub(crate) kick: fn(*mut ()),
    /// Releases the context.
    pub(crate) end: fn(*mut ()),
}

impl Drop for Kick {
    fn drop(&mut self) {
        (self.end)(self.context);
    }
}

// SAFETY: whoever makes one sees to it that both functions take the context on any thread.
unsafe impl Send for Kick {}
// SAFETY: as above, on several at a time.
unsafe impl Sync for Kick {}

impl Inbox {
    /// The inbox of the thread that calls; `thread_id` says who that is, now and later. `kick` is for
    /// threads that sleep.
    pub(super) fn new(thread_id: fn() -> usize, kick: Option<Kick>) -> Self {
        Self {
            head: AtomicPtr::new(ptr::null_mut()),
            thread_id,
            owner: thread_id(),
            kick,
        }
    }

    /// Whether the caller is on the executor's thread.
    pub(super) fn is_here(&self) -> bool {
        (self.thread_id)() == self.owner
    }

    /// Whether there is nothing to take. A hint: a push may be under way.
    pub(super) fn is_empty(&self) -> bool {
        self.head.load(Ordering::Relaxed).is_null()
    }

    /// Puts in a cell, with the one reference that the pointer owns.
    pub(super) fn push(&self, cell: *mut WakeCell) {
        let mut head = self.head.load(Ordering::Relaxed);
        loop {
            if head == CLOSED {
                // SAFETY: the cell is not in the inbox; its reference is ours to drop.
                unsafe { WakeCell::forsake(cell) };
                return;
            }
            // SAFETY: we own a reference; while the cell is not in the inbox its link is ours, as
            // its flag `queued` lets one waker in at a time.
            unsafe { &*cell }.next.store(head, Ordering::Relaxed);
            match self
                .head
                .compare_exchange_weak(head, cell, Ordering::Release, Ordering::Relaxed)
            {
                Ok(_) => break,
                Err(now) => head = now,
            }
        }
        // Where there was a cell already, whoever put it in kicks.
        if let Some(kick) = self.kick.as_ref().filter(|_| head.is_null()) {
            (kick.kick)(kick.context);
        }
    }

    /// Takes all cells and wakes their tasks, those first that came first.
    ///
    /// # Safety
    /// On the executor's thread.
    pub(super) unsafe fn deliver(&self) {
        let mut cell = reverse(self.head.swap(ptr::null_mut(), Ordering::Acquire));
        while !cell.is_null() {
            // SAFETY: taken out of the inbox, so alive by the reference that we now own. The link is
            // read first: delivery gives up the reference and lets the cell be pushed again.
            let next = unsafe { &*cell }.next.load(Ordering::Relaxed);
            // SAFETY: just taken out, once; the executor's thread, by the caller's word.
            unsafe { WakeCell::deliver(cell) };
            cell = next;
        }
    }

    /// Ends the inbox: what is in it and what comes is dropped.
    pub(super) fn close(&self) {
        let mut cell = self.head.swap(CLOSED, Ordering::AcqRel);
        while !cell.is_null() && cell != CLOSED {
            // SAFETY: as in `deliver`.
            let next = unsafe { &*cell }.next.load(Ordering::Relaxed);
            // SAFETY: just taken out, once.
            unsafe { WakeCell::forsake(cell) };
            cell = next;
        }
    }
}

/// Turns a stack around.
fn reverse(mut stack: *mut WakeCell) -> *mut WakeCell {
    let mut queue = ptr::null_mut();
    while !stack.is_null() {
        // SAFETY: the caller took these cells out of the inbox, which owned a reference of each.
        let cell = unsafe { &*stack };
        let next = cell.next.load(Ordering::Relaxed);
        cell.next.store(queue, Ordering::Relaxed);
        queue = stack;
        stack = next;
    }
    queue
}
