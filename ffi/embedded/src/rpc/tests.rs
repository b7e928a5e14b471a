use std::cell::RefCell;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::rc::Rc;

use serde::Deserialize;
use serde_json::{Value, json};

use super::server::conn::{Conn, Input};
use super::*;
use crate::json::scan;

#[derive(Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
struct Example {
    name: String,
    size: Option<u16>,
    #[serde(default)]
    legs: Vec<String>,
}

fn example(given: Value) -> Result<Example, String> {
    params::<Example>(Some(given)).map_err(|error| error.message)
}

#[test]
fn errors_name_the_parameter() {
    let whole = example(json!({"legs": ["a"], "size": 65535, "name": "m"})).unwrap();
    assert_eq!(whole.size, Some(65535));
    assert_eq!(example(json!({"name": "m"})).unwrap().legs.len(), 0);
    for (given, message) in [
        (json!({}), "Missing parameter 'name'"),
        (
            json!({"name": "m", "nmae": 1}),
            "Unknown parameter 'nmae' (known: name, size, legs)",
        ),
        (
            json!([]),
            "Parameters must be an object with a name for each, found []",
        ),
    ] {
        assert_eq!(example(given).unwrap_err(), message);
    }
    let wrong = example(json!({"name": "m", "size": 65536})).unwrap_err();
    assert!(wrong.starts_with("Invalid parameter 'size': "), "{wrong}");
    assert_eq!(
        params::<Example>(None).unwrap_err().message,
        "Missing parameter 'name'"
    );
}

#[test]
fn errno_values_have_the_text_of_the_c_library() {
    let error = RpcError::from_errno(-libc::ENODEV);
    assert_eq!(
        (error.code, error.message.as_str()),
        (-19, "No such device")
    );
}

/// The response to a text, without a server.
fn answer(text: &str) -> String {
    let answer = Rc::new(RefCell::new(Vec::new()));
    let sink = request::Sink::Call(Box::new({
        let answer = Rc::clone(&answer);
        move |text| *answer.borrow_mut() = text
    }));
    match scan(text.as_bytes(), false) {
        Ok(document) => call::take(&document, text.as_bytes(), sink),
        Err(_) => panic!("no JSON: {text}"),
    }
    String::from_utf8(answer.take()).unwrap()
}

#[test]
fn what_is_no_request_is_refused() {
    let refused = "{\"jsonrpc\":\"2.0\",\"id\":null,\"error\":{\"code\":-32600,\"message\":\"Invalid request\"}}\n";
    for text in [
        "5",
        "[]",
        r#"[{"method":"a","id":1}]"#,
        "{}",
        r#"{"id":1}"#,
        r#"{"method":5,"id":1}"#,
        r#"{"method":"a","method":"b","id":1}"#,
        r#"{"method":"a","more":1,"id":1}"#,
        r#"{"jsonrpc":"1.0","method":"a","id":1}"#,
        r#"{"method":"a","id":[1]}"#,
        r#"{"method":"a","id":true}"#,
    ] {
        assert_eq!(answer(text), refused, "{text}");
    }
    let error = answer(r#"{"method":"a","params":"x","id":"7"}"#);
    assert!(error.starts_with(r#"{"jsonrpc":"2.0","id":"7","error":{"code":-32600"#));
}

#[test]
fn ids_come_back_as_they_were() {
    for id in ["1", "-1.50e2", r#""a\"\u00e9""#, "18446744073709551616"] {
        let text = format!(r#"{{"jsonrpc":"2.0","method":"no_such","id":{id}}}"#);
        assert_eq!(
            answer(&text),
            format!(
                "{{\"jsonrpc\":\"2.0\",\"id\":{id},\"error\":{{\"code\":-32601,\"message\":\"Method not found\"}}}}\n"
            )
        );
    }
}

#[test]
fn methods_about_methods() {
    let names = answer(r#"{"method":"rpc_get_methods","id":1}"#);
    assert!(names.contains("\"spdk_get_version\""), "{names}");
    let version = answer(r#"{"method":"spdk_get_version","params":{},"id":1}"#);
    assert!(version.contains("-32602"), "{version}");
    let version = answer(r#"{"method":"spdk_get_version","params":null,"id":1}"#);
    assert!(version.contains("\"SPDK v26.01\""), "{version}");
}

fn pair() -> (Conn, UnixStream) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    ours.set_nonblocking(true).unwrap();
    (Conn::new(1, ours), theirs)
}

/// Lengths of the requests that can be taken.
fn requests(conn: &mut Conn) -> Vec<usize> {
    let mut found = Vec::new();
    loop {
        match conn.next_input() {
            Input::Nothing => return found,
            Input::Request(_, text) => found.push(text.len()),
            Input::NoJson => found.push(0),
        }
    }
}

#[test]
fn requests_in_pieces_and_in_a_row() {
    let (mut conn, mut client) = pair();
    client.write_all(b"{\"a\":").unwrap();
    assert!(conn.receive());
    assert!(requests(&mut conn).is_empty());
    client.write_all(b"1}\n[]  {").unwrap();
    assert!(conn.receive());
    assert_eq!(requests(&mut conn), [8, 4]);
    client.write_all(b"}").unwrap();
    assert!(conn.receive());
    assert_eq!(requests(&mut conn), [2]);
    assert!(!conn.receive());
    assert!(!conn.is_done());
}

#[test]
fn a_client_that_stops_sending_still_gets_its_answers() {
    let (mut conn, mut client) = pair();
    client.write_all(b"{}").unwrap();
    client.shutdown(std::net::Shutdown::Write).unwrap();
    assert!(conn.receive());
    assert_eq!(requests(&mut conn).len(), 1);
    assert!(conn.receive());
    assert!(!conn.is_done());
    conn.answered(b"yes".to_vec());
    assert!(!conn.is_done());
    assert!(conn.send());
    assert!(conn.is_done());
    drop(conn);
    let mut all = String::new();
    client.read_to_string(&mut all).unwrap();
    assert_eq!(all, "yes");
}

#[test]
fn what_is_no_json_is_the_last_that_is_read() {
    let (mut conn, mut client) = pair();
    client.write_all(b"{} x {}").unwrap();
    assert!(conn.receive());
    assert_eq!(requests(&mut conn).len(), 2);
    assert!(!conn.receive());
    conn.answered(Vec::new());
    conn.answered(b"no".to_vec());
    assert!(conn.send());
    assert!(conn.is_done());
}

#[test]
fn a_request_that_does_not_end_is_hung_up_on() {
    let (mut conn, mut client) = pair();
    client.write_all(&[b'['; 64]).unwrap();
    client.write_all(&[b' '; 64 << 10]).unwrap();
    while conn.receive() {
        assert!(requests(&mut conn).is_empty());
    }
    assert!(conn.is_done());
}

#[test]
fn too_many_values_are_refused() {
    let (mut conn, mut client) = pair();
    let many = format!("[{}0]", "0,".repeat(1022));
    client.write_all(many.as_bytes()).unwrap();
    assert!(conn.receive());
    assert_eq!(requests(&mut conn), [0]);
    assert!(!conn.is_done());
}

#[test]
fn a_client_that_does_not_read_is_not_read_from() {
    let (mut conn, mut client) = pair();
    client.write_all(b"{}").unwrap();
    assert!(conn.receive());
    assert_eq!(requests(&mut conn).len(), 1);
    conn.answered(vec![b' '; 4 << 20]);
    assert!(conn.send());
    client.write_all(b"{}").unwrap();
    assert!(!conn.receive());
    let mut buf = vec![0; 4 << 20];
    let mut left = buf.len();
    while left > 0 {
        left -= client.read(&mut buf[..]).unwrap();
        conn.send();
    }
    assert!(conn.receive());
}

#[test]
fn a_client_that_has_gone_is_forgotten() {
    let (mut conn, client) = pair();
    drop(client);
    assert!(conn.receive());
    assert!(conn.is_done());
    let (mut conn, mut client) = pair();
    client.write_all(b"{}").unwrap();
    assert!(conn.receive());
    assert_eq!(requests(&mut conn).len(), 1);
    drop(client);
    conn.answered(b"late".to_vec());
    conn.send();
    assert!(conn.is_done());
}

#[test]
fn a_client_that_asks_much_has_to_wait_for_answers() {
    let (mut conn, mut client) = pair();
    client.write_all(&b"{}".repeat(3000)).unwrap();
    assert!(conn.receive());
    assert_eq!(requests(&mut conn).len(), 3000);
    client.write_all(b"{}").unwrap();
    assert!(!conn.receive());
    for _ in 0..2000 {
        conn.answered(b"{}".to_vec());
    }
    assert!(conn.receive());
}
