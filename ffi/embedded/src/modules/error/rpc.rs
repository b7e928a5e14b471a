use barespdk_sys::{
    SPDK_BDEV_IO_TYPE_FLUSH, SPDK_BDEV_IO_TYPE_READ, SPDK_BDEV_IO_TYPE_UNMAP,
    SPDK_BDEV_IO_TYPE_WRITE, SPDK_RPC_RUNTIME,
};
use serde::Deserialize;
use serde_json::Value;

use super::super::device;
use super::super::uuid::Uuid;
use super::injection::{Fault, Injection};
use super::{Faulty, MODULE, Wanted, make, wanted};
use crate::rpc::{self, RpcError};

pub(super) fn add() {
    rpc::method("bdev_error_create", SPDK_RPC_RUNTIME, create);
    rpc::method_async("bdev_error_delete", SPDK_RPC_RUNTIME, |params, reply| {
        device::delete(&MODULE, params, reply, |_| ());
    });
    rpc::method("bdev_error_inject_error", SPDK_RPC_RUNTIME, inject);
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Create {
    base_name: String,
    #[serde(default)]
    uuid: Uuid,
}

fn create(params: Option<Value>) -> Result<Value, RpcError> {
    let params: Create = rpc::params(params)?;
    let new = Wanted {
        base_name: device::c_name(&params.base_name)?,
        uuid: params.uuid,
    };
    if wanted()
        .iter()
        .any(|other| other.base_name == new.base_name)
    {
        error_log!("error bdev of {} already exists\n", params.base_name);
        return Err(RpcError::from_errno(-libc::EEXIST));
    }
    wanted().push(new.clone());
    match make(&new) {
        Err(rc) if rc == -libc::ENODEV => {
            notice_log!("error bdev made when {} arrives\n", params.base_name);
        }
        Err(rc) => {
            wanted().retain(|wanted| wanted.base_name != new.base_name);
            return Err(RpcError::from_errno(rc));
        }
        Ok(()) => {}
    }
    Ok(Value::Bool(true))
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Target {
    Read,
    Write,
    Flush,
    Unmap,
    All,
    Clear,
}

#[derive(Deserialize)]
#[serde(remote = "Fault", rename_all = "snake_case")]
enum FaultName {
    Failure,
    Pending,
    CorruptData,
    Nomem,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Inject {
    name: String,
    io_type: Target,
    #[serde(with = "FaultName")]
    error_type: Fault,
    #[serde(default = "once")]
    num: u32,
    #[serde(default)]
    queue_depth: u64,
    #[serde(default)]
    corrupt_offset: u64,
    #[serde(default)]
    corrupt_value: u8,
}

fn once() -> u32 {
    1
}

fn inject(params: Option<Value>) -> Result<Value, RpcError> {
    let params: Inject = rpc::params(params)?;
    if params.error_type == Fault::CorruptData && params.corrupt_value == 0 {
        error_log!("{}: a corrupt_value of 0 changes nothing\n", params.name);
        return Err(RpcError::from_errno(-libc::EINVAL));
    }
    let name = device::c_name(&params.name)?;
    let disk = device::find::<Faulty>(&name).ok_or_else(|| RpcError::from_errno(-libc::ENODEV))?;
    let injections = &disk.device().injections;
    let injection = Injection {
        fault: params.error_type,
        num: params.num,
        queue_depth: params.queue_depth,
        corrupt_offset: params.corrupt_offset,
        corrupt_value: params.corrupt_value,
    };
    match params.io_type {
        Target::Read => injections.set(Some(SPDK_BDEV_IO_TYPE_READ), injection),
        Target::Write => injections.set(Some(SPDK_BDEV_IO_TYPE_WRITE), injection),
        Target::Flush => injections.set(Some(SPDK_BDEV_IO_TYPE_FLUSH), injection),
        Target::Unmap => injections.set(Some(SPDK_BDEV_IO_TYPE_UNMAP), injection),
        Target::All => injections.set(None, injection),
        Target::Clear => injections.clear(),
    }
    Ok(Value::Bool(true))
}
