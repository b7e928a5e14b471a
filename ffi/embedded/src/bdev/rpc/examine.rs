//! `bdev_examine`, `bdev_wait_for_examine`.

use std::ffi::CString;

use barespdk_sys::SPDK_RPC_RUNTIME;
use serde::Deserialize;
use serde_json::Value;

use crate::bdev::examine;
use crate::rpc::{Reply, RpcError, method, method_async, no_params, params};

pub(super) fn register() {
    method("bdev_examine", SPDK_RPC_RUNTIME, examine_one);
    method_async("bdev_wait_for_examine", SPDK_RPC_RUNTIME, wait);
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Name {
    name: String,
}

fn examine_one(given: Option<Value>) -> Result<Value, RpcError> {
    let Name { name } = params(given)?;
    let name = CString::new(name).map_err(|_| RpcError::from_errno(-libc::EINVAL))?;
    examine::examine_by_name(&name).map_err(RpcError::from_errno)?;
    Ok(true.into())
}

fn wait(given: Option<Value>, reply: Reply) {
    match no_params("bdev_wait_for_examine", given) {
        Ok(()) => examine::wait(move || reply.send(Ok(true.into()))),
        Err(error) => reply.send(Err(error)),
    }
}
