//! SIGINT and SIGTERM, which ask the application to end.
//!
//! ```text
//!   handler ── a byte through a pipe ──► a thread that waits ── message ──► app thread
//! ```
//!
//! The handler does what a handler may, and an idle application has nothing to poll for.

use std::fs::File;
use std::io::{self, Read, Write};
use std::mem;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::sync::atomic::{AtomicI32, Ordering};
use std::thread::{self, JoinHandle};

const SIGNALS: [libc::c_int; 2] = [libc::SIGINT, libc::SIGTERM];
/// What the handler writes, and what ends the thread.
const ASKED: u8 = b'a';
const END: u8 = b'e';

/// Where the handler writes; -1 while there is no pipe.
static PIPE: AtomicI32 = AtomicI32::new(-1);

/// Handlers as long as this lives; those from before come back afterwards.
pub(super) struct Signals {
    write: File,
    waiter: Option<JoinHandle<()>>,
    before: Vec<(libc::c_int, libc::sigaction)>,
}

impl Signals {
    /// Installs handlers that have `asked` called, on a thread of its own, for each signal.
    pub(super) fn install(asked: fn()) -> io::Result<Self> {
        let mut ends = [-1; 2];
        // SAFETY: two places for descriptors.
        if unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) } != 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: just opened, and owned by nothing else.
        let [mut read, write] = ends.map(|end| File::from(unsafe { OwnedFd::from_raw_fd(end) }));
        let waiter = thread::Builder::new()
            .name("signals".into())
            .spawn(move || {
                let mut byte = [0];
                while matches!(read.read(&mut byte), Ok(1)) && byte[0] == ASKED {
                    asked();
                }
            })?;
        PIPE.store(write.as_raw_fd(), Ordering::Release);
        let mut signals = Self {
            write,
            waiter: Some(waiter),
            before: Vec::new(),
        };
        for signal in SIGNALS {
            // SAFETY: plain C data, for which zeroes are a value: no flags, nothing blocked.
            let mut action: libc::sigaction = unsafe { mem::zeroed() };
            action.sa_sigaction = on_signal as *const () as usize;
            action.sa_flags = libc::SA_RESTART;
            // SAFETY: as above.
            let mut before: libc::sigaction = unsafe { mem::zeroed() };
            // SAFETY: both are whole; the handler only does what handlers may.
            if unsafe { libc::sigaction(signal, &action, &mut before) } != 0 {
                return Err(io::Error::last_os_error());
            }
            signals.before.push((signal, before));
        }
        Ok(signals)
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        for (signal, before) in &self.before {
            // SAFETY: the action that was there before us.
            unsafe { libc::sigaction(*signal, before, std::ptr::null_mut()) };
        }
        PIPE.store(-1, Ordering::Release);
        // Both fail only if the thread has ended already.
        let _ = self.write.write_all(&[END]);
        let _ = self.waiter.take().map(JoinHandle::join);
    }
}

extern "C" fn on_signal(_: libc::c_int) {
    // SAFETY: the number of the last error is this OS thread's own; who was interrupted gets it back.
    unsafe {
        let errno = libc::__errno_location();
        let before = *errno;
        libc::write(PIPE.load(Ordering::Acquire), [ASKED].as_ptr().cast(), 1);
        *errno = before;
    }
}
