//! The arguments, and their help.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueHint};
use clap_complete::Shell;

use crate::nbd_address::NbdAddress;

/// Where `raid1`, as any application of SPDK, listens unless it is told otherwise.
const SOCKET_DEFAULT: &str = "/var/tmp/spdk.sock";

const AFTER_HELP: &str = "\
Exit codes:
  0  done; with `status`: all mirrors that it shows are whole
  1  the application refused, or there is no such mirror
  2  wrong arguments
  3  no application could be reached, or the connection to it was lost
  4  with `status`: a mirror is degraded: a leg is missing or being rebuilt, or it waits

Examples:
  raid1ctl create m0 Leg0 Leg1
  raid1ctl status && echo all legs are there
  raid1ctl export start m0 unix:/tmp/m0.sock
  raid1ctl remove Leg1
  raid1ctl add m0 Leg2
  raid1ctl --json status m0 | jq .[0].degraded
  raid1ctl watch
  source <(raid1ctl completions bash)";

/// Makes, shows, changes and exports the mirrors of a running raid1.
#[derive(Debug, Parser)]
#[command(name = "raid1ctl", version, max_term_width = 100, after_help = AFTER_HELP)]
#[command(
    disable_help_subcommand = true,
    subcommand_required = true,
    arg_required_else_help = true
)]
pub(crate) struct Cli {
    /// JSON-RPC socket of the application (its option -r)
    #[arg(
        short, long, value_name = "PATH", global = true, env = "RAID1_SOCKET",
        default_value = SOCKET_DEFAULT, value_hint = ValueHint::FilePath
    )]
    pub(crate) socket: PathBuf,

    /// How long to wait for each answer
    #[arg(
        short, long, value_name = "SECONDS", global = true, default_value = "60",
        value_parser = seconds
    )]
    pub(crate) timeout: Duration,

    /// Print JSON, errors too (these to the standard error)
    #[arg(short, long, global = true)]
    pub(crate) json: bool,

    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make a mirror of bdevs
    Create(Create),
    /// List the mirrors, one a line
    #[command(visible_alias = "ls")]
    List(List),
    /// Show mirrors and their legs; exit with 4 if one is degraded
    Status(Status),
    /// Add a leg to a mirror, which is then rebuilt on it
    Add(Add),
    /// Take a leg out of its mirror
    #[command(visible_alias = "rm")]
    Remove(Remove),
    /// Delete a mirror; its legs stay, with their data
    Delete(Delete),
    /// Take a mirror that waits online, without the legs that are missing
    Start(Start),
    /// Take a mirror offline; its legs keep all, and `start` takes it online again
    Stop(Stop),
    /// Set what holds for all mirrors
    #[command(arg_required_else_help = true)]
    SetOptions(SetOptions),
    /// Serve mirrors, or other bdevs, over NBD
    #[command(subcommand, arg_required_else_help = true)]
    Export(Export),
    /// Show what mirrors and their legs have read and written since they were made
    Stats(Stats),
    /// Show legs, rates and latencies, again and again
    Watch(Watch),
    /// Print a script that completes the arguments of raid1ctl in a shell
    Completions {
        /// The shell
        shell: Shell,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Create {
    /// Name of the mirror, which will be a bdev
    pub(crate) name: String,
    /// Names of the bdevs to mirror on; the first one is copied to the others
    #[arg(value_name = "LEG", required = true)]
    pub(crate) legs: Vec<String>,
    /// UUID of the mirror [default: a random one]
    #[arg(long)]
    pub(crate) uuid: Option<String>,
    /// Keep no metadata on the legs, which then must hold the same: the mirror neither survives a
    /// crash nor comes back by itself
    #[arg(long)]
    pub(crate) no_superblock: bool,
    /// How the legs become equal: full copies the first one to the others, assume_clean takes them
    /// as equal [default: full]
    #[arg(long, value_name = "HOW", value_parser = ["full", "assume_clean"])]
    pub(crate) sync: Option<String>,
    /// Take legs that have something on them, and overwrite the beginning of it
    #[arg(short, long)]
    pub(crate) force: bool,
    /// Size of the regions that are copied after a crash, a power of two [default: by capacity]
    #[arg(long, value_name = "KIB")]
    pub(crate) region_size_kib: Option<u64>,
}

#[derive(Debug, Args)]
pub(crate) struct List {
    /// Only those in this state
    #[arg(long, value_name = "STATE", default_value = "all")]
    #[arg(value_parser = ["all", "online", "configuring", "offline"])]
    pub(crate) category: String,
}

#[derive(Debug, Args)]
pub(crate) struct Status {
    /// Name of a mirror [default: all]
    pub(crate) name: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Add {
    /// Name of the mirror
    pub(crate) name: String,
    /// Name of the bdev that becomes a leg; what it holds is overwritten
    pub(crate) leg: String,
    /// Take a bdev that has something on it, and overwrite it
    #[arg(short, long)]
    pub(crate) force: bool,
    /// Do not wait until the mirror is rebuilt on it
    #[arg(long)]
    pub(crate) no_wait: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Remove {
    /// Name of the leg
    pub(crate) leg: String,
}

#[derive(Debug, Args)]
pub(crate) struct Delete {
    /// Name of the mirror
    pub(crate) name: String,
    /// Leave the metadata on the legs, so that the mirror can come back
    #[arg(short, long)]
    pub(crate) keep_metadata: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Start {
    /// Name of the mirror
    pub(crate) name: String,
    /// NAME is a UUID: several have the same name
    #[arg(long)]
    pub(crate) uuid: bool,
    /// The leg whose data to keep, where legs went on without each other
    #[arg(long, value_name = "LEG")]
    pub(crate) source: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Stop {
    /// Name of the mirror
    pub(crate) name: String,
}

#[derive(Debug, Args)]
pub(crate) struct SetOptions {
    /// How long a mirror waits for legs that are missing before it starts without them; 0: until
    /// `start`
    #[arg(long, value_name = "SECONDS")]
    pub(crate) assemble_timeout: Option<u32>,
    /// How fast each rebuild and resync may copy; 0: as fast as it can
    #[arg(long, value_name = "MIB_PER_SECOND")]
    pub(crate) rebuild_limit: Option<u32>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Export {
    /// Serve a mirror, or another bdev
    Start(ExportStart),
    /// Stop serving one
    Stop(ExportStop),
    /// List what is served
    #[command(visible_alias = "ls")]
    List,
}

#[derive(Debug, Args)]
pub(crate) struct ExportStart {
    /// Name of the mirror, or of another bdev
    pub(crate) name: String,
    /// Where to listen: unix:PATH or tcp:HOST:PORT
    #[arg(value_parser = NbdAddress::parse)]
    pub(crate) address: NbdAddress,
    /// Name that clients ask for [default: that of the bdev]
    #[arg(long, value_name = "NAME")]
    pub(crate) export_name: Option<String>,
    /// Refuse writes
    #[arg(long)]
    pub(crate) read_only: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ExportStop {
    /// Name of the export
    pub(crate) name: String,
    /// Only at this address: unix:PATH or tcp:HOST:PORT [default: at all]
    #[arg(long, value_parser = NbdAddress::parse)]
    pub(crate) address: Option<NbdAddress>,
}

#[derive(Debug, Args)]
pub(crate) struct Stats {
    /// Name of a mirror [default: all]
    pub(crate) name: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Watch {
    /// Name of a mirror [default: all]
    pub(crate) name: Option<String>,
    /// Time from one update to the next
    #[arg(short, long, value_name = "SECONDS", default_value = "1", value_parser = seconds)]
    pub(crate) interval: Duration,
    /// End after so many updates [default: Ctrl-C ends it]
    #[arg(short = 'n', long, value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) count: Option<u64>,
}

/// A time in seconds, such as 2 or 0.5, of 50 ms to a day.
fn seconds(text: &str) -> Result<Duration, String> {
    let wrong = || format!("expected a number of seconds from 0.05 to 86400, found '{text}'");
    let number: f64 = text.parse().map_err(|_| wrong())?;
    if (0.05..=86400.0).contains(&number) {
        Ok(Duration::from_secs_f64(number))
    } else {
        Err(wrong())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn arguments_are_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn times() {
        assert_eq!(seconds("2"), Ok(Duration::from_secs(2)));
        assert_eq!(seconds("0.5"), Ok(Duration::from_millis(500)));
        for wrong in ["", "0", "-1", "x", "NaN", "inf", "1e9", "1s"] {
            assert!(seconds(wrong).unwrap_err().contains("seconds"), "{wrong}");
        }
    }
}
