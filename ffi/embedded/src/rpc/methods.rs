//! Methods about methods, and the version.

use barespdk_sys::{SPDK_RPC_RUNTIME, SPDK_RPC_STARTUP};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{RpcError, method, no_params, params, registry};

/// The version of SPDK whose ABI and methods this is.
pub(crate) const VERSION: &str = "SPDK v26.01";

pub(super) fn register() {
    let always = SPDK_RPC_STARTUP | SPDK_RPC_RUNTIME;
    method("rpc_get_methods", always, rpc_get_methods);
    method("spdk_get_version", always, spdk_get_version);
}

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
#[derive(Default)]
struct Wanted {
    current: bool,
    /// There are no aliases.
    #[allow(dead_code, reason = "taken so that callers may say it")]
    include_aliases: bool,
}

fn rpc_get_methods(given: Option<Value>) -> Result<Value, RpcError> {
    let wanted: Wanted = params(given)?;
    Ok(registry::names(wanted.current).into())
}

fn spdk_get_version(given: Option<Value>) -> Result<Value, RpcError> {
    no_params("spdk_get_version method", given)?;
    Ok(json!({
        "version": VERSION,
        "fields": {"major": 26, "minor": 1, "patch": 0, "suffix": ""},
    }))
}
