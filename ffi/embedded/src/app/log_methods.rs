//! Methods of the log.

use barespdk_sys::{SPDK_RPC_RUNTIME, SPDK_RPC_STARTUP, spdk_log_level};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::log;
use crate::rpc::{RpcError, method, no_params, params};

pub(super) fn register() {
    let always = SPDK_RPC_STARTUP | SPDK_RPC_RUNTIME;
    method("log_set_level", always, |given| {
        log::set_log_level(level(given)?);
        Ok(true.into())
    });
    method("log_set_print_level", always, |given| {
        log::set_print_level(level(given)?);
        Ok(true.into())
    });
    method("log_get_level", always, |given| {
        no_params("log_get_level", given)?;
        Ok(log::log_level_name().into())
    });
    method("log_get_print_level", always, |given| {
        no_params("log_get_print_level", given)?;
        Ok(log::print_level_name().into())
    });
    method("log_set_flag", always, flag);
    method("log_clear_flag", always, flag);
    method("log_get_flags", always, |given| {
        no_params("log_get_flags", given)?;
        Ok(json!({}))
    });
    method("log_enable_timestamps", SPDK_RPC_RUNTIME, timestamps);
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Level {
    level: String,
}

fn level(given: Option<Value>) -> Result<spdk_log_level, RpcError> {
    let Level { level } = params(given)?;
    match log::level_of(&level) {
        Some(found) if found >= 0 => Ok(found),
        _ => Err(RpcError::invalid_params("invalid log level")),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Flag {
    flag: String,
}

/// There are no flags, so that all of them can be set.
fn flag(given: Option<Value>) -> Result<Value, RpcError> {
    let Flag { flag } = params(given)?;
    match flag.as_str() {
        "all" => Ok(true.into()),
        _ => Err(RpcError::invalid_params("invalid log flag")),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Timestamps {
    #[allow(dead_code, reason = "lines always have the time")]
    enabled: bool,
}

fn timestamps(given: Option<Value>) -> Result<Value, RpcError> {
    params::<Timestamps>(given)?;
    Ok(true.into())
}
