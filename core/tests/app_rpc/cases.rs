//! What is to be seen, from outside.

use std::path::PathBuf;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use crate::client::{ANYWHERE, Running, run};
use crate::wire::*;

/// Makes a list of the cases with their names.
macro_rules! cases {
    ($($case:ident,)*) => { &[$((stringify!($case), $case as fn())),*] };
}

/// All cases, by name.
pub(crate) const ALL: &[(&str, fn())] = cases![
    params_are_checked_and_named,
    replies_of_every_kind,
    unanswered_requests_report_an_error,
    async_methods_answer_later,
    clients_may_leave_before_the_answer,
    stop_with_a_request_pending,
    registration_at_run_time,
    configuration_files_may_call_our_methods,
    a_configuration_may_come_from_memory,
    stop_gives_the_exit_code,
    signals_end_the_application,
    help_and_version,
    wrong_arguments,
    a_process_runs_one_application,
    requests_in_a_row,
    a_request_without_an_id_has_no_result,
    what_is_no_request_is_refused,
    a_request_in_pieces,
    what_is_no_json_ends_the_connection,
    a_client_that_stops_sending_gets_its_answers,
    more_clients_than_there_is_room_for,
    a_client_that_does_not_read,
    methods_have_their_time,
    only_allowed_methods,
    a_socket_in_use,
];

const INVALID: i32 = -32602;
const INTERNAL: i32 = -32603;

/// Elsewhere a call without parameters crashes, and a missing name aborts the target.
fn params_are_checked_and_named() {
    let mut app = Running::start("serve");
    let nothing = r#""uuid":null,"legs":null,"size":null,"mode":null"#;
    let ok = r#"{"name":"m"}"#;
    app.result("test_echo", ok, &format!(r#"{{"name":"m",{nothing}}}"#));
    let uuid = "01234567-89ab-cdef-0123-456789abcdef";
    let all = format!(
        r#"{{"mode":"safe","size":65535,"legs":["a","\u00e9"],"uuid":"{uuid}","name":"m"}}"#
    );
    let echoed =
        format!(r#"{{"name":"m","uuid":"{uuid}","legs":["a","\u00E9"],"size":65535,"mode":2}}"#);
    app.result("test_echo", &all, &echoed);
    for none in ["", "null", "{}"] {
        app.error("test_echo", none, INVALID, "Missing parameter 'name'");
    }
    for (params, message) in [
        (
            r#"["m"]"#,
            "Parameters must be an object with a name for each, found an array of 1 value",
        ),
        (
            r#"{"name":5}"#,
            "Invalid parameter 'name': expected a name of 1 to 15 bytes without NUL, found 5",
        ),
        (
            r#"{"name":"a\u0000b"}"#,
            r#"Invalid parameter 'name': expected a name of 1 to 15 bytes without NUL, found \"a\\u{0}b\""#,
        ),
        (
            r#"{"name":"0123456789abcdef"}"#,
            r#"Invalid parameter 'name': expected a name of 1 to 15 bytes without NUL, found \"0123456789abcdef\""#,
        ),
        (
            r#"{"name":"m","size":65536}"#,
            "Invalid parameter 'size': expected an integer from 0 to 65535, found 65536",
        ),
        (
            r#"{"name":"m","legs":["a",{"b":[1,2]}]}"#,
            "Invalid parameter 'legs[1]': expected a string, found an object of 1 member",
        ),
        (
            r#"{"name":"m","mode":"slow"}"#,
            r#"Invalid parameter 'mode': expected one of \"fast\", \"safe\", found \"slow\""#,
        ),
        (
            r#"{"name":"m","name":"n"}"#,
            "Parameter 'name' is given more than once",
        ),
        (
            r#"{"name":"m","nmae":"n"}"#,
            "Unknown parameter 'nmae' (known: name, uuid, legs, size, mode)",
        ),
    ] {
        app.error("test_echo", params, INVALID, message);
    }
    app.stop();
}

fn replies_of_every_kind() {
    let mut app = Running::start("serve");
    let kind = |kind: &str| format!(r#"{{"kind":"{kind}"}}"#);
    app.result("test_reply", &kind("nothing"), "true");
    app.result("test_reply", &kind("string"), r#""a\u0000\"b""#);
    app.result("test_reply", &kind("number"), "18446744073709551615");
    app.result("test_reply", &kind("false"), "false");
    app.result("test_reply", &kind("empty"), "null");
    let message = "Could not open bdev 'x y': No such device (ENODEV)";
    app.error("test_reply", &kind("errno"), -19, message);
    // SPDK takes up to 32 MiB; what exceeds them must not break the connection.
    let message = "Reply not sent: the JSON document could not be written";
    app.error("test_reply", &kind("huge"), INTERNAL, message);
    app.result("test_reply", &kind("nothing"), "true");
    app.stop();
}

fn unanswered_requests_report_an_error() {
    let mut app = Running::start("serve");
    let message = "The method ended without an answer";
    app.error("test_reply", r#"{"kind":"dropped"}"#, INTERNAL, message);
    app.stop();
}

fn async_methods_answer_later() {
    let mut app = Running::start("serve");
    let start = Instant::now();
    app.result(
        "test_later",
        r#"{"text":"borrowed","ms":50}"#,
        r#""borrowed""#,
    );
    assert!(start.elapsed() >= Duration::from_millis(50));
    app.error(
        "test_later",
        r#"{"text":"x"}"#,
        INVALID,
        "Missing parameter 'ms'",
    );
    app.error(
        "test_later",
        "[]",
        INVALID,
        "Parameters must be an object with a name for each, found an array of 0 values",
    );
    app.stop();
}

fn clients_may_leave_before_the_answer() {
    let mut app = Running::start("serve");
    for _ in 0..10 {
        drop(app.connect("test_later", r#"{"text":"borrowed","ms":50}"#));
    }
    app.result("test_later", r#"{"text":"stayed","ms":100}"#, r#""stayed""#);
    app.stop();
}

fn stop_with_a_request_pending() {
    let app = Running::start("serve");
    let waiting = app.connect("test_later", r#"{"text":"never","ms":600000}"#);
    thread::sleep(Duration::from_millis(50));
    app.stop();
    drop(waiting);
}

fn registration_at_run_time() {
    let mut app = Running::start("serve");
    let outcome = r#""Ok(()) Err(Exists(\"test_late\")) Err(NotAppThread)""#;
    app.result("test_register", "", outcome);
    app.result("test_late", "", r#""late""#);
    app.stop();
}

/// A file in the temporary directory, gone afterwards.
struct TempFile(PathBuf);

impl TempFile {
    fn new(suffix: &str, contents: &str) -> Self {
        let name = format!("barespdk-{}{suffix}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, contents).expect("written");
        Self(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().expect("UTF-8")
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn configuration_files_may_call_our_methods() {
    let socket = TempFile::new(".sock", "");
    for (text, code) in [("\"a\"", 7), ("5", 255)] {
        let config = TempFile::new(
            ".json",
            &format!(
                r#"{{"subsystems":[{{"subsystem":"bdev","config":[
                    {{"method":"test_note","params":{{"text":{text}}}}}]}}]}}"#
            ),
        );
        let args = ["-r", socket.path(), "--json", config.path()];
        let (exit_code, out, log) = run("quick", &[&ANYWHERE[..], &args].concat());
        assert_eq!(exit_code, code, "{log}");
        assert_eq!(out.contains("note a\n"), code == 7, "{out}{log}");
        assert_eq!(out.contains("started"), code == 7, "{out}{log}");
    }
}

fn a_configuration_may_come_from_memory() {
    let socket = TempFile::new(".sock", "");
    let args = [&ANYWHERE[..], &["-r", socket.path()]].concat();
    let (code, out, log) = run("config", &args);
    assert_eq!(code, 7, "{log}");
    assert!(out.contains("note memory\n"), "{out}");

    let file = TempFile::new(".json", "{}");
    let (code, out, log) = run("config", &[&args[..], &["--json", file.path()]].concat());
    assert_ne!(code, 7, "{out}");
    assert!(log.contains("there is another configuration"), "{log}");
    assert!(!out.contains("size="), "before_start was called: {out}");
}

fn stop_gives_the_exit_code() {
    let mut app = Running::start("serve");
    app.result("test_stop", r#"{"code":5}"#, "true");
    assert_eq!(app.end().0, 5);
}

/// Elsewhere the application is never finalised.
fn signals_end_the_application() {
    for (mode, code, said) in [("serve", 0, false), ("shutdown", 9, true)] {
        let app = Running::start(mode);
        let pid = app.pid().to_string();
        assert!(
            Command::new("kill")
                .args(["-TERM", &pid])
                .status()
                .expect("kill")
                .success()
        );
        let (exit_code, out, log) = app.end();
        assert_eq!((exit_code, out.contains("shutdown")), (code, said), "{log}");
        assert!(
            log.contains("app_rpc::application: *NOTICE*: started %s%n\n"),
            "{log}"
        );
    }
}

fn help_and_version() {
    let (code, out, _) = run("serve", &["-h"]);
    assert_eq!(code, 0);
    assert!(out.contains("--cpumask"), "{out}");
    let own = "\nApplication specific:\n -S, --size <MiB>                a number\n     \
               --quick                     stop at once\n";
    assert!(out.ends_with(own), "{out}");
    let (code, out, _) = run("serve", &["--version"]);
    assert_eq!(code, 0);
    assert!(out.contains("v26.01"), "{out}");
}

fn wrong_arguments() {
    for (args, message) in [
        (&["--no-such-option"][..], "no-such-option"),
        (&["--size"], "requires an argument"),
        (&["--size", "x"], "--size: not a number: x"),
        (&["-S", "-1"], "--size: not a number: -1"),
        (&["--quick", "extra"], "unexpected argument 'extra'"),
        (&["-s", "nonsense"], "nonsense"),
    ] {
        let (code, out, log) = run("serve", args);
        assert_eq!(code, 2, "{args:?}: {log}");
        assert!(!out.contains("started"), "{args:?}");
        assert!(log.contains(message), "{args:?}: {log}");
    }
    let (code, out, log) = run(
        "serve",
        &["--json", "/nonexistent", "-r", "/nonexistent/socket"],
    );
    assert_ne!(code, 0, "{log}");
    assert!(!out.contains("started"));
}

fn a_process_runs_one_application() {
    let args: Vec<_> = ANYWHERE
        .into_iter()
        .chain(["--size", "12", "--quick"])
        .collect();
    let socket = TempFile::new(".sock", "");
    let (code, out, log) = run("twice", &[&args[..], &["-r", socket.path()]].concat());
    assert_eq!(code, 7, "{log}");
    assert!(out.contains("size=12 quick=true"), "{out}");
}
