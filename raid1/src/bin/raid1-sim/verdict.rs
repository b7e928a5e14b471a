//! How a run ends: well, or with what is wrong.
//!
//! Runs are processes of their own. What is wrong ends one at once, with the reason on its standard
//! output.

use std::cell::Cell;
use std::io::Write as _;
use std::process;

use crate::world::World;
use crate::{content, leg, life};

/// The exit code of a run that found a fault.
pub(crate) const FAULT: i32 = 99;

/// What the last line of a run without a fault begins with.
pub(crate) const PASSED: &str = "requests: ";

/// What the line of a fault begins with.
pub(crate) const FAULTY: &str = "FAULT: ";

thread_local! {
    static TRACING: Cell<bool> = const { Cell::new(false) };
}

/// From now on says what happens.
pub(crate) fn start_tracing() {
    TRACING.set(true);
}

/// Says what happens, if asked to.
pub(crate) fn trace(what: impl FnOnce() -> String) {
    if TRACING.get() {
        let _ = writeln!(
            std::io::stdout(),
            "{:>9} us  {}",
            barespdk_embedded::sim::now_us(),
            what()
        );
    }
}

/// Ends the run with a fault.
pub(crate) fn failed(reason: &str) -> ! {
    let _ = writeln!(std::io::stdout(), "{FAULTY}{reason}");
    process::exit(FAULT)
}

/// Ends the run well, and says how many requests the legs have had.
pub(crate) fn passed(requests: u64) -> ! {
    let requests = requests + life::requests_before();
    let _ = writeln!(std::io::stdout(), "{PASSED}{requests}");
    process::exit(0)
}

/// Compares what a leg that is in the mirror holds with what it may hold; where that is not only one
/// value, as a write has failed, legs may differ.
pub(crate) fn of_leg(index: usize, bytes: &[u8]) {
    World::with(|world| {
        for (block, found) in (0..).zip(content::values(bytes, 0)) {
            if world.checker.is_settled(block)
                && let Err(violation) = world.checker.check_now(block, &found)
            {
                failed(&format!("leg {index} differs: {violation}"));
            }
        }
    });
}

/// The machine crashes: each leg must hold what was flushed, or newer data.
pub(crate) fn crash() -> ! {
    for (index, leg) in (0..).map_while(|index| Some((index, leg::get(index)?))) {
        if leg.has_missed() {
            continue;
        }
        leg.with_crashed(|bytes| {
            World::with(|world| {
                for (block, found) in (0..).zip(content::values(bytes, 0)) {
                    if let Err(violation) = world.checker.check_after_crash(block, &found) {
                        failed(&format!("after the crash, leg {index}: {violation}"));
                    }
                }
            });
        });
    }
    passed(leg::requests())
}
