//! Finds an SPDK and publishes how executables link it.
//!
//! Cargo gives the build scripts of direct dependents what is published here:
//! `DEP_SPDK_LINK_ARGS`, the linker's arguments with U+001F between them; `DEP_SPDK_INCLUDE`, the
//! directory of the headers; `DEP_SPDK_VERSION`. They go to executables only and not into a `cdylib`:
//! a module that is preloaded into an SPDK application must use that application's SPDK.

#[path = "build/mod.rs"]
mod build;

use std::env;
use std::path::PathBuf;

use build::error::Error;
use build::find::Spdk;
use build::link::{Link, Mode};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=build");
    if env::var_os("CARGO_FEATURE_SPDK").is_none() {
        return;
    }
    for variable in [
        "SPDK_DIR",
        "SPDK_LINK",
        "PKG_CONFIG",
        "PKG_CONFIG_PATH",
        "PKG_CONFIG_LIBDIR",
    ] {
        println!("cargo::rerun-if-env-changed={variable}");
    }
    if let Err(error) = publish() {
        for line in error.to_string().lines() {
            println!("cargo::error={line}");
        }
    }
}

fn publish() -> Result<(), Error> {
    let mode = env::var_os("SPDK_LINK").map(|value| value.to_string_lossy().into_owned());
    let mode = Mode::parse(mode.as_deref())?;
    let spdk_dir = env::var_os("SPDK_DIR")
        .filter(|dir| !dir.is_empty())
        .map(PathBuf::from);
    let pkg_config = env::var("PKG_CONFIG").unwrap_or_else(|_| "pkg-config".to_owned());
    let spdk = Spdk::find(spdk_dir.as_deref(), &pkg_config)?;
    let link = Link::with(&spdk, mode)?;

    println!(
        "cargo::rerun-if-changed={}",
        spdk.include_dir.join("spdk/version.h").display()
    );
    println!("cargo::rerun-if-changed={}", spdk.pc_dir.display());
    for file in &link.files {
        println!("cargo::rerun-if-changed={}", file.display());
    }
    for name in &link.doubtful {
        println!(
            "cargo::warning=SPDK needs the system library {name}, which is in none of the usual \
             directories; if the linker does not find it, install its development package"
        );
    }
    println!(
        "cargo::metadata=LINK_ARGS={}",
        link.arguments.join("\u{1f}")
    );
    println!("cargo::metadata=INCLUDE={}", spdk.include_dir.display());
    println!("cargo::metadata=VERSION={}", spdk.version);
    Ok(())
}
