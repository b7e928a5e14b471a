//! Threads of the process that do what blocks.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::{mem, thread};

use super::job::Job;
use super::ring::Done;

/// Most threads: jobs that can block at a time.
const THREADS_MAX: usize = 8;
const STACK_LEN: usize = 128 << 10;

/// Where the results of one engine arrive.
pub(super) struct Inbox {
    done: Mutex<Vec<Done>>,
    /// Becomes readable when there are results.
    event: OwnedFd,
}

impl Inbox {
    pub(super) fn new() -> io::Result<Self> {
        // SAFETY: makes a new file descriptor, which is nobody else's.
        let event = unsafe {
            match libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) {
                fd @ 0.. => OwnedFd::from_raw_fd(fd),
                _ => return Err(io::Error::last_os_error()),
            }
        };
        Ok(Self {
            done: Mutex::new(Vec::new()),
            event,
        })
    }

    pub(super) fn as_raw_fd(&self) -> RawFd {
        self.event.as_raw_fd()
    }

    /// Takes all results.
    pub(super) fn take(&self) -> Vec<Done> {
        let mut done = lock(&self.done);
        if !done.is_empty() {
            let mut count = 0_u64;
            // SAFETY: reads 8 bytes; there is nothing to do if nothing was there.
            unsafe { libc::read(self.as_raw_fd(), (&raw mut count).cast(), size_of::<u64>()) };
        }
        mem::take(&mut done)
    }

    fn put(&self, result: Done) {
        let mut done = lock(&self.done);
        done.push(result);
        if done.len() == 1 {
            let one = 1_u64;
            // SAFETY: writes 8 bytes; the counter cannot overflow, as `take` resets it.
            unsafe { libc::write(self.as_raw_fd(), (&raw const one).cast(), size_of::<u64>()) };
        }
    }
}

struct Queue {
    jobs: VecDeque<(Job, Arc<Inbox>)>,
    idle: usize,
    threads: usize,
}

static QUEUE: Mutex<Queue> = Mutex::new(Queue {
    jobs: VecDeque::new(),
    idle: 0,
    threads: 0,
});
static WORK: Condvar = Condvar::new();

/// Does a job on another thread; its result goes to the inbox.
pub(super) fn start(job: Job, inbox: &Arc<Inbox>) {
    let mut queue = lock(&QUEUE);
    queue.jobs.push_back((job, Arc::clone(inbox)));
    if queue.jobs.len() > queue.idle && queue.threads < THREADS_MAX {
        let spawned = thread::Builder::new()
            .name("aio".into())
            .stack_size(STACK_LEN)
            .spawn(work);
        if spawned.is_ok() {
            queue.threads += 1;
        }
    }
    if queue.threads > 0 {
        WORK.notify_one();
    } else if let Some((job, inbox)) = queue.jobs.pop_back() {
        drop(queue);
        // Without any thread it is better to be slow than to be stuck.
        inbox.put((job.token, job.run()));
    }
}

fn work() {
    run_anywhere();
    let mut queue = lock(&QUEUE);
    loop {
        if let Some((job, inbox)) = queue.jobs.pop_front() {
            drop(queue);
            inbox.put((job.token, job.run()));
            queue = lock(&QUEUE);
        } else {
            queue.idle += 1;
            queue = WORK.wait(queue).unwrap_or_else(PoisonError::into_inner);
            queue.idle -= 1;
        }
    }
}

/// Leaves the core of the reactor that made this thread, which would be in its way.
fn run_anywhere() {
    // SAFETY: a set of bits, with those set that there are; the kernel leaves out the CPUs that it
    // has not. Should it refuse, the thread stays where it is.
    unsafe {
        let mut all: libc::cpu_set_t = mem::zeroed();
        for cpu in 0..libc::CPU_SETSIZE as usize {
            libc::CPU_SET(cpu, &mut all);
        }
        libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const all);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
