//! How a reactor rests.
//!
//! ```text
//!   work ─▶ awake, polls on ──── no work for SPIN_TICKS ───▶ asleep in ppoll(2)
//!              ▲                                              │
//!              ├── event, message ────────────────────────────┤  (its event counter)
//!              ├── a registered descriptor is readable ───────┤
//!              └── a timer is due; POLLER_REST_TICKS are over ┘  one round, and back to sleep
//!                                                                if that found no work
//! ```
//!
//! No wake-up is lost: the reactor first says that it sleeps and then looks for work once more; who
//! sends it work first publishes that and then looks whether it sleeps. All four accesses are
//! sequentially consistent, so that one of the two sees the other.

use std::cell::{Cell, RefCell};
use std::ffi::c_int;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};

use super::{RUNNING, Reactor, STATE};
use crate::env::clock;
use crate::thread::{Interrupt, State};

/// How long a reactor without work stays awake.
pub(super) const SPIN_TICKS: u64 = clock::HZ / 1000;
/// How long it sleeps at most if there are pollers without a period, which may find work that nothing
/// else tells of.
const POLLER_REST_TICKS: u64 = clock::HZ / 100;
/// A sleep that would be shorter is not worth its system call.
const REST_TICKS_MIN: u64 = clock::HZ / 50_000;
/// How often a reactor that is awake looks at the descriptors: often enough for what has no poller, and
/// seldom enough for a system call.
const LOOK_TICKS: u64 = clock::HZ / 10_000;

/// Whether reactors never sleep.
static ALWAYS_POLL: AtomicBool = AtomicBool::new(false);

/// Has reactors never sleep, as SPDK's: no interrupts are registered then. Before the start.
pub(crate) fn set_always_poll(always_poll: bool) {
    ALWAYS_POLL.store(always_poll, Ordering::Relaxed);
}

/// Whether reactors never sleep.
pub(crate) fn always_polls() -> bool {
    ALWAYS_POLL.load(Ordering::Relaxed)
}

/// A reactor's descriptors and what it knows of the time. For its OS thread alone.
pub(super) struct Sleeper {
    worked_at: Cell<u64>,
    looked_at: Cell<u64>,
    stale: Cell<bool>,
    /// What to wait for: the event counter first.
    descriptors: RefCell<Vec<libc::pollfd>>,
    /// Whose they are, from the second on.
    interrupts: RefCell<Vec<*mut Interrupt>>,
}

impl Sleeper {
    pub(super) fn new() -> Self {
        Self {
            worked_at: Cell::new(0),
            looked_at: Cell::new(0),
            stale: Cell::new(true),
            descriptors: RefCell::default(),
            interrupts: RefCell::default(),
        }
    }

    pub(super) fn note_work(&self, now: u64) {
        self.worked_at.set(now);
    }

    pub(super) fn gather_again(&self) {
        self.stale.set(true);
    }

    /// Forgets all interrupts, some of which are about to be freed.
    pub(super) fn forget(&self) {
        self.descriptors.borrow_mut().clear();
        self.interrupts.borrow_mut().clear();
    }
}

/// An event counter.
pub(super) fn event_fd() -> std::io::Result<OwnedFd> {
    // SAFETY: plain numbers.
    let descriptor = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
    if descriptor < 0 {
        return Err(std::io::Error::last_os_error());
    }
    // SAFETY: just made, and nobody else's.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

/// Has the kernel wake this OS thread when its time has come, not up to 50 µs later.
pub(super) fn set_timer_slack() {
    // SAFETY: plain numbers; the slack is in nanoseconds.
    unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, 1000_u64, 0_u64, 0_u64, 0_u64) };
}

impl Reactor {
    /// After a round: stays awake, or sleeps until there may be work.
    #[inline]
    pub(super) fn rest(&'static self, worked: bool) {
        let now = self.last_ticks.get();
        let sleeper = &self.sleeper;
        if worked {
            sleeper.note_work(now);
        }
        let awake = now.saturating_sub(sleeper.worked_at.get()) < SPIN_TICKS || always_polls();
        if awake {
            if now.saturating_sub(sleeper.looked_at.get()) >= LOOK_TICKS {
                self.look(now);
            }
        } else {
            self.sleep(now);
        }
    }

    /// Sleeps until there may be work, unless that is at once.
    #[cold]
    fn sleep(&'static self, now: u64) {
        let rest_ticks = self.rest_ticks(now);
        if rest_ticks < REST_TICKS_MIN {
            return self.look(now);
        }
        self.gather();
        self.sleeping.store(true, Ordering::SeqCst);
        if !self.has_work() {
            self.wait(rest_ticks);
        }
        self.sleeping.store(false, Ordering::SeqCst);
        self.account_sleep();
        self.dispatch();
    }

    /// Looks at the descriptors without sleeping.
    #[cold]
    fn look(&self, now: u64) {
        self.sleeper.looked_at.set(now);
        self.gather();
        if !self.sleeper.interrupts.borrow().is_empty() {
            self.wait(0);
            self.dispatch();
        }
    }

    /// How long nothing has to be polled, in ticks.
    fn rest_ticks(&self, now: u64) -> u64 {
        let mut until = u64::MAX;
        for thread in self.threads.borrow().iter() {
            // SAFETY: a thread of this reactor is alive.
            let thread = unsafe { &**thread };
            until = until.min(thread.pollers().next_due());
            if thread.pollers().active_count() > 0 || thread.state() != State::Running {
                until = until.min(now + POLLER_REST_TICKS);
            }
        }
        until.saturating_sub(now)
    }

    /// Whether there is work that was sent from elsewhere.
    fn has_work(&self) -> bool {
        let has_messages = self.threads.borrow().iter().any(|thread| {
            // SAFETY: a thread of this reactor is alive.
            unsafe { &**thread }.has_messages()
        });
        has_messages || !self.events.is_empty() || STATE.load(Ordering::SeqCst) != RUNNING
    }

    /// Gathers what to wait for, if that has changed.
    fn gather(&self) {
        let sleeper = &self.sleeper;
        if !sleeper.stale.replace(false) {
            return;
        }
        let mut descriptors = sleeper.descriptors.borrow_mut();
        let mut interrupts = sleeper.interrupts.borrow_mut();
        descriptors.clear();
        interrupts.clear();
        let wait_for = |descriptor: c_int| libc::pollfd {
            fd: descriptor,
            events: libc::POLLIN,
            revents: 0,
        };
        // A negative descriptor is ignored.
        let own = self.wake_fd.as_ref().map_or(-1, AsRawFd::as_raw_fd);
        descriptors.push(wait_for(own));
        for thread in self.threads.borrow().iter() {
            // SAFETY: a thread of this reactor is alive.
            let thread = unsafe { &**thread };
            crate::thread::sweep(thread.interrupts());
            for interrupt in thread.interrupts().borrow().iter() {
                // SAFETY: in the list, so alive.
                descriptors.push(wait_for(unsafe { &**interrupt }.descriptor()));
                interrupts.push(*interrupt);
            }
        }
    }

    /// Waits for a descriptor, for so long at most.
    fn wait(&self, ticks: u64) {
        let mut descriptors = self.sleeper.descriptors.borrow_mut();
        let time = libc::timespec {
            tv_sec: libc::time_t::try_from(ticks / clock::HZ).unwrap_or(libc::time_t::MAX),
            tv_nsec: (ticks % clock::HZ) as libc::c_long,
        };
        // SAFETY: an array of that length, and a time.
        let ready = unsafe {
            libc::ppoll(
                descriptors.as_mut_ptr(),
                descriptors.len() as libc::nfds_t,
                &time,
                std::ptr::null(),
            )
        };
        if ready <= 0 {
            // Its time is over, or a signal came: nothing is ready.
            descriptors
                .iter_mut()
                .for_each(|descriptor| descriptor.revents = 0);
        }
    }

    /// Calls the functions of the descriptors that are ready.
    fn dispatch(&self) {
        let sleeper = &self.sleeper;
        let count = sleeper.descriptors.borrow().len();
        let mut worked = false;
        for index in 0..count {
            let events = {
                let mut descriptors = sleeper.descriptors.borrow_mut();
                let Some(descriptor) = descriptors.get_mut(index) else {
                    return;
                };
                let events = std::mem::take(&mut descriptor.revents);
                if events & libc::POLLNVAL != 0 {
                    // Its owner has closed it: there is nothing to wait for, nor to tell of.
                    descriptor.fd = -1;
                    continue;
                }
                events
            };
            if events == 0 {
                continue;
            }
            if index == 0 {
                self.drain();
                continue;
            }
            let interrupt = sleeper.interrupts.borrow().get(index - 1).copied();
            if let Some(interrupt) = interrupt {
                // SAFETY: known here, so not freed: that happens in `gather`, or after `forget`.
                worked |= unsafe { &*interrupt }.run() > 0;
            }
        }
        if worked {
            sleeper.note_work(self.last_ticks.get());
        }
    }

    /// Sets the event counter back.
    fn drain(&self) {
        if let Some(wake_fd) = &self.wake_fd {
            let mut count = 0_u64;
            // SAFETY: eight bytes; an empty counter is an error that does not matter.
            unsafe { libc::read(wake_fd.as_raw_fd(), (&raw mut count).cast(), 8) };
        }
    }
}
