//! A client of `raid1` on the command line: makes mirrors, shows them, changes and exports them.
//!
//! Wraps the JSON-RPC methods of `raid1`, and those of SPDK that it needs to tell more of a mirror.

mod add;
mod cli;
mod client;
mod create;
mod delete;
mod export;
mod failure;
mod hint;
mod iostat;
mod list;
mod mirror;
mod options;
mod process;
mod quantity;
mod rate;
mod remove;
mod screen;
mod session;
mod start;
mod stats;
mod status;
mod stop;
mod table;
mod watch;

#[path = "../common/nbd_address.rs"]
mod nbd_address;
#[path = "../common/size.rs"]
mod size;

use std::io::Write as _;
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser as _};

use cli::{Cli, Command};
use failure::Failure;
use session::Session;

fn main() -> ExitCode {
    // Ends with 0 for the help and with 2 for wrong arguments.
    let cli = Cli::parse();
    let json = cli.json;
    match run(cli) {
        Ok(code) => code,
        Err(failure) => {
            failure.report(json);
            failure.exit_code()
        }
    }
}

fn run(cli: Cli) -> Result<ExitCode, Failure> {
    if let Command::Completions { shell } = cli.command {
        let mut script = Vec::new();
        clap_complete::generate(shell, &mut Cli::command(), "raid1ctl", &mut script);
        std::io::stdout().write_all(&script)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut session = Session::connect(&cli)?;
    match cli.command {
        Command::Create(arguments) => create::run(&mut session, &arguments)?,
        Command::List(arguments) => list::run(&mut session, &arguments)?,
        Command::Status(arguments) => return status::run(&mut session, &arguments),
        Command::Add(arguments) => add::run(&mut session, &arguments)?,
        Command::Remove(arguments) => remove::run(&mut session, &arguments)?,
        Command::Delete(arguments) => delete::run(&mut session, &arguments)?,
        Command::Start(arguments) => start::run(&mut session, &arguments)?,
        Command::Stop(arguments) => stop::run(&mut session, &arguments)?,
        Command::SetOptions(arguments) => options::run(&mut session, &arguments)?,
        Command::Export(command) => export::run(&mut session, &command)?,
        Command::Stats(arguments) => stats::run(&mut session, &arguments)?,
        Command::Watch(arguments) => watch::run(&mut session, &arguments)?,
        Command::Completions { .. } => (),
    }
    Ok(ExitCode::SUCCESS)
}
