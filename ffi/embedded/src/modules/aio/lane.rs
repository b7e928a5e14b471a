//! Writes of one file through the page cache, one after another on a thread.
//!
//! Most file systems copy into their page cache under a lock of the file, and wait there for memory,
//! for the disk and for each other, so that neither the reactor nor the ring can do it at once: the
//! ring hands each such write to a thread of the kernel, which is slow. A lane has a thread for as long
//! as it has jobs, and takes all that has gathered at a time.
//!
//! ```text
//!   idle ──start──► waiting for a thread ──work──► working, batch after batch ──no jobs──► idle
//! ```

use std::mem;
use std::sync::{Arc, Mutex};

use super::job::Job;
use super::threads::{self, Inbox, lock};

/// The writes that one channel has for one file.
pub(super) struct Lane {
    inbox: Arc<Inbox>,
    state: Mutex<State>,
}

struct State {
    jobs: Vec<Job>,
    /// Whether a thread has it, or will.
    is_busy: bool,
}

impl Lane {
    /// A lane whose results go to an inbox. Its thread is reserved for as long as the lane lives: no
    /// file waits for another one.
    pub(super) fn new(inbox: &Arc<Inbox>) -> Arc<Self> {
        threads::reserve();
        Arc::new(Self {
            inbox: Arc::clone(inbox),
            state: Mutex::new(State {
                jobs: Vec::new(),
                is_busy: false,
            }),
        })
    }

    /// Takes a job, whose result goes to the inbox.
    pub(super) fn start(self: &Arc<Self>, job: Job) {
        let mut state = lock(&self.state);
        state.jobs.push(job);
        if !mem::replace(&mut state.is_busy, true) {
            drop(state);
            threads::start_lane(Arc::clone(self));
        }
    }

    /// Does all jobs, and those that come meanwhile.
    pub(super) fn work(&self) {
        let mut batch = Vec::new();
        loop {
            let mut state = lock(&self.state);
            if state.jobs.is_empty() {
                state.is_busy = false;
                return;
            }
            mem::swap(&mut state.jobs, &mut batch);
            drop(state);
            for job in batch.drain(..) {
                self.inbox.put((job.token, job.run()));
            }
        }
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        threads::release();
    }
}
