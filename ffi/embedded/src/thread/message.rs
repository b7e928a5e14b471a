use std::ffi::{c_int, c_void};

use barespdk_sys::{spdk_msg_fn, spdk_thread};

use super::{Node, State, Thread, current, note_progress, of};

/// A function to be run on a thread.
pub(super) struct Message {
    function: spdk_msg_fn,
    context: *mut c_void,
}

// SAFETY: who sends a message vouches for its context on the other thread; only the address goes there.
unsafe impl Send for Message {}

/// Messages that run in one poll of a thread.
pub(super) const BATCH: u32 = 8;
/// Nodes that a thread keeps for its next messages.
const SPARE_MAX: usize = 1024;

impl Thread {
    /// Runs up to `count` messages, and says whether there were any.
    pub(super) fn run_messages(&self, count: u32) -> bool {
        self.inbox.take_into(&mut self.messages.borrow_mut());
        let mut ran = false;
        for _ in 0..count {
            // A message may send messages: nothing is borrowed while it runs.
            let Some(node) = self.messages.borrow_mut().pop() else {
                break;
            };
            ran = true;
            let Message { function, context } = node.value;
            if let Some(function) = function {
                // SAFETY: on the thread that the message was sent to, once.
                unsafe { function(context) };
            }
            let mut spare = self.spare.borrow_mut();
            if spare.len() < SPARE_MAX {
                spare.push(node);
            }
        }
        if ran {
            note_progress();
        }
        ran
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn spdk_thread_send_msg(
    thread: *const spdk_thread,
    fn_: spdk_msg_fn,
    ctx: *mut c_void,
) -> c_int {
    // SAFETY: a thread that is not destroyed, as the caller says.
    let thread = unsafe { of(thread) };
    if thread.state() == State::Exited {
        error_log!(
            "Thread {} is marked as exited.\n",
            thread.name.to_string_lossy()
        );
        std::process::abort();
    }
    // The thread may run the message, exit and be gone as soon as it is pushed.
    let reactor = thread.reactor.get();
    let message = Message {
        function: fn_,
        context: ctx,
    };
    // SAFETY: the current thread lives while it is current.
    let spare = unsafe { current().as_ref() }.and_then(|own| own.spare.borrow_mut().pop());
    let node = match spare {
        Some(mut node) => {
            node.value = message;
            node
        }
        None => Node::new(message),
    };
    thread.inbox.push(node);
    if let Some(reactor) = reactor {
        reactor.wake();
    }
    0
}

/// Sends a closure to a thread.
///
/// # Safety
///
/// `thread` is not destroyed, and has not exited.
pub(crate) unsafe fn on_thread(thread: *const spdk_thread, run: Box<dyn FnOnce() + Send>) {
    unsafe extern "C" fn unpack(context: *mut c_void) {
        // SAFETY: packed below, and run once.
        let run = unsafe { Box::from_raw(context.cast::<Box<dyn FnOnce() + Send>>()) };
        run();
    }
    let context = Box::into_raw(Box::new(run));
    // SAFETY: as the caller promises; the message takes the box.
    unsafe { spdk_thread_send_msg(thread, Some(unpack), context.cast()) };
}

same_as_declared!(spdk_thread_send_msg);
