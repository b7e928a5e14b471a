//! `bdev_get_bdevs`.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr;

use barespdk_sys::*;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{Open, all, params};
use crate::bdev::device::Bdev;
use crate::bdev::{claim, properties, register as registration, throttle};
use crate::json;
use crate::rpc::{Reply, RpcError, method_async};

/// How often a bdev is looked for that is waited for.
const LOOK_US: u64 = 10_000;

/// The names of the types of requests, the type 1 first.
pub(super) const IO_TYPES: [&str; 22] = [
    "read",
    "write",
    "unmap",
    "flush",
    "reset",
    "nvme_admin",
    "nvme_io",
    "nvme_io_md",
    "write_zeroes",
    "zcopy",
    "get_zone_info",
    "zone_management",
    "zone_append",
    "compare",
    "compare_and_write",
    "abort",
    "seek_hole",
    "seek_data",
    "copy",
    "nvme_iov_md",
    "nvme_nssr",
    "write_uncorrectable",
];
const _: () = assert!(IO_TYPES.len() + 1 == SPDK_BDEV_NUM_IO_TYPES as usize);

pub(super) fn register() {
    method_async("bdev_get_bdevs", SPDK_RPC_RUNTIME, get_bdevs);
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    name: Option<String>,
    /// How long to wait for it, in milliseconds.
    #[serde(default)]
    timeout: u64,
}

/// One who waits for a bdev.
struct Waiting {
    name: String,
    deadline_ticks: u64,
    poller: *mut spdk_poller,
    reply: Option<Reply>,
}

fn get_bdevs(given: Option<Value>, reply: Reply) {
    let wanted: Wanted = match params(given) {
        Ok(wanted) => wanted,
        Err(error) => return reply.send(Err(error)),
    };
    let Some(name) = wanted.name else {
        let all = all().iter().map(|open| dump(open.device())).collect();
        return reply.send(Ok(all));
    };
    match Open::by_name(&name) {
        Ok(open) => reply.send(Ok(json!([dump(open.device())]))),
        Err(rc) if rc == -libc::ENODEV && wanted.timeout != 0 => {
            wait(name, wanted.timeout, reply);
        }
        Err(rc) => reply.send(Err(RpcError::from_errno(rc))),
    }
}

fn wait(name: String, timeout_ms: u64, reply: Reply) {
    // SAFETY: any thread.
    let (now, hz) = unsafe { (spdk_get_ticks(), spdk_get_ticks_hz()) };
    let ticks = u128::from(timeout_ms) * u128::from(hz) / 1000;
    let waiting = Box::into_raw(Box::new(Waiting {
        name,
        deadline_ticks: now.saturating_add(u64::try_from(ticks).unwrap_or(u64::MAX)),
        poller: ptr::null_mut(),
        reply: Some(reply),
    }));
    // SAFETY: on the app thread; `look` ends the poller, and with it what it has.
    unsafe {
        (*waiting).poller = spdk_poller_register_named(
            Some(look),
            waiting.cast(),
            LOOK_US,
            c"bdev_open_async".as_ptr(),
        );
    }
}

unsafe extern "C" fn look(waiting: *mut c_void) -> c_int {
    // SAFETY: made by `wait`; of this thread.
    let this = unsafe { &mut *waiting.cast::<Waiting>() };
    // SAFETY: any thread.
    let is_late = unsafe { spdk_get_ticks() } >= this.deadline_ticks;
    let result = match Open::by_name(&this.name) {
        Ok(open) => Ok(json!([dump(open.device())])),
        Err(rc) if rc == -libc::ENODEV && !is_late => return SPDK_POLLER_IDLE as c_int,
        Err(rc) if rc == -libc::ENODEV => Err(RpcError::from_errno(-libc::ETIMEDOUT)),
        Err(rc) => Err(RpcError::from_errno(rc)),
    };
    if let Some(reply) = this.reply.take() {
        reply.send(result);
    }
    // SAFETY: made by `wait`; the poller ends here, so nobody has it any more.
    unsafe {
        spdk_poller_unregister(&mut this.poller);
        drop(Box::from_raw(waiting.cast::<Waiting>()));
    }
    SPDK_POLLER_BUSY as c_int
}

fn text(raw: *const c_char) -> Value {
    if raw.is_null() {
        return Value::Null;
    }
    // SAFETY: a string of the bdev's.
    unsafe { CStr::from_ptr(raw) }.to_string_lossy().into()
}

/// What there is to say of a bdev.
fn dump(device: Bdev) -> Value {
    // SAFETY: open; what is read does not change once a bdev is registered.
    let bdev = unsafe { &*device.raw() };
    let mut object = Map::new();
    let mut put = |name: &str, value: Value| {
        object.insert(name.to_owned(), value);
    };
    put("name", text(bdev.name));
    let control = device.control();
    let aliases = control.aliases.iter();
    put(
        "aliases",
        aliases.map(|alias| text(alias.as_ptr())).collect(),
    );
    put("product_name", text(bdev.product_name));
    put("block_size", bdev.blocklen.into());
    put("num_blocks", device.num_blocks().into());
    let preferences = [
        ("preferred_write_alignment", bdev.preferred_write_alignment),
        (
            "preferred_write_granularity",
            bdev.preferred_write_granularity,
        ),
        ("optimal_write_size", bdev.optimal_write_size),
        ("preferred_unmap_alignment", bdev.preferred_unmap_alignment),
        (
            "preferred_unmap_granularity",
            bdev.preferred_unmap_granularity,
        ),
    ];
    for (name, value) in preferences {
        put(name, value.into());
    }
    put("uuid", registration::uuid_text(&bdev.uuid).into());
    if bdev.numa.id_valid() != 0 {
        // A signed number of 31 bits.
        put("numa_id", (((bdev.numa.id() << 1) as i32) >> 1).into());
    }
    if bdev.md_len != 0 {
        put("md_size", bdev.md_len.into());
        put("md_interleave", device.is_md_interleaved().into());
        let dif_type = properties::dif_type(device);
        put("dif_type", dif_type.into());
        if dif_type != SPDK_DIF_DISABLE {
            put(
                "dif_is_head_of_md",
                properties::is_dif_head_of_md(device).into(),
            );
            // Reference tag, application tag and guard.
            let checks = [("reftag", 26), ("apptag", 27), ("guard", 28)];
            let checks = checks.map(|(name, bit)| {
                let on = bdev.dif_check_flags & 1 << bit != 0;
                (name.to_owned(), Value::from(on))
            });
            put(
                "enabled_dif_check_types",
                Value::Object(checks.into_iter().collect()),
            );
            put("dif_pi_format", bdev.dif_pi_format.into());
        }
    }
    let limits = throttle::NAMES
        .iter()
        .zip(device.record().throttle.get())
        .map(|(name, limit)| ((*name).to_owned(), limit.into()))
        .collect();
    put("assigned_rate_limits", Value::Object(limits));
    put("claimed", control.claim.is_some().into());
    if control.claim.is_some() {
        put("claim_type", claim::NAME.into());
    }
    drop(control);
    put("zoned", device.is_zoned().into());
    if device.is_zoned() {
        put("zone_size", bdev.zone_size.into());
        put("max_open_zones", bdev.max_open_zones.into());
        put("optimal_open_zones", bdev.optimal_open_zones.into());
    }
    let types = IO_TYPES.iter().zip(SPDK_BDEV_IO_TYPE_READ..);
    let supported = types
        .map(|(name, io_type)| ((*name).to_owned(), device.supports(io_type).into()))
        .collect();
    put("supported_io_types", Value::Object(supported));
    put("driver_specific", driver_specific(device));
    Value::Object(object)
}

fn driver_specific(device: Bdev) -> Value {
    let Some(dump_info_json) = device.functions().dump_info_json else {
        return json!({});
    };
    json::capture(|w| {
        // SAFETY: the writer is lent for this; the module's function and context, on the app thread.
        unsafe {
            spdk_json_write_object_begin(w);
            dump_info_json(device.ctxt(), w);
            spdk_json_write_object_end(w);
        }
    })
}
