//! Threads, messages, io_devices, locals and pollers on a real SPDK.
//!
//! SPDK starts once a process, so this binary is one application that runs its tests one after the
//! other as a task on the app thread. An argument selects the tests whose names contain it.
//! `--interrupt-mode` runs them on reactors that sleep; `--no-leaks` leaves the one out in which SPDK
//! has to leak, for leak checkers.

mod exit;
mod io_devices;
mod locals;
mod pollers;
mod threads;

use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use barespdk::app::{self, App};
use barespdk::cpuset::Cpuset;
use barespdk::errno::Errno;
use barespdk::runtime;
use barespdk::thread::Thread;

/// Why a test failed; the line it was noticed at is in it.
pub(crate) struct Failure(String);

pub(crate) type Outcome = Result<(), Failure>;

impl From<Errno> for Failure {
    #[track_caller]
    fn from(errno: Errno) -> Self {
        Self(format!("{}: {errno}", std::panic::Location::caller()))
    }
}

impl From<String> for Failure {
    fn from(text: String) -> Self {
        Self(text)
    }
}

/// Fails the test unless both are equal. A panic could not leave the callbacks of C.
macro_rules! check_eq {
    ($left:expr, $right:expr $(,)?) => {
        match (&$left, &$right) {
            (left, right) if *left == *right => {}
            (left, right) => {
                return Err(format!(
                    "{}:{}: {} is {left:?} and not {right:?}",
                    file!(),
                    line!(),
                    stringify!($left)
                )
                .into());
            }
        }
    };
}

/// Fails the test unless the condition holds.
macro_rules! check {
    ($condition:expr $(,)?) => {
        if !$condition {
            return Err(format!("{}:{}: not {}", file!(), line!(), stringify!($condition)).into());
        }
    };
}

pub(crate) use {check, check_eq};

/// How long a test waits for what should happen in no time.
const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) async fn pause(duration: Duration) {
    let _ = runtime::sleep(duration).await;
}

/// Waits until the condition holds, or [`PATIENCE`] is over.
pub(crate) async fn until(mut condition: impl FnMut() -> bool) -> bool {
    let start = Instant::now();
    while !condition() {
        if start.elapsed() > PATIENCE {
            return false;
        }
        pause(Duration::from_micros(200)).await;
    }
    true
}

/// A thread on the second core, so that it runs in parallel with the tests.
pub(crate) fn other_core(name: &str) -> Result<Thread, Errno> {
    let last = Cpuset::of_application().iter().last().unwrap_or(0);
    let cores = Cpuset::from_cores([last]).map_err(|_| Errno::EINVAL)?;
    Thread::create(name, Some(&cores))
}

/// A thread on the core of the current one, hence of the same operating-system thread.
pub(crate) fn on_this_core(name: &str) -> Result<Thread, Errno> {
    let first = Cpuset::of_application().iter().next().unwrap_or(0);
    let cores = Cpuset::from_cores([first]).map_err(|_| Errno::EINVAL)?;
    Thread::create(name, Some(&cores))
}

/// Has a thread exit and waits for it.
pub(crate) async fn end(thread: &Thread) -> Outcome {
    thread.request_exit()?;
    check!(until(|| thread.has_exited()).await);
    Ok(())
}

/// Counts how often something happened; also for what is dropped.
#[derive(Default)]
pub(crate) struct Counter(AtomicUsize);

impl Counter {
    pub(crate) const fn new() -> Self {
        Self(AtomicUsize::new(0))
    }

    pub(crate) fn add(&self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }

    pub(crate) fn get(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

type Test = (&'static str, fn() -> Pin<Box<dyn Future<Output = Outcome>>>);

macro_rules! tests {
    ($($module:ident: $($name:ident),* $(,)?;)*) => {
        &[$($((
            concat!(stringify!($module), "::", stringify!($name)),
            || Box::pin($module::$name()) as Pin<Box<dyn Future<Output = Outcome>>>,
        ),)*)*]
    };
}

const TESTS: &[Test] = tests! {
    threads:
        who_is_who, outside_of_spdk, wrong_names_and_cores, messages_run_in_order,
        calls_return_values, a_call_without_receiver, a_flood_of_messages, spawn_there,
        a_mailbox_between_threads;
    exit:
        the_app_thread_is_not_ours_to_end, work_pending_is_dropped_in_order,
        accepted_messages_run, an_exited_thread_is_an_error, senders_race_with_exit,
        a_channel_keeps_its_thread, ended_by_c,
        ended_by_force;
    io_devices:
        channels_are_counted, state_lives_in_the_channel, failing_to_open, a_channel_of_itself,
        the_device_outlives_its_channels, unregister_waits, for_each_goes_in_order,
        for_each_from_outside, for_each_meets_a_channel_half_made, the_device_goes_during_for_each, threads_exit_during_for_each,
        dropped_outside_of_spdk, raw_references, reopened_by_a_destructor, dropped_on_a_wrong_thread;
    locals:
        each_thread_has_its_own, types_do_not_mix, use_within_use, dropped_at_exit,
        outside_of_spdk_there_are_none;
    pollers:
        a_poller_polls, a_poller_drops_itself, a_poller_pauses, pollers_drop_each_other,
        wrong_poller_names,
        dropped_on_a_wrong_thread;
};

async fn run_all(selected: Option<String>, with_leaks: bool) -> usize {
    let (mut passed, mut failed) = (0, 0);
    for (name, test) in TESTS {
        let leaks = name.ends_with("ended_by_force");
        if selected.as_ref().is_some_and(|text| !name.contains(text)) || (leaks && !with_leaks) {
            continue;
        }
        let start = Instant::now();
        match test().await {
            Ok(()) => {
                passed += 1;
                println!("test {name} ... ok ({} ms)", start.elapsed().as_millis());
            }
            Err(Failure(why)) => {
                failed += 1;
                println!("test {name} ... FAILED\n    {why}");
            }
        }
    }
    println!("test result: {passed} passed; {failed} failed");
    failed
}

thread_local! {
    /// Set by the task, read after the application has been finalised.
    static DONE: Cell<bool> = const { Cell::new(false) };
}

fn main() {
    let selected = std::env::args()
        .skip(1)
        .find(|argument| !argument.starts_with('-'));
    let socket = std::env::temp_dir().join(format!("barespdk-threads-{}.sock", std::process::id()));
    let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get().min(2));
    let mask = format!("{:#x}", (1_u32 << cores) - 1);
    let with_leaks = !std::env::args().any(|argument| argument == "--no-leaks");
    let interrupt_mode = std::env::args().filter(|argument| argument == "--interrupt-mode");
    let arguments = [
        "threads",
        "--no-huge",
        "-s",
        "1024",
        "--no-pci",
        "--disable-cpumask-locks",
    ];
    let code = App::new("threads")
        .reactor_mask(&mask)
        .rpc_addr(&socket.to_string_lossy())
        .run(
            arguments
                .map(String::from)
                .into_iter()
                .chain(interrupt_mode),
            move || {
                let spawned = Thread::spawn_here(async move {
                    let failed = run_all(selected, with_leaks).await;
                    DONE.set(true);
                    let _ = app::stop(i32::try_from(failed).unwrap_or(1));
                });
                if let Err(errno) = spawned {
                    println!("cannot start the tests: {errno}");
                    let _ = app::stop(1);
                }
            },
        );
    let code = match code {
        Ok(code) if DONE.get() => code,
        Ok(code) => code.max(1),
        Err(error) => {
            println!("{error}");
            1
        }
    };
    std::process::exit(code);
}
