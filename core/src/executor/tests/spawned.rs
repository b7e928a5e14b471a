//! Tasks in boxes and pools, and what becomes of them when all are cancelled.

use core::cell::{Cell, RefCell};
use core::future::{Future, pending, poll_fn, ready};
use core::task::Poll;
use std::boxed::Box;
use std::rc::Rc;
use std::vec::Vec;

use super::support::{CountDrop, CountRelease, Fate, Rig, Task, counted};
use crate::executor::TaskPool;
use crate::executor::pool::PoolFull;
use crate::executor::task::State;

/// Spawns a future in a box; its release is counted.
fn spawn(rig: &Rig, fate: &Rc<Fate>, future: impl Future<Output = ()> + 'static) -> Task {
    let keep = CountRelease(Rc::clone(fate));
    // SAFETY: the tests drop the rig last.
    unsafe { rig.spawn_boxed_with(future, keep) };
    Task::last_queued(rig, fate)
}

/// Spawns a future that is never ready.
fn spawn_pending(rig: &Rig) -> Task {
    let fate = Rc::new(Fate::default());
    spawn(rig, &fate, counted(&fate, |_| Poll::Pending))
}

/// A pool for one test: pools are static.
fn pool<const SIZE: usize, const N: usize>() -> &'static TaskPool<SIZE, N> {
    static_pool(TaskPool::new())
}

fn static_pool<const SIZE: usize, const N: usize>(
    pool: TaskPool<SIZE, N>,
) -> &'static TaskPool<SIZE, N> {
    // Kept where leak checkers see it.
    static POOLS: std::sync::Mutex<Vec<usize>> = std::sync::Mutex::new(Vec::new());
    let pool = Box::leak(Box::new(pool));
    POOLS
        .lock()
        .unwrap()
        .push(core::ptr::from_ref(pool).expose_provenance());
    pool
}

#[test]
fn a_spawned_task_is_first_polled_by_the_tick() {
    let rig = Rig::new();
    let fate = Rc::new(Fate::default());
    // SAFETY: the rig is dropped last.
    unsafe { rig.spawn_boxed(counted(&fate, |_| Poll::Ready(()))) };
    assert_eq!(fate.polls.get(), 0);
    assert!(!rig.spawned.is_empty());
    rig.run();
    assert_eq!((fate.polls.get(), fate.drops.get()), (1, 1));
    assert!(rig.spawned.is_empty());
}

#[test]
fn tasks_that_end_leave_the_list_of_the_others_whole() {
    for order in [
        [0, 1, 2],
        [0, 2, 1],
        [1, 0, 2],
        [1, 2, 0],
        [2, 0, 1],
        [2, 1, 0],
    ] {
        let rig = Rig::new();
        let tasks = [(); 3].map(|()| spawn_pending(&rig));
        rig.run();
        for (ended, index) in order.into_iter().enumerate() {
            tasks[index].cancel();
            assert_eq!(tasks[index].counts(), (1, 1, 1));
            assert_eq!(rig.spawned.assert_valid().len(), 2 - ended);
        }
    }
}

#[test]
fn cancelling_all_drops_idle_and_queued_tasks() {
    let rig = Rig::new();
    let idle = spawn_pending(&rig);
    rig.run();
    let queued = spawn_pending(&rig);
    rig.cancel_spawned();
    assert_eq!(idle.counts(), (1, 1, 1));
    assert_eq!(queued.counts(), (0, 1, 0));
    rig.cancel_spawned();
    rig.run();
    assert_eq!(queued.counts(), (0, 1, 1));
    assert!(rig.spawned.is_empty());
}

#[test]
fn what_keeps_the_executor_outlives_the_future() {
    // It must stay until the release. Were it dropped with the future, the executor could go while
    // a cancelled task is still in the run list, or held by an operation that reports to it later.
    let rig = Rig::new();
    let held = spawn_pending(&rig);
    rig.run();
    held.hold();
    let queued = spawn_pending(&rig);
    rig.cancel_spawned();
    assert_eq!((held.counts(), queued.counts()), ((1, 1, 0), (0, 1, 0)));
    assert!(!rig.spawned.is_empty());
    rig.run();
    assert_eq!((held.counts(), queued.counts()), ((1, 1, 0), (0, 1, 1)));
    held.unhold();
    assert_eq!(held.counts(), (1, 1, 1));
    assert!(rig.spawned.is_empty());
}

#[test]
fn a_task_may_cancel_all_and_itself() {
    let rig = Rig::new();
    let other = spawn_pending(&rig);
    rig.run();
    let executor = core::ptr::from_ref(&*rig);
    let fate = Rc::new(Fate::default());
    let note = Rc::clone(&fate);
    let canceller = spawn(
        &rig,
        &fate,
        counted(&fate, move |_| {
            // SAFETY: the rig is dropped last.
            unsafe { &*executor }.cancel_spawned();
            assert_eq!(note.drops.get(), 0, "dropped under its own feet");
            Poll::Pending
        }),
    );
    rig.tick(0);
    assert_eq!(other.counts(), (1, 1, 1));
    assert_eq!(canceller.counts(), (1, 1, 1));
    assert!(rig.spawned.is_empty());
}

#[test]
fn destructors_may_spawn_wake_and_cancel_all() {
    struct Busy(*const crate::executor::Executor, Rc<Fate>, Task);
    impl Drop for Busy {
        fn drop(&mut self) {
            // SAFETY: the rig is dropped last.
            let executor = unsafe { &*self.0 };
            let keep = CountRelease(Rc::clone(&self.1));
            let future = counted(&self.1, |_| Poll::Pending);
            // SAFETY: as above.
            unsafe { executor.spawn_boxed_with(future, keep) };
            if self.2.fate.releases.get() == 0 {
                self.2.wake();
            }
            executor.cancel_spawned();
        }
    }
    let rig = Rig::new();
    let [first, last] = [(); 2].map(|()| spawn_pending(&rig));
    let late = Rc::new(Fate::default());
    let busy = Busy(core::ptr::from_ref(&*rig), Rc::clone(&late), first.clone());
    let fate = Rc::new(Fate::default());
    let task = spawn(&rig, &fate, async move {
        let _busy = busy;
        pending::<()>().await;
    });
    rig.run();
    rig.cancel_spawned();
    rig.run();
    assert_eq!((first.counts(), last.counts()), ((1, 1, 1), (1, 1, 1)));
    assert_eq!(task.fate.releases.get(), 1);
    assert_eq!(
        (late.polls.get(), late.drops.get(), late.releases.get()),
        (0, 1, 1)
    );
}

#[test]
fn a_full_pool_gives_the_future_back_and_recovers() {
    let rig = Rig::new();
    let pool = pool::<256, 2>();
    assert_eq!((pool.capacity(), pool.in_use()), (2, 0));
    let fates = [(); 3].map(|()| Rc::new(Fate::default()));
    let spawn = |fate: &Rc<Fate>| {
        let keep = CountRelease(Rc::clone(fate));
        // SAFETY: the rig is dropped last.
        unsafe { pool.spawn_on_with(&rig, counted(fate, |_| Poll::Pending), keep) }
    };
    spawn(&fates[0]).unwrap();
    let first = Task::last_queued(&rig, &fates[0]);
    spawn(&fates[1]).unwrap();
    let Err(PoolFull(future)) = spawn(&fates[2]) else {
        panic!("three tasks in two slots")
    };
    assert_eq!(fates[2].drops.get(), 0, "the future is still whole");
    assert_eq!(
        fates[2].releases.get(),
        1,
        "what it would have kept is dropped"
    );
    drop(future);

    rig.run();
    first.cancel();
    assert_eq!(pool.in_use(), 1);
    spawn(&fates[2]).unwrap();
    assert_eq!(pool.in_use(), 2);
    rig.run();
    assert_eq!(fates[2].polls.get(), 1);
    rig.cancel_spawned();
    assert_eq!(pool.in_use(), 0);
    assert_eq!(fates[1].drops.get(), 1);
}

#[test]
fn a_slot_is_not_free_while_its_task_is_held_or_queued() {
    let rig = Rig::new();
    let pool = pool::<256, 1>();
    let fate = Rc::new(Fate::default());
    // SAFETY: the rig is dropped last.
    unsafe { pool.spawn_on_with(&rig, pending(), CountRelease(Rc::clone(&fate))) }.unwrap();
    let task = Task::last_queued(&rig, &fate);
    task.hold();
    task.cancel();
    assert_eq!((task.state(), pool.in_use()), (State::QueuedDead, 1));
    rig.run();
    // SAFETY: as above.
    assert!(unsafe { pool.spawn_on(&rig, ready(())) }.is_err());
    task.unhold();
    assert_eq!((fate.releases.get(), pool.in_use()), (1, 0));
    // SAFETY: as above.
    unsafe { pool.spawn_on(&rig, ready(())) }.unwrap();
    rig.run();
}

#[test]
fn futures_in_pools_stay_aligned_and_at_their_place() {
    #[repr(align(64))]
    struct Aligned(Cell<u8>);
    let rig = Rig::new();
    let pool = pool::<320, 3>();
    let places = Rc::new(RefCell::new(Vec::new()));
    for _ in 0..3 {
        let (aligned, places) = (Aligned(Cell::new(0)), Rc::clone(&places));
        let future = async move {
            let mut polls = 0;
            poll_fn(|cx| {
                let place = core::ptr::from_ref(&aligned).addr();
                assert_eq!(place % 64, 0);
                places.borrow_mut().push(place);
                polls += 1;
                aligned.0.set(polls);
                cx.waker().wake_by_ref();
                if polls < 3 {
                    Poll::Pending
                } else {
                    Poll::Ready(())
                }
            })
            .await;
        };
        // SAFETY: the rig is dropped last.
        unsafe { pool.spawn_on(&rig, future) }.unwrap();
    }
    rig.run();
    let places = places.borrow();
    assert_eq!(places.len(), 9);
    assert!((3..9).all(|index| places[index] == places[index - 3]));
}

#[test]
fn threads_share_a_pool() {
    let pool = pool::<256, 8>();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let rig = Rig::new();
                let fate = Rc::new(Fate::default());
                let mut spawned = 0;
                for _ in 0..200 {
                    let count = CountDrop(Rc::clone(&fate));
                    let future = async move { drop(count) };
                    // SAFETY: the rig is dropped last.
                    spawned += u32::from(unsafe { pool.spawn_on(&rig, future) }.is_ok());
                    rig.run();
                }
                assert_eq!(fate.drops.get(), 200, "run, or given back and dropped");
                assert!(spawned > 0);
            });
        }
    });
    assert_eq!(pool.in_use(), 0);
}
