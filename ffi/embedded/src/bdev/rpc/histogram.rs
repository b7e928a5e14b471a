//! `bdev_enable_histogram`, `bdev_get_histogram`.

use std::ffi::c_int;

use barespdk_sys::*;
use serde::Deserialize;
use serde_json::{Value, json};

use super::bdevs::IO_TYPES;
use super::{Open, params};
use crate::bdev::channel;
use crate::bdev::histogram::{GRANULARITY_DEFAULT, Histogram, Setting};
use crate::rpc::{Reply, RpcError, method_async};

const NSEC_MIN_DEFAULT: u64 = 1000;
const NSEC_MAX_DEFAULT: u64 = 120_000_000_000;

pub(super) fn register() {
    method_async("bdev_enable_histogram", SPDK_RPC_RUNTIME, enable);
    method_async("bdev_get_histogram", SPDK_RPC_RUNTIME, get);
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Enable {
    name: String,
    enable: bool,
    opc: Option<String>,
    granularity: Option<u8>,
    min_nsec: Option<u64>,
    max_nsec: Option<u64>,
}

fn ticks(nsec: u64) -> u64 {
    if nsec == u64::MAX {
        return nsec;
    }
    // SAFETY: any thread.
    let ticks = u128::from(nsec) * u128::from(unsafe { spdk_get_ticks_hz() }) / 1_000_000_000;
    u64::try_from(ticks).unwrap_or(u64::MAX)
}

/// What goes along with a change of the histograms.
struct Change {
    open: Open,
    setting: Setting,
    reply: Reply,
    status: c_int,
}

fn enable(given: Option<Value>, reply: Reply) {
    let (open, setting) = match begin_enable(given) {
        Ok(begun) => begun,
        Err(error) => return reply.send(Err(error)),
    };
    let device = open.device();
    let change = Change {
        open,
        setting,
        reply,
        status: 0,
    };
    // On failure all channels lose what some have got.
    if setting.enabled && Histogram::new(&setting).is_none() {
        device.control().histogram.enabled = false;
        apply(Change {
            status: -libc::ENOMEM,
            setting: Setting {
                enabled: false,
                ..setting
            },
            ..change
        });
    } else {
        apply(change);
    }
}

fn begin_enable(given: Option<Value>) -> Result<(Open, Setting), RpcError> {
    let wanted: Enable = params(given)?;
    let open = Open::by_name(&wanted.name).map_err(RpcError::from_errno)?;
    let io_type = match wanted.opc {
        None => 0,
        Some(opc) => IO_TYPES
            .iter()
            .zip(SPDK_BDEV_IO_TYPE_READ..)
            .find(|(name, _)| **name == opc)
            .map(|(_, io_type)| io_type)
            .ok_or_else(|| RpcError::internal("Invalid Io type"))?,
    };
    let mut control = open.device().control();
    if control.histogram.changes {
        return Err(RpcError::from_errno(-libc::EAGAIN));
    }
    control.histogram = Setting {
        enabled: wanted.enable,
        changes: true,
        io_type,
        granularity: wanted.granularity.map_or(GRANULARITY_DEFAULT, u32::from),
        ticks_min: ticks(wanted.min_nsec.unwrap_or(NSEC_MIN_DEFAULT)),
        ticks_max: ticks(wanted.max_nsec.unwrap_or(NSEC_MAX_DEFAULT)),
    };
    let setting = control.histogram;
    drop(control);
    Ok((open, setting))
}

fn apply(change: Change) {
    channel::for_each(
        change.open.device(),
        change,
        |mut step| {
            let setting = step.context().setting;
            let channel = step.channel();
            let mut histogram = channel.histogram.borrow_mut();
            if !setting.enabled {
                *histogram = None;
            } else if histogram.is_none() {
                *histogram = setting.make();
            }
            channel.has_histogram.set(histogram.is_some());
            drop(histogram);
            step.go_on(0);
        },
        |change, _| {
            change.open.device().control().histogram.changes = false;
            change.reply.send(match change.status {
                0 => Ok(true.into()),
                status => Err(RpcError::from_errno(status)),
            });
        },
    );
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Name {
    name: String,
}

fn get(given: Option<Value>, reply: Reply) {
    let begin = || {
        let Name { name } = params(given)?;
        let open = Open::by_name(&name).map_err(RpcError::from_errno)?;
        let setting = open.device().control().histogram;
        // What there was is shown until another one is asked for; a channel has none then.
        let sum = Histogram::new(&setting).ok_or(RpcError::from_errno(-libc::ENOMEM))?;
        Ok((open, setting.granularity, sum))
    };
    let (open, granularity, sum) = match begin() {
        Ok(begun) => begun,
        Err(error) => return reply.send(Err(error)),
    };
    channel::for_each(
        open.device(),
        (open, granularity, sum, reply),
        |mut step| {
            let histogram = step.channel().histogram.borrow().clone();
            let status = match histogram {
                Some(histogram) => {
                    step.context().2.add(&histogram);
                    0
                }
                None => -libc::EFAULT,
            };
            step.go_on(status);
        },
        |(open, granularity, sum, reply), status| {
            drop(open);
            reply.send(match status {
                0 => Ok(dump(granularity, &sum)),
                _ => Err(RpcError::internal(RpcError::from_errno(status).message)),
            });
        },
    );
}

fn dump(granularity: u32, sum: &Histogram) -> Value {
    let (range_min, range_max) = sum.ranges();
    // SAFETY: any thread.
    let hz = unsafe { spdk_get_ticks_hz() };
    json!({
        "histogram": base64(&sum.bytes()),
        "granularity": granularity,
        "min_range": range_min,
        "max_range": range_max,
        "tsc_rate": hz,
    })
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let byte = |index: usize| u32::from(group.get(index).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for digit in 0..4 {
            let value = bits >> (18 - 6 * digit) & 63;
            text.push(if digit <= group.len() {
                char::from(DIGITS[value as usize])
            } else {
                '='
            });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::base64;

    #[test]
    fn base64_pads_what_is_no_whole_group() {
        let cases = [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foobar", "Zm9vYmFy"),
        ];
        for (plain, encoded) in cases {
            assert_eq!(base64(plain.as_bytes()), encoded);
        }
    }
}
