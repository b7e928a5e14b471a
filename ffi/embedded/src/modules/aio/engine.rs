use std::cell::{Cell, RefCell};
use std::ffi::c_int;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::super::channel::IoDevice;
use super::super::poller::{Interrupt, Poll, Poller};
use super::flight;
use super::job::{CUT_SHORT, Job};
use super::lane::Lane;
use super::ring::{Done, Ring};
use super::threads::{self, Inbox};

/// Results of the ring that one round hands out, so that others get their turn.
const RESULTS_MAX: usize = 128;
/// Rounds without a result of the threads before they are asked to call: a call costs them more than
/// all else. Until then the reactor is kept awake.
const QUIET_ROUNDS: u32 = 1024;

/// Does the jobs of one thread, and hands their results to [`flight::finished`] there: never within
/// `start`.
struct Works {
    /// None where there is no io_uring.
    ring: Option<RefCell<Ring>>,
    inbox: Arc<Inbox>,
    /// Jobs that threads have, or whose results are in the inbox.
    on_threads: Cell<usize>,
    /// Rounds since the last result of these.
    quiet_rounds: Cell<u32>,
    /// Empty, with room for results.
    results: RefCell<Vec<Done>>,
}

impl Works {
    fn new(ring: Option<Ring>) -> io::Result<Self> {
        Ok(Self {
            ring: ring.map(RefCell::new),
            inbox: Arc::new(Inbox::new()?),
            on_threads: Cell::new(0),
            quiet_rounds: Cell::new(0),
            results: RefCell::default(),
        })
    }

    fn start(&self, job: Job) {
        let job = match &self.ring {
            None => job,
            Some(_) if job.is_refused() => {
                self.count_on_threads();
                self.inbox.put((job.token, CUT_SHORT));
                return;
            }
            Some(ring) => match ring.borrow_mut().start(job) {
                Ok(()) => return,
                Err(job) => job,
            },
        };
        self.count_on_threads();
        threads::start(job, &self.inbox);
    }

    fn start_in(&self, lane: &Arc<Lane>, job: Job) {
        self.count_on_threads();
        lane.start(job);
    }

    fn count_on_threads(&self) {
        self.on_threads.set(self.on_threads.get() + 1);
    }

    /// One round; `finished` gets each token and result.
    fn round(&self, finished: impl Fn(u64, i32)) -> bool {
        let mut busy = false;
        if let Some(ring) = &self.ring {
            busy |= ring.borrow_mut().submit();
            for _ in 0..RESULTS_MAX {
                // Not borrowed while a result is handed out: that starts new jobs.
                let done = ring.borrow_mut().next();
                let Some((token, result)) = done else { break };
                finished(token, result);
                busy = true;
            }
        }
        if self.on_threads.get() > 0 {
            busy |= self.look_into_inbox(finished);
        }
        busy
    }

    /// Hands out results of the threads. Whether there were any, or may be soon.
    fn look_into_inbox(&self, finished: impl Fn(u64, i32)) -> bool {
        // Not borrowed while a result is handed out.
        let mut results = self.results.take();
        self.inbox.take(&mut results);
        if results.is_empty() {
            let rounds = self.quiet_rounds.get();
            self.quiet_rounds.set(rounds.saturating_add(1));
            if rounds == QUIET_ROUNDS {
                self.inbox.call_me(&mut results);
            } else if rounds > QUIET_ROUNDS {
                self.results.replace(results);
                return false;
            }
        }
        if !results.is_empty() {
            self.quiet_rounds.set(0);
        }
        self.on_threads.set(self.on_threads.get() - results.len());
        for (token, result) in results.drain(..) {
            finished(token, result);
        }
        self.results.replace(results);
        true
    }
}

impl Poll for Works {
    fn poll(&self) -> bool {
        self.round(|token, result| {
            // SAFETY: the tokens of the jobs that `Engine::start` took come back once each.
            unsafe { flight::finished(token, result) }
        })
    }
}

/// One thread's engine.
pub(super) struct Engine {
    // Before the works, which have the descriptors.
    _wakes: [Option<Interrupt<Works>>; 2],
    _poller: Poller<Works>,
    works: Rc<Works>,
}

impl Engine {
    /// Starts a job.
    ///
    /// # Safety
    ///
    /// Its token is of [`flight`]; its file and its memory stay until [`flight::finished`] gets
    /// that.
    pub(super) unsafe fn start(&self, job: Job) {
        self.works.start(job);
    }

    /// Starts a job in a lane of this engine.
    ///
    /// # Safety
    ///
    /// As of [`Engine::start`].
    pub(super) unsafe fn start_in(&self, lane: &Arc<Lane>, job: Job) {
        self.works.start_in(lane, job);
    }

    /// A new lane.
    pub(super) fn lane(&self) -> Arc<Lane> {
        Lane::new(&self.works.inbox)
    }
}

/// The device whose channels are the engines. Static.
pub(super) struct Engines {
    /// Whether it was said that there is no io_uring.
    told: AtomicBool,
}

impl Engines {
    pub(super) const fn new() -> Self {
        Self {
            told: AtomicBool::new(false),
        }
    }
}

impl IoDevice for Engines {
    type Channel = Engine;

    fn open(&self) -> Result<Engine, c_int> {
        let ring = match Ring::new() {
            Ok(ring) => Some(ring),
            Err(error) => {
                if !self.told.swap(true, Ordering::Relaxed) {
                    notice_log!("aio: no io_uring ({error}): threads do the I/O instead\n");
                }
                None
            }
        };
        let works = Works::new(ring)
            .map_err(|error| -error.raw_os_error().unwrap_or(libc::ENOMEM))
            .map(Rc::new)?;
        let poller = Poller::register(&works, 0, c"aio").ok_or(-libc::ENOMEM)?;
        let ring_fd = works.ring.as_ref().map(|ring| ring.borrow().as_raw_fd());
        let wake = |fd| Interrupt::register(&works, fd, c"aio");
        Ok(Engine {
            _wakes: [ring_fd.and_then(wake), wake(works.inbox.as_raw_fd())],
            _poller: poller,
            works,
        })
    }
}

#[cfg(test)]
mod tests;
