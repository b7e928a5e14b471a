//! Links this package's executables with the SPDK that barespdk-sys found, if it looked for one.
//!
//! Only those that run SPDK: not `raid1ctl`, a client, and not the `cdylib`, which uses the SPDK of
//! the application that it is loaded into.

use std::path::Path;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // Cargo rejects arguments for kinds of targets that the package does not have.
    let kinds = [
        ("bin=raid1", "src/bin"),
        ("tests", "tests"),
        ("examples", "examples"),
    ];
    let arguments = std::env::var("DEP_SPDK_LINK_ARGS").unwrap_or_default();
    for argument in arguments
        .split('\u{1f}')
        .filter(|argument| !argument.is_empty())
    {
        for (kind, _) in kinds.iter().filter(|(_, dir)| Path::new(dir).is_dir()) {
            println!("cargo::rustc-link-arg-{kind}={argument}");
        }
    }
}
