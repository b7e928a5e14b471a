//! All reactors on one OS thread, in an order that follows from the seed. See [`crate::sim`].

use std::sync::atomic::{AtomicU64, Ordering};

use super::{EXITING, Reactor, STATE, all};
use crate::env::{clock, random_u64, split_mix};
use crate::sim::STEP_TICKS;
use crate::thread::{self, State, Thread};

/// How far time jumps at first if pollers without a period are to be asked again, and how far at last, in
/// ticks: the longer nothing happens, the further.
const JUMP_TICKS_MIN: u64 = clock::HZ / 50_000;
const JUMP_TICKS_MAX: u64 = clock::HZ / 1000;

/// One turn of so many has a thread stand still, for up to this long, in ticks: as when the operating
/// system takes its core away.
const STALL_TURNS: usize = 512;
const STALL_TICKS_MAX: usize = clock::HZ as usize / 500;

static TURNS: AtomicU64 = AtomicU64::new(0);

/// Number of turns so far.
pub fn sim_turns() -> u64 {
    TURNS.load(Ordering::Relaxed)
}

struct Simulation {
    random: u64,
    reactors: Vec<&'static Reactor>,
    /// Of all reactors, by their cores.
    threads: Vec<*mut Thread>,
    jump_ticks: u64,
    /// A thread that stands still, and until when.
    stalled: Option<(*mut Thread, u64)>,
}

/// Runs until [`super::stop`], and until all threads have exited.
pub(super) fn run() {
    let mut simulation = Simulation {
        random: random_u64(),
        reactors: all().collect(),
        threads: Vec::new(),
        jump_ticks: JUMP_TICKS_MIN,
        stalled: None,
    };
    let mut exiting = false;
    loop {
        let mut changed = false;
        for reactor in &simulation.reactors {
            changed |= reactor.run_events();
        }
        if changed {
            simulation.gather();
            thread::note_progress();
        }
        if !exiting && STATE.load(Ordering::SeqCst) == EXITING {
            exiting = true;
            all().for_each(Reactor::exit_threads);
        }
        if exiting && simulation.threads.is_empty() {
            return;
        }
        // Events are rare: whoever sends one has had a turn.
        while simulation.turn() && simulation.reactors.iter().all(|it| it.events.is_empty()) {
            if !exiting && STATE.load(Ordering::Relaxed) == EXITING {
                break;
            }
        }
    }
}

impl Simulation {
    /// A number below `bound`.
    fn choose(&mut self, bound: usize) -> usize {
        choose(&mut self.random, bound)
    }

    fn gather(&mut self) {
        self.threads.clear();
        for reactor in &self.reactors {
            let threads = reactor.threads.borrow();
            self.threads.extend(threads.iter());
        }
    }

    /// One turn of a thread that has something to do, or a jump in time. False if threads have gone.
    fn turn(&mut self) -> bool {
        let now = clock::now();
        crate::sim::check_limit(now);
        let count = self.threads.len();
        if count == 0 {
            return false;
        }
        let first = self.choose(count);
        if self.choose(STALL_TURNS) == 0 {
            // Mostly for a short while.
            let most = STALL_TICKS_MAX >> self.choose(10);
            let until = now + self.choose(most) as u64;
            self.stalled = Some((self.threads[first], until));
        }
        self.stalled = self.stalled.filter(|(_, until)| now < *until);
        for offset in 0..count {
            let thread = self.threads[(first + offset) % count];
            if self.stalled.is_some_and(|(stalled, _)| stalled == thread) {
                continue;
            }
            let random = &mut self.random;
            // SAFETY: a thread of a reactor is alive, and all are polled here alone.
            let worked =
                unsafe { thread::poll_some(thread, now, &mut |bound| choose(random, bound)) };
            if !worked {
                continue;
            }
            TURNS.store(TURNS.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
            self.jump_ticks = JUMP_TICKS_MIN;
            clock::set_virtual(now + STEP_TICKS);
            // SAFETY: as above.
            if thread::may_be_destroyed(unsafe { &*thread }) {
                self.destroy(thread);
                return false;
            }
            return true;
        }
        self.jump(now);
        true
    }

    /// Lets time pass until somebody may have something to do.
    fn jump(&mut self, now: u64) {
        let mut until = self.stalled.map_or(u64::MAX, |(_, until)| until);
        for thread in &self.threads {
            // SAFETY: a thread of a reactor is alive.
            let thread = unsafe { &**thread };
            until = until.min(thread.pollers().next_due());
            if thread.pollers().active_count() > 0 || thread.state() != State::Running {
                until = until.min(now + self.jump_ticks);
            }
        }
        if until == u64::MAX {
            error_log!("The simulation has come to its end: nobody will ever do anything\n");
            std::process::abort();
        }
        self.jump_ticks = (self.jump_ticks * 2).min(JUMP_TICKS_MAX);
        clock::set_virtual(until.max(now + 1));
        thread::note_progress();
    }

    fn destroy(&mut self, thread: *mut Thread) {
        for reactor in &self.reactors {
            reactor
                .threads
                .borrow_mut()
                .retain(|other| *other != thread);
        }
        self.gather();
        thread::note_progress();
        // SAFETY: exited, and in no list any more.
        unsafe { thread::destroy(thread) };
    }
}

fn choose(random: &mut u64, bound: usize) -> usize {
    if bound <= 1 {
        return 0;
    }
    ((u128::from(split_mix(random)) * bound as u128) >> 64) as usize
}
