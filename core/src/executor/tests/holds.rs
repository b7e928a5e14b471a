//! Operations that hold a task, destructors that begin some, and the release after the last.

use core::cell::Cell;
use core::task::{Poll, Waker};
use std::rc::Rc;

use super::support::{Fate, Rig, Task, counted, pending};
use crate::executor::task::State;

#[test]
fn release_waits_for_the_last_hold() {
    let rig = Rig::new();
    let task = Task::new(&rig, |_| Poll::Ready(()));
    task.hold();
    task.hold();
    task.start();
    assert_eq!(task.state(), State::Draining);
    assert!(task.get().is_over());
    assert_eq!(task.counts(), (1, 1, 0));

    task.wake();
    task.resume();
    task.cancel();
    assert!(rig.is_idle(), "a task without a future is not queued");

    task.unhold();
    assert_eq!(task.counts(), (1, 1, 0));
    task.hold();
    task.unhold();
    task.unhold();
    assert_eq!(task.counts(), (1, 1, 1));
}

#[test]
fn holds_that_end_before_the_future_release_nothing() {
    let rig = Rig::new();
    let task = pending(&rig);
    task.hold();
    task.unhold();
    task.hold();
    task.unhold();
    assert_eq!(task.counts(), (1, 0, 0));
    task.cancel();
    assert_eq!(task.counts(), (1, 1, 1));
}

// Peer fault: "future dropped while its I/O is in flight".
#[test]
fn a_cancelled_task_stays_while_it_is_held() {
    for queued in [false, true] {
        let rig = Rig::new();
        let task = pending(&rig);
        task.hold();
        if queued {
            task.wake();
        }
        task.cancel();
        assert_eq!(task.counts(), (1, 1, 0));
        rig.run();
        assert_eq!(task.state(), State::Draining);
        task.unhold();
        assert_eq!(task.counts(), (1, 1, 1));
    }
}

#[test]
fn a_cancelled_task_whose_hold_ends_while_it_is_queued_goes_on_its_turn() {
    let rig = Rig::new();
    let task = pending(&rig);
    task.hold();
    task.wake();
    task.cancel();
    task.unhold();
    assert_eq!(task.counts(), (1, 1, 0), "still in the run list");
    rig.run();
    assert_eq!(task.counts(), (1, 1, 1));
}

#[test]
fn a_hold_that_ends_in_the_last_poll_does_not_release_early() {
    let rig = Rig::new();
    let me = Rc::new(Cell::new(None::<Task>));
    let inner = Rc::clone(&me);
    let task = Task::new(&rig, move |_| {
        let me = inner.take().unwrap();
        me.unhold();
        assert_eq!(me.counts().2, 0);
        Poll::Ready(())
    });
    task.hold();
    me.set(Some(task.clone()));
    task.start();
    assert_eq!(task.counts(), (1, 1, 1));
}

#[test]
fn an_operation_that_ends_is_not_held_any_more_when_the_task_is_polled() {
    let rig = Rig::new();
    let me = Rc::new(Cell::new(None::<Task>));
    let inner = Rc::clone(&me);
    let task = Task::new(&rig, move |_| match inner.take() {
        Some(me) if me.get().holds() == 0 => Poll::Ready(()),
        me => {
            inner.set(me);
            Poll::Pending
        }
    });
    me.set(Some(task.clone()));
    task.hold();
    task.hold();
    task.start();
    task.unhold_and_resume();
    assert_eq!(task.counts(), (2, 0, 0), "one is still in flight");
    task.unhold_and_resume();
    assert_eq!(task.counts(), (3, 1, 1));
}

#[test]
fn an_operation_may_end_in_any_state() {
    let rig = Rig::new();
    let draining = Task::new(&rig, |_| Poll::Ready(()));
    draining.hold();
    draining.hold();
    draining.start();
    draining.unhold_and_resume();
    assert_eq!(draining.counts(), (1, 1, 0));
    draining.unhold_and_resume();
    assert_eq!(draining.counts(), (1, 1, 1));

    let queued = pending(&rig);
    queued.hold();
    queued.wake();
    queued.unhold_and_resume();
    assert_eq!(
        (queued.state(), queued.counts()),
        (State::Queued, (1, 0, 0))
    );
    queued.hold();
    queued.cancel();
    queued.unhold_and_resume();
    assert_eq!(
        (queued.state(), queued.counts()),
        (State::QueuedDead, (1, 1, 0))
    );
    rig.run();
    assert_eq!(queued.counts(), (1, 1, 1));

    for cancelled in [false, true] {
        let me = Rc::new(Cell::new(None::<Task>));
        let inner = Rc::clone(&me);
        let polling = Task::new(&rig, move |_| {
            let Some(me) = inner.take() else {
                return Poll::Ready(());
            };
            if cancelled {
                me.cancel();
            }
            me.unhold_and_resume();
            Poll::Pending
        });
        me.set(Some(polling.clone()));
        polling.hold();
        polling.start();
        rig.run();
        assert_eq!(polling.counts(), (if cancelled { 1 } else { 2 }, 1, 1));
    }
}

/// Calls a closure when dropped.
struct OnDrop<F: FnMut()>(F);

impl<F: FnMut()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

/// A pending task that runs `on_drop` when its future is dropped. It keeps its waker in the cell.
fn dropping(rig: &Rig, kept: &Rc<Cell<Option<Waker>>>, on_drop: impl FnMut() + 'static) -> Task {
    let fate = Rc::new(Fate::default());
    let (guard, kept) = (OnDrop(on_drop), Rc::clone(kept));
    let future = counted(&fate, move |cx| {
        let _guard = &guard;
        kept.set(Some(cx.waker().clone()));
        Poll::Pending
    });
    Task::of(rig, fate, future)
}

#[test]
fn wakes_from_destructors_do_not_poll() {
    for queued in [false, true] {
        let rig = Rig::new();
        let kept = Rc::new(Cell::new(None::<Waker>));
        let inner = Rc::clone(&kept);
        let task = dropping(&rig, &kept, move || inner.take().unwrap().wake());
        task.start();
        if queued {
            task.wake();
        }
        task.cancel();
        rig.run();
        assert_eq!(task.counts(), (1, 1, 1));
    }
}

#[test]
fn what_destructors_begin_holds_the_task_that_is_dropped() {
    // The I/O that a destructor submits is of the task whose future it belongs to, not of the one
    // that happens to be polled: otherwise the former's memory would go while C writes to it.
    for queued in [false, true] {
        let rig = Rig::new();
        let kept = Rc::new(Cell::new(None));
        let seen = Rc::new(Cell::new(None));
        let (executor, note) = (core::ptr::from_ref(&*rig), Rc::clone(&seen));
        let victim = dropping(&rig, &kept, move || {
            // SAFETY: the rig is dropped last.
            let current = unsafe { &*executor }.current().expect("no current task");
            // SAFETY: the current task is alive.
            unsafe { current.as_ref() }.hold();
            note.set(Some(current));
        });
        victim.start();
        if queued {
            victim.wake();
        }
        let inner = victim.clone();
        let killer = Task::new(&rig, move |_| {
            inner.cancel();
            Poll::Ready(())
        });
        killer.start();
        assert_eq!(killer.counts(), (1, 1, 1));
        assert_eq!(seen.get(), Some(victim.header));
        rig.run();
        assert_eq!(victim.counts(), (1, 1, 0));
        victim.unhold();
        assert_eq!(victim.counts(), (1, 1, 1));
        assert_eq!(rig.current(), None);
    }
}
