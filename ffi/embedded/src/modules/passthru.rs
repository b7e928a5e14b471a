//! `passthru`: a bdev that is another one, under a name of its own.

use std::ffi::{CStr, CString, c_int};
use std::sync::{Mutex, MutexGuard, PoisonError};

use barespdk_sys::{
    spdk_bdev, spdk_bdev_io_type, spdk_bdev_module, spdk_bdev_module_examine_done,
    spdk_json_write_ctx,
};
use serde_json::{Value, json};

use super::base::{self, Base, BaseChannel, OnBase};
use super::device::{self, Device, Disk};
use super::io::{Io, Outcome};
use super::json as writer;
use super::module::Module;
use super::uuid::Uuid;

mod rpc;

/// Name space of the UUIDs of those that got none.
const NAMESPACE: Uuid = Uuid::from_u128(0x7e25_812e_c8c0_4d3f_8599_16d7_9055_5b85);

static MODULE: Module = Module::new(spdk_bdev_module {
    module_fini: Some(fini),
    config_json: Some(config_json),
    get_ctx_size: Some(base::ctx_size::<Passthru>),
    examine_config: Some(examine),
    ..Module::blank(c"passthru")
});

/// What was asked for, whether its base is there or not.
#[derive(Clone)]
struct Wanted {
    name: CString,
    base_name: CString,
    uuid: Uuid,
}

static WANTED: Mutex<Vec<Wanted>> = Mutex::new(Vec::new());

fn wanted() -> MutexGuard<'static, Vec<Wanted>> {
    WANTED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Adds the module and its methods.
pub(super) fn add() {
    MODULE.add();
    rpc::add();
}

unsafe extern "C" fn fini() {
    wanted().clear();
}

unsafe extern "C" fn examine(bdev: *mut spdk_bdev) {
    // SAFETY: the bdev layer passes a registered bdev, which has a name.
    let name = unsafe { CStr::from_ptr((*bdev).name) };
    let matching: Vec<_> = wanted()
        .iter()
        .filter(|wanted| wanted.base_name.as_c_str() == name)
        .cloned()
        .collect();
    for wanted in matching {
        if let Err(rc) = make(&wanted) {
            error_log!("{}: not made: rc {rc}\n", wanted.name.to_string_lossy());
        }
    }
    // SAFETY: ends this examination.
    unsafe { spdk_bdev_module_examine_done(MODULE.as_ptr()) };
}

unsafe extern "C" fn config_json(w: *mut spdk_json_write_ctx) -> c_int {
    let names: Vec<_> = wanted().iter().map(|wanted| wanted.name.clone()).collect();
    for name in names {
        if let Some(disk) = device::find::<Passthru>(&name) {
            // SAFETY: the writer is within an array.
            unsafe { writer::write(w, &config(disk)) };
        }
    }
    0
}

fn config(disk: &Disk<Passthru>) -> Value {
    json!({
        "method": "bdev_passthru_create",
        "params": {
            "base_bdev_name": disk.device().base.name_text(),
            "name": disk.name_text(),
            "uuid": disk.uuid().to_string(),
        },
    })
}

/// Makes a bdev on a base that is there; `-ENODEV` if it is not.
fn make(wanted: &Wanted) -> Result<(), c_int> {
    let base = Base::open(&wanted.base_name, true, &MODULE, &wanted.name)?;
    let uuid = if wanted.uuid.is_null() {
        Uuid::from_name(NAMESPACE, base.uuid().as_bytes())
    } else {
        wanted.uuid
    };
    let bdev = spdk_bdev {
        optimal_io_boundary: base.bdev().optimal_io_boundary,
        dif_pi_format: base.bdev().dif_pi_format,
        uuid: uuid.into(),
        ..base.inherited()
    };
    device::register(wanted.name.clone(), bdev, Passthru { base })
}

struct Passthru {
    base: Base,
}

impl Device for Passthru {
    type Channel = BaseChannel;

    const MODULE: &'static Module = &MODULE;
    const PRODUCT: &'static CStr = c"passthru";

    fn open(disk: &Disk<Self>) -> Result<BaseChannel, c_int> {
        disk.device().base.channel()
    }

    fn submit(_disk: &Disk<Self>, channel: &BaseChannel, io: Io) {
        base::pass_on::<Self>(channel, io, ());
    }

    fn supports(&self, kind: spdk_bdev_io_type) -> bool {
        base::is_passed(kind) && self.base.supports(kind)
    }

    fn info(disk: &Disk<Self>) -> Option<(&'static str, Value)> {
        let info = json!({
            "name": disk.name_text(),
            "base_bdev_name": disk.device().base.name_text(),
        });
        Some(("passthru", info))
    }
}

impl OnBase for Passthru {
    type State = ();

    fn base(&self) -> &Base {
        &self.base
    }

    fn base_channel(channel: &BaseChannel) -> &BaseChannel {
        channel
    }

    fn passed(_: &Disk<Self>, _: &BaseChannel, io: Io, (): (), outcome: Outcome) {
        io.complete_as(outcome);
    }
}
