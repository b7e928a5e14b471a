//! Many runs, several at a time, and what they come to.

use std::io;
use std::num::NonZero;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use crate::arguments::Arguments;
use crate::{shrink, trial};

/// The runs that are to be.
struct Trials<'a> {
    arguments: &'a Arguments,
    begin: Instant,
    bar: ProgressBar,
    /// How many have been started.
    started: AtomicU64,
    sums: Mutex<Sums>,
}

/// What those have come to that have ended.
#[derive(Default)]
struct Sums {
    runs: u64,
    requests: u64,
    /// Seeds that have failed, and with what.
    faults: Vec<(u64, String)>,
    error: Option<io::Error>,
}

/// Runs seeds until one fails, or all have passed.
pub(crate) fn all(arguments: &Arguments) -> ExitCode {
    let trials = Trials {
        arguments,
        begin: Instant::now(),
        bar: progress(arguments),
        started: AtomicU64::new(0),
        sums: Mutex::default(),
    };
    let jobs = match (arguments.trace, arguments.jobs) {
        (true, _) => 1,
        (false, Some(jobs)) => jobs.into(),
        (false, None) => thread::available_parallelism().map_or(1, NonZero::get),
    };
    thread::scope(|scope| {
        for _ in 0..jobs {
            scope.spawn(|| trials.run());
        }
    });
    trials.bar.finish_and_clear();
    let seconds = trials.begin.elapsed().as_secs_f64();
    let sums = trials.sums.into_inner();
    let mut sums = sums.unwrap_or_else(PoisonError::into_inner);
    if let Some(error) = sums.error {
        eprintln!("raid1-sim: a run cannot be started: {error}");
        return ExitCode::from(2);
    }
    sums.faults.sort_unstable();
    if let Some((seed, fault)) = sums.faults.first()
        && !arguments.keep_going
    {
        report(arguments, *seed, fault);
        return ExitCode::FAILURE;
    }
    let steps = sums.runs * arguments.ops;
    let found = match sums.faults.len() {
        0 => "no fault".to_owned(),
        count => format!("{count} seeds with a fault"),
    };
    println!(
        "{found}: {} times {} steps in {seconds:.1} s; {:.0} steps and {:.0} requests of legs a second",
        sums.runs,
        arguments.ops,
        steps as f64 / seconds,
        sums.requests as f64 / seconds,
    );
    if sums.faults.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

impl Trials<'_> {
    /// Runs seeds that nobody has run, one after the other.
    fn run(&self) {
        while let Some(seed) = self.next() {
            let outcome = trial::run(self.arguments, seed, None, self.arguments.trace);
            let mut sums = self.sums.lock().unwrap_or_else(PoisonError::into_inner);
            match outcome {
                Ok(outcome) => {
                    if self.arguments.trace {
                        print!("{}", outcome.output);
                    }
                    sums.runs += 1;
                    sums.requests += outcome.requests;
                    if let Some(fault) = outcome.fault {
                        if self.arguments.keep_going {
                            println!("seed {seed}: {fault}");
                        }
                        sums.faults.push((seed, fault));
                    }
                }
                Err(error) => sums.error = Some(error),
            }
            self.bar.set_position(match self.arguments.seconds {
                Some(_) => self.begin.elapsed().as_secs(),
                None => sums.runs,
            });
            self.bar.set_message(format!("{} runs", sums.runs));
        }
    }

    /// The next seed, if there is to be one.
    fn next(&self) -> Option<u64> {
        let sums = self.sums.lock().unwrap_or_else(PoisonError::into_inner);
        if sums.error.is_some() || !(sums.faults.is_empty() || self.arguments.keep_going) {
            return None;
        }
        drop(sums);
        let number = self.started.fetch_add(1, Ordering::Relaxed);
        let more = match self.arguments.seconds {
            Some(seconds) => self.begin.elapsed() < Duration::from_secs(seconds),
            None => number < self.arguments.seeds,
        };
        more.then(|| self.arguments.seed.wrapping_add(number))
    }
}

fn progress(arguments: &Arguments) -> ProgressBar {
    let length = arguments.seconds.unwrap_or(arguments.seeds);
    if length < 2 {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{wide_bar} {pos}/{len} {msg} {eta}");
    ProgressBar::new(length).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

fn report(arguments: &Arguments, seed: u64, fault: &str) {
    println!("seed {seed}: {fault}");
    if !arguments.no_shrink {
        shrink::shrink(arguments, seed);
    }
    let plant = arguments.plant.as_ref();
    let plant = plant.map_or_else(String::new, |fault| format!(" --plant {fault}"));
    println!(
        "again: raid1-sim --seed {seed} --ops {}{plant} --trace",
        arguments.ops
    );
}
