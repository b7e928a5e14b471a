//! Logging through SPDK's log, so that our lines stand between SPDK's own, on stderr and in syslog.
//!
//! Use the macros [`log_error!`](crate::log_error), [`log_warn!`](crate::log_warn),
//! [`log_notice!`](crate::log_notice), [`log_info!`](crate::log_info) and
//! [`log_debug!`](crate::log_debug) as `format!` is used. A line that the log's levels drop costs
//! two loads: its arguments are not formatted. A line that is written is formatted into a buffer on
//! the stack, without allocation; what exceeds [`LINE_LEN_MAX`] bytes is cut and marked with `...`.
//! The text is never taken for a C format string, and control characters in it are shown escaped,
//! so that a name from outside cannot forge a line. Any thread may log.
//!
//! C: `spdk/log.h`.

use core::ffi::{CStr, c_char, c_int};
use core::fmt;

use barespdk_sys::log as ffi;

/// Longest text of one line, in bytes of UTF-8, without the prefix that SPDK writes.
pub const LINE_LEN_MAX: usize = 1000;

/// How serious a line is. Smaller is more serious; SPDK shows notices and worse by default.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Something failed.
    Error,
    /// Something works, but not as it should.
    Warn,
    /// What an operator wants to see once.
    Notice,
    /// Details.
    Info,
    /// Details for developers.
    Debug,
}

impl Level {
    const fn to_c(self) -> ffi::spdk_log_level {
        match self {
            Self::Error => ffi::SPDK_LOG_ERROR,
            Self::Warn => ffi::SPDK_LOG_WARN,
            Self::Notice => ffi::SPDK_LOG_NOTICE,
            Self::Info => ffi::SPDK_LOG_INFO,
            Self::Debug => ffi::SPDK_LOG_DEBUG,
        }
    }
}

/// Where a line was written: made by the macros, in static memory.
#[derive(Clone, Copy, Debug)]
pub struct Site {
    file: &'static CStr,
    line: u32,
    module: &'static CStr,
}

impl Site {
    /// For the macros: `file` and `module` end in a NUL that they do not contain elsewhere.
    #[doc(hidden)]
    pub const fn new(file: &'static str, line: u32, module: &'static str) -> Self {
        Self {
            file: c_str(file),
            line,
            module: c_str(module),
        }
    }
}

/// An empty text in place of one that is no C string: a log line is no reason to fail.
const fn c_str(text: &'static str) -> &'static CStr {
    match CStr::from_bytes_with_nul(text.as_bytes()) {
        Ok(text) => text,
        Err(_) => c"",
    }
}

/// Whether a line of this level goes anywhere: to stderr or to syslog. An application with a log
/// function of its own (`spdk_log_open`) gets the lines that these levels let pass.
#[inline]
pub fn enabled(level: Level) -> bool {
    // SAFETY: both functions take nothing and read one integer, which is written when the
    // application starts or an operator changes it; a stale value is harmless.
    let (print, syslog) = unsafe { (ffi::spdk_log_get_print_level(), ffi::spdk_log_get_level()) };
    level.to_c() <= print || level.to_c() <= syslog
}

/// Writes a line if its level is enabled. The macros are the usual way to call this.
#[inline]
pub fn write(level: Level, site: &Site, text: fmt::Arguments<'_>) {
    if enabled(level) {
        write_enabled(level, site, text);
    }
}

#[cold]
#[inline(never)]
fn write_enabled(level: Level, site: &Site, text: fmt::Arguments<'_>) {
    let line = Line::<LINE_BUF_LEN>::format(text);
    // SAFETY: the format takes exactly one string, which ends in NUL within `line`; `site` holds C
    // strings in static memory. SPDK copies all of them before it returns.
    unsafe {
        ffi::spdk_log(
            level.to_c(),
            site.file.as_ptr(),
            site.line as c_int,
            site.module.as_ptr(),
            c"%s".as_ptr(),
            line.as_ptr(),
        );
    }
}

/// What is put at the end of a line that was cut.
const CUT_MARK: &[u8] = b"...";
/// After the text: the mark, the newline that SPDK expects from its callers, and NUL.
const LINE_BUF_LEN: usize = LINE_LEN_MAX + CUT_MARK.len() + 2;

/// One line on the stack: text without control characters, newline, NUL.
struct Line<const N: usize> {
    buf: [u8; N],
    len: usize,
    cut: bool,
}

impl<const N: usize> Line<N> {
    const TEXT_LEN_MAX: usize = N - CUT_MARK.len() - 2;

    fn format(text: fmt::Arguments<'_>) -> Self {
        let mut line = Self {
            buf: [0; N],
            len: 0,
            cut: false,
        };
        // An error comes from a `Display` that gives up, or from us when the line is full; what
        // stands in the line so far is worth logging in both cases.
        let _ = fmt::write(&mut line, text);
        if line.cut {
            line.append(CUT_MARK);
        }
        line.append(b"\n");
        line
    }

    /// Copies as much as leaves room for a NUL, and says whether that was all.
    fn append(&mut self, bytes: &[u8]) -> bool {
        let room = N - 1 - self.len;
        match (self.buf.get_mut(self.len..), bytes.len() <= room) {
            (Some(free), true) => {
                free.iter_mut()
                    .zip(bytes)
                    .for_each(|(to, from)| *to = *from);
                self.len += bytes.len();
                true
            }
            _ => false,
        }
    }

    fn as_ptr(&self) -> *const c_char {
        self.buf.as_ptr().cast()
    }
}

impl<const N: usize> fmt::Write for Line<N> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for character in text.chars() {
            let mut utf8 = [0; 4];
            let plain = [character];
            let (escaped, unchanged) = if character.is_control() {
                (Some(character.escape_default()), &plain[..0])
            } else {
                (None, &plain[..])
            };
            for character in escaped
                .into_iter()
                .flatten()
                .chain(unchanged.iter().copied())
            {
                let bytes = character.encode_utf8(&mut utf8).as_bytes();
                if self.len + bytes.len() > Self::TEXT_LEN_MAX || !self.append(bytes) {
                    self.cut = true;
                    return Err(fmt::Error);
                }
            }
        }
        Ok(())
    }
}

/// Logs a line of the given [`Level`](crate::log::Level); the other arguments are those of `format!`.
#[macro_export]
macro_rules! log {
    ($level:expr, $($arg:tt)+) => {
        $crate::log::write(
            $level,
            const {
                &$crate::log::Site::new(
                    ::core::concat!(::core::file!(), "\0"),
                    ::core::line!(),
                    ::core::concat!(::core::module_path!(), "\0"),
                )
            },
            ::core::format_args!($($arg)+),
        )
    };
}

/// Logs an error: something failed. Arguments as for `format!`; see [log](mod@crate::log).
#[macro_export]
macro_rules! log_error {
    ($($arg:tt)+) => { $crate::log!($crate::log::Level::Error, $($arg)+) };
}

/// Logs a warning. Arguments as for `format!`; see [log](mod@crate::log).
#[macro_export]
macro_rules! log_warn {
    ($($arg:tt)+) => { $crate::log!($crate::log::Level::Warn, $($arg)+) };
}

/// Logs a notice: what an operator wants to see once. Arguments as for `format!`; see [log](mod@crate::log).
#[macro_export]
macro_rules! log_notice {
    ($($arg:tt)+) => { $crate::log!($crate::log::Level::Notice, $($arg)+) };
}

/// Logs details. Arguments as for `format!`; see [log](mod@crate::log).
#[macro_export]
macro_rules! log_info {
    ($($arg:tt)+) => { $crate::log!($crate::log::Level::Info, $($arg)+) };
}

/// Logs details for developers. Arguments as for `format!`; see [log](mod@crate::log).
#[macro_export]
macro_rules! log_debug {
    ($($arg:tt)+) => { $crate::log!($crate::log::Level::Debug, $($arg)+) };
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;

    /// A line with room for 10 bytes of text.
    type Short = Line<{ 10 + CUT_MARK.len() + 2 }>;

    fn text<const N: usize>(line: &Line<N>) -> &str {
        CStr::from_bytes_until_nul(&line.buf)
            .unwrap()
            .to_str()
            .unwrap()
    }

    #[test]
    fn text_that_fits_is_kept() {
        let name = "Nvme0n1";
        assert_eq!(
            text(&Short::format(format_args!("a {name}"))),
            "a Nvme0n1\n"
        );
        assert_eq!(
            text(&Short::format(format_args!("0123456789"))),
            "0123456789\n"
        );
        assert_eq!(text(&Short::format(format_args!(""))), "\n");
    }

    #[test]
    fn text_that_is_too_long_is_cut_and_marked() {
        assert_eq!(
            text(&Short::format(format_args!("0123456789a"))),
            "0123456789...\n"
        );
        assert_eq!(
            text(&Short::format(format_args!("012345678\u{e9}"))),
            "012345678...\n"
        );
        let long = "x".repeat(5000);
        let line = Line::<LINE_BUF_LEN>::format(format_args!("{long}"));
        assert_eq!(text(&line).len(), LINE_LEN_MAX + 4);
    }

    #[test]
    fn control_characters_are_escaped() {
        assert_eq!(text(&Short::format(format_args!("a\nb\tc"))), "a\\nb\\tc\n");
        assert_eq!(text(&Short::format(format_args!("a\0b"))), "a\\u{0}b\n");
        assert_eq!(text(&Short::format(format_args!("%s%n"))), "%s%n\n");
    }

    #[test]
    fn a_display_that_fails_does_not_lose_the_line() {
        struct Fails;
        impl fmt::Display for Fails {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("half")?;
                Err(fmt::Error)
            }
        }
        assert_eq!(
            text(&Short::format(format_args!("a {Fails} b"))),
            "a half\n"
        );
    }

    #[test]
    fn a_site_that_is_no_c_string_is_empty() {
        assert_eq!(Site::new("a\0", 1, "b\0").file, c"a");
        assert_eq!(Site::new("a", 1, "b\0").file, c"");
        assert_eq!(Site::new("a\0", 1, "b\0c\0").module, c"");
    }

    #[cfg(not(loom))]
    proptest::proptest! {
        #[test]
        fn every_line_is_one_line_of_utf8(parts in proptest::collection::vec("\\PC{0,9}|[\0-\x1f]", 0..5)) {
            let line = Short::format(format_args!("{}", parts.concat()));
            let text = text(&line);
            proptest::prop_assert!(text.len() <= 14);
            proptest::prop_assert_eq!(text.find('\n'), Some(text.len() - 1));
            proptest::prop_assert!(!text.trim_end().chars().any(char::is_control));
        }
    }
}
