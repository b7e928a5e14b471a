//! A safe runtime for SPDK.
#![no_std]

extern crate alloc;
#[cfg(any(test, loom))]
extern crate std;

pub mod app;
pub mod bdev;
pub mod completion;
pub mod cpuset;
pub mod errno;
mod executor;
pub mod io_device;
pub mod json;
pub mod local;
pub mod log;
pub mod module;
pub mod message;
pub mod mutex;
pub mod poller;
pub mod rpc;
pub mod runtime;
pub mod thread;
pub mod uuid;

pub use executor::{TaskPool, TimersFull};
