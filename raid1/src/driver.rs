//! The bdev module.

use alloc::string::String;
use core::ffi::CStr;

use barespdk::errno::Errno;
use barespdk::json::ArrayWriter;
use barespdk::log_error;
use barespdk::module::{Driver, Module};

use crate::assembly;
use crate::mirror::Mirror;
use crate::mirrors;
use crate::news;
use crate::rpc::options;

/// The module that SPDK knows as `raid1`.
pub(crate) static MODULE: Module<Raid1> = Module::new();

// A mirror of 16 legs has a request as large as one of 2: the bound holds for all.
const _: () = assert!(Module::<Raid1>::request_size() <= 512);

pub(crate) struct Raid1;

impl Driver for Raid1 {
    type Device = Mirror;

    const NAME: &'static CStr = c"raid1";

    fn init() -> Result<(), Errno> {
        news::register();
        assembly::begin();
        Ok(())
    }

    const EXAMINES: bool = true;

    fn shutdown() {
        assembly::shutdown();
    }

    fn fini() {
        mirrors::clear();
    }

    async fn examine(name: String) {
        assembly::examine(name).await;
    }

    fn write_config(calls: &mut ArrayWriter<'_>) {
        options::write_config(calls);
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
