//! The log. C: `spdk/log.h`.
//!
//! Lines go to standard error up to the print level, and to the system's log up to the log level, in
//! SPDK's format. Rust code of this crate logs with `error_log!`, `warn_log!`, `notice_log!` and
//! `info_log!`, whose texts end in a line break as those of C do.

mod entry;

use std::ffi::{CStr, CString, c_char, c_int};
use std::fmt;
use std::io::Write as _;
use std::sync::atomic::{AtomicI32, Ordering};

use barespdk_sys::{
    SPDK_LOG_DEBUG, SPDK_LOG_DISABLED, SPDK_LOG_ERROR, SPDK_LOG_INFO, SPDK_LOG_NOTICE,
    SPDK_LOG_WARN, spdk_log_level,
};

/// The least severe level that goes to standard error.
static PRINT_LEVEL: AtomicI32 = AtomicI32::new(SPDK_LOG_NOTICE);
/// The least severe level that goes to the system's log.
static LEVEL: AtomicI32 = AtomicI32::new(SPDK_LOG_NOTICE);

/// The levels and their names, as the RPCs have them.
const NAMES: [(&str, spdk_log_level); 6] = [
    ("DISABLED", SPDK_LOG_DISABLED),
    ("ERROR", SPDK_LOG_ERROR),
    ("WARNING", SPDK_LOG_WARN),
    ("NOTICE", SPDK_LOG_NOTICE),
    ("INFO", SPDK_LOG_INFO),
    ("DEBUG", SPDK_LOG_DEBUG),
];

macro_rules! log_at {
    ($level:expr, $($arg:tt)+) => {
        $crate::log::write($level, file!(), line!(), module_path!(), format_args!($($arg)+))
    };
}
/// Logs an error.
macro_rules! error_log {
    ($($arg:tt)+) => { log_at!(barespdk_sys::SPDK_LOG_ERROR, $($arg)+) };
}
/// Logs a warning.
macro_rules! warn_log {
    ($($arg:tt)+) => { log_at!(barespdk_sys::SPDK_LOG_WARN, $($arg)+) };
}
/// Logs something to notice.
macro_rules! notice_log {
    ($($arg:tt)+) => { log_at!(barespdk_sys::SPDK_LOG_NOTICE, $($arg)+) };
}
/// Logs information.
macro_rules! info_log {
    ($($arg:tt)+) => { log_at!(barespdk_sys::SPDK_LOG_INFO, $($arg)+) };
}

/// Logs a line from Rust. Any thread.
pub(crate) fn write(
    level: spdk_log_level,
    file: &str,
    line: u32,
    module: &str,
    text: fmt::Arguments<'_>,
) {
    if enabled(level) {
        let name = file.rsplit('/').next().unwrap_or(file);
        let place = format!("{name}:{line:4}:{module}: ");
        emit(level, &place, &text.to_string());
    }
}

fn enabled(level: spdk_log_level) -> bool {
    level != SPDK_LOG_DISABLED
        && (level <= PRINT_LEVEL.load(Ordering::Relaxed) || level <= LEVEL.load(Ordering::Relaxed))
}

/// The name of a level as log lines have it.
fn level_name(level: spdk_log_level) -> &'static str {
    let found = NAMES.iter().find(|(_, number)| *number == level);
    found.map_or("UNKNOWN", |(name, _)| name)
}

/// The level of a name, in any case.
pub(crate) fn level_of(name: &str) -> Option<spdk_log_level> {
    let found = NAMES
        .iter()
        .find(|(known, _)| known.eq_ignore_ascii_case(name));
    found.map(|(_, level)| *level)
}

/// The name of the level that goes to standard error.
pub(crate) fn print_level_name() -> &'static str {
    level_name(PRINT_LEVEL.load(Ordering::Relaxed))
}

/// The name of the level that goes to the system's log.
pub(crate) fn log_level_name() -> &'static str {
    level_name(LEVEL.load(Ordering::Relaxed))
}

/// Sets the least severe level that goes to standard error.
pub(crate) fn set_print_level(level: spdk_log_level) {
    PRINT_LEVEL.store(level, Ordering::Relaxed);
}

/// Sets the least severe level that goes to the system's log.
pub(crate) fn set_log_level(level: spdk_log_level) {
    LEVEL.store(level, Ordering::Relaxed);
}

/// Writes a line in one piece. `place` ends in ": " or is empty, which leaves the level out too.
fn emit(level: spdk_log_level, place: &str, text: &str) {
    let name = if place.is_empty() {
        String::new()
    } else {
        format!("*{}*: ", level_name(level))
    };
    if level <= PRINT_LEVEL.load(Ordering::Relaxed) {
        let line = format!("{}{place}{name}{text}", timestamp());
        // There is no one to tell that standard error is closed.
        let _ = std::io::stderr().write_all(line.as_bytes());
    }
    if level <= LEVEL.load(Ordering::Relaxed) && !crate::env::clock::is_virtual() {
        to_system(level, &format!("{place}{name}{text}"));
    }
}

/// "[YYYY-mm-dd HH:MM:SS.uuuuuu] " in local time; in a simulation, virtual seconds.
fn timestamp() -> String {
    if crate::env::clock::is_virtual() {
        let now_us = crate::env::clock::now() / 1000;
        return format!("[{:6}.{:06}] ", now_us / 1_000_000, now_us % 1_000_000);
    }
    // SAFETY: plain C data, valid as zeroes; both places are ours, and the clock exists.
    let (seconds, local) = unsafe {
        let mut now: libc::timespec = std::mem::zeroed();
        libc::clock_gettime(libc::CLOCK_REALTIME, &mut now);
        let mut local: libc::tm = std::mem::zeroed();
        libc::localtime_r(&now.tv_sec, &mut local);
        (now, local)
    };
    format!(
        "[{:04}-{:02}-{:02} {:02}:{:02}:{:02}.{:06}] ",
        local.tm_year + 1900,
        local.tm_mon + 1,
        local.tm_mday,
        local.tm_hour,
        local.tm_min,
        local.tm_sec,
        seconds.tv_nsec / 1000
    )
}

fn to_system(level: spdk_log_level, line: &str) {
    let severity = match level {
        SPDK_LOG_ERROR => libc::LOG_ERR,
        SPDK_LOG_WARN => libc::LOG_WARNING,
        SPDK_LOG_NOTICE => libc::LOG_NOTICE,
        _ => libc::LOG_INFO,
    };
    if let Ok(line) = CString::new(line.trim_end()) {
        // SAFETY: the format takes one string, which is one.
        unsafe { libc::syslog(severity | libc::LOG_LOCAL7, c"%s".as_ptr(), line.as_ptr()) };
    }
}

/// A line from C, formatted. `file` and `func` are NULL or C strings.
unsafe fn from_c(level: c_int, file: *const c_char, line: c_int, func: *const c_char, text: &str) {
    let place = if file.is_null() {
        String::new()
    } else {
        // SAFETY: C strings that live during the call, as the caller says.
        let (file, func) = unsafe {
            let func = if func.is_null() {
                c""
            } else {
                CStr::from_ptr(func)
            };
            (
                CStr::from_ptr(file).to_string_lossy(),
                func.to_string_lossy(),
            )
        };
        format!("{file}:{line:4}:{func}: ")
    };
    emit(level, &place, text);
}

#[unsafe(no_mangle)]
unsafe extern "C" fn spdk_log_get_level() -> spdk_log_level {
    LEVEL.load(Ordering::Relaxed)
}

#[unsafe(no_mangle)]
unsafe extern "C" fn spdk_log_get_print_level() -> spdk_log_level {
    PRINT_LEVEL.load(Ordering::Relaxed)
}

same_as_declared!(spdk_log_get_level, spdk_log_get_print_level);
