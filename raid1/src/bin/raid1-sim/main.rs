//! Runs mirrors over simulated legs, under virtual time, from seeds.
//!
//! ```text
//!  main ── a process for each run ──► run: App, mirror, threads ── clients ──► plan: steps
//!    │                                          │                     │
//!    ▼                                          ▼                     ▼
//!  shrink: the fewest steps that fail         leg: disk           checker: what may be read
//! ```
//!
//! A seed decides everything: the steps, the order in which threads, pollers and messages run, how
//! long a leg takes. So a run that fails does so again.

mod apart;
mod arguments;
mod checker;
mod client;
mod content;
mod disk;
mod ending;
mod foreign;
mod leg;
mod life;
mod lives;
mod lull;
mod making;
mod media;
mod passed;
mod plan;
mod planted;
mod restart;
mod rpc;
mod run;
mod settle;
mod shrink;
mod trial;
mod trials;
mod verdict;
mod world;

use std::process::ExitCode;

use arguments::Arguments;
use barespdk_embedded as _;
use barespdk_raid1 as _;
use clap::Parser as _;
use plan::Plan;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if arguments.list_planted {
        for planted::Fault { name, seed } in planted::FAULTS {
            println!("{name} {seed}");
        }
        return ExitCode::SUCCESS;
    }
    if let Some(Err(error)) = arguments.plant.as_deref().map(planted::plant) {
        eprintln!("raid1-sim: --plant: {error}");
        return ExitCode::from(2);
    }
    if arguments.is_child() {
        if arguments.trace {
            verdict::start_tracing();
        }
        let plan = Plan::of(arguments.seed, arguments.ops);
        match trial::begin(plan) {
            Ok((plan, passed)) => run::run(plan, passed),
            Err(error) => {
                eprintln!("raid1-sim: standard input: {error}");
                return ExitCode::from(2);
            }
        }
    }
    trials::all(&arguments)
}
