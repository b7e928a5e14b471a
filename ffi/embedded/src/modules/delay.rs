//! `delay`: a bdev on another one that takes longer: most requests an average time, one of a hundred
//! another one.

use std::ffi::{CStr, CString, c_int};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use barespdk_sys::{
    SPDK_BDEV_IO_STATUS_SUCCESS, SPDK_BDEV_IO_TYPE_ABORT, SPDK_BDEV_IO_TYPE_READ,
    SPDK_BDEV_IO_TYPE_RESET, SPDK_BDEV_IO_TYPE_WRITE, spdk_bdev, spdk_bdev_io_type,
    spdk_bdev_module, spdk_bdev_module_examine_done, spdk_get_ticks, spdk_get_ticks_hz,
    spdk_json_write_ctx,
};
use serde_json::{Value, json};

use self::waiting::Waiting;
use super::base::{self, Base, BaseChannel, OnBase};
use super::device::{self, Device, Disk};
use super::io::{Io, Outcome};
use super::json as writer;
use super::module::Module;
use super::uuid::Uuid;

mod reset;
mod rpc;
mod waiting;

/// Name space of the UUIDs of those that got none.
const NAMESPACE: Uuid = Uuid::from_u128(0x4009_b574_6430_4f1b_bc40_ace8_1109_1027);
/// One of so many requests takes the longer time.
const SLOW_ONE_OF: u64 = 100;

static MODULE: Module = Module::new(spdk_bdev_module {
    module_fini: Some(fini),
    config_json: Some(config_json),
    get_ctx_size: Some(base::ctx_size::<Delay>),
    examine_config: Some(examine),
    ..Module::blank(c"delay")
});

/// Which time a request takes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(usize)]
enum Kind {
    AvgRead,
    P99Read,
    AvgWrite,
    P99Write,
}

/// Number of [`Kind`]s.
const KINDS: usize = 4;

/// What was asked for, whether its base is there or not.
#[derive(Clone)]
struct Wanted {
    name: CString,
    base_name: CString,
    uuid: Uuid,
    /// Latency of each kind.
    latencies_us: [u64; KINDS],
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
        if let Some(disk) = device::find::<Delay>(&name) {
            let call = json!({ "method": "bdev_delay_create", "params": description(disk) });
            // SAFETY: the writer is within an array.
            unsafe { writer::write(w, &call) };
        }
    }
    0
}

fn description(disk: &Disk<Delay>) -> Value {
    let delay = disk.device();
    json!({
        "name": disk.name_text(),
        "base_bdev_name": delay.base.name_text(),
        "uuid": disk.uuid().to_string(),
        "avg_read_latency": delay.latency_us(Kind::AvgRead),
        "p99_read_latency": delay.latency_us(Kind::P99Read),
        "avg_write_latency": delay.latency_us(Kind::AvgWrite),
        "p99_write_latency": delay.latency_us(Kind::P99Write),
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
    let delay = Delay {
        base,
        latencies_ticks: wanted.latencies_us.map(|us| AtomicU64::new(ticks_of(us))),
    };
    device::register(wanted.name.clone(), bdev, delay)
}

/// Ticks of a microsecond, at least 1.
fn ticks_mhz() -> u64 {
    // SAFETY: no preconditions once the environment is initialised.
    (unsafe { spdk_get_ticks_hz() } / 1_000_000).max(1)
}

fn ticks_of(us: u64) -> u64 {
    us.saturating_mul(ticks_mhz())
}

struct Delay {
    base: Base,
    /// Latency of each kind.
    latencies_ticks: [AtomicU64; KINDS],
}

impl Delay {
    fn latency_ticks(&self, kind: Kind) -> u64 {
        self.latencies_ticks[kind as usize].load(Ordering::Relaxed)
    }

    fn latency_us(&self, kind: Kind) -> u64 {
        self.latency_ticks(kind) / ticks_mhz()
    }

    fn set_latency_us(&self, kind: Kind, us: u64) {
        self.latencies_ticks[kind as usize].store(ticks_of(us), Ordering::Relaxed);
    }
}

/// One thread's part.
struct DelayChannel {
    waiting: Waiting,
    base: BaseChannel,
}

impl Device for Delay {
    type Channel = DelayChannel;

    const MODULE: &'static Module = &MODULE;
    const PRODUCT: &'static CStr = c"delay";

    fn open(disk: &Disk<Self>) -> Result<DelayChannel, c_int> {
        Ok(DelayChannel {
            waiting: Waiting::new(),
            base: disk.device().base.channel()?,
        })
    }

    fn submit(disk: &Disk<Self>, channel: &DelayChannel, io: Io) {
        let slow = || crate::env::random_u64().is_multiple_of(SLOW_ONE_OF);
        let kind = match io.kind() {
            SPDK_BDEV_IO_TYPE_READ if slow() => Some(Kind::P99Read),
            SPDK_BDEV_IO_TYPE_READ => Some(Kind::AvgRead),
            SPDK_BDEV_IO_TYPE_WRITE if slow() => Some(Kind::P99Write),
            SPDK_BDEV_IO_TYPE_WRITE => Some(Kind::AvgWrite),
            SPDK_BDEV_IO_TYPE_RESET => return reset::start(disk, io),
            SPDK_BDEV_IO_TYPE_ABORT if channel.waiting.abort(io.to_abort()) => {
                return io.complete(SPDK_BDEV_IO_STATUS_SUCCESS);
            }
            _ => None,
        };
        base::pass_on::<Self>(channel, io, kind);
    }

    fn supports(&self, kind: spdk_bdev_io_type) -> bool {
        base::is_passed(kind) && self.base.supports(kind)
    }

    fn info(disk: &Disk<Self>) -> Option<(&'static str, Value)> {
        Some(("delay", description(disk)))
    }
}

impl OnBase for Delay {
    type State = Option<Kind>;

    fn base(&self) -> &Base {
        &self.base
    }

    fn base_channel(channel: &DelayChannel) -> &BaseChannel {
        &channel.base
    }

    fn passed(
        disk: &Disk<Self>,
        channel: &DelayChannel,
        io: Io,
        kind: Option<Kind>,
        outcome: Outcome,
    ) {
        match kind {
            Some(kind) => {
                // SAFETY: no preconditions once the environment is initialised.
                let now = unsafe { spdk_get_ticks() };
                let due = now.saturating_add(disk.device().latency_ticks(kind));
                channel.waiting.push(kind, io, outcome, now, due);
            }
            None => io.complete_as(outcome),
        }
    }
}
