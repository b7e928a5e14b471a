//! Block devices. C: `spdk/bdev.h`, `spdk/bdev_module.h`.

use std::ffi::c_int;

use serde_json::Value;

/// Starts the bdev subsystem: every module's init, then examine. On the app thread, where `done`
/// then runs with 0 or a negative errno value.
pub(crate) fn start(done: impl FnOnce(c_int) + 'static) {
    done(0);
}

/// Ends the bdev subsystem: unregisters all bdevs, then every module's fini. On the app thread, where
/// `done` then runs.
pub(crate) fn finish(done: impl FnOnce(c_int) + 'static) {
    done(0);
}

/// The RPCs that make the bdev subsystem as it is: `{"method": .., "params": ..}` each.
pub(crate) fn save_config() -> Vec<Value> {
    Vec::new()
}
