use barespdk_sys::{SPDK_JSONRPC_ERROR_INVALID_PARAMS, SPDK_RPC_RUNTIME};
use serde::Deserialize;
use serde_json::Value;

use super::super::device;
use super::super::uuid::Uuid;
use super::{Delay, Kind, MODULE, Wanted, make, wanted};
use crate::rpc::{self, RpcError};

pub(super) fn add() {
    rpc::method("bdev_delay_create", SPDK_RPC_RUNTIME, create);
    rpc::method_async("bdev_delay_delete", SPDK_RPC_RUNTIME, |params, reply| {
        device::delete(&MODULE, params, reply, forget);
    });
    rpc::method(
        "bdev_delay_update_latency",
        SPDK_RPC_RUNTIME,
        update_latency,
    );
}

/// Latencies are in microseconds.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Create {
    base_bdev_name: String,
    name: String,
    #[serde(default)]
    uuid: Uuid,
    avg_read_latency: u64,
    p99_read_latency: u64,
    avg_write_latency: u64,
    p99_write_latency: u64,
}

fn create(params: Option<Value>) -> Result<Value, RpcError> {
    let params: Create = rpc::params(params)?;
    if params.p99_read_latency < params.avg_read_latency
        || params.p99_write_latency < params.avg_write_latency
    {
        error_log!(
            "{}: a p99 latency is less than the average one\n",
            params.name
        );
        return Err(RpcError::from_errno(-libc::EINVAL));
    }
    let new = Wanted {
        name: device::c_name(&params.name)?,
        base_name: device::c_name(&params.base_bdev_name)?,
        uuid: params.uuid,
        latencies_us: [
            params.avg_read_latency,
            params.p99_read_latency,
            params.avg_write_latency,
            params.p99_write_latency,
        ],
    };
    if wanted().iter().any(|other| other.name == new.name) {
        error_log!("delay: {} already exists\n", params.name);
        return Err(RpcError::from_errno(-libc::EEXIST));
    }
    wanted().push(new.clone());
    match make(&new) {
        Err(rc) if rc == -libc::ENODEV => {
            notice_log!(
                "{}: made when {} arrives\n",
                params.name,
                params.base_bdev_name
            );
        }
        Err(rc) => {
            forget(&params.name);
            return Err(RpcError::from_errno(rc));
        }
        Ok(()) => {}
    }
    Ok(Value::String(params.name))
}

/// Does not make a bdev again when its base comes back.
fn forget(name: &str) {
    wanted().retain(|wanted| wanted.name.as_bytes() != name.as_bytes());
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UpdateLatency {
    delay_bdev_name: String,
    latency_type: String,
    latency_us: u64,
}

fn update_latency(params: Option<Value>) -> Result<Value, RpcError> {
    let params: UpdateLatency = rpc::params(params)?;
    let invalid = |message: &str| RpcError {
        code: SPDK_JSONRPC_ERROR_INVALID_PARAMS,
        message: message.into(),
    };
    let kind = match params.latency_type.as_str() {
        "avg_read" => Kind::AvgRead,
        "p99_read" => Kind::P99Read,
        "avg_write" => Kind::AvgWrite,
        "p99_write" => Kind::P99Write,
        _ => return Err(invalid("Please specify a valid latency type.")),
    };
    let name = device::c_name(&params.delay_bdev_name)?;
    device::find::<Delay>(&name)
        .ok_or_else(|| invalid("The requested bdev does not exist."))?
        .device()
        .set_latency_us(kind, params.latency_us);
    Ok(Value::Bool(true))
}
