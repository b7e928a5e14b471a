//! Applications that are not there, or behave oddly.

use std::os::unix::net::UnixListener;
use std::time::{Duration, Instant};

use serde_json::json;
use tempfile::TempDir;

use crate::application::{Answer, Application, usual_but};
use crate::run::{on, run};

#[test]
fn no_socket() {
    let outcome = run(&["-s", "/nonexistent/rpc.sock", "list"]).exits(3);
    let outcome = outcome.complains("/nonexistent/rpc.sock: no application listens there");
    outcome
        .complains("raid1 --mirror m0=")
        .complains("--socket PATH");
    let error = run(&["--json", "-s", "/nonexistent/rpc.sock", "list"])
        .exits(3)
        .error();
    assert_eq!(error["kind"], "connection");
    assert!(error["hint"].as_str().unwrap().contains("start raid1"));
}

#[test]
fn a_socket_that_was_left_behind() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("rpc.sock");
    drop(UnixListener::bind(&path).unwrap());
    let outcome = run(&["-s", path.to_str().unwrap(), "list"]).exits(3);
    outcome
        .complains("the application that did has ended")
        .complains("start raid1");
}

#[test]
fn a_file_that_is_no_socket_and_a_path_too_long() {
    run(&["-s", "/etc/passwd", "list"])
        .exits(3)
        .complains("/etc/passwd: this is no socket");
    let long = format!("/{}", "x".repeat(200));
    run(&["-s", &long, "list"])
        .exits(3)
        .complains("cannot connect");
}

#[test]
fn an_application_that_hangs_up() {
    for bytes in [
        &b""[..],
        b"{\"jsonrpc\"",
        b"{\"jsonrpc\": \"2.0\", \"id\": 1, ",
    ] {
        let application = Application::start(&[("raid1_get_bdevs", Answer::Bytes(bytes))]);
        on(&application, &["list"])
            .exits(3)
            .complains("raid1_get_bdevs: the application hung up");
    }
}

#[test]
fn answers_that_make_no_sense() {
    for bytes in [
        &b"nonsense"[..],
        b"{}",
        b"[]",
        br#"{"jsonrpc": "2.0", "id": 7, "result": []}"#,
        br#"{"jsonrpc": "2.0", "id": 1}"#,
        br#"{"jsonrpc": "2.0", "id": 1, "result": {"not": "a list"}}"#,
        br#"{"jsonrpc": "2.0", "id": 1, "result": [{"name": 5}]}"#,
    ] {
        let application = Application::start(&[("raid1_get_bdevs", Answer::Bytes(bytes))]);
        on(&application, &["list"])
            .exits(3)
            .complains("the answer makes no sense");
    }
}

#[test]
fn an_application_that_does_not_answer() {
    let application = Application::start(&[("raid1_get_bdevs", Answer::Silence)]);
    let start = Instant::now();
    let outcome = on(&application, &["-t", "0.3", "list"]).exits(3);
    outcome
        .complains("no answer in time")
        .complains("--timeout");
    assert!(start.elapsed() < Duration::from_secs(20));
}

#[test]
fn an_answer_may_take_a_while() {
    let late = Answer::Late(Duration::from_millis(700), json!(true));
    let application = usual_but(&[("raid1_delete", late)]);
    on(&application, &["delete", "m0"])
        .exits(0)
        .says("m0: deleted");
}

#[test]
fn an_application_without_mirrors_of_ours() {
    let methods = Answer::Result(json!(["bdev_get_bdevs"]));
    let application = Application::start(&[("rpc_get_methods", methods)]);
    let outcome = on(&application, &["list"]).exits(1);
    outcome
        .complains("Method not found")
        .complains("LD_PRELOAD");
}

#[test]
fn an_application_that_still_starts() {
    let message = "Method may only be called after framework is initialized using \
                   framework_start_init RPC. Only startup RPC-s are allowed";
    let application = Application::start(&[("raid1_get_bdevs", Answer::Error(-1, message))]);
    on(&application, &["list"])
        .exits(1)
        .complains("has not finished its start");
}
