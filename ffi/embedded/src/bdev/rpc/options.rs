//! `bdev_set_options`, `iobuf_set_options`, `iobuf_get_stats`.

use std::ffi::{c_int, c_void};

use barespdk_sys::*;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::bdev::registry::registry;
use crate::bdev::{buffer, pool};
use crate::rpc::{Reply, RpcError, method, method_async, no_params, params};

pub(super) fn register() {
    method("bdev_set_options", SPDK_RPC_STARTUP, set_bdev_options);
    method("iobuf_set_options", SPDK_RPC_STARTUP, set_iobuf_options);
    method_async("iobuf_get_stats", SPDK_RPC_RUNTIME, get_iobuf_stats);
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BdevOptions {
    bdev_io_pool_size: Option<u32>,
    bdev_io_cache_size: Option<u32>,
    bdev_auto_examine: Option<bool>,
    iobuf_small_cache_size: Option<u32>,
    iobuf_large_cache_size: Option<u32>,
}

fn set<T>(place: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *place = value;
    }
}

fn set_bdev_options(given: Option<Value>) -> Result<Value, RpcError> {
    let wanted: BdevOptions = params(given)?;
    let mut registry = registry();
    let mut options = registry.options;
    set(&mut options.bdev_io_pool_size, wanted.bdev_io_pool_size);
    set(&mut options.bdev_io_cache_size, wanted.bdev_io_cache_size);
    set(&mut options.bdev_auto_examine, wanted.bdev_auto_examine);
    set(
        &mut options.iobuf_small_cache_size,
        wanted.iobuf_small_cache_size,
    );
    set(
        &mut options.iobuf_large_cache_size,
        wanted.iobuf_large_cache_size,
    );
    // One share for each thread, and one that may be on its way out.
    // SAFETY: any thread.
    let shares = u64::from(unsafe { spdk_thread_get_count() }) + 1;
    let size_min = u64::from(options.bdev_io_cache_size) * shares;
    if u64::from(options.bdev_io_pool_size) < size_min {
        return Err(RpcError::invalid_params(format!(
            "Pool size {} too small for cache size {}",
            options.bdev_io_pool_size, options.bdev_io_cache_size
        )));
    }
    registry.options = options;
    Ok(true.into())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct IobufOptions {
    small_pool_count: Option<u64>,
    large_pool_count: Option<u64>,
    small_bufsize: Option<u32>,
    large_bufsize: Option<u32>,
    enable_numa: Option<bool>,
}

fn set_iobuf_options(given: Option<Value>) -> Result<Value, RpcError> {
    let wanted: IobufOptions = params(given)?;
    let mut options = buffer::options();
    set(&mut options.small_pool_count, wanted.small_pool_count);
    set(&mut options.large_pool_count, wanted.large_pool_count);
    set(&mut options.small_bufsize, wanted.small_bufsize);
    set(&mut options.large_bufsize, wanted.large_bufsize);
    set(&mut options.enable_numa, wanted.enable_numa);
    buffer::set_options(options).map_err(RpcError::from_errno)?;
    Ok(true.into())
}

/// What goes from thread to thread to gather the counts.
struct Gathering {
    counts: [buffer::Counts; 2],
    reply: Reply,
}

fn get_iobuf_stats(given: Option<Value>, reply: Reply) {
    if let Err(error) = no_params("iobuf_get_stats", given) {
        return reply.send(Err(error));
    }
    let gathering = Box::new(Gathering {
        counts: Default::default(),
        reply,
    });
    // SAFETY: on the app thread; the pools are there as long as methods may be called; the context
    // is with one thread at a time.
    unsafe {
        spdk_for_each_channel(
            pool::io_device(),
            Some(add_counts),
            Box::into_raw(gathering).cast::<c_void>(),
            Some(answer),
        );
    }
}

unsafe extern "C" fn add_counts(iter: *mut spdk_io_channel_iter) {
    // SAFETY: begun by `get_iobuf_stats`, on a channel of the pools.
    unsafe {
        let gathering = &mut *spdk_io_channel_iter_get_ctx(iter).cast::<Gathering>();
        let counts = pool::of(spdk_io_channel_iter_get_channel(iter))
            .buffers
            .counts();
        for (sum, count) in gathering.counts.iter_mut().zip(counts) {
            sum.cache += count.cache;
            sum.main += count.main;
            sum.retry += count.retry;
        }
        spdk_for_each_channel_continue(iter, 0);
    }
}

unsafe extern "C" fn answer(iter: *mut spdk_io_channel_iter, _: c_int) {
    // SAFETY: as above; this is the last that is heard of it.
    let gathering =
        unsafe { Box::from_raw(spdk_io_channel_iter_get_ctx(iter).cast::<Gathering>()) };
    let dump = |counts: &buffer::Counts| json!({"cache": counts.cache, "main": counts.main, "retry": counts.retry});
    let [small, large] = &gathering.counts;
    let bdev = json!({"module": "bdev", "small_pool": dump(small), "large_pool": dump(large)});
    gathering.reply.send(Ok(json!([bdev])));
}
