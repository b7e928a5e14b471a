//! The RPC `framework_get_reactors`: each reactor writes its part itself.

use std::sync::atomic::Ordering;

use barespdk_sys::{SPDK_RPC_RUNTIME, spdk_thread_get_app_thread};
use serde_json::{Value, json};

use super::{Reactor, all};
use crate::env::clock;
use crate::rpc::{Reply, RpcError, method_async};
use crate::thread::on_thread;
use crate::thread::rpc::cores_of;

/// Registers the method.
pub(crate) fn register() {
    method_async(
        "framework_get_reactors",
        SPDK_RPC_RUNTIME,
        |params, reply| match params {
            None => go_on(clock::now(), 0, Vec::new(), reply),
            Some(_) => reply.send(Err(RpcError::invalid_params(
                "`framework_get_reactors` requires no arguments",
            ))),
        },
    );
}

/// Sends the parts gathered so far to the next reactor, or as the answer.
fn go_on(now: u64, from_core: u32, mut parts: Vec<Value>, reply: Reply) {
    let Some(reactor) = all().find(|reactor| reactor.core() >= from_core) else {
        let result = json!({
            "tick_rate": clock::HZ,
            "pid": std::process::id(),
            "reactors": parts,
        });
        // Answers are given on SPDK threads, and this is an event of a reactor.
        // SAFETY: the app thread waits for all requests before it exits.
        unsafe {
            on_thread(
                spdk_thread_get_app_thread(),
                Box::new(|| reply.send(Ok(result))),
            )
        };
        return;
    };
    reactor.send(Box::new(move |reactor| {
        parts.push(reactor.describe(now));
        go_on(now, reactor.core() + 1, parts, reply);
    }));
}

impl Reactor {
    fn describe(&self, now: u64) -> Value {
        let threads: Vec<Value> = self
            .threads
            .borrow()
            .iter()
            .map(|thread| {
                // SAFETY: a thread of this reactor is alive.
                let thread = unsafe { &**thread };
                json!({
                    "name": thread.name().to_string_lossy(),
                    "id": thread.id(),
                    "cpumask": cores_of(thread),
                    "elapsed": now.saturating_sub(thread.placed_ticks()),
                })
            })
            .collect();
        let (user_us, system_us) = cpu_time_us();
        json!({
            "lcore": self.core(),
            // SAFETY: takes nothing, and returns a number.
            "tid": unsafe { libc::gettid() },
            "busy": self.busy_ticks.load(Ordering::Relaxed),
            "idle": self.idle_ticks.load(Ordering::Relaxed),
            "in_interrupt": false,
            "irq": 0,
            "sys": system_us,
            "usr": user_us,
            "lw_threads": threads,
        })
    }
}

/// What this OS thread has used so far: SPDK tells of the whole core instead, which others use too. In
/// microseconds.
fn cpu_time_us() -> (i64, i64) {
    if clock::is_virtual() {
        return (0, 0);
    }
    // SAFETY: plain C data, valid as zeroes, and a place for it.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        libc::getrusage(libc::RUSAGE_THREAD, &mut usage);
        usage
    };
    let us = |time: libc::timeval| time.tv_sec * 1_000_000 + time.tv_usec;
    (us(usage.ru_utime), us(usage.ru_stime))
}
