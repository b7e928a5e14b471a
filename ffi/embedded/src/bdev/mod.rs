//! Block devices. C: `spdk/bdev.h`, `spdk/bdev_module.h`.
//!
//! The way of a request:
//!
//! ```text
//!  spdk_bdev_readv_blocks ..   request/: may it, does it fit, what does it stand for
//!        │                       └─(the module cannot)─► emulated by other requests, same way
//!      pool ──(none left)──► -ENOMEM; spdk_bdev_queue_io_wait calls back
//!        │
//!      submit ──(a range is locked)──► kept back, until it is unlocked        range
//!        │  └───(too large)──► parts, each the same way                       split
//!        │  └───(a reset goes on)──► aborted                                  reset
//!        │  └───(a rate limit)──► waits for its turn                          throttle
//!        │  └───(others lack memory)──► waits behind them                     shared
//!        ▼
//!   the module's submit_request ──► spdk_bdev_io_get_buf                      bounce, buffer
//!        │
//!   spdk_bdev_io_complete ──(no memory)──► waits; submitted again later       shared
//!        │
//!      complete: its own memory back, statistics; by a message, where the module completed it
//!        │       inside of submit_request: nobody is called from inside of a submission
//!        ▼
//!   the submitter's callback ──► spdk_bdev_free_io ──► pool, or who waits for it
//! ```
//!
//! What C keeps in the private ends of its structs stands in a [`Record`](device::Record), whose
//! address is at the end of `spdk_bdev`, and in [`Own`](io::Own), at the end of `spdk_bdev_io`.
//!
//! Left out: memory domains and accelerator sequences (there are none here), the making and checking
//! of protection information (metadata moves as it is), claims other than for one writer.

mod abort;
mod bounce;
mod buffer;
mod channel;
mod claim;
mod complete;
mod desc;
mod device;
mod examine;
mod histogram;
mod io;
mod list;
mod pool;
mod properties;
mod queue_depth;
mod quiesce;
mod range;
mod register;
mod registry;
mod request;
mod reset;
pub(crate) mod rpc;
mod shared;
mod split;
mod start;
mod stat;
mod submit;
mod throttle;
mod timeout;

use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::Value;

pub(crate) use start::{finish, start};

/// Takes a lock. What it guards is whole between any two calls to others, so a panic elsewhere does
/// not spoil it.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Tells those who listen to notifications what happened to a bdev.
fn notify(what: &'static str, device: device::Bdev) {
    crate::app::notify::send(what, &device.name_text());
}

/// The RPCs that make the bdev subsystem as it is: `{"method": .., "params": ..}` each.
pub(crate) fn save_config() -> Vec<Value> {
    rpc::save_config()
}

/// The RPCs that make the buffers of requests as they are.
pub(crate) fn save_iobuf_config() -> Vec<Value> {
    let options = buffer::options();
    vec![
        serde_json::json!({"method": "iobuf_set_options", "params": {
            "small_pool_count": options.small_pool_count,
            "large_pool_count": options.large_pool_count,
            "small_bufsize": options.small_bufsize,
            "large_bufsize": options.large_bufsize,
            "enable_numa": options.enable_numa,
        }}),
    ]
}
