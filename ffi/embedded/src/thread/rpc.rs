//! The RPCs `thread_get_stats`, `thread_get_pollers` and `thread_get_io_channels`: each thread writes its
//! part itself.

use std::sync::{Arc, Mutex, PoisonError};

use barespdk_sys::SPDK_RPC_RUNTIME;
use serde_json::{Value, json};

use super::poller::Poller;
use super::{Thread, for_each_thread};
use crate::env::{clock, cores, cpuset};
use crate::rpc::{Reply, RpcError, method_async};

/// Registers the methods.
pub(crate) fn register() {
    method_async("thread_get_stats", SPDK_RPC_RUNTIME, |params, reply| {
        gather("thread_get_stats", params, reply, stats);
    });
    method_async("thread_get_pollers", SPDK_RPC_RUNTIME, |params, reply| {
        gather("thread_get_pollers", params, reply, pollers);
    });
    method_async(
        "thread_get_io_channels",
        SPDK_RPC_RUNTIME,
        |params, reply| {
            gather("thread_get_io_channels", params, reply, io_channels);
        },
    );
}

/// Answers with what `part` gives on each thread.
fn gather(name: &str, params: Option<Value>, reply: Reply, part: fn(&Thread) -> Value) {
    if params.is_some() {
        let error = RpcError::invalid_params(format!("'{name}' requires no arguments"));
        return reply.send(Err(error));
    }
    let parts = Arc::new(Mutex::new(Vec::new()));
    let all = Arc::clone(&parts);
    let step = move |thread: &Thread| {
        let part = part(thread);
        parts
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(part);
    };
    for_each_thread(step, move || {
        let threads = std::mem::take(&mut *all.lock().unwrap_or_else(PoisonError::into_inner));
        reply.send(Ok(json!({ "tick_rate": clock::HZ, "threads": threads })));
    });
}

/// The cores that a thread may run on, as text.
pub(crate) fn cores_of(thread: &Thread) -> String {
    cpuset::format(&cpuset::and(&cores::mask(), thread.cpumask()))
}

fn stats(thread: &Thread) -> Value {
    let mut counts = [0_u64; 3];
    thread.pollers().each(|kind, _| {
        if let Some(count) = counts.get_mut(kind) {
            *count += 1;
        }
    });
    let [active, timed, paused] = counts;
    let stats = thread.stats();
    json!({
        "name": thread.name().to_string_lossy(),
        "id": thread.id(),
        "cpumask": cores_of(thread),
        "busy": stats.busy,
        "idle": stats.idle,
        "active_pollers_count": active,
        "timed_pollers_count": timed,
        "paused_pollers_count": paused,
    })
}

fn pollers(thread: &Thread) -> Value {
    let mut kinds = [const { Vec::new() }; 3];
    thread.pollers().each(|kind, poller| {
        if let Some(pollers) = kinds.get_mut(kind) {
            pollers.push(describe(poller));
        }
    });
    let [active, timed, paused] = kinds;
    json!({
        "name": thread.name().to_string_lossy(),
        "id": thread.id(),
        "active_pollers": active,
        "timed_pollers": timed,
        "paused_pollers": paused,
    })
}

fn describe(poller: &Poller) -> Value {
    let info = poller.info();
    let mut value = json!({
        "name": info.name.to_string_lossy(),
        "id": info.id,
        "state": info.state,
        "run_count": info.run_count,
        "busy_count": info.busy_count,
    });
    if info.period_ticks > 0 {
        value["period_ticks"] = info.period_ticks.into();
    }
    value
}

fn io_channels(thread: &Thread) -> Value {
    let mut channels = Vec::new();
    thread
        .each_channel(|name, references| channels.push(json!({ "name": name, "ref": references })));
    json!({ "name": thread.name().to_string_lossy(), "io_channels": channels })
}
