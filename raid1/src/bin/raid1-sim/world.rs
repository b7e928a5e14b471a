//! What the clients of a run share: the checker, and what is in flight.

use std::cell::RefCell;
use std::collections::VecDeque;

use crate::checker::Checker;
use crate::plan::{Act, Blocks, Plan, Step};

/// The state of a run. One OS thread runs all of it.
pub(crate) struct World {
    pub(crate) plan: Plan,
    pub(crate) checker: Checker,
    /// Steps not taken yet, by thread.
    steps: Vec<VecDeque<Step>>,
    /// Where writes are in flight: two of them do not meet, unless the mirror orders them.
    writes: Vec<Blocks>,
    overlaps: bool,
    /// Resets that have started, and how many of them are in flight.
    pub(crate) resets: u64,
    pub(crate) resetting: u64,
    /// Legs may have been copied from one another in this life: what one has lost, so may others.
    pub(crate) copies: bool,
    /// Steps for each client, about.
    pub(crate) steps_each: u64,
    /// Steps that have ended.
    pub(crate) ended: u64,
    /// Clients that are not done.
    pub(crate) clients: usize,
    /// Clients that have their channel.
    pub(crate) ready: usize,
    /// Whether they may begin.
    pub(crate) goes: bool,
}

thread_local! {
    static WORLD: RefCell<Option<World>> = const { RefCell::new(None) };
}

impl World {
    /// Makes the world of a life.
    pub(crate) fn begin(plan: Plan, life: usize, checker: Checker) {
        let mut steps = vec![VecDeque::new(); plan.threads];
        let is_taken = |step: &&Step| step.life == life && !matches!(step.act, Act::Fate(_));
        for step in plan.steps.iter().filter(is_taken) {
            steps[step.thread].push_back(*step);
        }
        let overlaps = (plan.metadata.as_ref()).is_some_and(|metadata| metadata.overlaps);
        let clients = plan.threads * plan.depth;
        let num_steps: usize = steps.iter().map(VecDeque::len).sum();
        WORLD.set(Some(Self {
            clients,
            steps_each: (num_steps / clients) as u64,
            plan,
            checker,
            overlaps,
            steps,
            writes: Vec::new(),
            resets: 0,
            resetting: 0,
            copies: false,
            ended: 0,
            ready: 0,
            goes: false,
        }));
    }

    /// Looks at the world of this run, and changes it.
    pub(crate) fn with<R>(look: impl FnOnce(&mut Self) -> R) -> R {
        WORLD.with_borrow_mut(|world| look(world.as_mut().expect("a run has begun")))
    }

    /// The next step of a thread.
    pub(crate) fn next(&mut self, thread: usize) -> Option<Step> {
        self.steps[thread].pop_front()
    }

    /// Marks blocks as being written, unless others are that overlap.
    pub(crate) fn lock(&mut self, blocks: Blocks) -> bool {
        let free = self.overlaps || !self.writes.iter().any(|other| other.overlaps(blocks));
        if free {
            self.writes.push(blocks);
        }
        free
    }

    pub(crate) fn unlock(&mut self, blocks: Blocks) {
        if let Some(index) = self.writes.iter().position(|other| *other == blocks) {
            self.writes.swap_remove(index);
        }
    }
}
