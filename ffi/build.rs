//! Finds an SPDK and publishes how executables link it.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
}
