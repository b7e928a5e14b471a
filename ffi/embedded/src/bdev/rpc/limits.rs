//! `bdev_set_qos_limit`, `bdev_set_qd_sampling_period`.

use barespdk_sys::*;
use serde::Deserialize;
use serde_json::Value;

use super::{Open, params};
use crate::bdev::{queue_depth, throttle};
use crate::rpc::{Reply, RpcError, method, method_async};

pub(super) fn register() {
    method_async("bdev_set_qos_limit", SPDK_RPC_RUNTIME, set_qos_limit);
    method(
        "bdev_set_qd_sampling_period",
        SPDK_RPC_RUNTIME,
        set_qd_sampling_period,
    );
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Limits {
    name: String,
    rw_ios_per_sec: Option<u64>,
    rw_mbytes_per_sec: Option<u64>,
    r_mbytes_per_sec: Option<u64>,
    w_mbytes_per_sec: Option<u64>,
}

fn set_qos_limit(given: Option<Value>, reply: Reply) {
    match begin_set_qos_limit(given) {
        Ok((open, limits)) => throttle::set(open.device(), limits, move |status| {
            reply.send(match status {
                0 => Ok(true.into()),
                _ => Err(RpcError::invalid_params(format!(
                    "Failed to configure rate limit: {}",
                    RpcError::from_errno(status).message
                ))),
            });
            drop(open);
        }),
        Err(error) => reply.send(Err(error)),
    }
}

fn begin_set_qos_limit(given: Option<Value>) -> Result<(Open, [Option<u64>; 4]), RpcError> {
    let wanted: Limits = params(given)?;
    let open = Open::by_name(&wanted.name).map_err(RpcError::from_errno)?;
    // As SPDK has it, the greatest number stands for none.
    let limits = [
        wanted.rw_ios_per_sec,
        wanted.rw_mbytes_per_sec,
        wanted.r_mbytes_per_sec,
        wanted.w_mbytes_per_sec,
    ]
    .map(|limit| limit.filter(|limit| *limit != u64::MAX));
    if limits.iter().all(Option::is_none) {
        return Err(RpcError {
            code: -libc::EINVAL,
            message: "No rate limits specified".into(),
        });
    }
    Ok((open, limits))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Period {
    name: String,
    /// In microseconds.
    period: u64,
}

fn set_qd_sampling_period(given: Option<Value>) -> Result<Value, RpcError> {
    let wanted: Period = params(given)?;
    let open = Open::by_name(&wanted.name).map_err(RpcError::from_errno)?;
    queue_depth::set_period(open.device(), wanted.period);
    Ok(true.into())
}
