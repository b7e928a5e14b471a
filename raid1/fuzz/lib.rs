//! Fuzzers of what reads the bytes on a leg: superblocks, bitmaps, and what other software left there.
//!
//! ```sh
//! cargo install cargo-fuzz
//! cd raid1
//! RUSTC_BOOTSTRAP=1 cargo fuzz run superblock -- -max_total_time=60 -max_len=16384
//! ```
//!
//! The targets are `superblock`, `bitmap` and `import`. They hold the format to account in
//! `raid1/src/format/fuzz.rs`, and the driver's unit tests do the same with all of `corpus/`: an input
//! that found something is put there, by a name that says what.
#![cfg(fuzzing)]

extern crate alloc;

use barespdk_embedded as _;

// The driver exports nothing, so this is a copy of the module.
#[allow(dead_code, unused_imports)]
#[path = "../src/format/mod.rs"]
mod format;

/// Any bytes as a superblock.
pub fn superblock(input: &[u8]) {
    format::fuzz::superblock(input);
}

/// Any bytes as the leaves of a bitmap.
pub fn bitmap(input: &[u8]) {
    format::fuzz::bitmap(input);
}

/// Any bytes as what is on a leg that is to be taken over.
pub fn import(input: &[u8]) {
    format::fuzz::import(input);
}
