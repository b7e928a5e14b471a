//! What other threads do to wakers, in every order that loom can think of. Run with
//! `RUSTFLAGS='--cfg loom' cargo test -p barespdk --release --lib loom`.
//!
//! loom also reports whatever [`sync::Arc`](super::sync::Arc) is leaked.

use core::cell::Cell;
use core::future::poll_fn;
use core::ptr::NonNull;
use core::task::{Context, Poll, Waker};
use std::boxed::Box;
use std::collections::BTreeSet;
use std::rc::Rc;
use std::vec::Vec;

use loom::sync::Arc;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;

use super::Executor;

loom::thread_local! {
    static HERE: Cell<usize> = Cell::new(0);
}

/// Tries all orders in which threads are interrupted up to five times; `LOOM_MAX_PREEMPTIONS` says
/// otherwise.
fn explore(test: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = builder.preemption_bound.or(Some(5));
    builder.check(test);
}

/// 1 on the thread of the executor, 0 on others.
fn thread_id() -> usize {
    HERE.with(Cell::get)
}

/// An executor at a fixed place, and what its tasks have come to.
struct Rig(NonNull<Executor>);

impl Rig {
    fn new() -> Self {
        HERE.with(|here| here.set(1));
        Self(NonNull::from(Box::leak(Box::new(Executor::new(
            thread_id, None,
        )))))
    }

    fn get(&self) -> &Executor {
        // SAFETY: a leaked box, until `drop`.
        unsafe { self.0.as_ref() }
    }

    /// Spawns a task and polls it once; returns the waker that it left.
    fn spawn(&self, mut poll: impl FnMut(&mut Context<'_>) -> Poll<()> + 'static) -> Waker {
        let kept = Rc::new(Cell::new(None));
        let place = Rc::clone(&kept);
        let future = poll_fn(move |cx| {
            assert_eq!(thread_id(), 1, "polled on a foreign thread");
            place.set(Some(cx.waker().clone()));
            poll(cx)
        });
        // SAFETY: the tests cancel and release all tasks before the rig goes.
        unsafe { self.get().spawn_boxed(future) };
        self.tick();
        kept.take().expect("the task was not polled")
    }

    /// A tick that does not look first whether the inbox is empty. loom forgets that such a look
    /// depends on a push, as a push looks too before it swaps, and would not try one before the
    /// other.
    fn tick(&self) -> bool {
        // SAFETY: this is the executor's thread.
        unsafe { self.get().inbox.deliver() };
        self.get().tick(0)
    }

    /// Polls until nothing is left to do, but for wakes that come meanwhile.
    fn settle(&self) {
        while self.tick() {}
    }

    fn cancel_all(&self) {
        self.get().cancel_spawned();
        self.settle();
        assert!(self.get().spawned.is_empty());
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        // SAFETY: leaked by `new`; tasks are released before.
        drop(unsafe { Box::from_raw(self.0.as_ptr()) });
    }
}

fn join(threads: impl IntoIterator<Item = thread::JoinHandle<()>>) {
    for thread in threads {
        thread.join().unwrap();
    }
}

/// So many threads each count up and wake; whatever the order, the task sees the last count.
fn no_wake_is_lost(wakes: usize) {
    // How many had counted by the tick that races with them: whether loom has tried it all.
    let early = std::sync::Arc::new(std::sync::Mutex::new(BTreeSet::new()));
    let note_early = std::sync::Arc::clone(&early);
    explore(move || {
        let rig = Rig::new();
        let count = Arc::new(AtomicUsize::new(0));
        let seen = Rc::new(Cell::new(0));
        let (watched, note) = (Arc::clone(&count), Rc::clone(&seen));
        let waker = rig.spawn(move |_| {
            // Relaxed: it is the wake that makes the count visible.
            note.set(watched.load(Ordering::Relaxed));
            Poll::Pending
        });
        let threads: Vec<_> = (0..wakes)
            .map(|_| {
                let (count, waker) = (Arc::clone(&count), waker.clone());
                thread::spawn(move || {
                    count.fetch_add(1, Ordering::Relaxed);
                    waker.wake();
                })
            })
            .collect();
        rig.tick();
        note_early.lock().unwrap().insert(seen.get());
        join(threads);
        rig.settle();
        assert_eq!(seen.get(), wakes);
        drop(waker);
        rig.cancel_all();
    });
    let early: Vec<_> = early.lock().unwrap().iter().copied().collect();
    assert_eq!(early, (0..=wakes).collect::<Vec<_>>());
}

#[test]
fn no_wake_of_one_thread_is_lost() {
    no_wake_is_lost(1);
}

#[test]
fn no_wake_of_two_threads_is_lost() {
    no_wake_is_lost(2);
}

#[test]
fn a_thread_that_wakes_twice_is_heard_twice() {
    explore(|| {
        let rig = Rig::new();
        let count = Arc::new(AtomicUsize::new(0));
        let seen = Rc::new(Cell::new(0));
        let (watched, note) = (Arc::clone(&count), Rc::clone(&seen));
        let waker = rig.spawn(move |_| {
            note.set(watched.load(Ordering::Relaxed));
            Poll::Pending
        });
        let thread = thread::spawn(move || {
            count.store(1, Ordering::Relaxed);
            waker.wake_by_ref();
            count.store(2, Ordering::Relaxed);
            waker.wake();
        });
        rig.tick();
        rig.tick();
        thread.join().unwrap();
        rig.settle();
        assert_eq!(seen.get(), 2);
        rig.cancel_all();
    });
}

#[test]
fn two_tasks_are_woken_through_one_inbox() {
    explore(|| {
        let rig = Rig::new();
        let polls = Rc::new(Cell::new(0));
        let threads: Vec<_> = (0..2)
            .map(|_| {
                let polls = Rc::clone(&polls);
                let waker = rig.spawn(move |_| {
                    polls.set(polls.get() + 1);
                    Poll::Pending
                });
                thread::spawn(move || waker.wake())
            })
            .collect();
        rig.tick();
        join(threads);
        rig.settle();
        assert_eq!(polls.get(), 4);
        rig.cancel_all();
    });
}

#[test]
fn a_wake_races_with_the_end_of_its_task() {
    explore(|| {
        let rig = Rig::new();
        let waker = rig.spawn(|_| Poll::Pending);
        let thread = thread::spawn(move || {
            waker.wake_by_ref();
            waker.wake();
        });
        rig.cancel_all();
        // This one may get the cell of the other, but not its wakes.
        let polls = Rc::new(Cell::new(0));
        let note = Rc::clone(&polls);
        let next = rig.spawn(move |_| {
            note.set(note.get() + 1);
            Poll::Pending
        });
        thread.join().unwrap();
        rig.settle();
        assert_eq!(polls.get(), 1);
        drop(next);
        rig.cancel_all();
    });
}

#[test]
fn wakes_race_with_the_end_of_the_executor() {
    explore(|| {
        let rig = Rig::new();
        let (first, second) = (rig.spawn(|_| Poll::Pending), rig.spawn(|_| Poll::Pending));
        rig.get().cancel_spawned();
        rig.settle();
        let threads = [first, second].map(|waker| {
            thread::spawn(move || {
                waker.wake_by_ref();
                waker.wake();
            })
        });
        drop(rig);
        join(threads);
    });
}

#[test]
fn clones_and_drops_race_with_the_end_of_the_task() {
    explore(|| {
        let rig = Rig::new();
        let waker = rig.spawn(|_| Poll::Pending);
        let other = waker.clone();
        let threads = [
            thread::spawn(move || drop(waker.clone())),
            thread::spawn(move || drop(other)),
        ];
        rig.cancel_all();
        // The cell is kept for this one if, and only if, nobody else had it.
        let next = rig.spawn(|_| Poll::Ready(()));
        join(threads);
        drop(next);
        rig.settle();
    });
}

#[test]
fn threads_that_are_lent_a_waker_make_one_cell() {
    explore(|| {
        let rig = Rig::new();
        let polls = Rc::new(Cell::new(0));
        let note = Rc::clone(&polls);
        let waker = rig.spawn(move |_| {
            note.set(note.get() + 1);
            Poll::Pending
        });
        drop(waker);
        let lending = Rc::clone(&polls);
        // SAFETY: released by `cancel_all` below.
        unsafe {
            rig.get().spawn_boxed(poll_fn(move |cx| {
                lending.set(lending.get() + 1);
                if lending.get() > 2 {
                    return Poll::Pending;
                }
                // SAFETY: the threads are joined before the poll ends, as scoped ones would be.
                let lent: &'static Waker = &*core::ptr::from_ref(cx.waker());
                let threads = [(); 2].map(|()| {
                    thread::spawn(move || {
                        lent.wake_by_ref();
                        lent.clone()
                    })
                });
                let mine = lent.clone();
                for thread in threads {
                    assert!(thread.join().unwrap().will_wake(&mine));
                }
                Poll::Pending
            }));
        }
        rig.settle();
        assert_eq!(
            polls.get(),
            3,
            "the wakes of one poll led to exactly one more"
        );
        rig.cancel_all();
    });
}
