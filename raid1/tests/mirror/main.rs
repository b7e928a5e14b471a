//! Mirrors on a real SPDK, over legs that fail, wait and refuse as a test wants them to.
//!
//! SPDK starts once a process, so this binary is one application that runs its tests one after the
//! other as a task on the app thread. An argument selects the tests whose names contain it.

mod crew;
mod names;
mod reach;
mod removal;
mod reset;
mod retry;
mod rig;
mod support;

use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::time::Instant;

use barespdk::app::{self, App};
use barespdk::thread::Thread;
// Defines SPDK's functions. An executable's matter: a library uses those of its application.
#[cfg(all(feature = "embedded", not(feature = "spdk")))]
use barespdk_embedded as _;
// Registers the module and its RPCs.
use barespdk_raid1 as _;

use support::{Failure, Outcome, SOCKET};

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
    removal:
        by_rpc_while_a_thread_is_blocked, of_a_failed_leg_while_a_thread_is_blocked;
    names:
        the_same_leg_twice, removed_by_the_other_name;
    reach:
        a_leg_that_one_thread_cannot_reach, no_leg_can_be_reached;
    reset:
        a_leg_goes_meanwhile, a_leg_fails_it, it_takes_long;
    retry:
        a_read_is_tried_once_on_each_leg, a_write_is_sent_once_to_each_leg,
        a_leg_that_fails_a_flush_goes;
};

async fn run_all(selected: Option<String>) -> usize {
    let (mut passed, mut failed) = (0, 0);
    for (name, test) in TESTS {
        if selected.as_ref().is_some_and(|text| !name.contains(text)) {
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
    let name = format!("barespdk-mirror-{}.sock", std::process::id());
    let socket = std::env::temp_dir().join(name);
    SOCKET.set(socket.clone()).expect("set once");
    rig::RIGS.add().expect("the first of its name");
    let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get().min(2));
    let arguments = [
        "mirror",
        "--no-huge",
        "-s",
        "1024",
        "--no-pci",
        "--disable-cpumask-locks",
    ];
    let code = App::new("mirror")
        .reactor_mask(&format!("{:#x}", (1_u32 << cores) - 1))
        .rpc_addr(&socket.to_string_lossy())
        .run(arguments.map(String::from), move || {
            let spawned = Thread::spawn_here(async move {
                if run_all(selected).await > 0 {
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
        });
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
