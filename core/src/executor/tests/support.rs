//! An executor on a thread of the standard library, and tasks that tell what happened to them.

use core::cell::{Cell, UnsafeCell};
use core::future::{Future, poll_fn};
use core::ops::Deref;
use core::pin::Pin;
use core::ptr::NonNull;
use core::task::{Context, Poll};
use std::boxed::Box;
use std::rc::Rc;

use crate::executor::task::{self, Header, State, Vtable};
use crate::executor::{Executor, Kick};

/// Tells threads apart by where they have a variable of their own.
pub(super) fn thread_id() -> usize {
    std::thread_local! {
        static HERE: u8 = const { 0 };
    }
    HERE.with(|here| core::ptr::from_ref(here).addr())
}

/// An executor at a fixed place, freed in the end. It must outlive the tasks.
pub(super) struct Rig(NonNull<Executor>);

impl Rig {
    pub(super) fn new() -> Self {
        Self::with_kick(None)
    }

    /// An executor whose thread is roused for wakes from others.
    pub(super) fn with_kick(kick: Option<Kick>) -> Self {
        Self(NonNull::from(Box::leak(Box::new(Executor::new(
            thread_id, kick,
        )))))
    }

    /// Polls until nothing is queued; panics where that does not end.
    pub(super) fn run(&self) {
        for _ in 0..1000 {
            self.valid();
            if self.is_idle() {
                return;
            }
            self.tick(0);
        }
        panic!("the executor is never idle");
    }

    /// Checks the lists; returns the tasks that are queued.
    pub(super) fn valid(&self) -> std::vec::Vec<NonNull<Header>> {
        self.spawned.assert_valid();
        self.run.assert_valid()
    }
}

impl Deref for Rig {
    type Target = Executor;

    fn deref(&self) -> &Executor {
        // SAFETY: a leaked box, until `drop`.
        unsafe { self.0.as_ref() }
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // Tasks may be left; a second panic would hide the first.
            return;
        }
        // SAFETY: leaked by `new`; tests release their tasks first, or stop here with a panic.
        drop(unsafe { Box::from_raw(self.0.as_ptr()) });
    }
}

/// What happened to a task.
#[derive(Default)]
pub(super) struct Fate {
    pub(super) polls: Cell<u32>,
    pub(super) drops: Cell<u32>,
    pub(super) releases: Cell<u32>,
}

/// Counts the drop of what holds it.
pub(super) struct CountDrop(pub(super) Rc<Fate>);

impl Drop for CountDrop {
    fn drop(&mut self) {
        self.0.drops.set(self.0.drops.get() + 1);
    }
}

/// Counts the release of a spawned task that keeps it.
pub(super) struct CountRelease(pub(super) Rc<Fate>);

impl Drop for CountRelease {
    fn drop(&mut self) {
        self.0.releases.set(self.0.releases.get() + 1);
    }
}

/// A future that counts its polls and its drop.
pub(super) fn counted<P: FnMut(&mut Context<'_>) -> Poll<()>>(
    fate: &Rc<Fate>,
    mut poll: P,
) -> impl Future<Output = ()> + use<P> {
    let count = CountDrop(Rc::clone(fate));
    poll_fn(move |cx| {
        count.0.polls.set(count.0.polls.get() + 1);
        poll(cx)
    })
}

/// A task in memory of its own, as a request's task is: the header, then the future.
#[repr(C)]
struct Placed {
    header: Header,
    future: UnsafeCell<Option<Pin<Box<dyn Future<Output = ()>>>>>,
    fate: Rc<Fate>,
}

impl Placed {
    const VTABLE: Vtable = Vtable {
        poll: Self::poll,
        drop_future: Self::drop_future,
        release: Self::release,
    };

    unsafe fn poll(task: NonNull<Header>, cx: &mut Context<'_>) -> Poll<()> {
        // SAFETY: the state machine polls one at a time.
        let future = unsafe { &mut *(*task.cast::<Self>().as_ptr()).future.get() };
        let result = future
            .as_mut()
            .expect("polled after the end")
            .as_mut()
            .poll(cx);
        if result.is_ready() {
            *future = None;
        }
        result
    }

    unsafe fn drop_future(task: NonNull<Header>) {
        // SAFETY: the state machine does not poll meanwhile.
        let future = unsafe { &mut *(*task.cast::<Self>().as_ptr()).future.get() };
        drop(future.take().expect("the future is dropped twice"));
    }

    unsafe fn release(task: NonNull<Header>) {
        // SAFETY: made of a box by `Task::new`; released once.
        let placed = unsafe { Box::from_raw(task.cast::<Self>().as_ptr()) };
        placed.fate.releases.set(placed.fate.releases.get() + 1);
    }
}

/// A handle that refuses to touch a task after its release.
#[derive(Clone)]
pub(super) struct Task {
    pub(super) header: NonNull<Header>,
    pub(super) fate: Rc<Fate>,
}

impl Task {
    /// A task that is not started.
    pub(super) fn new(rig: &Rig, poll: impl FnMut(&mut Context<'_>) -> Poll<()> + 'static) -> Self {
        let fate = Rc::new(Fate::default());
        let future = counted(&fate, poll);
        Self::of(rig, fate, future)
    }

    /// A task that is not started, of a future that counts by itself.
    pub(super) fn of(
        rig: &Rig,
        fate: Rc<Fate>,
        future: impl Future<Output = ()> + 'static,
    ) -> Self {
        let placed = Box::new(Placed {
            // SAFETY: the tests drop the rig last.
            header: unsafe { Header::new(rig.0, &Placed::VTABLE) },
            future: UnsafeCell::new(Some(Box::pin(future))),
            fate: Rc::clone(&fate),
        });
        Self {
            header: NonNull::from(Box::leak(placed)).cast(),
            fate,
        }
    }

    /// The task that was just spawned.
    pub(super) fn last_queued(rig: &Rig, fate: &Rc<Fate>) -> Self {
        let header = *rig.valid().last().expect("nothing is queued");
        Self {
            header,
            fate: Rc::clone(fate),
        }
    }

    pub(super) fn get(&self) -> &Header {
        assert_eq!(self.fate.releases.get(), 0, "the task is gone");
        // SAFETY: not released.
        unsafe { self.header.as_ref() }
    }

    pub(super) fn state(&self) -> State {
        self.get().state()
    }

    pub(super) fn start(&self) {
        self.get();
        // SAFETY: alive, at its place; this thread has the executor; the same below.
        unsafe { task::start(self.header) };
    }

    pub(super) fn wake(&self) {
        self.get();
        // SAFETY: see `start`.
        unsafe { task::wake(self.header) };
    }

    pub(super) fn resume(&self) {
        self.get();
        // SAFETY: see `start`.
        unsafe { task::resume(self.header) };
    }

    pub(super) fn cancel(&self) {
        self.get();
        // SAFETY: see `start`.
        unsafe { task::cancel(self.header) };
    }

    pub(super) fn hold(&self) {
        self.get().hold();
    }

    pub(super) fn unhold(&self) {
        assert!(self.get().holds() > 0);
        // SAFETY: held, and see `start`.
        unsafe { Header::unhold(self.header) };
    }

    pub(super) fn unhold_and_resume(&self) {
        assert!(self.get().holds() > 0);
        // SAFETY: held, and see `start`.
        unsafe { Header::unhold_and_resume(self.header) };
    }

    /// Polls, drops of the future, releases.
    pub(super) fn counts(&self) -> (u32, u32, u32) {
        let fate = &self.fate;
        (fate.polls.get(), fate.drops.get(), fate.releases.get())
    }
}

/// A task that is pending for ever, started.
pub(super) fn pending(rig: &Rig) -> Task {
    let task = Task::new(rig, |_| Poll::Pending);
    task.start();
    task
}

/// Frees a task that a panic has left behind.
///
/// # Safety
/// A task of [`Task::new`] that neither the executor nor a waker knows; called once.
pub(super) unsafe fn free_leaked(task: &Task) {
    // SAFETY: the caller's word.
    drop(unsafe { Box::from_raw(task.header.cast::<Placed>().as_ptr()) });
}
