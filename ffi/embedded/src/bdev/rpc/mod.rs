//! The RPCs of the bdev layer, and of its buffers.

mod bdevs;
mod config;
mod examine;
mod histogram;
mod iostat;
mod limits;
mod options;

use std::ffi::{CString, c_int};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::de::DeserializeOwned;
use serde_json::Value;

pub(super) use config::save as save_config;

use super::desc::{self, Desc};
use super::device::Bdev;
use crate::rpc::{self, RpcError};

/// Registers the methods, the first time.
pub(crate) fn register() {
    static DONE: AtomicBool = AtomicBool::new(false);
    if DONE.swap(true, Ordering::AcqRel) {
        return;
    }
    bdevs::register();
    examine::register();
    histogram::register();
    iostat::register();
    limits::register();
    options::register();
}

/// The parameters of a method. SPDK calls wrong ones an internal error, for most methods.
fn params<T: DeserializeOwned>(given: Option<Value>) -> Result<T, RpcError> {
    rpc::params(given).map_err(|error| RpcError::internal(error.message))
}

/// A bdev that a method keeps open. On the app thread.
struct Open(NonNull<Desc>);

impl Open {
    fn by_name(name: &str) -> Result<Self, c_int> {
        let name = CString::new(name).map_err(|_| -libc::ENODEV)?;
        desc::open_by_name(&name).map(Self)
    }

    fn device(&self) -> Bdev {
        // SAFETY: open until this is dropped.
        unsafe { self.0.as_ref() }.device
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        // SAFETY: opened by `by_name`, on the app thread, where methods and what they wait for run.
        unsafe { desc::close(self.0) };
    }
}

/// All bdevs, kept open.
fn all() -> Vec<Open> {
    let names: Vec<CString> = super::registry::registry()
        .bdevs
        .iter()
        .map(|bdev| bdev.name().to_owned())
        .collect();
    names
        .iter()
        .filter_map(|name| desc::open_by_name(name).ok())
        .map(Open)
        .collect()
}
