//! The bdev modules: `malloc`, `null`, `aio`, `error`, `delay`, `passthru`.

/// Adds the modules and their RPCs. Before the bdev subsystem starts.
pub(crate) fn register() {}
