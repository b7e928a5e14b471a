//! Each transition of the drawing in `task.rs`.

use core::cell::Cell;
use core::task::Poll;
use std::rc::Rc;

use super::support::{Rig, Task, free_leaked, pending};
use crate::executor::BUDGET;
use crate::executor::task::State;

#[test]
fn a_ready_task_is_released_in_start() {
    let rig = Rig::new();
    let task = Task::new(&rig, |_| Poll::Ready(()));
    assert_eq!(task.state(), State::Idle);
    task.start();
    assert_eq!(task.counts(), (1, 1, 1));
    assert!(rig.is_idle());
}

#[test]
fn a_pending_task_is_idle_until_woken() {
    let rig = Rig::new();
    let task = pending(&rig);
    assert_eq!(task.state(), State::Idle);
    assert!(!rig.tick(0));
    assert_eq!(task.counts(), (1, 0, 0));

    task.wake();
    assert_eq!(task.state(), State::Queued);
    assert_eq!(task.counts(), (1, 0, 0), "a wake does not poll");
    assert!(rig.tick(0));
    assert_eq!(task.counts(), (2, 0, 0));
    task.cancel();
}

#[test]
fn waking_twice_queues_once() {
    let rig = Rig::new();
    let task = pending(&rig);
    task.wake();
    task.wake();
    assert_eq!(rig.valid().len(), 1);
    rig.run();
    assert_eq!(task.counts(), (2, 0, 0));
    task.cancel();
}

#[test]
fn resume_polls_in_place() {
    let rig = Rig::new();
    let task = pending(&rig);
    task.resume();
    assert_eq!(task.counts(), (2, 0, 0));
    assert!(rig.is_idle());
    task.cancel();
}

#[test]
fn resume_of_a_queued_task_leaves_it_its_turn() {
    let rig = Rig::new();
    let task = pending(&rig);
    task.wake();
    task.resume();
    assert_eq!(task.counts(), (1, 0, 0));
    rig.run();
    assert_eq!(task.counts(), (2, 0, 0));
    task.cancel();
}

// Peer fault: "wake of a running task queues it twice".
#[test]
fn waking_a_task_that_is_polled_queues_it_once() {
    let rig = Rig::new();
    let task = Task::new(&rig, |cx| {
        cx.waker().wake_by_ref();
        let owned = cx.waker().clone();
        owned.wake();
        cx.waker().wake_by_ref();
        Poll::Pending
    });
    task.start();
    assert_eq!(task.state(), State::Queued);
    assert_eq!(rig.valid(), [task.header]);
    rig.tick(0);
    assert_eq!(task.fate.polls.get(), 1 + BUDGET as u32);
    task.cancel();
    rig.run();
    assert_eq!(task.counts().2, 1);
}

#[test]
fn resuming_a_task_that_is_polled_queues_it() {
    let rig = Rig::new();
    let me = Rc::new(Cell::new(None::<Task>));
    let again = Rc::clone(&me);
    let task = Task::new(&rig, move |_| {
        let Some(me) = again.take() else {
            return Poll::Ready(());
        };
        me.resume();
        assert_eq!(me.counts().0, 1, "polled inside its own poll");
        assert_eq!(me.state(), State::Woken);
        Poll::Pending
    });
    me.set(Some(task.clone()));
    task.start();
    assert_eq!(task.state(), State::Queued);
    rig.run();
    assert_eq!(task.counts(), (2, 1, 1));
}

// Peer fault: "resumed after completion aborts", "finished task polled again".
#[test]
fn a_task_woken_in_its_last_poll_is_not_polled_again() {
    let rig = Rig::new();
    let task = Task::new(&rig, |cx| {
        cx.waker().wake_by_ref();
        Poll::Ready(())
    });
    task.start();
    assert_eq!(task.counts(), (1, 1, 1));
    assert!(rig.is_idle());
}

#[test]
fn a_cancelled_idle_task_is_released_at_once() {
    let rig = Rig::new();
    let task = pending(&rig);
    task.cancel();
    assert_eq!(task.counts(), (1, 1, 1));
}

#[test]
fn a_cancelled_queued_task_drops_its_future_at_once_and_goes_on_its_turn() {
    let rig = Rig::new();
    let task = pending(&rig);
    task.wake();
    task.cancel();
    assert_eq!(task.state(), State::QueuedDead);
    assert_eq!(task.counts(), (1, 1, 0));
    task.cancel();
    task.wake();
    task.resume();
    rig.run();
    assert_eq!(task.counts(), (1, 1, 1));
}

#[test]
fn a_task_that_cancels_itself_is_dropped_when_its_poll_returns() {
    for woken in [false, true] {
        let rig = Rig::new();
        let me = Rc::new(Cell::new(None::<Task>));
        let inner = Rc::clone(&me);
        let task = Task::new(&rig, move |cx| {
            let me = inner.take().expect("polled after its cancellation");
            if woken {
                cx.waker().wake_by_ref();
            }
            me.cancel();
            me.cancel();
            cx.waker().wake_by_ref();
            assert_eq!(me.state(), State::Cancelling);
            assert_eq!(me.counts(), (1, 0, 0), "dropped under its own feet");
            Poll::Pending
        });
        me.set(Some(task.clone()));
        task.start();
        assert_eq!(task.counts(), (1, 1, 1));
        assert!(rig.is_idle());
    }
}

#[test]
fn a_task_that_cancels_itself_and_is_ready_is_released_once() {
    let rig = Rig::new();
    let me = Rc::new(Cell::new(None::<Task>));
    let inner = Rc::clone(&me);
    let task = Task::new(&rig, move |_| {
        inner.take().unwrap().cancel();
        Poll::Ready(())
    });
    me.set(Some(task.clone()));
    task.start();
    assert_eq!(task.counts(), (1, 1, 1));
}

#[test]
fn polls_nest_and_the_innermost_task_is_current() {
    let rig = Rig::new();
    let executor = core::ptr::from_ref(&*rig);
    // SAFETY: the rig is dropped last.
    let current = move || unsafe { &*executor }.current();
    let seen = Rc::new(Cell::new(None));
    let note = Rc::clone(&seen);
    let inner = Task::new(&rig, move |_| {
        note.set(current());
        Poll::Ready(())
    });
    let lower = inner.clone();
    let outer = Task::new(&rig, move |_| {
        let me = current();
        lower.start();
        assert_eq!(current(), me);
        Poll::Ready(())
    });
    assert_eq!(rig.current(), None);
    outer.start();
    assert_eq!(seen.get(), Some(inner.header));
    assert_eq!(rig.current(), None);
}

#[test]
fn a_task_may_resume_another_inside_its_poll() {
    let rig = Rig::new();
    let lower = pending(&rig);
    let inner = lower.clone();
    let upper = Task::new(&rig, move |_| {
        inner.resume();
        Poll::Ready(())
    });
    upper.start();
    assert_eq!(lower.counts(), (2, 0, 0));
    lower.cancel();
}

// Only where panics unwind: release builds stop at once.
#[test]
fn a_panic_in_a_poll_leaks_the_task_and_leaves_no_current_one() {
    let rig = Rig::new();
    let task = Task::new(&rig, |_| panic!("as the test wants"));
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| task.start()));
    assert!(caught.is_err());
    assert_eq!(rig.current(), None);
    task.wake();
    task.cancel();
    rig.run();
    assert_eq!(task.counts(), (1, 0, 0), "neither polled again nor dropped");
    // SAFETY: the executor has forgotten the task; the vtable made it of a box.
    unsafe { free_leaked(&task) };
}

// Peer fault: "unbounded drain: one self-waking task hangs the reactor".
#[test]
fn a_task_that_wakes_itself_ends_the_tick_and_starves_nobody() {
    let rig = Rig::new();
    let greedy = Task::new(&rig, |cx| {
        cx.waker().wake_by_ref();
        Poll::Pending
    });
    greedy.start();
    let modest = pending(&rig);
    modest.wake();
    assert!(rig.tick(0), "there is more to do");
    assert_eq!(modest.counts().0, 2);
    assert_eq!(
        greedy.counts().0,
        BUDGET as u32,
        "one of the budget went to the other"
    );
    greedy.cancel();
    modest.cancel();
    rig.run();
    assert_eq!((greedy.counts().2, modest.counts().2), (1, 1));
}

#[test]
fn turns_are_taken_in_the_order_of_the_wakes() {
    let rig = Rig::new();
    let order = Rc::new(Cell::new(0_u32));
    let tasks = [1, 2, 3].map(|digit| {
        let order = Rc::clone(&order);
        Task::new(&rig, move |_| {
            order.set(order.get() * 10 + digit);
            Poll::Ready(())
        })
    });
    for index in [2, 0, 1] {
        tasks[index].wake();
    }
    rig.run();
    assert_eq!(order.get(), 312);
}

#[test]
fn more_tasks_than_the_budget_take_several_ticks() {
    let rig = Rig::new();
    let tasks: std::vec::Vec<_> = (0..BUDGET + 1)
        .map(|_| Task::new(&rig, |_| Poll::Ready(())))
        .collect();
    tasks.iter().for_each(Task::wake);
    assert!(rig.tick(0));
    assert_eq!(rig.valid().len(), 1);
    assert!(rig.tick(0));
    assert!(!rig.tick(0));
    assert!(tasks.iter().all(|task| task.counts() == (1, 1, 1)));
}
