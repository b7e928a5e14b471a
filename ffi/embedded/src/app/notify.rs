//! Notifications: what happened, for clients that ask. C: `spdk/notify.h`.

use std::sync::{Mutex, MutexGuard, PoisonError};

use barespdk_sys::SPDK_RPC_RUNTIME;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::rpc::{RpcError, method, no_params, params};

/// So many events are kept; older ones are forgotten.
const EVENTS_MAX: usize = 1024;

/// The kinds that there are.
const TYPES: [&str; 3] = ["bdev_register", "bdev_unregister", "bdev_resize"];

struct Events {
    /// The last ones, oldest first: kind and name.
    kept: std::collections::VecDeque<(&'static str, String)>,
    /// Number of the next one.
    next: u64,
}

static EVENTS: Mutex<Events> = Mutex::new(Events {
    kept: std::collections::VecDeque::new(),
    next: 0,
});

fn events() -> MutexGuard<'static, Events> {
    EVENTS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Notes an event of one of the [`TYPES`]. Any thread.
pub(crate) fn send(kind: &str, name: &str) {
    let Some(kind) = TYPES.into_iter().find(|known| *known == kind) else {
        return;
    };
    let mut events = events();
    if events.kept.len() == EVENTS_MAX {
        events.kept.pop_front();
    }
    events.kept.push_back((kind, name.to_owned()));
    events.next += 1;
}

pub(super) fn register() {
    method("notify_get_types", SPDK_RPC_RUNTIME, get_types);
    method(
        "notify_get_notifications",
        SPDK_RPC_RUNTIME,
        get_notifications,
    );
}

fn get_types(given: Option<Value>) -> Result<Value, RpcError> {
    no_params("notify_get_types", given)?;
    Ok(json!(TYPES))
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Wanted {
    id: u64,
    max: Option<u64>,
}

fn get_notifications(given: Option<Value>) -> Result<Value, RpcError> {
    let wanted: Wanted = params(given)?;
    let max = usize::try_from(wanted.max.unwrap_or(u64::MAX)).unwrap_or(usize::MAX);
    let events = events();
    let first = events.next - events.kept.len() as u64;
    let found = events
        .kept
        .iter()
        .zip(first..)
        .filter(|(_, id)| *id >= wanted.id)
        .take(max)
        .map(|((kind, name), id)| json!({"type": kind, "ctx": name, "id": id}));
    Ok(found.collect())
}
