//! What is known of one SPDK thread, shared by all who hold a handle on it.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use core::ffi::{CStr, c_int, c_void};
use core::sync::atomic::{AtomicI32, AtomicUsize, Ordering};

use barespdk_sys as ffi;

use super::SendError;
use super::gate::{Gate, Origin};
use crate::errno::Errno;
use crate::message::{Inbox, Job};

/// An SPDK thread that may be gone.
///
/// `struct spdk_thread` is freed soon after the thread exits, and `spdk_thread_send_msg` to one that
/// has exited aborts the process. A [`Gate`] stands before each such call. The thread itself closes it,
/// and keeps an io_channel, with which SPDK lets no thread exit, until nobody is inside any more. So a
/// sender that entered finds the thread alive. (SPDK drops the channels of a thread whose exit takes longer than
/// five seconds; the anchor closes the gate before that, see `anchor.rs`.)
pub(crate) struct Record {
    id: u64,
    name: Box<str>,
    /// Only for `spdk_thread_send_msg`, and only by who has passed the gate or runs on the thread.
    raw: *mut ffi::spdk_thread,
    /// Made by [`Thread::create`](super::Thread::create), so that ending it breaks nobody's C.
    created_here: bool,
    gate: Gate,
    /// Channels of [`IoDevice`](crate::io_device::IoDevice)s on this thread. The thread changes it.
    channels: AtomicUsize,
    /// Why the last channel could not be opened, as a return code; SPDK tells NULL alone.
    open_rc: AtomicI32,
    inbox: Inbox,
}

// SAFETY: `raw` is used as its comment says; SPDK lets any thread send to a thread that is alive.
// Everything else is `Send` and `Sync` by itself.
unsafe impl Send for Record {}
// SAFETY: as above.
unsafe impl Sync for Record {}

impl Record {
    /// # Safety
    /// `raw` must be a thread that is alive during the call. The record starts open: the caller sees
    /// to it that the thread does not exit before [`close`](Self::close) is done.
    pub(super) unsafe fn new(raw: *mut ffi::spdk_thread, created_here: bool) -> Arc<Self> {
        // SAFETY: alive by contract; the name is an array in the thread, always terminated.
        let (id, name) = unsafe {
            (
                ffi::spdk_thread_get_id(raw),
                CStr::from_ptr(ffi::spdk_thread_get_name(raw)),
            )
        };
        Arc::new(Self {
            id,
            name: String::from_utf8_lossy(name.to_bytes()).into(),
            raw,
            created_here,
            gate: Gate::new(),
            channels: AtomicUsize::new(0),
            open_rc: AtomicI32::new(0),
            inbox: Inbox::new(),
        })
    }

    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn created_here(&self) -> bool {
        self.created_here
    }

    /// Whether the thread takes messages of users.
    pub(super) fn is_open(&self) -> bool {
        self.gate.is_open()
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.gate.is_closed()
    }

    /// Whether the caller runs on this thread.
    pub(crate) fn is_current(&self) -> bool {
        super::current_id() == Some(self.id)
    }

    /// Has `job` run on the thread, after all that was sent before.
    ///
    /// # Errors
    /// `ESHUTDOWN` if the thread is going or gone, `ENOMEM`; with the job.
    pub(crate) fn send<J: Job>(
        self: &Arc<Self>,
        origin: Origin,
        job: J,
    ) -> Result<(), SendError<J>> {
        let Some(entered) = self.gate.enter(origin) else {
            return Err(SendError {
                errno: Errno::ESHUTDOWN,
                closure: job,
            });
        };
        match self.inbox.push(job) {
            Ok(true) => {
                // SAFETY: `entered` keeps the thread alive.
                unsafe { self.schedule(drain) };
            }
            Ok(false) => {}
            Err(closure) => {
                return Err(SendError {
                    errno: Errno::ENOMEM,
                    closure,
                });
            }
        }
        drop(entered);
        Ok(())
    }

    /// Has SPDK call `message` on the thread with a reference of its own to this record.
    ///
    /// # Safety
    /// The thread must be alive and not have exited: the caller entered, runs on it, or knows that
    /// nobody could have ended it. `message` must take the reference over with `Arc::from_raw`.
    pub(super) unsafe fn schedule(self: &Arc<Self>, message: unsafe extern "C" fn(*mut c_void)) {
        let context = Arc::into_raw(Arc::clone(self)).cast_mut().cast();
        // SAFETY: alive by contract. It always returns 0: where it cannot send it ends the process,
        // which needs 65535 messages in the thread's ring; an inbox contributes one.
        unsafe { ffi::spdk_thread_send_msg(self.raw, Some(message), context) };
    }

    /// Refuses messages of users from now on.
    pub(super) fn begin_close(&self) {
        self.gate.begin_close();
    }

    /// Refuses everything from now on.
    pub(super) fn close(&self) {
        self.gate.close();
    }

    /// Whether, after [`close`](Self::close), the last sender has left and the last job has run.
    pub(super) fn is_quiet(&self) -> bool {
        !self.has_senders() && self.inbox.is_idle()
    }

    /// Whether a sender is between its look at the flags and the end of its call into SPDK.
    pub(super) fn has_senders(&self) -> bool {
        !self.gate.is_empty()
    }

    pub(crate) fn channel_opened(&self) {
        self.channels.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn channel_closed(&self) {
        self.channels.fetch_sub(1, Ordering::Relaxed);
    }

    /// Notes with what opening a channel failed. On the thread.
    pub(crate) fn note_open(&self, result: Result<(), Errno>) -> c_int {
        let rc = result.map_or_else(Errno::to_rc, |()| 0);
        self.open_rc.store(rc, Ordering::Relaxed);
        rc
    }

    /// Why SPDK gave no channel: what was noted last, else memory. On the thread.
    pub(crate) fn open_error(&self) -> Errno {
        match self.open_rc.swap(0, Ordering::Relaxed) {
            0 => Errno::ENOMEM,
            rc => Errno::new(rc),
        }
    }

    pub(super) fn has_channels(&self) -> bool {
        self.channels.load(Ordering::Relaxed) != 0
    }
}

/// SPDK's message: runs what waits in the inbox of the record.
///
/// # Safety
/// A message made by [`Record::schedule`], because a push or a drain asked for it.
unsafe extern "C" fn drain(context: *mut c_void) {
    // SAFETY: the reference that `schedule` gave away.
    let record = unsafe { Arc::from_raw(context.cast_const().cast::<Record>()) };
    // SAFETY: this call is what the push or the drain before asked for.
    if unsafe { record.inbox.drain() } {
        // SAFETY: we run on the thread, so it has not exited.
        unsafe { record.schedule(drain) };
    }
}
