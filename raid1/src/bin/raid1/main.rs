//! An SPDK application with all the modules of the SPDK that it was linked with, and mirrors.
//!
//! With `--mirror` it makes, out of files and by itself, what otherwise takes a configuration.

mod command_line;
mod exports;
mod files;
mod guide;
mod histories;
mod json_config;
mod little_memory;
#[cfg(feature = "spdk")]
mod memory;
mod mirror_spec;
#[path = "../common/nbd_address.rs"]
mod nbd_address;
mod plan;
mod room;
#[path = "../common/size.rs"]
mod size;
mod size_argument;
mod utc;

use std::io::Write as _;
use std::process::ExitCode;
use std::sync::{Arc, OnceLock};

use barespdk::app::{App, AppError};
use barespdk::rpc::RegisterError;
#[cfg(not(any(feature = "embedded", feature = "spdk")))]
compile_error!("choose what raid1 runs on: the feature `embedded` or `spdk`");
// Defines SPDK's functions. An executable's matter: a library uses those of its application.
#[cfg(all(feature = "embedded", not(feature = "spdk")))]
use barespdk_embedded as _;
// Registers the module and its RPCs.
use barespdk_raid1 as _;

use command_line::CommandLine;

/// For wrong arguments, as SPDK's own applications have it.
const WRONG_ARGUMENTS: u8 = 2;

fn main() -> ExitCode {
    let line = match CommandLine::parse(std::env::args_os()) {
        Ok(line) => line,
        Err(error) => {
            eprintln!("raid1: {error}\nTry 'raid1 --help'.");
            return ExitCode::from(WRONG_ARGUMENTS);
        }
    };
    if line.wants_help {
        return help(line);
    }
    run(line)
}

/// Our help, then SPDK's.
fn help(line: CommandLine) -> ExitCode {
    let mut out = std::io::stdout();
    let shown = out
        .write_all(guide::HELP.as_bytes())
        .and_then(|()| out.flush());
    if shown.is_err() {
        return ExitCode::FAILURE;
    }
    let name = line.rest.into_iter().take(1);
    exit_code(App::new("raid1").run(name.chain([b"-h".to_vec()]), || {}))
}

fn run(#[allow(unused_mut)] mut line: CommandLine) -> ExitCode {
    let has_mirrors = !line.mirrors.is_empty();
    #[cfg(feature = "spdk")]
    if has_mirrors && let Some(notice) = memory::choose(&mut line) {
        eprintln!("raid1: {notice}");
    }
    let arguments = line.rest.clone();

    // Known when the files are, and needed on the app thread.
    let welcome = Arc::new(OnceLock::new());
    let mut files = Vec::new();
    let mut app = App::new("raid1");
    if has_mirrors {
        let plans = match files::plans(&line) {
            Ok(plans) => plans,
            Err(error) => {
                eprintln!("raid1: {error}");
                return ExitCode::FAILURE;
            }
        };
        app = app
            .json_config_data(json_config::text(&line, &plans))
            .before_start(|_| {
                exports::check(&line.exports)?;
                let plans = plans;
                for warning in room::warnings(&line, &plans) {
                    eprintln!("raid1: {warning}");
                }
                files = files::prepare(&line, &plans)?;
                let _ = welcome.set(guide::welcome(&line, &plans));
                Ok(())
            });
    } else {
        let _ = welcome.set(guide::welcome_without_mirrors(&line));
    }
    if line.has_bdev_raid_rpc {
        app = app.methods(&barespdk_raid1::BDEV_RAID_METHODS);
    }
    let has_started = Arc::new(OnceLock::new());
    let on_start = {
        let (welcome, has_started) = (Arc::clone(&welcome), Arc::clone(&has_started));
        move || {
            let _ = has_started.set(());
            if let Some(text) = welcome.get() {
                // Who does not listen is not to be kept from the mirrors.
                let _ = std::io::stdout().write_all(text.as_bytes());
            }
        }
    };
    let outcome = app.run(arguments, on_start);
    drop(files);
    let fine = [0, WRONG_ARGUMENTS.into()];
    if outcome.as_ref().is_ok_and(|code| !fine.contains(code)) && has_started.get().is_none() {
        explain(&line);
    }
    exit_code(outcome)
}

/// What may help when the start has failed, which the log has told of.
fn explain(line: &CommandLine) {
    eprintln!("\nraid1: the start failed: the messages above say why.");
    let hint = little_memory::hint(line);
    #[cfg(feature = "spdk")]
    let hint = hint.or_else(|| memory::hint(line));
    if let Some(hint) = hint {
        eprintln!("raid1: {hint}.");
    }
}

fn exit_code(outcome: Result<std::ffi::c_int, AppError>) -> ExitCode {
    match outcome {
        Ok(code) => ExitCode::from(u8::try_from(code).unwrap_or(1)),
        Err(AppError::TwoConfigs(path)) => {
            eprintln!(
                "raid1: --mirror and a configuration file exclude each other: found {path}\n\
                 Make the mirrors in the file: raid1ctl create, then spdk-rpc save_config."
            );
            ExitCode::from(WRONG_ARGUMENTS)
        }
        Err(AppError::Method(RegisterError::Exists(name))) => {
            eprintln!(
                "raid1: --bdev-raid-rpc: {} is served already, by the module bdev_raid of the SPDK \
                 that this program is linked with",
                name.to_string_lossy()
            );
            ExitCode::from(WRONG_ARGUMENTS)
        }
        Err(error) => {
            eprintln!("raid1: {error}");
            ExitCode::FAILURE
        }
    }
}
