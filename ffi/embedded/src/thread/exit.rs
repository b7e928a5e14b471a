use std::ffi::c_int;
use std::ptr::null_mut;
use std::sync::atomic::Ordering;

use barespdk_sys::spdk_thread;

use super::interrupt::free_all;
use super::{APP, COUNT, CURRENT, State, Thread, current, io_device, of, threads};
use crate::env::clock;

/// How long a thread may take to exit before it is ended by force.
const EXIT_TICKS_MAX: u64 = 5 * clock::HZ;

impl Thread {
    /// Ends an exiting thread once nothing is left that needs it, or when its time is over.
    pub(super) fn try_exit(&self, now: u64) {
        if now >= self.exit_by_ticks.get() {
            error_log!(
                "thread {} got timeout, and move it to the exited state forcefully\n",
                self.name.to_string_lossy()
            );
            self.set_state(State::Exited);
        } else if !self.is_needed() {
            self.set_state(State::Exited);
        }
    }

    fn is_needed(&self) -> bool {
        let mut has_pollers = false;
        self.pollers
            .each(|_, poller| has_pollers |= poller.is_live());
        has_pollers
            || self.has_messages()
            || self.for_each_count.get() > 0
            || !self.channels.borrow().is_empty()
            || self.unregister_count.get() > 0
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn spdk_thread_exit(thread: *mut spdk_thread) -> c_int {
    // SAFETY: the current thread, as the ABI has it.
    let it = unsafe { of(thread) };
    if !std::ptr::eq(it, current()) {
        error_log!(
            "spdk_thread_exit({}) called from another thread\n",
            it.name.to_string_lossy()
        );
        std::process::abort();
    }
    if it.state() != State::Running {
        return 0;
    }
    it.exit_by_ticks
        .set(clock::now().saturating_add(EXIT_TICKS_MAX));
    it.set_state(State::Exiting);
    0
}

/// Whether a thread has exited and nothing of it is left to be polled.
pub(crate) fn may_be_destroyed(thread: &Thread) -> bool {
    thread.state() == State::Exited
        && !thread.has_messages()
        && thread.pollers.active_count() == 0
        && thread.pollers.next_due() == u64::MAX
}

/// Destroys a thread; of the application's thread the memory stays until [`finish`].
///
/// # Safety
///
/// It has exited, and its reactor does not poll it any more.
pub(crate) unsafe fn destroy(thread: *mut Thread) {
    if CURRENT.get() == thread {
        CURRENT.set(null_mut());
    }
    if APP.load(Ordering::Acquire) != thread {
        // SAFETY: as the caller promises.
        unsafe { free(thread) };
    }
}

/// Frees a thread and what it still has.
unsafe fn free(thread: *mut Thread) {
    // SAFETY: alive until the end of this function; nobody polls it.
    let it = unsafe { &*thread };
    for channel in it.channels.borrow().values() {
        error_log!(
            "thread {} still has channel for io_device {}\n",
            it.name.to_string_lossy(),
            // SAFETY: a channel in this map is alive, and so is its device.
            unsafe { super::channel::device_name(*channel) }
        );
    }
    it.pollers.each(|_, poller| {
        if poller.is_live() {
            let poller = poller.info().name.to_string_lossy().into_owned();
            warn_log!("poller {poller} still registered at thread exit\n");
        }
    });
    it.pollers.clear();
    free_all(&it.interrupts);
    threads().by_id.remove(&it.id);
    COUNT.fetch_sub(1, Ordering::Relaxed);
    // SAFETY: made by `Box::into_raw`, and known to nobody any more.
    drop(unsafe { Box::from_raw(thread) });
}

/// Frees the application's thread, and logs what was forgotten. After all reactors have stopped.
pub(crate) fn finish() {
    for name in io_device::names() {
        error_log!("io_device {name} not unregistered\n");
    }
    let app = APP.swap(null_mut(), Ordering::AcqRel);
    if !app.is_null() {
        if CURRENT.get() == app {
            CURRENT.set(null_mut());
        }
        // SAFETY: no reactor polls it any more, and nobody finds it from now on.
        unsafe { free(app) };
    }
}

same_as_declared!(spdk_thread_exit);
