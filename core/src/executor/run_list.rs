//! The tasks that wait for their turn on their own thread: an intrusive queue, first in, first out.

use core::cell::Cell;
use core::ptr::NonNull;

use super::task::Header;

/// An intrusive FIFO of tasks. Of one thread: it is neither `Send` nor `Sync`.
pub(crate) struct RunList {
    head: Cell<Option<NonNull<Header>>>,
    tail: Cell<Option<NonNull<Header>>>,
}

impl RunList {
    pub(crate) const fn new() -> Self {
        Self {
            head: Cell::new(None),
            tail: Cell::new(None),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.head.get().is_none()
    }

    /// Appends a task.
    ///
    /// # Safety
    /// The header is alive, in no run list, and stays alive and at its place until popped.
    pub(crate) unsafe fn push(&self, task: NonNull<Header>) {
        // SAFETY: alive, by the caller's word.
        unsafe { task.as_ref() }.next.set(None);
        match self.tail.replace(Some(task)) {
            // SAFETY: a task in the list is alive, by the word of the caller who pushed it.
            Some(tail) => unsafe { tail.as_ref() }.next.set(Some(task)),
            None => self.head.set(Some(task)),
        }
    }

    /// Takes the task that has waited longest.
    pub(crate) fn pop(&self) -> Option<NonNull<Header>> {
        let task = self.head.get()?;
        // SAFETY: a task in the list is alive, by the word of the caller who pushed it.
        let next = unsafe { task.as_ref() }.next.take();
        self.head.set(next);
        if next.is_none() {
            self.tail.set(None);
        }
        Some(task)
    }

    /// Panics unless the list is well-formed and each task in it knows that; returns the tasks.
    #[cfg(test)]
    pub(super) fn assert_valid(&self) -> std::vec::Vec<NonNull<Header>> {
        use super::task::State;

        let mut tasks = std::vec::Vec::new();
        let mut at = self.head.get();
        while let Some(task) = at {
            assert!(!tasks.contains(&task), "a task is in the run list twice");
            tasks.push(task);
            // SAFETY: a task in the list is alive, by the word of the caller who pushed it.
            let header = unsafe { task.as_ref() };
            let state = header.state();
            assert!(
                matches!(state, State::Queued | State::QueuedDead),
                "a task in the run list is {state:?}"
            );
            at = header.next.get();
        }
        assert_eq!(
            self.tail.get(),
            tasks.last().copied(),
            "the tail is not the last"
        );
        tasks
    }
}
