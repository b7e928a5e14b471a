//! The C ABI of SPDK v26.01, implemented in Rust: what runs where there is no SPDK.
//!
//! The crate defines the functions that [`barespdk_sys`] declares, under their C names, and, but for
//! [`sim`], nothing else that its users could call: the layers above are the same code on SPDK and on
//! this. An executable takes it in by naming it:
//!
//! ```
//! use barespdk_embedded as _;
//! ```
//!
//! Libraries do not: a module that a stock SPDK application loads must use that application's SPDK.
//!
//! ```text
//!   app: arguments, start, signals, configuration          spdk_app_*
//!    │        │           │
//!    │        │     modules: malloc null aio error delay passthru
//!    │        │           │
//!    │        │          bdev: register, open, submit, split, complete    spdk_bdev_*
//!    │        │           │
//!    │       rpc: server, registry, methods               spdk_rpc_*, spdk_jsonrpc_*
//!    │        │           │
//!    │       json: writer, values                         spdk_json_*
//!    │        │           │
//!   reactor: one OS thread a core, or all on one ── thread: messages, pollers, io_devices, channels
//!    │                                               │
//!   env: memory, cores, ticks; log; uuid             spdk_env_*, spdk_thread_*, ..
//! ```
//!
//! The parts call each other by that same ABI, so that each keeps SPDK's rules towards the others as
//! towards the layers above.
//!
//! # What differs from SPDK
//!
//! - A reactor with nothing to do sleeps, and wakes for messages, timers and file descriptors;
//!   `--poll-always` turns that off.
//! - DMA memory is of huge pages where there are any, else locked, else plain; the log says which. I/O of
//!   files goes through io_uring, or through threads where that is not permitted.
//! - There are no NVMe drives, no NVMe-oF, iSCSI, vhost and ublk targets, no zoned bdevs, no acceleration
//!   framework, no tracing and no scheduler. Options of SPDK's that have no meaning here are taken and
//!   ignored; `-h` marks them.
//!
//! Anything else that can be told apart from SPDK is a fault of this crate.
//!
//! # Simulation
//!
//! With [`sim`], all reactors run on one OS thread, under virtual time, in an order that a seed decides.
//! So that this repeats, no part asks the system for the time or for randomness.
#![allow(
    clippy::missing_safety_doc,
    reason = "barespdk_sys documents the ABI's functions"
)]

/// Proves that functions defined here have the types that `barespdk_sys` declares: an array of both
/// compiles only if they are one type.
macro_rules! same_as_declared {
    ($($name:ident),+ $(,)?) => {
        const _: () = {
            $( let _ = [barespdk_sys::$name, $name]; )+
        };
    };
}

// First, so that the other parts have its macros.
#[macro_use]
mod log;

mod app;
mod bdev;
mod env;
mod json;
mod modules;
mod reactor;
mod rpc;
pub mod sim;
mod thread;
mod uuid;
