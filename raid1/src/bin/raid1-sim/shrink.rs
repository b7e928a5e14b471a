//! Searches for the fewest steps of a seed that still fail.
//!
//! Leaves out one part of the steps after the other, halves first, then ever smaller ones: Zeller's
//! delta debugging (Zeller, Hildebrandt: Simplifying and Isolating Failure-Inducing Input, 2002).

use std::time::{Duration, Instant};

use crate::arguments::Arguments;
use crate::plan::Plan;
use crate::trial;

/// For how long to search.
const PATIENCE: Duration = Duration::from_secs(30);

/// Prints the trace of the fewest steps found.
pub(crate) fn shrink(arguments: &Arguments, seed: u64) {
    let all = Plan::of(seed, arguments.ops).steps;
    let all: Vec<u64> = all.iter().map(|step| step.number).collect();
    let deadline = Instant::now() + PATIENCE;
    let fewest = fewest(all, |steps| {
        Instant::now() < deadline && fails(arguments, seed, steps)
    });
    match trial::run(arguments, seed, Some(&fewest), true) {
        Ok(outcome) => println!("{} steps are enough:\n{}", fewest.len(), outcome.output),
        Err(error) => println!("the fewest steps cannot be run: {error}"),
    }
}

fn fails(arguments: &Arguments, seed: u64, steps: &[u64]) -> bool {
    trial::run(arguments, seed, Some(steps), false).is_ok_and(|outcome| outcome.fault.is_some())
}

/// A short list of `steps` that still fails, which all of them do.
fn fewest(mut steps: Vec<u64>, mut fails: impl FnMut(&[u64]) -> bool) -> Vec<u64> {
    let mut size = steps.len().div_ceil(2);
    while size > 0 {
        let mut start = 0;
        while start < steps.len() {
            let mut rest = steps.clone();
            rest.drain(start..(start + size).min(steps.len()));
            if fails(&rest) {
                steps = rest;
            } else {
                start += size;
            }
        }
        size = if size == 1 { 0 } else { size.div_ceil(2) };
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_matters_is_left() {
        let mut tried = 0;
        let fewest = fewest((1..=1000).collect(), |steps| {
            tried += 1;
            [17, 400, 401].iter().all(|step| steps.contains(step))
        });
        assert_eq!(fewest, [17, 400, 401]);
        assert!(tried < 200, "{tried} tries");
    }
}
