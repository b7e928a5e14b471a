//! The command line.

use clap::Parser;

use crate::planted::FAULTS;

/// Drives a mirror over simulated disks and checks all that it does.
///
/// Everything follows from the seed: a run that finds a fault finds it again. Then the fewest steps
/// that still do are searched for, and their trace is printed.
#[derive(Clone, Debug, Parser)]
#[command(
    version,
    after_help = "Exit codes: 0 no fault, 1 a fault was found, 2 wrong arguments."
)]
pub(crate) struct Arguments {
    /// The first seed
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,

    /// How many seeds to run
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub(crate) seeds: u64,

    /// Steps of each run: requests, failures, resets, and what else happens
    #[arg(long, default_value_t = 2000, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) ops: u64,

    /// Go on with further seeds for so long, instead of for a number of seeds
    #[arg(long, value_name = "S", conflicts_with = "seeds")]
    pub(crate) seconds: Option<u64>,

    /// Run so many at a time [default: as many as there are processors]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) jobs: Option<u16>,

    /// Go on after a seed that fails, and say which do
    #[arg(long)]
    pub(crate) keep_going: bool,

    /// Print what happens in the run
    #[arg(long)]
    pub(crate) trace: bool,

    /// Do not search for the fewest steps that fail
    #[arg(long)]
    pub(crate) no_shrink: bool,

    /// Run with a fault that was put in on purpose; needs a build with `--cfg planted`
    #[arg(long, value_name = "FAULT", value_parser = clap::builder::PossibleValuesParser::new(FAULTS.map(|fault| fault.name)))]
    pub(crate) plant: Option<String>,

    /// Print the names of the faults that can be planted, each with a seed that finds it
    #[arg(long)]
    pub(crate) list_planted: bool,

    /// This process is one run; the steps to take stand on its standard input
    #[arg(long, hide = true)]
    child: bool,
}

impl Arguments {
    /// Whether this process is one run.
    pub(crate) fn is_child(&self) -> bool {
        self.child
    }
}
