//! Methods of the framework.

use std::ffi::c_int;
use std::sync::atomic::{AtomicBool, Ordering};

use barespdk_sys::{SPDK_RPC_RUNTIME, SPDK_RPC_STARTUP};
use serde::Deserialize;
use serde_json::{Value, json};

use super::start;
use crate::bdev;
use crate::rpc::{Reply, RpcError, method, method_async, no_params, params};

/// The subsystems that there are, each after those that it needs.
pub(super) const SUBSYSTEMS: [&str; 2] = ["iobuf", "bdev"];

pub(super) fn register() {
    let always = SPDK_RPC_STARTUP | SPDK_RPC_RUNTIME;
    method_async("framework_start_init", SPDK_RPC_STARTUP, start_init);
    method_async("framework_wait_init", always, wait_init);
    method("framework_get_subsystems", SPDK_RPC_RUNTIME, get_subsystems);
    method("framework_get_config", SPDK_RPC_RUNTIME, get_config);
    method("framework_get_pci_devices", SPDK_RPC_RUNTIME, |given| {
        no_params("framework_get_pci_devices", given)?;
        Ok(json!([]))
    });
    method(
        "framework_monitor_context_switch",
        SPDK_RPC_RUNTIME,
        monitor_context_switch,
    );
    // An idle core sleeps, so that two applications may share it: there is nothing to lock.
    method("framework_disable_cpumask_locks", always, |given| {
        no_params("framework_disable_cpumask_locks", given)?;
        Ok(true.into())
    });
    method("spdk_kill_instance", SPDK_RPC_RUNTIME, kill_instance);
}

fn start_init(given: Option<Value>, reply: Reply) {
    match no_params("framework_start_init", given) {
        Ok(()) => start::init_subsystems(Some(reply)),
        Err(error) => reply.send(Err(error)),
    }
}

fn wait_init(_: Option<Value>, reply: Reply) {
    start::when_initialised(reply);
}

fn get_subsystems(given: Option<Value>) -> Result<Value, RpcError> {
    no_params("framework_get_subsystems", given)?;
    let [iobuf, bdev] = SUBSYSTEMS;
    Ok(json!([
        {"subsystem": iobuf, "depends_on": []},
        {"subsystem": bdev, "depends_on": [iobuf]},
    ]))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Name {
    name: String,
}

fn get_config(given: Option<Value>) -> Result<Value, RpcError> {
    let Name { name } = params(given)?;
    match name.as_str() {
        "iobuf" => Ok(bdev::save_iobuf_config().into()),
        "bdev" => Ok(bdev::save_config().into()),
        _ => Err(RpcError::invalid_params(format!(
            "Subsystem '{name}' not found"
        ))),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Monitor {
    enabled: bool,
}

fn monitor_context_switch(given: Option<Value>) -> Result<Value, RpcError> {
    /// Remembered for those who ask. Nothing is monitored: sleeping is switching.
    static ENABLED: AtomicBool = AtomicBool::new(false);
    if given.is_some() {
        let Monitor { enabled } = params(given)?;
        ENABLED.store(enabled, Ordering::Relaxed);
    }
    Ok(json!({"enabled": ENABLED.load(Ordering::Relaxed)}))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Kill {
    sig_name: String,
}

fn kill_instance(given: Option<Value>) -> Result<Value, RpcError> {
    const SIGNALS: [(&str, c_int); 6] = [
        ("SIGINT", libc::SIGINT),
        ("SIGTERM", libc::SIGTERM),
        ("SIGQUIT", libc::SIGQUIT),
        ("SIGHUP", libc::SIGHUP),
        ("SIGKILL", libc::SIGKILL),
        ("SIGUSR1", libc::SIGUSR1),
    ];
    let Kill { sig_name } = params(given)?;
    let is_it =
        |(name, number): &&(&str, c_int)| *name == sig_name || number.to_string() == sig_name;
    let Some((_, signal)) = SIGNALS.iter().find(is_it) else {
        return Err(RpcError::invalid_params("Invalid parameters"));
    };
    // SAFETY: a signal to this process, as its operator asks for.
    unsafe { libc::kill(libc::getpid(), *signal) };
    Ok(true.into())
}
