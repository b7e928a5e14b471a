//! Wakers: lent, kept, late, and from elsewhere.

use core::cell::Cell;
use core::future::{Future, poll_fn};
use core::pin::{Pin, pin};
use core::task::{Context, Poll, Waker};
use std::rc::Rc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};
use std::vec::Vec;

use super::support::{Fate, Rig, Task, counted, thread_id};
use crate::executor::task::State;
use crate::executor::{SPARE_CELLS, waker};

/// A task that leaves its waker, is pending `polls` times, and ends. Started.
fn keeping(rig: &Rig, polls: u32) -> (Task, Waker) {
    let kept = Rc::new(Cell::new(None));
    let (place, home, mut left) = (Rc::clone(&kept), thread_id(), polls);
    let task = Task::new(rig, move |cx| {
        assert_eq!(thread_id(), home, "polled on a foreign thread");
        place.set(Some(cx.waker().clone()));
        left = left.saturating_sub(1);
        if left == 0 {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    });
    task.start();
    (task, kept.take().unwrap())
}

fn elsewhere(work: impl FnOnce() + Send) {
    thread::scope(|scope| scope.spawn(work).join().unwrap());
}

#[test]
fn a_lent_waker_knows_its_task_and_others_do_not() {
    let rig = Rig::new();
    let seen = Rc::new(Cell::new(None));
    let note = Rc::clone(&seen);
    let task = Task::new(&rig, move |cx| {
        assert_eq!(waker::task_of(&cx.waker().clone()), None);
        note.set(waker::task_of(cx.waker()));
        Poll::Ready(())
    });
    task.start();
    assert_eq!(seen.get(), Some(task.header));
    assert_eq!(waker::task_of(Waker::noop()), None);
}

#[test]
fn clones_of_one_task_wake_the_same() {
    let rig = Rig::new();
    let (task, first) = keeping(&rig, 3);
    let (other, foreign) = keeping(&rig, 2);
    task.resume();
    assert!(first.will_wake(&first.clone()));
    assert!(!first.will_wake(&foreign));
    first.wake_by_ref();
    assert_eq!((task.state(), other.state()), (State::Queued, State::Idle));
    task.cancel();
    other.cancel();
    rig.run();
}

#[test]
fn a_waker_wakes_here() {
    let rig = Rig::new();
    let (task, waker) = keeping(&rig, 2);
    waker.wake_by_ref();
    waker.wake();
    assert_eq!(task.state(), State::Queued);
    rig.run();
    assert_eq!(task.counts(), (2, 1, 1));
}

// Peer fault: "waker is an `Rc`: a wake from a std thread panics, from another SPDK thread polls a
// `!Send` task there".
#[test]
fn a_waker_wakes_from_elsewhere_and_the_task_is_polled_here() {
    let rig = Rig::new();
    let (task, waker) = keeping(&rig, 2);
    elsewhere(move || {
        waker.wake_by_ref();
        let clone = waker.clone();
        clone.wake();
        waker.wake();
    });
    assert_eq!(
        task.state(),
        State::Idle,
        "the state is this thread's to change"
    );
    assert!(!rig.is_idle());
    assert!(rig.tick(0));
    assert_eq!(task.counts(), (2, 1, 1));
    assert!(rig.is_idle());
}

#[test]
fn a_wake_on_the_thread_of_another_executor_comes_home() {
    let rig = Rig::new();
    let (task, waker) = keeping(&rig, 2);
    elsewhere(move || {
        let other = Rig::new();
        let foreign = Task::new(&other, move |_| {
            waker.wake_by_ref();
            Poll::Ready(())
        });
        foreign.start();
        assert!(other.is_idle());
    });
    rig.run();
    assert_eq!(task.counts(), (2, 1, 1));
}

#[test]
fn wakes_from_elsewhere_are_delivered_in_order() {
    let rig = Rig::new();
    let (tasks, wakers): (Vec<_>, Vec<_>) = (0..5).map(|_| keeping(&rig, 2)).unzip();
    elsewhere(move || wakers.into_iter().for_each(Waker::wake));
    // SAFETY: this is the executor's thread.
    unsafe { rig.inbox.deliver() };
    let expected: Vec<_> = tasks.iter().map(|task| task.header).collect();
    assert_eq!(rig.valid(), expected);
    rig.run();
}

// Peer fault: "waker outlives its task or poller".
#[test]
fn a_waker_that_outlives_its_task_wakes_nothing() {
    let rig = Rig::new();
    let (task, waker) = keeping(&rig, 1);
    assert_eq!(task.counts(), (1, 1, 1));
    waker.wake_by_ref();
    elsewhere(|| waker.wake_by_ref());
    rig.run();
    // The cell is not given to another task as long as a waker has it.
    let (next, other) = keeping(&rig, 2);
    assert!(!other.will_wake(&waker));
    waker.wake_by_ref();
    elsewhere(|| waker.wake_by_ref());
    rig.run();
    assert_eq!(next.counts().0, 1);
    next.cancel();
    waker.wake();
}

#[test]
fn a_wake_under_way_when_the_task_ends_wakes_nothing() {
    let rig = Rig::new();
    let (task, waker) = keeping(&rig, 9);
    elsewhere(move || waker.wake());
    // The inbox alone has the cell now.
    task.cancel();
    assert_eq!(task.counts(), (1, 1, 1));
    let (next, _waker) = keeping(&rig, 2);
    rig.run();
    assert_eq!(next.counts().0, 1, "the cell was recycled too early");
    next.cancel();
}

#[test]
fn a_wake_of_a_cancelled_task_that_drains_wakes_nothing() {
    let rig = Rig::new();
    let (task, waker) = keeping(&rig, 9);
    task.hold();
    elsewhere(|| waker.wake_by_ref());
    task.cancel();
    waker.wake();
    rig.run();
    assert_eq!((task.state(), task.counts()), (State::Draining, (1, 1, 0)));
    task.unhold();
}

#[test]
fn a_waker_outlives_its_executor() {
    let rig = Rig::new();
    let (task, here) = keeping(&rig, 9);
    let (other, inbox) = keeping(&rig, 9);
    let late = inbox.clone();
    elsewhere(move || inbox.wake());
    task.cancel();
    other.cancel();
    let inbox = Arc::downgrade(&rig.inbox);
    // One cell is in the inbox as that closes.
    drop(rig);
    assert_eq!(inbox.strong_count(), 2, "each cell keeps it");
    here.wake_by_ref();
    elsewhere(move || {
        late.wake_by_ref();
        here.wake_by_ref();
        here.wake();
        drop(late);
    });
    assert_eq!(inbox.strong_count(), 0, "a cell is leaked");
}

#[test]
fn the_executor_of_a_later_time_does_not_hear_wakers_of_an_earlier_one() {
    let earlier = Rig::new();
    let (task, waker) = keeping(&earlier, 9);
    task.cancel();
    drop(earlier);
    let later = Rig::new();
    let (next, _waker) = keeping(&later, 2);
    waker.wake_by_ref();
    elsewhere(move || waker.wake());
    later.run();
    assert_eq!(next.counts().0, 1);
    next.cancel();
}

#[test]
fn a_waker_is_dropped_elsewhere() {
    let rig = Rig::new();
    let (task, waker) = keeping(&rig, 9);
    elsewhere(move || drop(waker));
    task.cancel();
    assert_eq!(rig.spare_cells.borrow().len(), 1);
    let (ended, waker) = keeping(&rig, 1);
    assert_eq!(ended.counts().2, 1);
    elsewhere(move || drop(waker));
    assert_eq!(
        rig.spare_cells.borrow().len(),
        0,
        "its last reference went elsewhere"
    );
}

#[test]
fn cells_are_used_again_once_no_waker_has_them() {
    let rig = Rig::new();
    let (task, waker) = keeping(&rig, 9);
    drop(waker);
    task.cancel();
    assert_eq!(rig.spare_cells.borrow().len(), 1);
    let (task, waker) = keeping(&rig, 9);
    assert_eq!(rig.spare_cells.borrow().len(), 0);
    elsewhere(move || waker.wake());
    rig.run();
    assert_eq!(task.counts().0, 2);
    task.cancel();
    assert_eq!(rig.spare_cells.borrow().len(), 1);
}

#[test]
fn no_more_cells_are_kept_than_fit() {
    let rig = Rig::new();
    let tasks: Vec<_> = (0..SPARE_CELLS + 3).map(|_| keeping(&rig, 9).0).collect();
    tasks.iter().for_each(Task::cancel);
    assert_eq!(rig.spare_cells.borrow().len(), SPARE_CELLS);
}

#[test]
fn a_task_without_clones_makes_no_cell() {
    let rig = Rig::new();
    let task = Task::new(&rig, |cx| {
        cx.waker().wake_by_ref();
        Poll::Pending
    });
    task.start();
    rig.tick(0);
    task.cancel();
    rig.run();
    assert_eq!(rig.spare_cells.borrow().len(), 0);
}

#[test]
fn a_lent_waker_works_on_scoped_threads() {
    let rig = Rig::new();
    let mut polls = 0;
    let task = Task::new(&rig, move |cx| {
        polls += 1;
        if polls == 3 {
            return Poll::Ready(());
        }
        let lent = cx.waker();
        let clones = thread::scope(|scope| {
            let clones = [(); 2].map(|()| {
                scope.spawn(|| {
                    let clone = lent.clone();
                    lent.wake_by_ref();
                    clone
                })
            });
            // Meanwhile this thread does the same.
            let mine = lent.clone();
            let [first, second] = clones.map(|clone| clone.join().unwrap());
            [mine, first, second]
        });
        assert!(
            clones.iter().all(|clone| clone.will_wake(&clones[0])),
            "one cell for all"
        );
        Poll::Pending
    });
    task.start();
    assert_eq!(task.state(), State::Idle, "the wakes are in the inbox");
    rig.tick(0);
    assert_eq!(task.counts().0, 2, "several wakes are one");
    rig.tick(0);
    assert_eq!(task.counts(), (3, 1, 1));
    assert!(rig.is_idle());
}

/// Ends at its second poll, having woken itself in the first.
fn yield_now() -> impl Future<Output = ()> {
    let mut yielded = false;
    poll_fn(move |cx| {
        if yielded {
            return Poll::Ready(());
        }
        yielded = true;
        cx.waker().wake_by_ref();
        Poll::Pending
    })
}

/// What an operation in flight tells its task: done, and a waker to call then.
#[derive(Default)]
struct Operation {
    done: Cell<bool>,
    waker: Cell<Option<Waker>>,
}

impl Operation {
    fn complete(&self) {
        self.done.set(true);
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    async fn wait(self: Rc<Self>) {
        poll_fn(|cx| {
            if self.done.get() {
                return Poll::Ready(());
            }
            self.waker.set(Some(cx.waker().clone()));
            Poll::Pending
        })
        .await;
    }
}

fn poll_open<F: Future>(future: &mut Option<Pin<&mut F>>, cx: &mut Context<'_>) -> bool {
    if let Some(pinned) = future
        && pinned.as_mut().poll(cx).is_ready()
    {
        *future = None;
    }
    future.is_none()
}

async fn join(left: impl Future<Output = ()>, right: impl Future<Output = ()>) {
    let (left, right) = (pin!(left), pin!(right));
    let (mut left, mut right) = (Some(left), Some(right));
    poll_fn(|cx| {
        let ready = poll_open(&mut left, cx) & poll_open(&mut right, cx);
        if ready {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    })
    .await;
}

async fn select(left: impl Future<Output = ()>, right: impl Future<Output = ()>) {
    let (mut left, mut right) = (pin!(left), pin!(right));
    poll_fn(|cx| {
        if left.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        right.as_mut().poll(cx)
    })
    .await;
}

fn start(rig: &Rig, future: impl Future<Output = ()> + 'static) -> Task {
    let mut future = std::boxed::Box::pin(future);
    let fate = Rc::new(Fate::default());
    let counted = counted(&fate, move |cx| future.as_mut().poll(cx));
    let task = Task::of(rig, fate, counted);
    task.start();
    task
}

// Peer fault: `join!(read, yield)` aborts with "resumed after completion".
#[test]
fn an_operation_joined_with_a_yield_ends_once() {
    for late in [false, true] {
        let rig = Rig::new();
        let operation = Rc::new(Operation::default());
        let task = start(&rig, join(Rc::clone(&operation).wait(), yield_now()));
        if late {
            rig.run();
        }
        // Woken by the yield, and by the operation.
        operation.complete();
        assert_eq!(rig.valid().len(), 1);
        rig.run();
        let polls = if late { 3 } else { 2 };
        assert_eq!(task.counts(), (polls, 1, 1));
    }
}

// Peer fault: "finished task polled again (loser of a select) aborts".
#[test]
fn the_loser_of_a_select_completes_later_and_wakes_nothing() {
    let rig = Rig::new();
    let (winner, loser) = (Rc::new(Operation::default()), Rc::new(Operation::default()));
    let task = start(
        &rig,
        select(Rc::clone(&winner).wait(), Rc::clone(&loser).wait()),
    );
    winner.complete();
    rig.run();
    assert_eq!(task.counts(), (2, 1, 1));
    loser.complete();
    assert!(rig.is_idle());
}

/// A flag that any thread sets.
#[derive(Default)]
struct Flag {
    set: AtomicU32,
    waker: Mutex<Option<Waker>>,
}

#[test]
fn no_wake_is_lost_among_many_threads() {
    const THREADS: u32 = 4;
    const WAKES: u32 = 2000;
    let rig = Rig::new();
    let flag = Arc::new(Flag::default());
    let watched = Arc::clone(&flag);
    let task = Task::new(&rig, move |cx| {
        let mut place = watched.waker.lock().unwrap();
        if !place
            .as_ref()
            .is_some_and(|kept| kept.will_wake(cx.waker()))
        {
            *place = Some(cx.waker().clone());
        }
        drop(place);
        let all = watched.set.load(Ordering::Relaxed) == THREADS * WAKES;
        if all { Poll::Ready(()) } else { Poll::Pending }
    });
    task.start();
    thread::scope(|scope| {
        for _ in 0..THREADS {
            let flag = Arc::clone(&flag);
            scope.spawn(move || {
                for _ in 0..WAKES {
                    flag.set.fetch_add(1, Ordering::Relaxed);
                    let waker = flag.waker.lock().unwrap().clone();
                    waker.unwrap().wake();
                }
            });
        }
        let began = Instant::now();
        while task.fate.releases.get() == 0 {
            assert!(
                began.elapsed() < Duration::from_secs(120),
                "a wake was lost"
            );
            rig.tick(0);
            thread::yield_now();
        }
    });
    assert_eq!((task.counts().1, task.counts().2), (1, 1));
    rig.run();
}
