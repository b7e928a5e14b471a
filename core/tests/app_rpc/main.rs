//! An application of a real SPDK, and its JSON-RPC methods as a client sees them.
//!
//! SPDK starts once in a process, so each case runs this program again as the application: with
//! `--child`, a mode, and the arguments. Needs no huge pages.

mod application;
mod cases;
mod client;
mod wire;

#[cfg(all(feature = "embedded", not(feature = "spdk")))]
use barespdk_embedded as _;

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut args = std::env::args();
    if args.nth(1).as_deref() == Some("--child") {
        let mode = args.next().expect("a mode");
        return application::run(&mode, args.collect());
    }
    for (name, case) in cases::ALL {
        print!("test {name} ... ");
        case();
        println!("ok");
    }
    ExitCode::SUCCESS
}
