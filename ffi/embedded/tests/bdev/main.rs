//! The bdev layer under simulation: a module that is as unpleasant as a module may be, and clients
//! that know what every block holds. Each seed is a process of its own, as there is one simulation a
//! process: this binary runs itself.
//!
//! What is checked: data, statuses, that requests complete once, on their thread and not from inside
//! of their submission, that the module is only given what it can take, that compare-and-write is
//! atomic, that all is gone at the end, and that a seed always gives the same run.

mod client;
mod disk;
mod quiet;
mod world;

use std::process::Command;

const SEED: &str = "BDEV_SIMULATION_SEED";

/// Runs one seed in a process of its own, and gives what it printed.
fn run(seed: u64) -> String {
    let output = Command::new(std::env::current_exe().expect("a path"))
        .args(["--exact", "one_seed", "--ignored", "--nocapture"])
        .env(SEED, seed.to_string())
        .output()
        .expect("it starts");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "seed {seed}: {text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let line = text.lines().find(|line| line.starts_with("digest "));
    line.unwrap_or_else(|| panic!("seed {seed}: {text}"))
        .to_owned()
}

#[test]
fn a_module_of_every_kind() {
    for seed in 1..=8 {
        run(seed);
    }
}

#[test]
fn the_same_seed_is_the_same_run() {
    assert_eq!(run(7), run(7));
    assert_ne!(run(7), run(8));
}

#[test]
#[ignore = "is run by the others, once a seed"]
fn one_seed() {
    let Ok(seed) = std::env::var(SEED) else {
        return;
    };
    println!("digest {}", world::run(seed.parse().expect("a number")));
}
