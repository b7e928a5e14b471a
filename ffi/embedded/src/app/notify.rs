//! Notifications: what happened, for clients that ask. C: `spdk/notify.h`.

use std::collections::VecDeque;
use std::ffi::{CStr, c_char};
use std::ptr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use barespdk_sys::{
    SPDK_NOTIFY_MAX_CTX_SIZE, SPDK_NOTIFY_MAX_NAME_SIZE, SPDK_RPC_RUNTIME, spdk_notify_type,
};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::rpc::{RpcError, method, no_params, params};

/// So many events are kept; older ones are forgotten.
const EVENTS_MAX: usize = 1024;

struct Events {
    /// The kinds that there are: `struct spdk_notify_type` each, for ever.
    kinds: Vec<&'static str>,
    /// The last ones, oldest first: kind, and what it happened to.
    kept: VecDeque<(String, String)>,
    /// Number of the next one.
    next: u64,
}

static EVENTS: Mutex<Events> = Mutex::new(Events {
    kinds: Vec::new(),
    kept: VecDeque::new(),
    next: 0,
});

fn events() -> MutexGuard<'static, Events> {
    EVENTS.lock().unwrap_or_else(PoisonError::into_inner)
}

#[unsafe(no_mangle)]
unsafe extern "C" fn spdk_notify_type_register(type_: *const c_char) -> *mut spdk_notify_type {
    if type_.is_null() {
        error_log!("Invalid notification type\n");
        return ptr::null_mut();
    }
    // SAFETY: a C string, by contract.
    let name = unsafe { CStr::from_ptr(type_) }.to_string_lossy();
    if name.is_empty() || name.len() >= SPDK_NOTIFY_MAX_NAME_SIZE {
        error_log!("Notification type '{name}' too short or too long\n");
        return ptr::null_mut();
    }
    let kinds = &mut events().kinds;
    let known = kinds.iter().copied().find(|kind| *kind == name);
    let kind = known.unwrap_or_else(|| {
        let kind = String::leak(name.into_owned());
        kinds.push(kind);
        kind
    });
    kind.as_ptr().cast_mut().cast()
}

#[unsafe(no_mangle)]
unsafe extern "C" fn spdk_notify_send(type_: *const c_char, ctx: *const c_char) -> u64 {
    // SAFETY: C strings, by contract.
    let [kind, name] = unsafe { [type_, ctx].map(|text| CStr::from_ptr(text)) };
    send(&kind.to_string_lossy(), &name.to_string_lossy())
}

same_as_declared!(spdk_notify_type_register, spdk_notify_send);

/// So much of a text as fits into `len` bytes.
fn cut(text: &str, len: usize) -> &str {
    let mut end = len.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// Notes an event. Any thread. Its number.
pub(crate) fn send(kind: &str, name: &str) -> u64 {
    let [kind, name] = [
        (kind, SPDK_NOTIFY_MAX_NAME_SIZE),
        (name, SPDK_NOTIFY_MAX_CTX_SIZE),
    ]
    .map(|(text, size)| cut(text, size - 1).to_owned());
    let mut events = events();
    if events.kept.len() == EVENTS_MAX {
        events.kept.pop_front();
    }
    events.kept.push_back((kind, name));
    let number = events.next;
    events.next += 1;
    number
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
    Ok(json!(events().kinds))
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
