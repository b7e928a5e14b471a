//! Random sequences of everything that can happen to tasks, against a plain model of it.

use core::cell::RefCell;
use core::task::{Context, Poll, Waker};
use std::collections::VecDeque;
use std::rc::Rc;
use std::vec;
use std::vec::Vec;

use proptest::prelude::*;

use super::support::{CountRelease, Fate, Rig, Task, counted};
use crate::executor::BUDGET;

/// What a task does in one poll. Without a step left, it is pending.
#[derive(Clone, Debug)]
enum Step {
    Ready,
    Pending,
    /// Leaves its waker where [`Op::Wake`] finds it.
    KeepWaker,
    WakeSelf,
    WakeSelfElsewhere,
    WakeSelfAndEnd,
    CancelSelf,
    HoldSelf,
    /// Wakes, polls or cancels another task; `usize` is taken modulo their number.
    Wake(usize),
    Resume(usize),
    Cancel(usize),
}

#[derive(Clone, Debug)]
enum Op {
    /// A task in memory of its own, polled at once.
    Start(Vec<Step>),
    /// A task in a box, queued.
    Spawn(Vec<Step>),
    /// Through the waker that the task left, if any.
    Wake(usize),
    WakeElsewhere(usize),
    DropWaker(usize),
    DropWakerElsewhere(usize),
    Resume(usize),
    Cancel(usize),
    CancelSpawned,
    Hold(usize),
    Unhold(usize),
    UnholdAndResume(usize),
    Tick,
}

#[derive(Default)]
struct ModelTask {
    script: VecDeque<Step>,
    spawned: bool,
    over: bool,
    polling: bool,
    woken: bool,
    cancelling: bool,
    queued: bool,
    /// Its cell is in the inbox.
    arriving: bool,
    /// A waker was kept.
    waker: bool,
    holds: u32,
    polls: u32,
    drops: u32,
    releases: u32,
}

/// The executor as one would write it with vectors and indices.
#[derive(Default)]
struct Model {
    tasks: Vec<ModelTask>,
    run: VecDeque<usize>,
    inbox: VecDeque<usize>,
}

impl Model {
    fn is_alive(&self, index: usize) -> bool {
        self.tasks.get(index).is_some_and(|task| task.releases == 0)
    }

    fn wake(&mut self, index: usize) {
        let task = &mut self.tasks[index];
        if task.polling {
            task.woken = true;
        } else if !task.over && !task.queued {
            task.queued = true;
            self.run.push_back(index);
        }
    }

    fn wake_elsewhere(&mut self, index: usize) {
        if !core::mem::replace(&mut self.tasks[index].arriving, true) {
            self.inbox.push_back(index);
        }
    }

    fn resume(&mut self, index: usize) {
        let task = &self.tasks[index];
        if task.polling || task.over || task.queued {
            self.wake(index);
        } else {
            self.poll(index);
        }
    }

    fn poll(&mut self, index: usize) {
        let task = &mut self.tasks[index];
        task.polls += 1;
        task.polling = true;
        let step = task.script.pop_front().unwrap_or(Step::Pending);
        let others = self.tasks.len();
        let mut ready = false;
        match step {
            Step::Pending => {}
            Step::Ready => ready = true,
            Step::KeepWaker => self.tasks[index].waker = true,
            Step::WakeSelf => self.wake(index),
            Step::WakeSelfElsewhere => self.wake_elsewhere(index),
            Step::WakeSelfAndEnd => {
                self.wake(index);
                ready = true;
            }
            Step::CancelSelf => self.cancel(index),
            Step::HoldSelf => self.tasks[index].holds += 1,
            Step::Wake(other) if self.is_alive(other % others) => self.wake(other % others),
            Step::Resume(other) if self.is_alive(other % others) => self.resume(other % others),
            Step::Cancel(other) if self.is_alive(other % others) => self.cancel(other % others),
            Step::Wake(_) | Step::Resume(_) | Step::Cancel(_) => {}
        }
        let task = &mut self.tasks[index];
        task.polling = false;
        let (woken, cancelling) = (task.woken, task.cancelling);
        (task.woken, task.cancelling) = (false, false);
        if ready || cancelling {
            self.end(index);
        } else if woken {
            self.wake(index);
        }
    }

    /// The future goes.
    fn end(&mut self, index: usize) {
        let task = &mut self.tasks[index];
        task.over = true;
        task.drops += 1;
        self.release_if_free(index);
    }

    fn release_if_free(&mut self, index: usize) {
        let task = &mut self.tasks[index];
        if task.over && !task.queued && task.holds == 0 {
            task.releases += 1;
        }
    }

    fn cancel(&mut self, index: usize) {
        let task = &mut self.tasks[index];
        if task.polling {
            task.cancelling = true;
        } else if !task.over {
            self.end(index);
        }
    }

    fn cancel_spawned(&mut self) {
        for index in (0..self.tasks.len()).rev() {
            if self.tasks[index].spawned && self.is_alive(index) {
                self.cancel(index);
            }
        }
    }

    fn tick(&mut self) {
        for index in core::mem::take(&mut self.inbox) {
            self.tasks[index].arriving = false;
            if self.is_alive(index) {
                self.wake(index);
            }
        }
        for _ in 0..BUDGET {
            let Some(index) = self.run.pop_front() else {
                return;
            };
            self.tasks[index].queued = false;
            if self.tasks[index].over {
                self.release_if_free(index);
            } else {
                self.poll(index);
            }
        }
    }
}

/// The tasks of the real executor; indices are the model's.
#[derive(Default)]
struct World {
    tasks: RefCell<Vec<Task>>,
    wakers: RefCell<Vec<Option<Waker>>>,
}

impl World {
    fn task(&self, index: usize) -> Option<Task> {
        let tasks = self.tasks.borrow();
        let task = tasks.get(index % tasks.len().max(1))?;
        (task.fate.releases.get() == 0).then(|| task.clone())
    }

    fn poll(&self, index: usize, step: Option<Step>, cx: &mut Context<'_>) -> Poll<()> {
        let this = || self.task(index).expect("polled after its release");
        match step.unwrap_or(Step::Pending) {
            Step::Pending => {}
            Step::Ready => return Poll::Ready(()),
            Step::KeepWaker => {
                let old = self.wakers.borrow_mut()[index].replace(cx.waker().clone());
                if let Some(old) = old {
                    assert!(old.will_wake(&cx.waker().clone()), "the task has two cells");
                }
            }
            Step::WakeSelf => cx.waker().wake_by_ref(),
            Step::WakeSelfElsewhere => {
                let lent = cx.waker();
                elsewhere(|| lent.wake_by_ref());
            }
            Step::WakeSelfAndEnd => {
                let owned = cx.waker().clone();
                owned.wake();
                return Poll::Ready(());
            }
            Step::CancelSelf => this().cancel(),
            Step::HoldSelf => this().hold(),
            Step::Wake(other) => self.task(other).iter().for_each(Task::wake),
            Step::Resume(other) => self.task(other).iter().for_each(Task::resume),
            Step::Cancel(other) => self.task(other).iter().for_each(Task::cancel),
        }
        Poll::Pending
    }

    fn waker(&self, index: usize) -> Option<(usize, Waker)> {
        let wakers = self.wakers.borrow();
        let index = index % wakers.len().max(1);
        Some((index, wakers.get(index)?.clone()?))
    }

    fn take_waker(&self, index: usize) -> Option<Waker> {
        let mut wakers = self.wakers.borrow_mut();
        let index = index % wakers.len().max(1);
        wakers.get_mut(index)?.take()
    }

    /// Adds a task, started or queued.
    fn add(self: &Rc<Self>, rig: &Rig, script: Vec<Step>, spawned: bool) {
        let index = self.tasks.borrow().len();
        self.wakers.borrow_mut().push(None);
        let fate = Rc::new(Fate::default());
        let (world, mut script) = (Rc::clone(self), VecDeque::from(script));
        let future = counted(&fate, move |cx| world.poll(index, script.pop_front(), cx));
        if spawned {
            let keep = CountRelease(Rc::clone(&fate));
            // SAFETY: the rig is dropped last.
            unsafe { rig.spawn_boxed_with(future, keep) };
            self.tasks.borrow_mut().push(Task::last_queued(rig, &fate));
        } else {
            let task = Task::of(rig, fate, future);
            self.tasks.borrow_mut().push(task.clone());
            task.start();
        }
    }
}

fn elsewhere(work: impl FnOnce() + Send) {
    std::thread::scope(|scope| scope.spawn(work).join().unwrap());
}

/// Does the same to both.
fn apply(op: Op, rig: &Rig, world: &Rc<World>, model: &mut Model) {
    // The task that an index means, where it is not released.
    let count = model.tasks.len();
    let at = |index: usize| world.task(index).map(|task| (task, index % count));
    match op {
        Op::Start(script) | Op::Spawn(script) if count == 8 => drop(script),
        Op::Start(script) => {
            model.tasks.push(ModelTask {
                script: script.clone().into(),
                ..Default::default()
            });
            model.poll(model.tasks.len() - 1);
            world.add(rig, script, false);
        }
        Op::Spawn(script) => {
            let script_too = script.clone().into();
            let task = ModelTask {
                script: script_too,
                spawned: true,
                ..Default::default()
            };
            model.tasks.push(task);
            model.wake(model.tasks.len() - 1);
            world.add(rig, script, true);
        }
        Op::Wake(index) => {
            if let Some((index, waker)) = world.waker(index) {
                assert!(model.tasks[index].waker);
                if model.is_alive(index) {
                    model.wake(index);
                }
                waker.wake();
            }
        }
        Op::WakeElsewhere(index) => {
            if let Some((index, waker)) = world.waker(index) {
                model.wake_elsewhere(index);
                elsewhere(move || waker.wake());
            }
        }
        Op::DropWaker(index) => drop(world.take_waker(index)),
        Op::DropWakerElsewhere(index) => {
            let waker = world.take_waker(index);
            elsewhere(move || drop(waker));
        }
        Op::Resume(index) => {
            if let Some((task, index)) = at(index) {
                model.resume(index);
                task.resume();
            }
        }
        Op::Cancel(index) => {
            if let Some((task, index)) = at(index) {
                model.cancel(index);
                task.cancel();
            }
        }
        Op::CancelSpawned => {
            model.cancel_spawned();
            rig.cancel_spawned();
        }
        Op::Hold(index) => {
            if let Some((task, index)) = at(index) {
                model.tasks[index].holds += 1;
                task.hold();
            }
        }
        Op::Unhold(index) => {
            if let Some((task, index)) = at(index)
                && model.tasks[index].holds > 0
            {
                model.tasks[index].holds -= 1;
                model.release_if_free(index);
                task.unhold();
            }
        }
        Op::UnholdAndResume(index) => {
            if let Some((task, index)) = at(index)
                && model.tasks[index].holds > 0
            {
                model.tasks[index].holds -= 1;
                if model.tasks[index].over {
                    model.release_if_free(index);
                } else {
                    model.resume(index);
                }
                task.unhold_and_resume();
            }
        }
        Op::Tick => {
            model.tick();
            rig.tick(0);
        }
    }
}

fn assert_equal(rig: &Rig, world: &World, model: &Model) {
    let tasks = world.tasks.borrow();
    let run: Vec<_> = model.run.iter().map(|&index| tasks[index].header).collect();
    assert_eq!(rig.valid(), run, "the run list");
    assert_eq!(rig.inbox.is_empty(), model.inbox.is_empty(), "the inbox");
    assert_eq!(rig.current(), None);
    for (index, (task, expected)) in tasks.iter().zip(&model.tasks).enumerate() {
        let counts = (expected.polls, expected.drops, expected.releases);
        assert_eq!(
            task.counts(),
            counts,
            "polls, drops, releases of task {index}"
        );
        if expected.releases == 0 {
            assert_eq!(task.get().holds(), expected.holds, "holds of task {index}");
            assert_eq!(task.get().is_over(), expected.over, "end of task {index}");
        }
    }
    let alive = |task: &&ModelTask| task.spawned && task.releases == 0;
    assert_eq!(
        rig.spawned.assert_valid().len(),
        model.tasks.iter().filter(alive).count()
    );
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        2 => Just(Step::Ready),
        4 => Just(Step::Pending),
        6 => Just(Step::KeepWaker),
        3 => Just(Step::WakeSelf),
        1 => Just(Step::WakeSelfElsewhere),
        1 => Just(Step::WakeSelfAndEnd),
        1 => Just(Step::CancelSelf),
        1 => Just(Step::HoldSelf),
        1 => any::<usize>().prop_map(Step::Wake),
        1 => any::<usize>().prop_map(Step::Resume),
        1 => any::<usize>().prop_map(Step::Cancel),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    let script = || prop::collection::vec(step(), 0..8);
    let index = any::<usize>;
    prop_oneof![
        3 => script().prop_map(Op::Start),
        3 => script().prop_map(Op::Spawn),
        6 => index().prop_map(Op::Wake),
        3 => index().prop_map(Op::WakeElsewhere),
        1 => index().prop_map(Op::DropWaker),
        1 => index().prop_map(Op::DropWakerElsewhere),
        4 => index().prop_map(Op::Resume),
        2 => index().prop_map(Op::Cancel),
        1 => Just(Op::CancelSpawned),
        3 => index().prop_map(Op::Hold),
        2 => index().prop_map(Op::Unhold),
        2 => index().prop_map(Op::UnholdAndResume),
        6 => Just(Op::Tick),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_executor_does_what_the_model_does(ops in prop::collection::vec(op(), 1..60)) {
        let rig = Rig::new();
        let (world, mut model) = (Rc::new(World::default()), Model::default());
        for op in ops {
            apply(op, &rig, &world, &mut model);
            assert_equal(&rig, &world, &model);
        }

        // The end of the thread: everything goes, whatever state it is in.
        for index in 0..model.tasks.len() {
            apply(Op::Cancel(index), &rig, &world, &mut model);
            while world.task(index).is_some_and(|task| task.get().holds() > 0) {
                apply(Op::Unhold(index), &rig, &world, &mut model);
                assert_equal(&rig, &world, &model);
            }
        }
        while !model.run.is_empty() || !model.inbox.is_empty() {
            apply(Op::Tick, &rig, &world, &mut model);
        }
        assert_equal(&rig, &world, &model);
        let tasks = world.tasks.borrow();
        prop_assert!(tasks.iter().all(|task| (task.counts().1, task.counts().2) == (1, 1)));
        // Late wakers wake nothing; some outlive the executor.
        world.wakers.borrow().iter().flatten().for_each(Waker::wake_by_ref);
        prop_assert!(rig.is_idle());
        drop(rig);
        world.wakers.borrow().iter().flatten().for_each(Waker::wake_by_ref);
    }
}
