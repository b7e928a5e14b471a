use std::ffi::{c_int, c_void};
use std::ops::Bound;
use std::ptr::null_mut;

use barespdk_sys::{
    spdk_channel_for_each_cpl, spdk_channel_msg, spdk_io_channel, spdk_io_channel_iter,
    spdk_thread_send_msg,
};

use super::channel::Channel;
use super::io_device::{IoDevice, devices, go_on_unregistering};
use super::{State, Thread, current, current_or_log, threads};

/// `struct spdk_io_channel_iter`: travels from thread to thread in messages.
struct Iteration {
    device: *mut IoDevice,
    step: spdk_channel_msg,
    completion: spdk_channel_for_each_cpl,
    context: *mut c_void,
    status: c_int,
    channel: *mut Channel,
    at: *mut Thread,
    origin: *mut Thread,
}

#[unsafe(no_mangle)]
unsafe extern "C" fn spdk_for_each_channel(
    io_device: *mut c_void,
    fn_: spdk_channel_msg,
    ctx: *mut c_void,
    cpl: spdk_channel_for_each_cpl,
) {
    let Some(origin) = current_or_log("spdk_for_each_channel") else {
        return;
    };
    origin.for_each_count.set(origin.for_each_count.get() + 1);
    let iteration = Box::into_raw(Box::new(Iteration {
        device: null_mut(),
        step: fn_,
        completion: cpl,
        context: ctx,
        status: 0,
        channel: null_mut(),
        at: null_mut(),
        origin: current(),
    }));
    // SAFETY: just made; it is the messages' from the first one on.
    let it = unsafe { &mut *iteration };
    let all = devices();
    let mut reason = None;
    if let Some(device) = all.get(io_device) {
        it.device = device;
        // SAFETY: registered, so alive; under the lock.
        let state = unsafe { &mut (*device).state };
        if state.pending_unregister {
            reason = Some("has a pending unregister");
        } else if let Some((_, first)) = state.threads.first_key_value() {
            state.for_each_count += 1;
            it.at = *first;
            // SAFETY: a thread with a channel is alive, and under the lock it keeps the channel.
            unsafe { spdk_thread_send_msg(it.at.cast(), Some(visit), iteration.cast()) };
            return;
        }
    } else {
        reason = Some("not found");
    }
    drop(all);
    if let Some(reason) = reason {
        error_log!("io_device {io_device:p} {reason}\n");
        it.status = -libc::ENODEV;
    }
    // SAFETY: the current thread.
    unsafe { spdk_thread_send_msg(it.origin.cast(), Some(complete), iteration.cast()) };
}

/// The message for each channel.
unsafe extern "C" fn visit(iteration: *mut c_void) {
    let iteration: *mut Iteration = iteration.cast();
    // SAFETY: the message has it; the device is alive while an iteration counts.
    unsafe {
        // The channel may be gone since the message was sent.
        let found = (*(*iteration).at).channel_of((*(*iteration).device).id);
        match (found, (*iteration).step) {
            (Some(channel), Some(step)) => {
                (*iteration).channel = channel;
                step(iteration.cast());
            }
            _ => spdk_for_each_channel_continue(iteration.cast(), 0),
        }
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn spdk_for_each_channel_continue(i: *mut spdk_io_channel_iter, status: c_int) {
    let iteration: *mut Iteration = i.cast();
    let all = devices();
    // SAFETY: the step that ends here had it; the device is alive while an iteration counts, and under
    // the lock.
    unsafe {
        let it = &mut *iteration;
        it.status = status;
        it.channel = null_mut();
        let device = it.device;
        let state = &mut (*device).state;
        let rest = (Bound::Excluded((*it.at).id), Bound::Unbounded);
        if let Some((_, next)) = state.threads.range(rest).next().filter(|_| status == 0) {
            it.at = *next;
            spdk_thread_send_msg(it.at.cast(), Some(visit), i.cast());
            return;
        }
        state.for_each_count -= 1;
        let pending = state.pending_unregister && state.for_each_count == 0;
        spdk_thread_send_msg(it.origin.cast(), Some(complete), i.cast());
        if pending {
            go_on_unregistering(device);
        }
    }
    drop(all);
}

/// The last message, on the thread that started it.
unsafe extern "C" fn complete(iteration: *mut c_void) {
    // SAFETY: nobody else has it any more; it is freed at the end of this function.
    let mut it = unsafe { Box::from_raw(iteration.cast::<Iteration>()) };
    // SAFETY: the current thread.
    let origin = unsafe { &*it.origin };
    origin.for_each_count.set(origin.for_each_count.get() - 1);
    if let Some(completion) = it.completion {
        let status = it.status;
        // SAFETY: once, on the thread that started it; the iteration lives until it returns.
        unsafe { completion((&raw mut *it).cast(), status) };
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn spdk_io_channel_iter_get_channel(
    i: *mut spdk_io_channel_iter,
) -> *mut spdk_io_channel {
    // SAFETY: an iteration of the caller, which alone touches it.
    unsafe { (*i.cast::<Iteration>()).channel.cast() }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn spdk_io_channel_iter_get_ctx(i: *mut spdk_io_channel_iter) -> *mut c_void {
    // SAFETY: an iteration of the caller, which alone touches it.
    unsafe { (*i.cast::<Iteration>()).context }
}

/// A function for each thread, and one for the end.
struct Walk {
    step: Box<dyn FnMut(&Thread) + Send>,
    done: Box<dyn FnOnce() + Send>,
    at: u64,
    origin: *mut Thread,
}

/// Calls `step` on each thread, one after the other by their ids, then `done` on the current one, which
/// must be an SPDK thread. Threads that exit are left out.
pub(crate) fn for_each_thread(
    step: impl FnMut(&Thread) + Send + 'static,
    done: impl FnOnce() + Send + 'static,
) {
    let Some(origin) = current_or_log("for_each_thread") else {
        return;
    };
    origin.for_each_count.set(origin.for_each_count.get() + 1);
    go_on(Box::new(Walk {
        step: Box::new(step),
        done: Box::new(done),
        at: 0,
        origin: current(),
    }));
}

/// Sends a walk to the next thread, or home.
fn go_on(mut walk: Box<Walk>) {
    let all = threads();
    let rest = (Bound::Excluded(walk.at), Bound::Unbounded);
    let next = all.by_id.range(rest).find(|(_, thread)| {
        // SAFETY: a thread in the map is alive, and under the lock it stays so.
        unsafe { &*thread.0 }.state() == State::Running
    });
    let (target, message): (_, unsafe extern "C" fn(*mut c_void)) = match next {
        Some((id, thread)) => {
            walk.at = *id;
            (thread.0, step)
        }
        None => (walk.origin, end),
    };
    // SAFETY: the origin does not exit before the end; another thread was running, and under the lock
    // it is not destroyed. If it exits in between the process ends, as with any message.
    unsafe { spdk_thread_send_msg(target.cast(), Some(message), Box::into_raw(walk).cast()) };
}

unsafe extern "C" fn step(walk: *mut c_void) {
    // SAFETY: the message has it.
    let mut walk = unsafe { Box::from_raw(walk.cast::<Walk>()) };
    // SAFETY: the message runs on a thread, which is alive.
    (walk.step)(unsafe { &*current() });
    go_on(walk);
}

unsafe extern "C" fn end(walk: *mut c_void) {
    // SAFETY: the message has it.
    let walk = unsafe { Box::from_raw(walk.cast::<Walk>()) };
    // SAFETY: the current thread, alive.
    let origin = unsafe { &*walk.origin };
    origin.for_each_count.set(origin.for_each_count.get() - 1);
    (walk.done)();
}

same_as_declared!(
    spdk_for_each_channel,
    spdk_for_each_channel_continue,
    spdk_io_channel_iter_get_channel,
    spdk_io_channel_iter_get_ctx,
);
