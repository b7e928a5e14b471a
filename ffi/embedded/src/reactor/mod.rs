//! Reactors: each an OS thread that polls SPDK threads; or, in a simulation, all on one.
//!
//! ```text
//!   env initialised ─▶ start() ─▶ threads created ─▶ run() ───────────────▶ finish()
//!                                                     │ returns after stop()
//!                                    all threads exited, all reactors joined
//! ```
//!
//! The application creates its thread after `start`, sends it a message and calls `run`. A reactor that
//! has found nothing to do for [`sleep::SPIN_TICKS`] sleeps; see there.

mod event;
mod rpc;
mod run;
mod simulated;
mod sleep;
#[cfg(test)]
pub(crate) mod tests;

use std::cell::{Cell, RefCell};
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU8, AtomicU64, Ordering};

use barespdk_sys::{
    SPDK_CPUSET_SIZE, spdk_cpuset, spdk_env_get_first_core, spdk_env_get_next_core,
};

use crate::env::{cores, cpuset};
use crate::thread::{Inbox, Thread};

use self::event::Event;
pub use self::simulated::sim_turns;
pub(crate) use self::{
    run::{run, stop},
    sleep::{always_polls, set_always_poll},
};

/// What polls the SPDK threads of a core. Never freed: who sends a message may look at it at any time.
pub(crate) struct Reactor {
    core: u32,
    events: Inbox<Event>,
    /// Whether it sleeps, or is about to.
    sleeping: AtomicBool,
    /// Wakes it. In a simulation there is none.
    wake_fd: Option<OwnedFd>,
    /// Ticks with and without work.
    busy_ticks: AtomicU64,
    idle_ticks: AtomicU64,

    // From here on: for the OS thread of the reactor.
    threads: RefCell<Vec<*mut Thread>>,
    pending: RefCell<crate::thread::List<Event>>,
    last_ticks: Cell<u64>,
    sleeper: sleep::Sleeper,
}

// SAFETY: the fields that are no atomics nor the inbox are touched by the OS thread of the reactor alone;
// before `run` and after it that is the one that calls `start` and `finish`.
unsafe impl Sync for Reactor {}
// SAFETY: as above.
unsafe impl Send for Reactor {}

/// By core; NULL where there is none.
static REACTORS: [AtomicPtr<Reactor>; SPDK_CPUSET_SIZE as usize] =
    [const { AtomicPtr::new(std::ptr::null_mut()) }; SPDK_CPUSET_SIZE as usize];

/// What reactors do.
static STATE: AtomicU8 = AtomicU8::new(STOPPED);
const STOPPED: u8 = 0;
const STARTED: u8 = 1;
const RUNNING: u8 = 2;
const EXITING: u8 = 3;

/// The core that gets the next thread.
static NEXT_CORE: Mutex<u32> = Mutex::new(cores::NONE);

/// The reactor of a core.
fn of(core: u32) -> Option<&'static Reactor> {
    let reactor = REACTORS.get(core as usize)?.load(Ordering::Acquire);
    // SAFETY: NULL or a reactor, which is never freed.
    unsafe { reactor.as_ref() }
}

/// All reactors, by their cores.
pub(crate) fn all() -> impl Iterator<Item = &'static Reactor> {
    // SAFETY: takes nothing, and reads what the environment has.
    let first = unsafe { spdk_env_get_first_core() };
    let cores = std::iter::successors(Some(first), |core| {
        // SAFETY: as above.
        Some(unsafe { spdk_env_get_next_core(*core) })
    });
    cores.take_while(|core| *core != cores::NONE).filter_map(of)
}

/// Makes a reactor for each core of the environment. In a simulation, without wake-up.
pub(crate) fn start() -> std::io::Result<()> {
    static METHODS: std::sync::Once = std::sync::Once::new();
    METHODS.call_once(|| {
        rpc::register();
        crate::thread::rpc::register();
    });
    let mut core = cpuset_first();
    while core != cores::NONE {
        if of(core).is_none() {
            let reactor = Box::leak(Box::new(Reactor::new(core)?));
            if let Some(place) = REACTORS.get(core as usize) {
                place.store(reactor, Ordering::Release);
            }
        }
        // SAFETY: reads what the environment has.
        core = unsafe { spdk_env_get_next_core(core) };
    }
    *NEXT_CORE
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner()) = cores::NONE;
    STATE.store(STARTED, Ordering::Release);
    Ok(())
}

fn cpuset_first() -> u32 {
    // SAFETY: reads what the environment has.
    unsafe { spdk_env_get_first_core() }
}

/// After [`run`]: frees the application's thread, and has no reactors any more.
pub(crate) fn finish() {
    crate::thread::finish();
    STATE.store(STOPPED, Ordering::Release);
}

/// Chooses who is to poll a new thread: those of its cores take turns. None if there are no reactors; any
/// if there are none of its cores.
pub(crate) fn choose(cpumask: &spdk_cpuset) -> Option<&'static Reactor> {
    if STATE.load(Ordering::Acquire) == STOPPED {
        return None;
    }
    let mut next = NEXT_CORE
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner());
    let mut core = cores::NONE;
    for _ in 0..all().count() {
        if *next == cores::NONE {
            *next = cpuset_first();
        }
        core = *next;
        // SAFETY: reads what the environment has.
        *next = unsafe { spdk_env_get_next_core(core) };
        if cpuset::contains(cpumask, core) {
            break;
        }
    }
    of(core)
}

impl Reactor {
    fn new(core: u32) -> std::io::Result<Self> {
        let wake_fd = if crate::env::clock::is_virtual() {
            None
        } else {
            Some(sleep::event_fd()?)
        };
        Ok(Self {
            core,
            events: Inbox::new(),
            sleeping: AtomicBool::new(false),
            wake_fd,
            busy_ticks: AtomicU64::new(0),
            idle_ticks: AtomicU64::new(0),
            threads: RefCell::default(),
            pending: RefCell::new(crate::thread::List::new()),
            last_ticks: Cell::new(crate::env::clock::now()),
            sleeper: sleep::Sleeper::new(),
        })
    }

    pub(crate) fn core(&self) -> u32 {
        self.core
    }

    /// Has the reactor poll a new thread.
    ///
    /// # Safety
    ///
    /// The thread is alive, and nobody else polls it.
    pub(crate) unsafe fn adopt(&'static self, thread: *mut Thread) {
        let thread = thread.expose_provenance();
        self.send(Box::new(move |reactor| {
            let thread = std::ptr::with_exposed_provenance_mut(thread);
            reactor.threads.borrow_mut().push(thread);
            reactor.interrupts_changed();
        }));
    }

    /// Notes that descriptors have to be gathered again. On the reactor's OS thread.
    pub(crate) fn interrupts_changed(&self) {
        self.sleeper.gather_again();
    }

    /// Wakes the reactor if it sleeps. Any OS thread, also in a signal handler. To be called after what it
    /// is to see was written.
    #[inline]
    pub(crate) fn wake(&self) {
        if self.sleeping.load(Ordering::SeqCst) {
            self.wake_sleeping();
        }
    }

    #[cold]
    fn wake_sleeping(&self) {
        if !self.sleeping.swap(false, Ordering::SeqCst) {
            // Somebody else wakes it.
            return;
        }
        if let Some(wake_fd) = &self.wake_fd {
            let one = 1_u64;
            // SAFETY: eight bytes; an event counter that is full wakes as well.
            unsafe { libc::write(wake_fd.as_raw_fd(), (&raw const one).cast(), 8) };
        }
    }
}
