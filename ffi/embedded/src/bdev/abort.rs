//! Aborts: of all requests of a channel with one argument. What the layer keeps back is aborted at
//! once; for what the module has, the module is asked, request by request.

use std::ffi::{c_int, c_void};

use barespdk_sys::*;

use super::complete;
use super::io::{Io, Split, flag};
use super::pool;
use super::request::{Order, code};
use super::submit;

fn try_abort(order: Order<'_>, target: *mut c_void) -> Result<(), c_int> {
    if target.is_null() {
        return Err(-libc::EINVAL);
    }
    if !order.device().handles(SPDK_BDEV_IO_TYPE_ABORT) {
        return Err(-libc::ENOTSUP);
    }
    begin(order, target)
}

/// Begins an abort of requests with one argument. It is itself among those submitted, though no
/// module sees it, but those that it is served by.
fn begin(order: Order<'_>, target: *mut c_void) -> Result<(), c_int> {
    let mut io = order.take(SPDK_BDEV_IO_TYPE_ABORT)?;
    // SAFETY: any thread.
    io.internal.submit_tsc = unsafe { spdk_get_ticks() };
    io.params_mut().abort.bio_cb_arg = target;
    order.channel.submitted.push_back(io);
    io.set(flag::SPLIT);
    // What ends at once is reported later: this is still the submission.
    io.set(flag::IN_SUBMIT);
    let asked = ask(io);
    if asked == 0 {
        if io.status() == SPDK_BDEV_IO_STATUS_NOMEM {
            pool::wait(io, again);
        } else {
            let waits = |waiting: Io| waiting.internal.caller_ctx == target;
            let found = io.channel().pool().buffers.abort(waits);
            end(io, found);
        }
    }
    io.clear(flag::IN_SUBMIT);
    Ok(())
}

fn end(io: Io, success: bool) {
    io.set_status(if success {
        SPDK_BDEV_IO_STATUS_SUCCESS
    } else {
        SPDK_BDEV_IO_STATUS_FAILED
    });
    complete::report(io);
}

/// Asks the module for each request that is meant, and says how many those are. No answer comes
/// before this returns.
fn ask(mut io: Io) -> u32 {
    let target = io.params().abort.bio_cb_arg;
    let channel = io.channel();
    io.set_status(SPDK_BDEV_IO_STATUS_SUCCESS);
    // All first, as those who are told of an end may have others end too. What came later is not
    // meant.
    let is_meant = |found: &Io| {
        found.internal.caller_ctx == target && found.internal.submit_tsc <= io.internal.submit_tsc
    };
    let meant: Vec<Io> = channel.submitted.iter().filter(is_meant).collect();
    let mut asked = 0;
    for found in meant {
        if !channel.submitted.contains(found) {
            continue;
        }
        match ask_for(io, found) {
            Ok(()) => asked += 1,
            Err(rc) => {
                io.set_status(if rc == -libc::ENOMEM {
                    SPDK_BDEV_IO_STATUS_NOMEM
                } else {
                    SPDK_BDEV_IO_STATUS_FAILED
                });
                break;
            }
        }
    }
    io.own_mut().split = Split {
        next_offset_blocks: 0,
        remaining_blocks: 0,
        outstanding: asked,
    };
    asked
}

fn ask_for(io: Io, found: Io) -> Result<(), c_int> {
    if matches!(
        found.io_type(),
        SPDK_BDEV_IO_TYPE_ABORT | SPDK_BDEV_IO_TYPE_RESET
    ) {
        return Err(-libc::ENOTSUP);
    }
    let order = Order::to_serve(io, Some(answered));
    if found.has(flag::SPLIT) {
        return begin(order, found.context());
    }
    let mut one = order.take(SPDK_BDEV_IO_TYPE_ABORT)?;
    one.u.abort.bio_to_abort = found.raw();
    submit::submit(one);
    Ok(())
}

unsafe extern "C" fn answered(one: *mut spdk_bdev_io, success: bool, io: *mut c_void) {
    // SAFETY: submitted by `ask_for` with this argument, and given back here, once.
    let (one, mut io) = unsafe { (Io::new(one), Io::new(io.cast())) };
    // SAFETY: all members of the union are plain data: the request, or for one that was split
    // the argument of its parts, which is the request too. It is looked for, not used.
    let found = unsafe {
        if one.has(flag::SPLIT) {
            one.u.bdev.abort.bio_cb_arg.cast()
        } else {
            one.u.abort.bio_to_abort
        }
    };
    pool::free(one);
    // A request that has ended meanwhile is as good as aborted.
    if !success
        && io
            .channel()
            .submitted
            .iter()
            .any(|other| other.raw() == found)
    {
        io.set_status(SPDK_BDEV_IO_STATUS_FAILED);
    }
    let split = &mut io.own_mut().split;
    split.outstanding -= 1;
    if split.outstanding != 0 {
        return;
    }
    if io.status() == SPDK_BDEV_IO_STATUS_NOMEM {
        again(io);
    } else {
        complete::report(io);
    }
}

/// Asks once more, for what there was no request left before.
fn again(io: Io) {
    if ask(io) != 0 {
        return;
    }
    if io.status() == SPDK_BDEV_IO_STATUS_NOMEM {
        pool::wait(io, again);
    } else {
        // Those that were meant have ended meanwhile.
        complete::report(io);
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn spdk_bdev_abort(
    desc: *mut spdk_bdev_desc,
    ch: *mut spdk_io_channel,
    bio_cb_arg: *mut c_void,
    cb: spdk_bdev_io_completion_cb,
    cb_arg: *mut c_void,
) -> c_int {
    // SAFETY: the caller's descriptor and channel, see the ABI.
    let order = unsafe { Order::new(desc, ch, cb, cb_arg) };
    code(try_abort(order, bio_cb_arg))
}

same_as_declared!(spdk_bdev_abort);
