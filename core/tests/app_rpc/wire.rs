//! The server as those see it who write into its socket themselves.

use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use crate::client::{ANYWHERE, Running, run};

/// All that comes until nothing more does, or the server hangs up; and whether it did.
fn received(stream: &mut UnixStream) -> (String, bool) {
    let (mut text, mut buf) = (Vec::new(), [0; 4096]);
    stream
        .set_read_timeout(Some(Duration::from_millis(500)))
        .expect("a timeout");
    let hung_up = loop {
        match stream.read(&mut buf) {
            Ok(0) => break true,
            Ok(len) => text.extend_from_slice(&buf[..len]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => break false,
            Err(error) if error.kind() == ErrorKind::ConnectionReset => break true,
            Err(error) => panic!("{error}"),
        }
    };
    (String::from_utf8(text).expect("UTF-8"), hung_up)
}

/// The lines that a text is answered with, on a connection of its own that stays open.
#[track_caller]
fn answers(app: &Running, text: &str) -> Vec<String> {
    let mut stream = app.socket();
    stream.write_all(text.as_bytes()).expect("sent");
    let (all, hung_up) = received(&mut stream);
    assert!(!hung_up, "{text}: {all}");
    all.lines().map(str::to_owned).collect()
}

fn result(id: &str, result: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#)
}

fn error(id: &str, code: i32, message: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{{"code":{code},"message":"{message}"}}}}"#)
}

pub(crate) fn requests_in_a_row() {
    let app = Running::start("serve");
    let text = r#"{"method":"test_reply","params":{"kind":"number"},"id":1}
        {"method":"test_reply","params":{"kind":"nothing"},"id":"t\"w\u0041"}{"jsonrpc":"2.0",
        "id":-3,"params":null,"method":"no_such_method"}"#;
    let number = u64::MAX.to_string();
    let expected = [
        result("1", &number),
        result(r#""t\"wA""#, "true"),
        error("-3", -32601, "Method not found"),
    ];
    let found = answers(&app, text);
    // One backend may write the id as it came.
    let found: Vec<_> = found
        .iter()
        .map(|line| line.replace("\\u0041", "A"))
        .collect();
    assert_eq!(found, expected);
    app.stop();
}

pub(crate) fn a_request_without_an_id_has_no_result() {
    let app = Running::start("serve");
    let text = r#"{"method":"test_reply","params":{"kind":"number"}}
        {"method":"test_reply","params":{"kind":"number"},"id":null}
        {"method":"no_such_method"}
        {"method":"test_reply","params":{"kind":"false"},"id":4}"#;
    let refused = error("null", -32601, "Method not found");
    let last = result("4", "false");
    let found = answers(&app, text);
    if cfg!(feature = "spdk") {
        // SPDK means to send nothing, and sends half of a result.
        assert!(found[0].ends_with(&refused), "{found:?}");
        assert_eq!(found[1..], [last]);
    } else {
        assert_eq!(found, [refused, last]);
    }
    app.stop();
}

pub(crate) fn what_is_no_request_is_refused() {
    let app = Running::start("serve");
    let note = r#""method":"test_note","params":{"text":"x"}"#;
    for (text, id) in [
        ("5".to_owned() + " ", "null"),
        (format!("[{{{note},\"id\":1}}]"), "null"),
        ("{}".to_owned(), "null"),
        (r#"{"id":1}"#.to_owned(), "null"),
        (r#"{"method":5,"id":1}"#.to_owned(), "null"),
        (format!("{{{note},{note},\"id\":1}}"), "null"),
        (format!("{{{note},\"more\":1,\"id\":1}}"), "null"),
        (format!("{{\"jsonrpc\":\"1.0\",{note},\"id\":1}}"), "null"),
        (format!("{{{note},\"id\":[1]}}"), "null"),
        (
            r#"{"method":"test_note","params":"x","id":7}"#.to_owned(),
            "7",
        ),
    ] {
        let expected = [error(id, -32600, "Invalid request")];
        assert_eq!(answers(&app, &text), expected, "{text}");
    }
    app.stop();
}

pub(crate) fn a_request_in_pieces() {
    let app = Running::start("serve");
    let mut stream = app.socket();
    for byte in br#"{"id":1,"method":"test_reply","params":{"kind":"string"}}"# {
        stream.write_all(&[*byte]).expect("sent");
        std::thread::sleep(Duration::from_millis(2));
    }
    let expected = result("1", r#""a\u0000\"b""#) + "\n";
    assert_eq!(received(&mut stream), (expected, false));
    app.stop();
}

/// One backend says so before it hangs up, the other does not.
pub(crate) fn what_is_no_json_ends_the_connection() {
    let app = Running::start("serve");
    let too_many = format!("[{}0]", "0,".repeat(2000));
    let too_deep = "[".repeat(65);
    let too_long = format!(r#"{{"method":"{}"}}"#, "x".repeat(100_000));
    for text in [
        "hello",
        "{,",
        "{\"a\": \u{1}",
        &too_many,
        &too_deep,
        &too_long,
    ] {
        let mut stream = app.socket();
        // The server may hang up before it has read all.
        let _ = stream.write_all(text.as_bytes());
        let (_, hung_up) = received(&mut stream);
        assert!(hung_up, "{text:.20}");
    }
    let mut stream = app.socket();
    stream
        .write_all(b"{\"method\":\"\xff\",\"id\":1}")
        .expect("sent");
    assert!(received(&mut stream).1);
    app.stop();
}

pub(crate) fn a_client_that_stops_sending_gets_its_answers() {
    let app = Running::start("serve");
    let mut stream = app.socket();
    let text = r#"{"method":"test_later","params":{"text":"late","ms":50},"id":1}"#;
    stream.write_all(text.as_bytes()).expect("sent");
    stream.shutdown(Shutdown::Write).expect("shut down");
    let expected = result("1", "\"late\"") + "\n";
    assert_eq!(received(&mut stream), (expected, true));
    app.stop();
}

pub(crate) fn more_clients_than_there_is_room_for() {
    let mut app = Running::start("serve");
    let waiting: Vec<_> = (0..100).map(|_| app.socket()).collect();
    std::thread::sleep(Duration::from_millis(600));
    drop(waiting);
    app.result("test_reply", r#"{"kind":"nothing"}"#, "true");
    app.stop();
}

pub(crate) fn a_client_that_does_not_read() {
    let mut app = Running::start("serve");
    let mut stream = app.socket();
    stream.set_nonblocking(true).expect("set");
    let text = r#"{"method":"rpc_get_methods","id":1}"#.repeat(50);
    for _ in 0..200 {
        if stream.write_all(text.as_bytes()).is_err() {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    app.result("test_reply", r#"{"kind":"nothing"}"#, "true");
    drop(stream);
    app.stop();
}

pub(crate) fn methods_have_their_time() {
    let mut app = Running::start_waiting();
    let later = "Method may only be called after framework is initialized using \
                 framework_start_init RPC.";
    app.error("test_later", r#"{"text":"x","ms":0}"#, -1, later);
    app.result("test_note", r#"{"text":"early"}"#, "true");
    let mut waiting = app.connect("framework_wait_init", "");
    app.result("framework_start_init", "", "true");
    assert_eq!(received(&mut waiting).0, result("1", "true") + "\n");
    app.result("framework_wait_init", "", "true");
    app.result("test_later", r#"{"text":"x","ms":0}"#, "\"x\"");
    let earlier = "Method may only be called before framework is initialized. Use --wait-for-rpc \
                   command line parameter and then issue this RPC before the framework_start_init \
                   RPC.";
    app.error("framework_start_init", "", -1, earlier);
    let (code, out, log) = {
        app.result("test_stop", r#"{"code":0}"#, "true");
        app.end()
    };
    assert_eq!(code, 0, "{log}");
    assert!(out.find("note early") < out.find("started"), "{out}");
}

pub(crate) fn only_allowed_methods() {
    let allowed = "test_stop,test_note,framework_wait_init";
    let mut app = Running::start_with("serve", &["--rpcs-allowed", allowed]);
    app.result("test_note", r#"{"text":"x"}"#, "true");
    app.error("test_reply", "", -32601, "Method not found");
    app.error("rpc_get_methods", "", -32601, "Method not found");
    app.stop();
}

pub(crate) fn a_socket_in_use() {
    let mut app = Running::start("serve");
    let path = app.path().to_owned();
    let (code, out, log) = run("serve", &[&ANYWHERE[..], &["-r", &path]].concat());
    assert_ne!(code, 0, "{out}");
    assert!(log.contains("in use"), "{log}");
    assert!(!out.contains("started"), "{out}");
    app.result("test_reply", r#"{"kind":"nothing"}"#, "true");
    app.stop();
}
