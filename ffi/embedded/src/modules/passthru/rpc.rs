use barespdk_sys::SPDK_RPC_RUNTIME;
use serde::Deserialize;
use serde_json::Value;

use super::super::device;
use super::super::uuid::Uuid;
use super::{MODULE, Wanted, make, wanted};
use crate::rpc::{self, RpcError};

pub(super) fn add() {
    rpc::method("bdev_passthru_create", SPDK_RPC_RUNTIME, create);
    rpc::method_async("bdev_passthru_delete", SPDK_RPC_RUNTIME, |params, reply| {
        device::delete(&MODULE, params, reply, forget);
    });
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Create {
    base_bdev_name: String,
    name: String,
    #[serde(default)]
    uuid: Uuid,
}

fn create(params: Option<Value>) -> Result<Value, RpcError> {
    let params: Create = rpc::params(params)?;
    let new = Wanted {
        name: device::c_name(&params.name)?,
        base_name: device::c_name(&params.base_bdev_name)?,
        uuid: params.uuid,
    };
    if wanted().iter().any(|other| other.name == new.name) {
        error_log!("passthru: {} already exists\n", params.name);
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
