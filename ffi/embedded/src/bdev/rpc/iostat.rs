//! `bdev_get_iostat`, `bdev_reset_iostat`.

use std::cell::RefCell;
use std::ffi::c_int;
use std::rc::Rc;

use barespdk_sys::*;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{Open, all, params};
use crate::bdev::channel;
use crate::bdev::device::Bdev;
use crate::bdev::stat::{ErrorCounts, Reset, Stat};
use crate::json;
use crate::rpc::{Reply, RpcError, method_async};

pub(super) fn register() {
    method_async("bdev_get_iostat", SPDK_RPC_RUNTIME, get);
    method_async("bdev_reset_iostat", SPDK_RPC_RUNTIME, reset);
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Get {
    name: Option<String>,
    #[serde(default)]
    per_channel: bool,
    reset_mode: Option<Reset>,
    names: Option<Vec<String>>,
}

/// The beginning of an answer.
fn heading() -> Map<String, Value> {
    // SAFETY: any thread.
    let (hz, ticks) = unsafe { (spdk_get_ticks_hz(), spdk_get_ticks()) };
    let mut heading = Map::new();
    heading.insert("tick_rate".into(), hz.into());
    heading.insert("ticks".into(), ticks.into());
    heading
}

/// The bdevs that are meant, or the first error there was with one.
fn open(name: Option<String>, names: Option<Vec<String>>) -> Result<Vec<Open>, RpcError> {
    let names = match (name, names) {
        (None, None) => return Ok(all()),
        (Some(name), None) => vec![name],
        (None, Some(names)) => names,
        (Some(_), Some(_)) => return Err(RpcError::from_errno(-libc::EINVAL)),
    };
    let opened: Result<Vec<_>, _> = names.iter().map(|name| Open::by_name(name)).collect();
    opened.map_err(RpcError::from_errno)
}

fn get(given: Option<Value>, reply: Reply) {
    let wanted: Get = match params(given) {
        Ok(wanted) => wanted,
        Err(error) => return reply.send(Err(error)),
    };
    let mode = wanted.reset_mode.unwrap_or(Reset::Nothing);
    let is_one = match &wanted.names {
        Some(names) => names.len() == 1,
        None => wanted.name.is_some(),
    };
    if wanted.per_channel && !is_one {
        return reply.send(Err(RpcError::from_errno(-libc::EINVAL)));
    }
    match open(wanted.name, wanted.names) {
        Err(error) => reply.send(Err(error)),
        Ok(bdevs) if wanted.per_channel => {
            if let Some(bdev) = bdevs.into_iter().next() {
                get_per_channel(bdev, mode, reply);
            }
        }
        Ok(bdevs) => get_of_each(bdevs, mode, reply),
    }
}

/// What goes from channel to channel of one bdev.
struct PerChannel {
    bdev: Open,
    mode: Reset,
    answer: Map<String, Value>,
    channels: Vec<Value>,
    reply: Reply,
}

fn get_per_channel(bdev: Open, mode: Reset, reply: Reply) {
    let mut answer = heading();
    answer.insert("name".into(), bdev.device().name_text().into());
    let context = PerChannel {
        bdev,
        mode,
        answer,
        channels: Vec::new(),
        reply,
    };
    channel::for_each(
        context.bdev.device(),
        context,
        |mut step| {
            let mode = step.context().mode;
            let channel = step.channel();
            let mut object = Map::new();
            // SAFETY: the thread of the channel, which is at hand.
            let id = unsafe { spdk_thread_get_id(channel.thread) };
            object.insert("thread_id".into(), id.into());
            channel.stat.get().dump(&mut object);
            object.insert("io_error".into(), json!({}));
            channel.stat.reset(mode);
            step.context().channels.push(Value::Object(object));
            step.go_on(0);
        },
        |mut context, _| {
            context
                .answer
                .insert("channels".into(), context.channels.into());
            context.reply.send(Ok(Value::Object(context.answer)));
        },
    );
}

/// The bdevs that are asked one after the other, and what they have said.
struct OfEach {
    waiting: Vec<Open>,
    mode: Reset,
    bdevs: Vec<Value>,
    reply: Reply,
}

fn get_of_each(mut bdevs: Vec<Open>, mode: Reset, reply: Reply) {
    bdevs.reverse();
    next(OfEach {
        waiting: bdevs,
        mode,
        bdevs: Vec::new(),
        reply,
    });
}

/// What goes from channel to channel of a bdev.
struct Sum {
    bdev: Open,
    stat: Stat,
    errors: ErrorCounts,
    rest: OfEach,
}

fn next(mut rest: OfEach) {
    let Some(bdev) = rest.waiting.pop() else {
        let mut answer = heading();
        answer.insert("bdevs".into(), rest.bdevs.into());
        rest.reply.send(Ok(Value::Object(answer)));
        return;
    };
    let device = bdev.device();
    let mut control = device.control();
    let (stat, errors) = (control.stat, control.errors);
    control.stat.reset(rest.mode);
    control.errors.reset(rest.mode);
    drop(control);
    let sum = Sum {
        bdev,
        stat,
        errors,
        rest,
    };
    channel::for_each(
        device,
        sum,
        |mut step| {
            let stat = step.channel().stat.get();
            step.context().stat.add(&stat);
            let mode = step.context().rest.mode;
            step.channel().stat.reset(mode);
            step.go_on(0);
        },
        |mut sum, _| {
            let value = dump(sum.bdev.device(), &sum.stat, &sum.errors);
            sum.rest.bdevs.push(value);
            drop(sum.bdev);
            next(sum.rest);
        },
    );
}

fn dump(device: Bdev, stat: &Stat, errors: &ErrorCounts) -> Value {
    let mut object = Map::new();
    object.insert("name".into(), device.name_text().into());
    stat.dump(&mut object);
    object.insert("io_error".into(), errors.dump());
    let depth = device.control().queue_depth;
    if depth.period_us != 0 {
        let numbers = [
            ("queue_depth_polling_period", depth.period_us),
            ("queue_depth", depth.measured),
            ("io_time", depth.io_time_us),
            ("weighted_io_time", depth.weighted_io_time_us),
        ];
        for (name, number) in numbers {
            object.insert(name.into(), number.into());
        }
    }
    if let Some(dump_device_stat_json) = device.functions().dump_device_stat_json {
        let value = json::capture(|w| {
            // SAFETY: the writer is lent for this; the module's function and context, on the app
            // thread.
            unsafe {
                spdk_json_write_object_begin(w);
                dump_device_stat_json(device.ctxt(), w);
                spdk_json_write_object_end(w);
            }
        });
        object.insert("driver_specific".into(), value);
    }
    Value::Object(object)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ResetStat {
    name: Option<String>,
    mode: Option<Reset>,
}

fn reset(given: Option<Value>, reply: Reply) {
    let wanted: ResetStat = match params(given) {
        Ok(wanted) => wanted,
        Err(error) => return reply.send(Err(error)),
    };
    let mode = wanted.mode.unwrap_or(Reset::All);
    if mode == Reset::Nothing {
        return reply.send(Ok(true.into()));
    }
    let bdevs = match open(wanted.name, None) {
        Ok(bdevs) => bdevs,
        Err(error) => return reply.send(Err(error)),
    };
    // Answered when the last one is done, whichever that is.
    let answer = Rc::new(RefCell::new(Answer(Some(reply))));
    for bdev in bdevs {
        let device = bdev.device();
        if let Some(reset_device_stat) = device.functions().reset_device_stat {
            // SAFETY: the module's function and context, on the app thread.
            unsafe { reset_device_stat(device.ctxt()) };
        }
        let mut control = device.control();
        control.stat.reset(mode);
        control.errors.reset(mode);
        drop(control);
        channel::for_each(
            device,
            (bdev, mode, Rc::clone(&answer)),
            |mut step| {
                let mode = step.context().1;
                step.channel().stat.reset(mode);
                step.go_on(0);
            },
            |done: (Open, Reset, Rc<RefCell<Answer>>), _: c_int| drop(done),
        );
    }
}

/// Says that all is done when it is dropped. Made, shared and dropped on the app thread.
struct Answer(Option<Reply>);

impl Drop for Answer {
    fn drop(&mut self) {
        if let Some(reply) = self.0.take() {
            reply.send(Ok(true.into()));
        }
    }
}
