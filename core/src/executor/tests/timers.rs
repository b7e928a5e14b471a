//! Timers, and wakers that come back to them.

use core::cell::{Cell, RefCell};
use core::task::{Poll, RawWaker, RawWakerVTable, Waker};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::Wake;
use std::vec::Vec;

use super::support::{Rig, Task};
use crate::executor::timers::{TIMERS, Timers, TimersFull};

/// Counts its wakes.
#[derive(Default)]
struct Count(AtomicU32);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl Count {
    fn new() -> (Arc<Self>, Waker) {
        let count = Arc::new(Self::default());
        (Arc::clone(&count), Waker::from(count))
    }

    fn get(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }
}

#[test]
fn a_timer_fires_once_at_its_deadline() {
    let timers = Timers::new();
    let (count, waker) = Count::new();
    assert!(timers.is_empty());
    timers.insert(10, waker).unwrap();
    assert!(!timers.is_empty());
    timers.expire(9);
    assert_eq!(count.get(), 0);
    timers.expire(10);
    assert_eq!(count.get(), 1);
    timers.expire(11);
    assert_eq!(count.get(), 1);
    assert!(timers.is_empty());
    assert_eq!(Arc::strong_count(&count), 1, "the waker is gone");
}

#[test]
fn a_deadline_that_has_passed_fires_at_the_next_look() {
    let timers = Timers::new();
    let (count, waker) = Count::new();
    timers.insert(0, waker).unwrap();
    timers.expire(0);
    assert_eq!(count.get(), 1);
}

#[test]
fn a_timer_for_the_end_of_time_counts_as_none() {
    let timers = Timers::new();
    let (count, waker) = Count::new();
    let id = timers.insert(u64::MAX, waker).unwrap();
    assert!(timers.is_empty());
    timers.expire(u64::MAX - 1);
    assert_eq!(count.get(), 0);
    timers.remove(id);
    assert_eq!(Arc::strong_count(&count), 1);
}

/// Notes its name when woken.
struct Named(u32, Arc<std::sync::Mutex<Vec<u32>>>);

impl Wake for Named {
    fn wake(self: Arc<Self>) {
        self.1.lock().unwrap().push(self.0);
    }
}

#[test]
fn timers_fire_in_the_order_of_deadlines_then_of_insertion() {
    let timers = Timers::new();
    let order = Arc::new(std::sync::Mutex::new(Vec::new()));
    for (name, deadline) in [(1, 30), (2, 10), (3, 20), (4, 10), (5, 40), (6, 10)] {
        let waker = Waker::from(Arc::new(Named(name, Arc::clone(&order))));
        timers.insert(deadline, waker).unwrap();
    }
    timers.expire(30);
    assert_eq!(*order.lock().unwrap(), [2, 4, 6, 3, 1]);
    timers.expire(40);
    assert_eq!(order.lock().unwrap().last(), Some(&5));
}

#[test]
fn a_removed_timer_does_not_fire() {
    let timers = Timers::new();
    let (count, waker) = Count::new();
    let first = timers.insert(1, waker.clone()).unwrap();
    let second = timers.insert(2, waker.clone()).unwrap();
    timers.remove(first);
    timers.remove(first);
    timers.expire(1);
    assert_eq!(count.get(), 0);
    timers.expire(2);
    assert_eq!(count.get(), 1);
    // It has fired: these touch no other timer.
    let third = timers.insert(3, waker.clone()).unwrap();
    timers.remove(second);
    timers.set_waker(second, Waker::noop());
    timers.expire(3);
    assert_eq!(count.get(), 2);
    timers.remove(third);
    assert!(timers.is_empty());
}

#[test]
fn removing_the_earliest_finds_the_next() {
    let timers = Timers::new();
    let (count, waker) = Count::new();
    timers.insert(20, waker.clone()).unwrap();
    let first = timers.insert(10, waker).unwrap();
    timers.remove(first);
    timers.expire(19);
    assert_eq!(count.get(), 0);
    timers.expire(20);
    assert_eq!(count.get(), 1);
}

#[test]
fn a_timer_wakes_the_waker_that_it_was_given_last() {
    let timers = Timers::new();
    let (old, waker) = Count::new();
    let (new, other) = Count::new();
    let id = timers.insert(1, waker.clone()).unwrap();
    timers.set_waker(id, &waker);
    timers.set_waker(id, &other);
    drop(waker);
    assert_eq!(Arc::strong_count(&old), 1);
    timers.expire(1);
    assert_eq!((old.get(), new.get()), (0, 1));
}

#[test]
fn a_full_list_is_an_error_and_recovers() {
    let timers = Timers::new();
    let (count, waker) = Count::new();
    let ids: Vec<_> = (0..TIMERS as u64)
        .map(|deadline| timers.insert(deadline, waker.clone()).unwrap())
        .collect();
    assert_eq!(timers.insert(0, waker.clone()), Err(TimersFull));
    assert_eq!(
        Arc::strong_count(&count),
        TIMERS + 2,
        "the refused waker is gone"
    );
    timers.remove(ids[7]);
    timers.insert(0, waker.clone()).unwrap();
    assert_eq!(timers.insert(0, waker), Err(TimersFull));
    timers.expire(TIMERS as u64);
    assert_eq!(count.get(), TIMERS as u32);
    assert!(timers.is_empty());
}

#[test]
fn a_task_sleeps() {
    let rig = Rig::new();
    let executor = core::ptr::from_ref(&*rig);
    let mut asleep = false;
    let task = Task::new(&rig, move |cx| {
        if core::mem::replace(&mut asleep, true) {
            return Poll::Ready(());
        }
        // SAFETY: the rig is dropped last.
        unsafe { &*executor }
            .timers()
            .insert(5, cx.waker().clone())
            .unwrap();
        Poll::Pending
    });
    task.start();
    assert!(!rig.tick(4));
    assert!(rig.tick(5), "fired and polled in one tick");
    assert_eq!(task.counts(), (2, 1, 1));
}

// The wakers below stand for those of other executors: safe code may hand any `Waker` to a future.

std::thread_local! {
    /// The timers under test, for wakers that come back to them.
    static UNDER_TEST: RefCell<Option<Rc<Timers>>> = const { RefCell::new(None) };
    static COME_BACK_ON: Cell<Event> = const { Cell::new(Event::Nothing) };
    static COMEBACKS: Cell<u32> = const { Cell::new(0) };
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Event {
    Nothing,
    Clone,
    Wake,
    Drop,
}

/// Uses each function of the timers, if this is the event to do so.
fn come_back(event: Event) {
    if COME_BACK_ON.get() != event {
        return;
    }
    // Not again from the inside.
    COME_BACK_ON.set(Event::Nothing);
    COMEBACKS.set(COMEBACKS.get() + 1);
    let timers = UNDER_TEST.with_borrow(|timers| timers.clone()).unwrap();
    if let Ok(id) = timers.insert(1, Waker::noop().clone()) {
        timers.set_waker(id, &reentrant());
        timers.remove(id);
    }
    timers.expire(0);
    COME_BACK_ON.set(event);
}

fn reentrant() -> Waker {
    static VTABLE: RawWakerVTable = RawWakerVTable::new(
        |_| {
            come_back(Event::Clone);
            RawWaker::new(core::ptr::null(), &VTABLE)
        },
        |_| {
            come_back(Event::Wake);
            come_back(Event::Drop);
        },
        |_| come_back(Event::Wake),
        |_| come_back(Event::Drop),
    );
    // SAFETY: the functions use no data, and thread-locals of the thread that calls.
    unsafe { Waker::new(core::ptr::null(), &VTABLE) }
}

#[test]
fn wakers_may_come_back_to_the_timers() {
    for event in [Event::Clone, Event::Wake, Event::Drop] {
        let timers = Rc::new(Timers::new());
        UNDER_TEST.set(Some(Rc::clone(&timers)));
        COME_BACK_ON.set(event);
        COMEBACKS.set(0);

        let replaced = timers.insert(2, Waker::noop().clone()).unwrap();
        timers.set_waker(replaced, &reentrant());
        timers.set_waker(replaced, Waker::noop());
        let removed = timers.insert(2, reentrant()).unwrap();
        timers.remove(removed);
        timers.insert(2, reentrant()).unwrap();
        timers.expire(2);

        // Full: what is refused is dropped.
        while timers.insert(3, Waker::noop().clone()).is_ok() {}
        assert_eq!(timers.insert(0, reentrant()), Err(TimersFull));

        assert!(COMEBACKS.get() > 0, "{event:?} never came back");
        COME_BACK_ON.set(Event::Nothing);
        UNDER_TEST.set(None);
    }
}

/// Sets its timer anew, due at once, whenever it is woken.
struct Rearming;

impl Wake for Rearming {
    fn wake(self: Arc<Self>) {
        let timers = UNDER_TEST.with_borrow(|timers| timers.clone()).unwrap();
        COMEBACKS.set(COMEBACKS.get() + 1);
        timers.insert(0, Waker::from(self)).unwrap();
    }
}

// Peer fault: "unbounded drain".
#[test]
fn a_waker_that_sets_its_timer_anew_ends_the_tick() {
    let timers = Rc::new(Timers::new());
    UNDER_TEST.set(Some(Rc::clone(&timers)));
    COMEBACKS.set(0);
    timers.insert(0, Waker::from(Arc::new(Rearming))).unwrap();
    timers.expire(1);
    assert_eq!(COMEBACKS.get(), TIMERS as u32);
    assert!(!timers.is_empty(), "the last one waits for the next tick");
    UNDER_TEST.set(None);
}
