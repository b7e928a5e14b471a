//! The way of a request to its module.

use barespdk_sys::*;

use super::channel::{self, Channel};
use super::io::{InQueue, Io, flag};
use super::list::List;
use super::{buffer, complete, range, split};

/// Submits a request that is filled in.
#[inline]
pub(super) fn submit(mut io: Io) {
    let channel = io.channel();
    // Parts of a request were let through with it.
    if channel.has_locks.get() && !io.has(flag::CHILD) && range::keeps_back(channel, io) {
        channel.kept_back.push_back(io);
        return;
    }
    channel.submitted.push_back(io);
    // SAFETY: any thread.
    io.internal.submit_tsc = unsafe { spdk_get_ticks() };
    if io.has(flag::SPLIT) {
        split::begin(io);
        return;
    }
    pass_on(channel, io);
}

/// Submits a read or write that is filled in. During a reset it is not even noted down.
#[inline]
pub(super) fn submit_data(io: Io) {
    if io.channel().has_flag(channel::flag::RESETTING) {
        io.set_status(SPDK_BDEV_IO_STATUS_ABORTED);
        complete::unsubmitted(io);
        return;
    }
    submit(io);
}

/// Passes a request on, unless a reset or a rate limit has it otherwise.
#[inline]
pub(super) fn pass_on(channel: &Channel, io: Io) {
    if channel.flags.get() == 0 {
        give(channel, io);
    } else if channel.has_flag(channel::flag::RESETTING) {
        complete_in_submit(channel, io, SPDK_BDEV_IO_STATUS_ABORTED);
    } else {
        throttle(channel, io);
    }
}

#[cold]
fn throttle(channel: &Channel, io: Io) {
    if io.io_type() == SPDK_BDEV_IO_TYPE_ABORT && abort_queued(&channel.throttled, to_abort(io)) {
        complete_in_submit(channel, io, SPDK_BDEV_IO_STATUS_SUCCESS);
        return;
    }
    channel.throttled.push_back(io);
    channel.device.record().throttle.release(channel);
}

/// The request that an abort is to abort.
fn to_abort(io: Io) -> Io {
    // SAFETY: of an abort that is submitted to a module; the target is on the same channel, and
    // stays in the list of those submitted until the abort has looked.
    unsafe { Io::new(io.u.abort.bio_to_abort) }
}

/// Gives a request to its module.
#[inline]
pub(super) fn give(channel: &Channel, io: Io) {
    let shared = channel.shared();
    if io.io_type() == SPDK_BDEV_IO_TYPE_ABORT {
        let target = to_abort(io);
        if abort_queued(&shared.waiting, target)
            || channel.pool().buffers.abort(|waiting| waiting == target)
        {
            complete_in_submit(channel, io, SPDK_BDEV_IO_STATUS_SUCCESS);
            return;
        }
    }
    if io.io_type() == SPDK_BDEV_IO_TYPE_WRITE
        && channel.device.split_on_write_unit()
        && io.params().num_blocks < u64::from(channel.device.write_unit_size())
    {
        error_log!("a write is shorter than the write unit\n");
        complete_in_submit(channel, io, SPDK_BDEV_IO_STATUS_FAILED);
        return;
    }
    if !shared.waiting.is_empty() {
        shared.wait_behind(io);
        return;
    }
    channel.begin();
    call_module(io);
}

/// Calls the module with a request. What it completes meanwhile is reported later.
#[inline]
pub(super) fn call_module(io: Io) {
    io.set(flag::IN_SUBMIT);
    hand_over(io);
    io.clear(flag::IN_SUBMIT);
}

#[inline]
fn hand_over(io: Io) {
    if let Some(submit_request) = io.device().functions().submit_request {
        // SAFETY: the module's channel of this thread; the request is the module's from here on.
        unsafe { submit_request(io.channel().lower, io.raw()) };
    }
}

/// Gives a request to its module once more, that lacked memory for it.
#[cold]
pub(super) fn again(mut io: Io) {
    io.channel().begin();
    io.internal.error.nvme.cdw0 = 0;
    io.num_retries = io.num_retries.wrapping_add(1);
    // This may be inside of the submission of this request, or of another one that counts on no
    // answer before it is over.
    call_module(io);
}

/// Completes a request in place of its module, from inside its submission.
#[cold]
pub(super) fn complete_in_submit(channel: &Channel, io: Io, status: spdk_bdev_io_status) {
    io.set(flag::IN_SUBMIT);
    channel.begin();
    complete::complete(io, status);
    io.clear(flag::IN_SUBMIT);
}

/// Aborts a request that the module does not have.
fn abort(io: Io) {
    io.channel().begin();
    complete::complete(io, SPDK_BDEV_IO_STATUS_ABORTED);
}

/// Aborts a request if it is in a queue.
#[cold]
pub(super) fn abort_queued(queue: &List<InQueue>, io: Io) -> bool {
    if !queue.contains(io) {
        return false;
    }
    queue.remove(io);
    abort(io);
    true
}

/// Aborts the requests of a queue that are of a channel.
#[cold]
pub(super) fn abort_queue(queue: &List<InQueue>, channel: &Channel) {
    // All at once, as those who are told may submit others.
    let taken = List::<InQueue>::new();
    for io in queue.iter() {
        if std::ptr::eq(io.channel(), channel) {
            queue.remove(io);
            taken.push_back(io);
        }
    }
    while let Some(io) = taken.pop_front() {
        abort(io);
    }
}

/// Freezes a channel for a reset: what waits is aborted, and what comes is too.
pub(super) fn freeze(channel: &Channel) {
    channel.set_flag(channel::flag::RESETTING, true);
    // Those that lack memory first, so that aborting the others submits none of them.
    channel.shared().abort_all(channel);
    buffer::abort_all(channel);
    abort_queue(&channel.throttled, channel);
}
