//! The lines of the log, as they arrive at standard error: this test runs itself to see them.

#![cfg(target_arch = "x86_64")] // Elsewhere the log knows "%s" alone.

use std::process::Command;
use std::ptr::null;

use barespdk_embedded as _;
use barespdk_sys::*;

const CHILD: &str = "LOG_TEST_CHILD";

#[test]
fn lines_are_those_of_spdk() {
    if std::env::var_os(CHILD).is_some() {
        return child();
    }
    let own = std::env::current_exe().expect("a path");
    let output = Command::new(own)
        .args(["--exact", "lines_are_those_of_spdk", "--nocapture"])
        .env(CHILD, "1")
        .output()
        .expect("it starts");
    assert!(output.status.success());
    let text = String::from_utf8_lossy(&output.stderr);
    let lines: Vec<&str> = text.lines().collect();
    let expected = [
        "file.c:   7:func: *ERROR*: plain",
        "file.c:1234:func: *WARNING*: text 100% -5 18446744073709551615 ffffffff",
        // More arguments than there are registers, of both kinds.
        "file.c:   1:func: *NOTICE*: 1 2 3 4 5 6 7 0.5 1.5 2.5 3.5 4.5 5.5 6.5 7.5 8.5 9.5 end",
        "no place",
    ];
    assert_eq!(lines.len(), expected.len(), "{text}");
    for (line, expected) in lines.iter().zip(expected) {
        // "[YYYY-mm-dd HH:MM:SS.uuuuuu] "
        let (time, rest) = line.split_at(29);
        assert_eq!(rest, expected);
        let digits = time.chars().filter(char::is_ascii_digit).count();
        assert_eq!(
            (time.find('['), time.find(']'), digits),
            (Some(0), Some(27), 20)
        );
    }
}

fn child() {
    let (file, func) = (c"file.c".as_ptr(), c"func".as_ptr());
    // SAFETY: formats with the arguments that they take.
    unsafe {
        spdk_log(SPDK_LOG_ERROR, file, 7, func, c"plain\n".as_ptr());
        spdk_log(
            SPDK_LOG_WARN,
            file,
            1234,
            func,
            c"%s %d%% %d %lu %x\n".as_ptr(),
            c"text".as_ptr(),
            100,
            -5,
            u64::MAX,
            u32::MAX,
        );
        spdk_log(
            SPDK_LOG_NOTICE,
            file,
            1,
            func,
            c"%d %d %d %d %d %d %d %g %g %g %g %g %g %g %g %g %g %s\n".as_ptr(),
            1,
            2,
            3,
            4,
            5,
            6,
            7,
            0.5,
            1.5,
            2.5,
            3.5,
            4.5,
            5.5,
            6.5,
            7.5,
            8.5,
            9.5,
            c"end".as_ptr(),
        );
        // Not shown: less severe than what is.
        spdk_log(SPDK_LOG_INFO, file, 7, func, c"hidden\n".as_ptr());
        spdk_log(SPDK_LOG_DISABLED, file, 7, func, c"hidden\n".as_ptr());
        spdk_log(SPDK_LOG_NOTICE, null(), 0, null(), c"no place\n".as_ptr());
    }
}
