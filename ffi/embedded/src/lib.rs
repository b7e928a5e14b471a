//! The C ABI of SPDK v26.01, implemented in Rust: what runs where there is no SPDK.
//!
//! The crate defines the functions that [`barespdk_sys`] declares, under their C names, and nothing
//! else that its users could call: the layers above are the same code on SPDK and on this. An
//! executable takes it in by naming it:
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
