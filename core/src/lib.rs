//! A safe runtime for SPDK.
#![no_std]

extern crate alloc;
#[cfg(any(test, loom))]
extern crate std;

pub mod cpuset;
pub mod errno;
mod executor;
pub mod json;
pub mod log;
pub mod uuid;

pub use executor::{TaskPool, TimersFull};
