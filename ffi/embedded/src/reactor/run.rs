use std::sync::atomic::Ordering;

use super::{EXITING, RUNNING, Reactor, STARTED, STATE, all, of};
use crate::env::{clock, cores};
use crate::thread::{self, State};

/// Runs all reactors, that of the main core on the calling OS thread, until [`stop`]. Then all SPDK
/// threads but the application's have to have exited; those that have not are made to.
pub(crate) fn run() -> std::io::Result<()> {
    let started = STATE.compare_exchange(STARTED, RUNNING, Ordering::SeqCst, Ordering::SeqCst);
    if started.is_err() && STATE.load(Ordering::SeqCst) != EXITING {
        return Err(std::io::Error::other("the reactors are not started"));
    }
    if clock::is_virtual() {
        super::simulated::run();
        return Ok(());
    }
    let main_core = cores::main_core();
    let mut others = Vec::new();
    let mut result = Ok(());
    for reactor in all().filter(|reactor| reactor.core() != main_core) {
        let builder = std::thread::Builder::new().name(format!("reactor_{}", reactor.core()));
        let spawned = builder.spawn(move || {
            pin(reactor.core());
            reactor.run();
        });
        match spawned {
            Ok(other) => others.push(other),
            Err(error) => {
                result = Err(error);
                stop();
                break;
            }
        }
    }
    if let Some(reactor) = of(main_core) {
        let unpinned = pin(main_core);
        reactor.run();
        if let Some(unpinned) = unpinned {
            // SAFETY: the set that this OS thread had before.
            unsafe { libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &unpinned) };
        }
    }
    for other in others {
        // It does not panic: that would end the process.
        let _ = other.join();
    }
    result
}

/// Ends [`run`]. Any OS thread.
pub(crate) fn stop() {
    STATE.store(EXITING, Ordering::SeqCst);
    all().for_each(Reactor::wake);
}

/// Binds this OS thread to a core, and gives the cores it might use before. What cannot be is logged: it
/// costs speed alone.
fn pin(core: u32) -> Option<libc::cpu_set_t> {
    // SAFETY: sets of cores are plain C data, valid as zeroes; the core is below their size.
    unsafe {
        let mut before: libc::cpu_set_t = std::mem::zeroed();
        let mut wanted: libc::cpu_set_t = std::mem::zeroed();
        let size = size_of::<libc::cpu_set_t>();
        let known = libc::sched_getaffinity(0, size, &mut before) == 0;
        libc::CPU_SET(core as usize, &mut wanted);
        if libc::sched_setaffinity(0, size, &wanted) != 0 {
            let error = std::io::Error::last_os_error();
            warn_log!("Reactor on core {core} is not bound to it: {error}\n");
        }
        known.then_some(before)
    }
}

impl Reactor {
    /// The loop of a reactor, on its OS thread.
    fn run(&'static self) {
        notice_log!("Reactor started on core {}\n", self.core());
        super::sleep::set_timer_slack();
        self.last_ticks.set(clock::now());
        self.sleeper.note_work(clock::now());
        loop {
            let worked = self.poll_once();
            if STATE.load(Ordering::Acquire) != RUNNING {
                break;
            }
            self.rest(worked);
        }
        self.end_threads();
    }

    /// Polls everything once, and says whether there was work.
    fn poll_once(&'static self) -> bool {
        let mut worked = self.run_events();
        if self.threads.borrow().is_empty() {
            let now = clock::now();
            self.account(now, 0);
        }
        let mut index = 0;
        loop {
            let thread = self.threads.borrow().get(index).copied();
            let Some(thread) = thread else {
                break;
            };
            // SAFETY: a thread of this reactor is alive, and polled here alone.
            let rc = unsafe { thread::poll(thread, self.last_ticks.get()) };
            worked |= rc > 0;
            // SAFETY: as above.
            let it = unsafe { &*thread };
            self.account(it.last_ticks.get(), rc);
            if thread::may_be_destroyed(it) {
                self.threads.borrow_mut().remove(index);
                self.interrupts_changed();
                // Nothing knows its interrupts when it goes.
                self.sleeper.forget();
                // SAFETY: exited, and out of the list.
                unsafe { thread::destroy(thread) };
            } else {
                index += 1;
            }
        }
        worked
    }

    fn account(&self, now: u64, rc: i32) {
        let passed = now.saturating_sub(self.last_ticks.replace(now));
        let total = match rc {
            0 => &self.idle_ticks,
            1.. => &self.busy_ticks,
            _ => return,
        };
        // Written by this OS thread alone.
        total.store(total.load(Ordering::Relaxed) + passed, Ordering::Relaxed);
    }

    /// Counts time that passed asleep.
    pub(super) fn account_sleep(&self) {
        let now = clock::now();
        let passed = now.saturating_sub(self.last_ticks.get());
        self.account(now, 0);
        for thread in self.threads.borrow().iter() {
            // SAFETY: a thread of this reactor is alive.
            unsafe { &**thread }.add_idle(passed);
        }
    }

    /// Has the threads exit that have not.
    pub(super) fn exit_threads(&self) {
        for thread in self.threads.borrow().iter().copied() {
            // SAFETY: a thread of this reactor is alive.
            let it = unsafe { &*thread };
            if it.state() != State::Running {
                continue;
            }
            // SAFETY: as above; made the current one, as the exit asks for.
            unsafe {
                if !barespdk_sys::spdk_thread_is_app_thread(it.as_abi()) {
                    let name = it.name().to_string_lossy();
                    error_log!("spdk_thread_exit() was not called on thread '{name}'\n");
                }
                barespdk_sys::spdk_set_thread(it.as_abi());
                barespdk_sys::spdk_thread_exit(it.as_abi());
                barespdk_sys::spdk_set_thread(std::ptr::null_mut());
            }
        }
    }

    /// Has the threads exit that have not, and polls them until they have.
    fn end_threads(&'static self) {
        self.run_events();
        self.exit_threads();
        loop {
            let thread = self.threads.borrow().first().copied();
            let Some(thread) = thread else {
                return;
            };
            // SAFETY: a thread of this reactor is alive, and polled here alone.
            let exited = unsafe {
                thread::poll(thread, clock::now());
                (*thread).state() == State::Exited
            };
            let mut threads = self.threads.borrow_mut();
            threads.remove(0);
            if exited {
                drop(threads);
                // SAFETY: exited, and out of the list.
                unsafe { thread::destroy(thread) };
            } else {
                // Each in turn, as one may wait for another.
                threads.push(thread);
            }
        }
    }
}
