//! Threads of the process that do what blocks.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::{mem, thread};

use super::job::Job;
use super::lane::Lane;
use super::ring::Done;

/// Most threads, besides one for each lane: jobs that can block at a time.
const THREADS_MAX: usize = 8;
const STACK_LEN: usize = 128 << 10;

/// Where the results of one engine arrive. That polls, and is called when it has stopped.
pub(super) struct Inbox {
    arrivals: Mutex<Arrivals>,
    /// Whether there are results; a hint, for who polls.
    any: AtomicBool,
    /// Becomes readable with the first result after [`Inbox::call_me`].
    event: OwnedFd,
}

#[derive(Default)]
struct Arrivals {
    done: Vec<Done>,
    /// Whether the next result is to make the event readable.
    is_call_wanted: bool,
    /// Whether the event is readable.
    is_called: bool,
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
            arrivals: Mutex::default(),
            any: AtomicBool::new(false),
            event,
        })
    }

    pub(super) fn as_raw_fd(&self) -> RawFd {
        self.event.as_raw_fd()
    }

    /// Exchanges `into`, which is empty, for all results.
    pub(super) fn take(&self, into: &mut Vec<Done>) {
        // Results that this misses are found in the next round, or make the event readable.
        if self.any.load(Ordering::Relaxed) {
            self.take_locked(&mut lock(&self.arrivals), into);
        }
    }

    /// From now on nobody polls: the next result makes the event readable. Those that have come
    /// before are in `into`, as with [`Inbox::take`]; it stays as it was then.
    pub(super) fn call_me(&self, into: &mut Vec<Done>) {
        let mut arrivals = lock(&self.arrivals);
        if arrivals.done.is_empty() {
            arrivals.is_call_wanted = true;
        } else {
            self.take_locked(&mut arrivals, into);
        }
    }

    fn take_locked(&self, arrivals: &mut Arrivals, into: &mut Vec<Done>) {
        self.any.store(false, Ordering::Relaxed);
        arrivals.is_call_wanted = false;
        if mem::take(&mut arrivals.is_called) {
            let mut count = 0_u64;
            // SAFETY: reads 8 bytes; there is nothing to do if nothing was there.
            unsafe { libc::read(self.as_raw_fd(), (&raw mut count).cast(), size_of::<u64>()) };
        }
        mem::swap(&mut arrivals.done, into);
    }

    pub(super) fn put(&self, result: Done) {
        let mut arrivals = lock(&self.arrivals);
        arrivals.done.push(result);
        self.any.store(true, Ordering::Relaxed);
        if mem::take(&mut arrivals.is_call_wanted) {
            arrivals.is_called = true;
            let one = 1_u64;
            // SAFETY: writes 8 bytes; the counter cannot overflow, as `take_locked` resets it.
            unsafe { libc::write(self.as_raw_fd(), (&raw const one).cast(), size_of::<u64>()) };
        }
    }
}

/// What a thread does.
enum Task {
    Job(Job, Arc<Inbox>),
    Lane(Arc<Lane>),
}

impl Task {
    fn run(self) {
        match self {
            Self::Job(job, inbox) => inbox.put((job.token, job.run())),
            Self::Lane(lane) => lane.work(),
        }
    }
}

struct Queue {
    tasks: VecDeque<Task>,
    idle: usize,
    threads: usize,
    lanes: usize,
}

static QUEUE: Mutex<Queue> = Mutex::new(Queue {
    tasks: VecDeque::new(),
    idle: 0,
    threads: 0,
    lanes: 0,
});
static WORK: Condvar = Condvar::new();

/// Does a job on another thread; its result goes to the inbox.
pub(super) fn start(job: Job, inbox: &Arc<Inbox>) {
    hand_over(Task::Job(job, Arc::clone(inbox)));
}

/// Does a lane's jobs on another thread.
pub(super) fn start_lane(lane: Arc<Lane>) {
    hand_over(Task::Lane(lane));
}

/// There is one more lane, which may take a thread.
pub(super) fn reserve() {
    lock(&QUEUE).lanes += 1;
}

/// There is one lane less.
pub(super) fn release() {
    lock(&QUEUE).lanes -= 1;
}

fn hand_over(task: Task) {
    let mut queue = lock(&QUEUE);
    queue.tasks.push_back(task);
    if queue.tasks.len() > queue.idle && queue.threads < THREADS_MAX + queue.lanes {
        let spawned = thread::Builder::new()
            .name("aio".into())
            .stack_size(STACK_LEN)
            .spawn(work);
        if spawned.is_ok() {
            queue.threads += 1;
        }
    }
    if queue.threads > 0 {
        drop(queue);
        WORK.notify_one();
    } else if let Some(task) = queue.tasks.pop_back() {
        drop(queue);
        // Without any thread it is better to be slow than to be stuck.
        task.run();
    }
}

fn work() {
    run_anywhere();
    let mut queue = lock(&QUEUE);
    loop {
        if let Some(task) = queue.tasks.pop_front() {
            drop(queue);
            task.run();
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

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
