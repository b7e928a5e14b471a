//! The bdev modules: `malloc`, `null`, `aio`, `error`, `delay`, `passthru`.
//!
//! ```text
//!   malloc  null  aio      error  delay  passthru       what each kind of bdev does
//!      │      │    │          └──────┴──────┴── base    another bdev below: claimed, passed on to
//!      └──────┴────┴─────────────────┴── device         memory, functions and end of a bdev
//!   completions, poller, channel, io, memory, json      the ABI, in types that keep its rules
//! ```

mod aio;
mod base;
mod channel;
mod completions;
mod delay;
mod device;
mod error;
mod io;
mod json;
mod malloc;
mod memory;
mod module;
mod null;
mod passthru;
mod poller;
#[cfg(test)]
mod tests;
mod uuid;

/// Adds the modules and their RPCs. Before the bdev subsystem starts.
pub(crate) fn register() {
    // In the order in which SPDK saves what they have: bdevs on others wait for those.
    passthru::add();
    error::add();
    delay::add();
    malloc::add();
    null::add();
    aio::add();
}
