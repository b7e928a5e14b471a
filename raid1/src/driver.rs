//! The bdev module.

use core::ffi::CStr;

use barespdk::log_error;
use barespdk::module::{Driver, Module};

use crate::mirror::Mirror;
use crate::mirrors;

/// The module that SPDK knows as `raid1`.
pub(crate) static MODULE: Module<Raid1> = Module::new();

// A mirror of 16 legs has a request as large as one of 2: the bound holds for all.
const _: () = assert!(Module::<Raid1>::request_size() <= 512);

pub(crate) struct Raid1;

impl Driver for Raid1 {
    type Device = Mirror;

    const NAME: &'static CStr = c"raid1";

    fn fini() {
        mirrors::clear();
    }
}

fn load() {
    if let Err(errno) = MODULE.add() {
        log_error!("raid1: module not registered: {errno}");
    }
}

// Unit tests run without an SPDK, whose functions this would need.
#[cfg(not(test))]
barespdk::at_load!(load);
