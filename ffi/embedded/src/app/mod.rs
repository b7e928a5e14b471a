//! The application framework. C: `spdk/event.h`.
//!
//! ```text
//!   spdk_app_parse_args     args, usage
//!   spdk_app_start          options ─► environment, reactors, app thread, signals
//!      on the app thread:   config, methods for the start ─► RPC server ─► subsystems ─►
//!                           config, the other methods ─► start_fn
//!   spdk_app_stop           subsystems end ─► RPC server ends ─► reactors end
//!   spdk_app_fini           what is left
//! ```

mod args;
mod config;
mod log_methods;
mod methods;
pub(crate) mod notify;
mod options;
mod signals;
mod start;
mod usage;

#[cfg(test)]
mod tests;

/// Registers the methods of this part.
pub(crate) fn register() {
    methods::register();
    log_methods::register();
    notify::register();
}
