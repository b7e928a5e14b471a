//! The server's part in the life of the bdev layer: a bdev module without bdevs of its own.

use alloc::string::String;
use core::ffi::CStr;

use barespdk::bdev::{IoType, Status};
use barespdk::errno::Errno;
use barespdk::json::ArrayWriter;
use barespdk::log_error;
use barespdk::module::{Device, Driver, Module, Request};

use super::server::{self, State};

static MODULE: Module<Nbd> = Module::new();

struct Nbd;

/// There is none.
enum Never {}

impl Device for Never {
    type Channel = ();

    fn open_channel(&self) -> Result<(), Errno> {
        match *self {}
    }

    fn supports(&self, _: IoType) -> bool {
        match *self {}
    }

    async fn submit<'a>(&'a self, _: &'a (), _: Request<'a>) -> Status {
        match *self {}
    }
}

impl Driver for Nbd {
    type Device = Never;

    const NAME: &'static CStr = c"raid1_nbd";
    const EXAMINES: bool = true;

    fn shutdown() {
        server::shutdown();
    }

    async fn examine(_: String) {
        server::bdev_appeared().await;
    }

    /// Modules are written before bdevs, so the exports have to wait for theirs.
    fn write_config(calls: &mut ArrayWriter<'_>) {
        for entry in server::entries() {
            if matches!(entry.state, State::Stopping(..)) {
                continue;
            }
            let order = &entry.order;
            calls.object(|call| {
                call.field("method", "nbd_export_start");
                call.object("params", |params| {
                    params.field("bdev_name", order.bdev_name.as_str());
                    params.value("address", |value| {
                        value.write(&*alloc::format!("{}", order.address))
                    });
                    params.field("export_name", order.export_name.as_str());
                    params.field("read_only", &order.read_only);
                    params.field("wait_for_bdev", &true);
                });
            });
        }
    }
}

fn load() {
    if let Err(errno) = MODULE.add() {
        log_error!("nbd: module not registered: {errno}");
    }
}

// Unit tests run without an SPDK, whose functions this would need.
#[cfg(not(test))]
barespdk::at_load!(load);
