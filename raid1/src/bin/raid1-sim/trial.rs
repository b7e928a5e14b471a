//! A run as a process of its own, so that one that dies or never ends is only a run that failed.

use std::collections::HashSet;
use std::io::{self, Read as _, Write as _};
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, ExitStatus, Stdio};

use crate::arguments::Arguments;
use crate::passed::Passed;
use crate::plan::Plan;
use crate::{making, verdict};

/// How a run ended.
pub(crate) struct Outcome {
    /// What is wrong, if anything.
    pub(crate) fault: Option<String>,
    /// Requests that the legs have had.
    pub(crate) requests: u64,
    /// All that it printed.
    pub(crate) output: String,
}

/// Runs one seed in a process of its own, with all of its steps or only those that are to be kept.
pub(crate) fn run(
    arguments: &Arguments,
    seed: u64,
    keep: Option<&[u64]>,
    trace: bool,
) -> io::Result<Outcome> {
    let mut command = Command::new(std::env::current_exe()?);
    command
        .args(["--child", "--seed", &seed.to_string()])
        .args(["--ops", &arguments.ops.to_string()])
        .args(trace.then_some("--trace"));
    if let Some(fault) = &arguments.plant {
        command.args(["--plant", fault]);
    }
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(if trace {
            Stdio::inherit()
        } else {
            Stdio::null()
        })
        .spawn()?;
    if let Some(mut input) = child.stdin.take() {
        let text = keep.map_or_else(
            || "all".to_owned(),
            |keep| {
                let numbers: Vec<_> = keep.iter().map(u64::to_string).collect();
                numbers.join(" ")
            },
        );
        // One that has died before it read shows by its status.
        let _ = input.write_all(text.as_bytes());
    }
    let ended = child.wait_with_output()?;
    let output = String::from_utf8_lossy(&ended.stdout).into_owned();
    let line_of = |start: &str| output.lines().find_map(|line| line.strip_prefix(start));
    let requests = line_of(verdict::PASSED).and_then(|count| count.parse().ok());
    let fault = match (ended.status.code(), requests) {
        (Some(0), Some(_)) => None,
        (Some(verdict::FAULT), _) => line_of(verdict::FAULTY).map(str::to_owned),
        _ => Some(died(ended.status)),
    };
    Ok(Outcome {
        fault,
        requests: requests.unwrap_or(0),
        output,
    })
}

fn died(status: ExitStatus) -> String {
    match status.signal() {
        Some(signal) => format!("the process died of signal {signal}"),
        None => format!("the process ended with {status}"),
    }
}

/// In the process of a life: the steps of the plan that the standard input asks for, and what the life
/// before has left.
pub(crate) fn begin(mut plan: Plan) -> io::Result<(Plan, Passed)> {
    let mut text = Vec::new();
    io::stdin().read_to_end(&mut text)?;
    let passed = match Passed::parse(&text) {
        Some(passed) => passed?,
        None => making::first(&plan, String::from_utf8_lossy(&text).into_owned()),
    };
    if passed.asked != "all" {
        let numbers: Result<HashSet<u64>, _> =
            passed.asked.split_whitespace().map(str::parse).collect();
        let numbers =
            numbers.map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        plan.steps.retain(|step| numbers.contains(&step.number));
    }
    Ok((plan, passed))
}
