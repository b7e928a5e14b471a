//! An application that runs tests one after the other, as a task on the app thread.
//!
//! SPDK starts once a process, so each test binary is one such application. An argument selects the tests
//! whose names contain it. A test fails by a value: a panic could not leave the callbacks of C.
//!
//! Nothing here knows which implementation of SPDK's interface is linked: what tests need of bdevs is made
//! by a configuration, as for any application.

#![allow(dead_code, reason = "no binary uses all of it")]

pub(crate) mod rpc;

use std::cell::Cell;
use std::future::Future;
use std::panic::Location;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use barespdk::app::{self, App};
use barespdk::bdev::IoError;
use barespdk::cpuset::Cpuset;
use barespdk::errno::Errno;
use barespdk::runtime;
use barespdk::thread::Thread;

/// A name, and the test.
pub(crate) type Test = (&'static str, fn() -> Pin<Box<dyn Future<Output = Outcome>>>);

/// Lists tests by module and name.
macro_rules! tests {
    ($($module:ident: $($name:ident),* $(,)?;)*) => {
        &[$($((
            concat!(stringify!($module), "::", stringify!($name)),
            || Box::pin($module::$name())
                as std::pin::Pin<Box<dyn std::future::Future<Output = crate::harness::Outcome>>>,
        ),)*)*]
    };
}

pub(crate) use tests;

/// A test binary, which has this at its root as `SUITE`.
pub(crate) struct Suite {
    /// Of the application, in file names too.
    pub(crate) name: &'static str,
    pub(crate) tests: &'static [Test],
    /// What SPDK does before the tests, as JSON.
    pub(crate) config: Option<&'static str>,
    /// Arguments of SPDK that are passed on, where they are given.
    pub(crate) options: &'static [&'static str],
    /// Tests that are left out where this argument is given.
    pub(crate) leave_out: Option<(&'static str, &'static str)>,
}

impl Suite {
    /// Where the application listens for RPCs.
    pub(crate) fn socket(&self) -> PathBuf {
        let name = format!("barespdk-{}-{}.sock", self.name, std::process::id());
        std::env::temp_dir().join(name)
    }

    /// Runs the tests that the arguments select, from the start of SPDK to its end. The exit code.
    pub(crate) fn run(&'static self) -> i32 {
        let arguments: Vec<String> = std::env::args().skip(1).collect();
        let given = |option: &str| arguments.iter().any(|argument| argument == option);
        let selected = arguments.iter().find(|argument| !argument.starts_with('-'));
        let tests: Vec<&Test> = self
            .tests
            .iter()
            .filter(|(name, _)| selected.is_none_or(|text| name.contains(text)))
            .filter(|(name, _)| {
                !self
                    .leave_out
                    .is_some_and(|(option, left_out)| given(option) && *name == left_out)
            })
            .collect();
        let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get().min(2));
        let mask = format!("{:#x}", (1_u32 << cores) - 1);
        let mut app = App::new(self.name)
            .reactor_mask(&mask)
            .rpc_addr(&self.socket().to_string_lossy());
        if let Some(config) = self.config {
            app = app.json_config_data(config);
        }
        let fixed = [
            self.name,
            "--no-huge",
            "-s",
            "1024",
            "--no-pci",
            "--disable-cpumask-locks",
        ];
        let passed_on = self.options.iter().filter(|option| given(option));
        let code = app.run(
            fixed.iter().chain(passed_on).map(|text| text.to_string()),
            move || {
                let spawned = Thread::spawn_here(async move {
                    if run_all(&tests).await > 0 {
                        // A test that failed has left its threads and bdevs, which nobody takes down.
                        std::process::exit(1);
                    }
                    DONE.set(true);
                    let _ = app::stop(0);
                });
                if let Err(errno) = spawned {
                    println!("cannot start the tests: {errno}");
                    let _ = app::stop(1);
                }
            },
        );
        match code {
            Ok(code) if DONE.get() => code,
            Ok(code) => code.max(1),
            Err(error) => {
                println!("{error}");
                1
            }
        }
    }
}

thread_local! {
    /// Set by the task, read after the application has been finalised.
    static DONE: Cell<bool> = const { Cell::new(false) };
}

async fn run_all(tests: &[&Test]) -> usize {
    let (mut passed, mut failed) = (0, 0);
    for (name, test) in tests {
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

/// Why a test failed, and where it was noticed. A panic could not leave the callbacks of C.
pub(crate) struct Failure(pub(crate) String);

pub(crate) type Outcome = Result<(), Failure>;

impl<E: Into<Anything>> From<E> for Failure {
    #[track_caller]
    fn from(error: E) -> Self {
        Self(format!("{}: {}", Location::caller(), error.into().0))
    }
}

/// An error, as text.
pub(crate) struct Anything(String);

impl From<Errno> for Anything {
    fn from(errno: Errno) -> Self {
        Self(errno.to_string())
    }
}

impl From<IoError> for Anything {
    fn from(error: IoError) -> Self {
        Self(error.to_string())
    }
}

impl From<String> for Anything {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl<T> From<(Errno, T)> for Anything {
    fn from((errno, _): (Errno, T)) -> Self {
        Self(errno.to_string())
    }
}

/// Fails the test unless both are equal.
macro_rules! check_eq {
    ($left:expr, $right:expr $(,)?) => {
        match (&$left, &$right) {
            (left, right) if *left == *right => {}
            (left, right) => {
                return Err(crate::harness::Failure(format!(
                    "{}:{}: {} is {left:?} and not {right:?}",
                    file!(),
                    line!(),
                    stringify!($left)
                )));
            }
        }
    };
}

/// Fails the test unless the condition holds.
macro_rules! check {
    ($condition:expr $(,)?) => {
        if !$condition {
            let (file, line) = (file!(), line!());
            let text = format!("{file}:{line}: not {}", stringify!($condition));
            return Err(crate::harness::Failure(text));
        }
    };
}

pub(crate) use {check, check_eq};

/// How long a test waits for what should happen in no time.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

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

/// Ends after the reactor has gone round at least once, also in a build that is slow.
pub(crate) async fn turn() {
    pause(Duration::from_micros(50)).await;
}

/// Polls a future once.
pub(crate) async fn poll_once<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    std::future::poll_fn(|cx| Poll::Ready(Pin::new(&mut *future).poll(cx))).await
}

/// Polls both futures with the waker of the task, until both have ended.
pub(crate) async fn both<A: Future, B: Future>(a: A, b: B) -> (A::Output, B::Output) {
    let (mut a, mut b) = (std::pin::pin!(a), std::pin::pin!(b));
    let (mut of_a, mut of_b) = (None, None);
    std::future::poll_fn(move |cx: &mut Context<'_>| {
        if of_a.is_none()
            && let Poll::Ready(output) = a.as_mut().poll(cx)
        {
            of_a = Some(output);
        }
        if of_b.is_none()
            && let Poll::Ready(output) = b.as_mut().poll(cx)
        {
            of_b = Some(output);
        }
        match (of_a.take(), of_b.take()) {
            (Some(a), Some(b)) => Poll::Ready((a, b)),
            (a, b) => {
                (of_a, of_b) = (a, b);
                Poll::Pending
            }
        }
    })
    .await
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

    pub(crate) fn count(&self) {
        self.add();
    }

    /// As [`Counter::count`]; how often it was before.
    pub(crate) fn add(&self) -> usize {
        self.0.fetch_add(1, Ordering::SeqCst)
    }

    pub(crate) fn get(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}
