//! An application of a real SPDK, and its JSON-RPC methods as a client sees them.
//!
//! SPDK starts once in a process, so each case runs this program again as the application: with
//! `--child`, a mode, and the arguments. Needs no huge pages.

use std::cell::Cell;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, ExitCode, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use barespdk::app::{self, App, AppError, CliOption};
use barespdk::errno::Errno;
use barespdk::json::Name;
use barespdk::rpc::{Json, Method, Params, RegisterError, Reply, RpcError, RpcRequest, States};
use barespdk::runtime;
use barespdk::uuid::Uuid;

fn main() -> ExitCode {
    let mut args = std::env::args();
    if args.nth(1).as_deref() == Some("--child") {
        let mode = args.next().expect("a mode");
        return child(&mode, args.collect());
    }
    let cases: [(&str, fn()); 12] = [
        ("params_are_checked_and_named", params_are_checked_and_named),
        ("replies_of_every_kind", replies_of_every_kind),
        (
            "unanswered_requests_report_an_error",
            unanswered_requests_report_an_error,
        ),
        ("async_methods_answer_later", async_methods_answer_later),
        (
            "clients_may_leave_before_the_answer",
            clients_may_leave_before_the_answer,
        ),
        ("stop_with_a_request_pending", stop_with_a_request_pending),
        ("registration_at_run_time", registration_at_run_time),
        ("stop_gives_the_exit_code", stop_gives_the_exit_code),
        ("signals_end_the_application", signals_end_the_application),
        ("help_and_version", help_and_version),
        ("wrong_arguments", wrong_arguments),
        (
            "a_process_runs_one_application",
            a_process_runs_one_application,
        ),
    ];
    for (name, case) in cases {
        print!("test {name} ... ");
        case();
        println!("ok");
    }
    ExitCode::SUCCESS
}

// The application

fn echo(mut params: Params<'_>) -> Result<impl Reply + use<>, RpcError> {
    let name = params.required::<Name<'_, 15>>("name")?.to_string();
    let uuid = params.optional::<Uuid>("uuid")?;
    let legs = params.optional::<Vec<String>>("legs")?;
    let size = params.optional::<u16>("size")?;
    let mode = params.optional_one_of("mode", &[("fast", 1_u8), ("safe", 2)])?;
    params.finish()?;
    Ok(Json(move |writer: barespdk::json::ValueWriter<'_>| {
        writer.object(|object| {
            object.field("name", &name);
            object.field("uuid", &uuid);
            object.field("legs", &legs);
            object.field("size", &size);
            object.field("mode", &mode);
        });
    }))
}

fn reply(mut params: Params<'_>) -> Result<Box<dyn FnOnce(RpcRequest)>, RpcError> {
    let kind = params.required::<String>("kind")?;
    params.finish()?;
    Ok(match kind.as_str() {
        "nothing" => Box::new(|request| request.answer(Ok(()))),
        "string" => Box::new(|request| request.answer(Ok("a\0\"b".to_owned()))),
        "number" => Box::new(|request| request.answer(Ok(u64::MAX))),
        "false" => Box::new(|request| request.reply_bool(false)),
        "empty" => Box::new(|request| request.reply(|_| ())),
        "errno" => Box::new(|request| {
            let what = format_args!("Could not open bdev '{}'", "x\0y");
            request.fail(&RpcError::failed(Errno::ENODEV, what));
        }),
        "huge" => Box::new(|request| {
            let long = "x".repeat(1 << 20);
            request.reply(|writer| {
                writer.array(|array| (0..40).for_each(|_| array.push(long.as_str())));
            });
        }),
        "dropped" => Box::new(drop),
        other => return Err(RpcError::invalid_param("kind", other)),
    })
}

async fn later(mut params: Params<'_>) -> Result<String, RpcError> {
    let text = params.required::<&str>("text")?;
    let ms = params.required::<u64>("ms")?;
    params.finish()?;
    let slept = runtime::sleep(Duration::from_millis(ms)).await;
    slept.map_err(|error| RpcError::internal(format_args!("{error:?}")))?;
    // Borrowed from the request all the while.
    Ok(text.to_owned())
}

fn register(params: Params<'_>) -> Result<String, RpcError> {
    params.finish()?;
    const LATE: Method = Method::sync(c"test_late", States::RUNTIME, |_| Ok("late".to_owned()));
    let first = LATE.register();
    let second = LATE.register();
    let elsewhere = thread::spawn(|| LATE.register()).join().expect("no panic");
    Ok(format!("{first:?} {second:?} {elsewhere:?}"))
}

fn stop(mut params: Params<'_>) -> Result<(), RpcError> {
    let code = params.required::<i32>("code")?;
    params.finish()?;
    let elsewhere = thread::spawn(|| app::stop(1)).join().expect("no panic");
    assert_eq!(elsewhere, Err(Errno::EPERM));
    app::stop(code)?;
    Ok(())
}

barespdk::rpc_methods!(
    Method::sync(c"test_echo", States::RUNTIME, echo),
    Method::new(c"test_reply", States::ANY, |request: RpcRequest| {
        match request.params().and_then(reply) {
            Ok(answer) => answer(request),
            Err(error) => request.fail(&error),
        }
    }),
    Method::asynchronous(c"test_later", States::RUNTIME, later),
);

const METHODS: &[Method] = &[
    Method::sync(c"test_register", States::RUNTIME, register),
    Method::sync(c"test_stop", States::RUNTIME, stop),
];

fn child(mode: &str, args: Vec<String>) -> ExitCode {
    let size = Cell::new(0_u32);
    let quick = Cell::new(false);
    let mut application = App::new("app_rpc")
        .methods(METHODS)
        .option(
            CliOption::value("size", "MiB", "a number").short('S'),
            |value| {
                let value = value.unwrap_or_default();
                size.set(
                    value
                        .parse()
                        .map_err(|_| format!("not a number: {value}"))?,
                );
                Ok(())
            },
        )
        .option(CliOption::flag("quick", "stop at once"), |value| {
            assert_eq!(value, None);
            quick.set(true);
            Ok(())
        })
        .before_start(|startup| {
            println!("size={} quick={}", size.get(), quick.get());
            let taken = startup.register(&METHODS[0]);
            assert_eq!(taken, Err(RegisterError::Exists(c"test_register")));
            Ok(())
        });
    let is_quick = mode == "quick" || mode == "twice";
    if mode == "shutdown" {
        application = application.on_shutdown(|| {
            println!("shutdown");
            app::stop(9).expect("on the app thread");
        });
    }
    let name = "app_rpc".to_owned();
    let outcome = application.run([name].into_iter().chain(args), move || {
        println!("started");
        barespdk::log_notice!("started %s%n");
        if is_quick {
            app::stop(7).expect("on the app thread");
        }
    });
    assert_eq!(app::stop(1), Err(Errno::EPERM));
    if mode == "twice" {
        let again = App::new("again").run(["again"], || ());
        assert_eq!(again, Err(AppError::AlreadyRun));
    }
    match outcome {
        Ok(code) => ExitCode::from(u8::try_from(code).unwrap_or(u8::MAX)),
        Err(error) => panic!("{error}"),
    }
}

// The client

/// The application, running.
struct Running {
    child: Child,
    socket: PathBuf,
}

fn command(mode: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("our path"));
    command.args(["--child", mode]);
    command
}

/// Arguments that make SPDK start on any machine, beside others.
const ANYWHERE: [&str; 7] = [
    "-m",
    "0x1",
    "--no-huge",
    "-s",
    "1024",
    "--no-pci",
    "--disable-cpumask-locks",
];

impl Running {
    fn start(mode: &str) -> Self {
        let socket = std::env::temp_dir().join(format!("barespdk-{}.sock", std::process::id()));
        let child = command(mode)
            .args(ANYWHERE)
            .arg("-r")
            .arg(&socket)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("our own program");
        let mut running = Self { child, socket };
        let deadline = Instant::now() + Duration::from_secs(30);
        while !running.is_up() {
            if running.child.try_wait().expect("a child").is_some() || Instant::now() > deadline {
                let _ = running.child.kill();
                panic!("no start: {:?}", running.end());
            }
            thread::sleep(Duration::from_millis(20));
        }
        running
    }

    /// Whether the application has started and answers.
    fn is_up(&self) -> bool {
        let Ok(mut stream) = UnixStream::connect(&self.socket) else {
            return false;
        };
        let request = br#"{"jsonrpc":"2.0","id":1,"method":"framework_wait_init"}"#;
        stream.write_all(request).is_ok()
            && matches!(stream.read(&mut [0; 1000]), Ok(len) if len != 0)
    }

    fn connect(&self, method: &str, params: &str) -> UnixStream {
        let mut stream = UnixStream::connect(&self.socket).expect("the socket");
        stream
            .set_read_timeout(Some(Duration::from_secs(10)))
            .expect("a timeout");
        let params = if params.is_empty() {
            String::new()
        } else {
            format!(r#","params":{params}"#)
        };
        write!(
            stream,
            r#"{{"jsonrpc":"2.0","id":1,"method":"{method}"{params}}}"#
        )
        .expect("sent");
        stream
    }

    /// The response without what is the same in all of them.
    fn call(&mut self, method: &str, params: &str) -> String {
        let mut stream = self.connect(method, params);
        let mut response = String::new();
        let mut buf = [0; 1 << 16];
        while !response.ends_with('\n') {
            let len = stream.read(&mut buf).expect("a response");
            assert_ne!(len, 0, "{method}: connection closed");
            response.push_str(std::str::from_utf8(&buf[..len]).expect("UTF-8"));
        }
        let response = response.trim_end();
        let body = response
            .strip_prefix(r#"{"jsonrpc":"2.0","id":1,"#)
            .expect(response);
        body.strip_suffix('}').expect(response).to_owned()
    }

    #[track_caller]
    fn result(&mut self, method: &str, params: &str, result: &str) {
        let expected = format!(r#""result":{result}"#);
        assert_eq!(self.call(method, params), expected, "{method} {params}");
    }

    #[track_caller]
    fn error(&mut self, method: &str, params: &str, code: i32, message: &str) {
        let expected = format!(r#""error":{{"code":{code},"message":"{message}"}}"#);
        assert_eq!(self.call(method, params), expected, "{method} {params}");
    }

    /// Waits for the end: exit code, standard output and error.
    fn end(self) -> (i32, String, String) {
        outcome(&self.child.wait_with_output().expect("a child"))
    }

    fn stop(mut self) {
        self.result("test_stop", r#"{"code":0}"#, "true");
        let (code, _, log) = self.end();
        assert_eq!(code, 0, "{log}");
    }
}

#[track_caller]
fn outcome(output: &Output) -> (i32, String, String) {
    let log = String::from_utf8_lossy(&output.stderr).into_owned();
    let code = output.status.code();
    let code = code.unwrap_or_else(|| panic!("killed: {:?}\n{log}", output.status));
    (
        code,
        String::from_utf8_lossy(&output.stdout).into_owned(),
        log,
    )
}

fn run(mode: &str, args: &[&str]) -> (i32, String, String) {
    outcome(&command(mode).args(args).output().expect("our own program"))
}

// The cases

const INVALID: i32 = -32602;
const INTERNAL: i32 = -32603;

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

fn stop_gives_the_exit_code() {
    let mut app = Running::start("serve");
    app.result("test_stop", r#"{"code":5}"#, "true");
    assert_eq!(app.end().0, 5);
}

fn signals_end_the_application() {
    for (mode, code, said) in [("serve", 0, false), ("shutdown", 9, true)] {
        let app = Running::start(mode);
        let pid = app.child.id().to_string();
        assert!(
            Command::new("kill")
                .args(["-TERM", &pid])
                .status()
                .expect("kill")
                .success()
        );
        let (exit_code, out, log) = app.end();
        assert_eq!((exit_code, out.contains("shutdown")), (code, said), "{log}");
        assert!(log.contains("app_rpc: *NOTICE*: started %s%n\n"), "{log}");
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
    let socket = std::env::temp_dir().join(format!("barespdk-{}.sock", std::process::id()));
    let socket = socket.to_str().expect("UTF-8");
    let (code, out, log) = run("twice", &[&args[..], &["-r", socket]].concat());
    assert_eq!(code, 7, "{log}");
    assert!(out.contains("size=12 quick=true"), "{out}");
}
