//! Tasks that stand on their own: a future with its header, in a box or in a slot of a
//! [`TaskPool`](super::TaskPool), known to the executor so that it can drop them all.

use alloc::boxed::Box;
use core::cell::{Cell, UnsafeCell};
use core::future::Future;
use core::mem::ManuallyDrop;
use core::pin::Pin;
use core::ptr::{self, NonNull};
use core::task::{Context, Poll};

use super::Executor;
use super::task::{self, Header, Vtable};

/// A spawned task without its future: what the list links.
#[repr(C)]
pub(super) struct Links {
    header: Header,
    previous: Cell<Option<NonNull<Links>>>,
    next: Cell<Option<NonNull<Links>>>,
}

/// A spawned task. The header comes first, so that a pointer to one is a pointer to the other.
#[repr(C)]
pub(super) struct SpawnedTask<F, K> {
    links: Links,
    /// Gives the memory back, the future being gone.
    free: unsafe fn(NonNull<Header>),
    /// What the task keeps until it is released: that may be long after the future was dropped,
    /// while it waits for its turn or for what holds it.
    keep: ManuallyDrop<K>,
    future: UnsafeCell<ManuallyDrop<F>>,
}

/// The spawned tasks of one executor, doubly linked.
pub(crate) struct SpawnedList {
    head: Cell<Option<NonNull<Links>>>,
}

impl SpawnedList {
    pub(super) const fn new() -> Self {
        Self {
            head: Cell::new(None),
        }
    }

    /// Whether no spawned task is left.
    pub(crate) fn is_empty(&self) -> bool {
        self.head.get().is_none()
    }

    fn insert(&self, task: NonNull<Links>) {
        let next = self.head.replace(Some(task));
        // SAFETY: tasks in the list are alive: they unlink themselves on release.
        let links = unsafe { task.as_ref() };
        links.previous.set(None);
        links.next.set(next);
        if let Some(next) = next {
            // SAFETY: as above.
            unsafe { next.as_ref() }.previous.set(Some(task));
        }
    }

    fn remove(&self, task: &Links) {
        let (previous, next) = (task.previous.get(), task.next.get());
        match previous {
            // SAFETY: neighbours are in the list, so alive.
            Some(previous) => unsafe { previous.as_ref() }.next.set(next),
            None => self.head.set(next),
        }
        if let Some(next) = next {
            // SAFETY: as above.
            unsafe { next.as_ref() }.previous.set(previous);
        }
    }

    /// Panics unless the list is well-formed; returns the tasks, the last spawned first.
    #[cfg(test)]
    pub(super) fn assert_valid(&self) -> std::vec::Vec<NonNull<Header>> {
        let mut tasks = std::vec::Vec::new();
        let (mut before, mut at) = (None, self.head.get());
        while let Some(task) = at {
            // SAFETY: in the list, so alive.
            let links = unsafe { task.as_ref() };
            assert!(!tasks.contains(&task.cast()), "a task is listed twice");
            assert_eq!(
                links.previous.get(),
                before,
                "the list is not one both ways"
            );
            tasks.push(task.cast());
            (before, at) = (at, links.next.get());
        }
        tasks
    }

    /// Drops the futures of all tasks, those first that were spawned last.
    pub(super) fn cancel_all(&self) {
        // Dropping one future may end, or even spawn, others: start anew after each. Each round
        // leaves one task fewer that is neither over nor being cancelled, so this ends, unless
        // destructors spawn for ever.
        while let Some(task) = self.first_alive() {
            // SAFETY: in the list, so alive; the executor's thread, as the list is not `Sync`.
            unsafe { task::cancel(task.cast()) };
        }
    }

    fn first_alive(&self) -> Option<NonNull<Links>> {
        let mut at = self.head.get();
        while let Some(task) = at {
            // SAFETY: in the list, so alive.
            let links = unsafe { task.as_ref() };
            if !links.header.is_over() {
                return Some(task);
            }
            at = links.next.get();
        }
        None
    }
}

impl<F: Future<Output = ()> + 'static, K: 'static> SpawnedTask<F, K> {
    const VTABLE: Vtable = Vtable {
        poll: Self::poll,
        drop_future: Self::drop_future,
        release: Self::release,
    };

    /// A task at no final place yet.
    ///
    /// # Safety
    /// As for [`Header::new`].
    pub(super) unsafe fn new(
        executor: NonNull<Executor>,
        free: unsafe fn(NonNull<Header>),
        future: F,
        keep: K,
    ) -> Self {
        Self {
            links: Links {
                // SAFETY: the caller's word.
                header: unsafe { Header::new(executor, &Self::VTABLE) },
                previous: Cell::new(None),
                next: Cell::new(None),
            },
            free,
            keep: ManuallyDrop::new(keep),
            future: UnsafeCell::new(ManuallyDrop::new(future)),
        }
    }

    /// Makes the task known to its executor and queues it for its first poll.
    ///
    /// # Safety
    /// The task is at its final place, which `free` gives back; the caller is on the executor's
    /// thread.
    pub(super) unsafe fn launch(task: NonNull<Self>) {
        // SAFETY: alive, by the caller's word.
        let links = unsafe { &(*task.as_ptr()).links };
        links.header.executor().spawned.insert(task.cast());
        // SAFETY: alive; the executor's thread.
        unsafe { task::wake(task.cast()) };
    }

    unsafe fn poll(task: NonNull<Header>, cx: &mut Context<'_>) -> Poll<()> {
        let task = task.cast::<Self>();
        // SAFETY: the state machine polls one at a time and not after the end; the task is at its
        // final place, and its memory goes only in `release`, after the future was dropped.
        let future = unsafe { Pin::new_unchecked(&mut **(*task.as_ptr()).future.get()) };
        let result = future.poll(cx);
        if result.is_ready() {
            // SAFETY: the future is there, and ended.
            unsafe { Self::drop_future(task.cast()) };
        }
        result
    }

    unsafe fn drop_future(task: NonNull<Header>) {
        // SAFETY: the state machine drops the future once, and does not poll it after.
        unsafe { ManuallyDrop::drop(&mut *(*task.cast::<Self>().as_ptr()).future.get()) };
    }

    unsafe fn release(task: NonNull<Header>) {
        // SAFETY: alive until `free`.
        let this = unsafe { task.cast::<Self>().as_ref() };
        this.links.header.executor().spawned.remove(&this.links);
        let free = this.free;
        // SAFETY: taken out once, as a task is released once.
        let keep = unsafe { ManuallyDrop::into_inner(ptr::read(&raw const this.keep)) };
        // SAFETY: the future is gone and nobody points to the task any more.
        unsafe { free(task) };
        drop(keep);
    }
}

impl Executor {
    /// Runs a future on this thread, in a box of its own.
    ///
    /// # Safety
    /// The executor neither moves nor goes before the task is released. That the future keeps it
    /// is not enough: see [`Executor::spawn_boxed_with`].
    #[cfg(test)]
    pub(crate) unsafe fn spawn_boxed<F: Future<Output = ()> + 'static>(&self, future: F) {
        // SAFETY: the caller's word.
        unsafe { self.spawn_boxed_with(future, ()) };
    }

    /// Like [`Executor::spawn_boxed`], and keeps `keep` until the task is released: what keeps the
    /// executor belongs there. A cancelled task has dropped its future and still waits for its turn
    /// in the run list, or for what holds it; it needs the executor until then.
    ///
    /// # Safety
    /// The executor neither moves nor goes before `keep` is dropped, nor in that very moment.
    pub(crate) unsafe fn spawn_boxed_with<F, K>(&self, future: F, keep: K)
    where
        F: Future<Output = ()> + 'static,
        K: 'static,
    {
        unsafe fn free<F, K>(task: NonNull<Header>) {
            // SAFETY: `spawn_boxed_with` made it of a box.
            drop(unsafe { Box::from_raw(task.cast::<SpawnedTask<F, K>>().as_ptr()) });
        }
        // SAFETY: the caller's word.
        let task = unsafe { SpawnedTask::new(NonNull::from(self), free::<F, K>, future, keep) };
        // SAFETY: a box never moves its content, and `free` takes it back. The executor is not
        // `Sync`: a shared reference to it is on its thread.
        unsafe { SpawnedTask::launch(NonNull::from(Box::leak(Box::new(task)))) };
    }
}
