//! Notifications: what happened, for clients that ask.
//!
//! SPDK keeps the last 1024 of a process, numbered from 0, and gives them to who calls the RPC
//! `notify_get_notifications`. `notify_get_types` tells which kinds there are.
//!
//! ```no_run
//! # fn main() -> Result<(), barespdk::errno::Errno> {
//! let ended = barespdk::notify::Kind::register(c"copy_ended")?;
//! ended.send("disk0")?;
//! # Ok(())
//! # }
//! ```
//!
//! C: `spdk/notify.h`.

use core::ffi::CStr;
use core::fmt;

use barespdk_sys as ffi;

use crate::errno::Errno;

/// A kind of notification that is registered. For any thread.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Kind {
    name: &'static CStr,
}

impl Kind {
    /// Registers a kind, unless it is there already. On any thread, whether SPDK runs or not.
    ///
    /// # Errors
    /// `EINVAL` where the name is empty, or has 128 bytes or more; `ENOMEM`.
    pub fn register(name: &'static CStr) -> Result<Self, Errno> {
        if name.is_empty() || name.to_bytes_with_nul().len() > ffi::SPDK_NOTIFY_MAX_NAME_SIZE {
            return Err(Errno::EINVAL);
        }
        // SAFETY: a C string, of which SPDK makes a copy.
        if unsafe { ffi::spdk_notify_type_register(name.as_ptr()) }.is_null() {
            return Err(Errno::ENOMEM);
        }
        Ok(Self { name })
    }

    /// The name.
    pub const fn name(self) -> &'static CStr {
        self.name
    }

    /// Says that something of this kind happened to what `context` names. Returns the notification's
    /// number.
    ///
    /// # Errors
    /// `EINVAL` where `context` has a NUL, or 128 bytes or more.
    pub fn send(self, context: &str) -> Result<u64, Errno> {
        let mut text = [0; ffi::SPDK_NOTIFY_MAX_CTX_SIZE];
        // SPDK would not terminate what has no room for it.
        if context.len() >= text.len() || context.contains('\0') {
            return Err(Errno::EINVAL);
        }
        text[..context.len()].copy_from_slice(context.as_bytes());
        // SAFETY: two C strings, of which SPDK makes copies.
        Ok(unsafe { ffi::spdk_notify_send(self.name.as_ptr(), text.as_ptr().cast()) })
    }
}

impl fmt::Debug for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Kind").field(&self.name).finish()
    }
}
