//! An SPDK application with all the modules of the SPDK that it was linked with, and mirrors.

use std::process::ExitCode;

use barespdk::app::App;
// Registers the module and its RPCs.
use barespdk_raid1 as _;

fn main() -> ExitCode {
    let args = std::env::args_os().map(std::os::unix::ffi::OsStringExt::into_vec);
    match App::new("raid1").run(args, || {}) {
        Ok(code) => ExitCode::from(u8::try_from(code).unwrap_or(1)),
        Err(error) => {
            eprintln!("raid1: {error}");
            ExitCode::FAILURE
        }
    }
}
