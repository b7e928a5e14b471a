//! Timeouts: an opener is told of its requests that take too long. They are left alone.

use std::ffi::{c_int, c_void};
use std::ptr::{self, NonNull};

use barespdk_sys::*;

use super::channel;
use super::desc::Desc;
use super::io::{Io, flag};

/// How often requests are looked at.
const LOOK_US: u64 = 1_000_000;

/// C: `spdk_bdev_io_timeout_cb`, on the thread of the request.
type Callback = Option<unsafe extern "C" fn(cb_arg: *mut c_void, bdev_io: *mut spdk_bdev_io)>;

/// What an opener has asked for.
#[derive(Clone, Copy)]
pub(super) struct Timeout {
    seconds: u64,
    cb: Callback,
    cb_arg: *mut c_void,
    poller: *mut spdk_poller,
}

impl Timeout {
    pub(super) const NONE: Self = Self {
        seconds: 0,
        cb: None,
        cb_arg: ptr::null_mut(),
        poller: ptr::null_mut(),
    };
}

impl Desc {
    /// Ends the timeout of a descriptor, on the thread that opened it.
    pub(super) fn stop_timeout(&self) {
        let mut timeout = self.timeout.replace(Timeout::NONE);
        // SAFETY: of this thread, or NULL.
        unsafe { spdk_poller_unregister(&mut timeout.poller) };
    }
}

/// Has `cb_fn` called every second with each request of the descriptor that has taken longer. 0 for
/// never. On the thread that opened it.
#[unsafe(no_mangle)]
unsafe extern "C" fn spdk_bdev_set_timeout(
    desc: *mut spdk_bdev_desc,
    timeout_in_sec: u64,
    cb_fn: Callback,
    cb_arg: *mut c_void,
) -> c_int {
    // SAFETY: the caller has it open.
    let this = unsafe { Desc::of(desc) };
    this.stop_timeout();
    if timeout_in_sec == 0 {
        return 0;
    }
    // SAFETY: on the thread of the descriptor, whose end ends the poller.
    let poller = unsafe {
        spdk_poller_register_named(
            Some(look),
            desc.cast(),
            LOOK_US,
            c"bdev_poll_timeout_io".as_ptr(),
        )
    };
    if poller.is_null() {
        return -1;
    }
    this.timeout.set(Timeout {
        seconds: timeout_in_sec,
        cb: cb_fn,
        cb_arg,
        poller,
    });
    0
}

unsafe extern "C" fn look(desc: *mut c_void) -> c_int {
    // SAFETY: open, as the poller is there.
    let desc = unsafe { NonNull::new_unchecked(desc.cast::<Desc>()) };
    // SAFETY: as above.
    let this = unsafe { desc.as_ref() };
    // It may be closed while the channels are walked.
    this.hold();
    channel::for_each(
        this.device,
        (desc, this.timeout.get()),
        |mut step| {
            let (desc, timeout) = *step.context();
            // SAFETY: held by the walk.
            if unsafe { desc.as_ref() }.is_closed() {
                step.go_on(-libc::ECANCELED);
                return;
            }
            // SAFETY: any thread.
            let (now, hz) = unsafe { (spdk_get_ticks(), spdk_get_ticks_hz()) };
            let limit = timeout.seconds.saturating_mul(hz);
            let is_late = |io: &Io| {
                !io.has(flag::CHILD)
                    && ptr::eq(io.internal.desc, desc.as_ptr().cast())
                    && now.saturating_sub(io.internal.submit_tsc) >= limit
            };
            let late: Vec<Io> = step.channel().submitted.iter().filter(is_late).collect();
            for io in late {
                // Others may end in the callback for one.
                if let Some(cb) = timeout.cb
                    && step.channel().submitted.contains(io)
                {
                    // SAFETY: what was asked for, on the thread of the request.
                    unsafe { cb(timeout.cb_arg, io.raw()) };
                }
            }
            step.go_on(0);
        },
        |(desc, _), _| {
            // SAFETY: held by the walk, which is over.
            unsafe { Desc::release(desc) };
        },
    );
    SPDK_POLLER_BUSY as c_int
}
