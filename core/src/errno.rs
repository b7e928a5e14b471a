//! Error numbers, as SPDK's functions return them.
//!
//! Nearly every function of SPDK reports failure as a negative `errno` value of the C library.
//! [`Errno`] holds that number with its sign taken away, so that it can travel through `Result` and
//! be turned back into a return code for C with [`Errno::to_rc`].

use core::ffi::c_int;
use core::fmt;

/// A POSIX error number: always positive, at most [`Errno::MAX`].
///
/// It is the size of an `i32` and is passed in a register. `Display` gives a text for people and the
/// symbol, such as `No such device (ENODEV)`; `Debug` gives the symbol alone.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Errno(i32);

impl Errno {
    /// The largest error number that Linux hands out.
    pub const MAX: i32 = 4095;

    /// Makes an error number from either sign of it: `-ENODEV` and `ENODEV` both give
    /// [`Errno::ENODEV`].
    ///
    /// 0 and numbers beyond [`Errno::MAX`] are no error numbers; a caller that says "this failed"
    /// with such a value gets [`Errno::EIO`], because a failure must not turn into a success and no
    /// value from C may panic here.
    pub const fn new(number: c_int) -> Self {
        let positive = number.unsigned_abs();
        if positive == 0 || positive > Self::MAX as u32 {
            Self::EIO
        } else {
            Self(positive as i32)
        }
    }

    /// Reads a return code of SPDK: 0 and above is success and is given back (some functions return
    /// a count), below 0 is an error number.
    ///
    /// # Errors
    /// The error number that a negative `rc` holds.
    pub const fn from_rc(rc: c_int) -> Result<i32, Self> {
        if rc >= 0 { Ok(rc) } else { Err(Self::new(rc)) }
    }

    /// Like [`from_rc`](Self::from_rc) where success carries no number.
    ///
    /// # Errors
    /// The error number that a negative `rc` holds.
    pub const fn check(rc: c_int) -> Result<(), Self> {
        if rc >= 0 { Ok(()) } else { Err(Self::new(rc)) }
    }

    /// The error number as C code returns it: negative.
    pub const fn to_rc(self) -> c_int {
        -self.0
    }

    /// The error number as `<errno.h>` names it: positive.
    pub const fn number(self) -> i32 {
        self.0
    }
}

/// Makes a constant of `Errno` from each number of the C library, and the texts for all of them.
macro_rules! errnos {
    ($($name:ident: $text:literal,)*) => {
        impl Errno {
            $(
                #[doc = concat!($text, ".")]
                pub const $name: Self = Self(libc::$name);
            )*

            /// The symbol in `<errno.h>`, such as `"ENODEV"`, if this crate knows it.
            pub const fn symbol(self) -> Option<&'static str> {
                match self.0 {
                    $(libc::$name => Some(stringify!($name)),)*
                    _ => None,
                }
            }

            /// A text for people, such as `"No such device"`, if this crate knows the number.
            pub const fn description(self) -> Option<&'static str> {
                match self.0 {
                    $(libc::$name => Some($text),)*
                    _ => None,
                }
            }
        }

        #[cfg(test)]
        const ALL: &[Errno] = &[$(Errno::$name),*];
    };
}

errnos! {
    EPERM: "Operation not permitted",
    ENOENT: "No such file or directory",
    EINTR: "Interrupted system call",
    EIO: "Input/output error",
    ENXIO: "No such device or address",
    E2BIG: "Argument list too long",
    EBADF: "Bad file descriptor",
    EAGAIN: "Resource temporarily unavailable",
    ENOMEM: "Cannot allocate memory",
    EACCES: "Permission denied",
    EFAULT: "Bad address",
    EBUSY: "Device or resource busy",
    EEXIST: "File exists",
    EXDEV: "Invalid cross-device link",
    ENODEV: "No such device",
    ENOTDIR: "Not a directory",
    EISDIR: "Is a directory",
    EINVAL: "Invalid argument",
    EMFILE: "Too many open files",
    EFBIG: "File too large",
    ENOSPC: "No space left on device",
    EROFS: "Read-only file system",
    EPIPE: "Broken pipe",
    EDOM: "Numerical argument out of domain",
    ERANGE: "Numerical result out of range",
    EDEADLK: "Resource deadlock avoided",
    ENAMETOOLONG: "File name too long",
    ENOSYS: "Function not implemented",
    EPROTO: "Protocol error",
    EBADMSG: "Bad message",
    EOVERFLOW: "Value too large for defined data type",
    EILSEQ: "Invalid or incomplete multibyte or wide character",
    EMSGSIZE: "Message too long",
    EPROTOTYPE: "Protocol wrong type for socket",
    ENOTSUP: "Operation not supported",
    EADDRINUSE: "Address already in use",
    ENOTCONN: "Transport endpoint is not connected",
    ECONNABORTED: "Software caused connection abort",
    ECONNRESET: "Connection reset by peer",
    ESHUTDOWN: "Cannot send after transport endpoint shutdown",
    ETIMEDOUT: "Connection timed out",
    EALREADY: "Operation already in progress",
    EINPROGRESS: "Operation now in progress",
    ESTALE: "Stale file handle",
    ECANCELED: "Operation canceled",
    ENODATA: "No data available",
}

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.description(), self.symbol()) {
            (Some(text), Some(symbol)) => write!(f, "{text} ({symbol})"),
            _ => write!(f, "Unknown error {}", self.0),
        }
    }
}

impl fmt::Debug for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.symbol() {
            Some(symbol) => f.write_str(symbol),
            None => write!(f, "Errno({})", self.0),
        }
    }
}

impl core::error::Error for Errno {}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
    use std::format;

    #[test]
    fn both_signs_mean_the_same_error() {
        assert_eq!(Errno::new(-libc::ENODEV), Errno::ENODEV);
        assert_eq!(Errno::new(libc::ENODEV), Errno::ENODEV);
        assert_eq!(Errno::ENODEV.to_rc(), -libc::ENODEV);
        assert_eq!(Errno::ENODEV.number(), libc::ENODEV);
    }

    #[test]
    fn return_codes_split_into_counts_and_errors() {
        assert_eq!(Errno::from_rc(0), Ok(0));
        assert_eq!(Errno::from_rc(7), Ok(7));
        assert_eq!(Errno::from_rc(-libc::ENOMEM), Err(Errno::ENOMEM));
        assert_eq!(Errno::check(3), Ok(()));
        assert_eq!(Errno::check(-libc::EBUSY), Err(Errno::EBUSY));
    }

    #[test]
    fn what_is_no_error_number_is_an_io_error() {
        for number in [0, 4096, -4096, c_int::MAX, c_int::MIN] {
            assert_eq!(Errno::new(number), Errno::EIO, "{number}");
        }
        assert_eq!(Errno::from_rc(c_int::MIN), Err(Errno::EIO));
    }

    #[test]
    fn texts() {
        assert_eq!(format!("{}", Errno::ENODEV), "No such device (ENODEV)");
        assert_eq!(format!("{:?}", Errno::ENODEV), "ENODEV");
        assert_eq!(format!("{}", Errno::new(-4000)), "Unknown error 4000");
        assert_eq!(format!("{:?}", Errno::new(-4000)), "Errno(4000)");
        for errno in ALL {
            assert_eq!(Errno::new(errno.to_rc()), *errno);
            assert!(errno.symbol().is_some());
        }
    }
}
