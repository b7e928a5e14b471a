//! An application as raid1ctl sees it: a JSON-RPC server with answers that the test has laid down.

use std::io::{BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use serde_json::{Deserializer, Value, json};
use tempfile::TempDir;

/// What the application does when a method is called.
#[derive(Clone)]
pub(crate) enum Answer {
    Result(Value),
    Error(i64, &'static str),
    /// The result after a while.
    Late(Duration, Value),
    /// Bytes as they are; then it hangs up.
    Bytes(&'static [u8]),
    /// Nothing, ever.
    Silence,
    /// One after the other; the last one stays.
    Each(Vec<Answer>),
}

/// A server. It ends with the test.
pub(crate) struct Application {
    directory: TempDir,
    state: Arc<State>,
}

struct State {
    answers: Mutex<Vec<(&'static str, Answer)>>,
    calls: Mutex<Vec<(String, Value)>>,
}

impl Application {
    /// Listens. A method that is not among `answers` is one that the application does not have.
    pub(crate) fn start(answers: &[(&'static str, Answer)]) -> Self {
        let directory = TempDir::new().unwrap();
        let listener = UnixListener::bind(directory.path().join("rpc.sock")).unwrap();
        let state = Arc::new(State {
            answers: Mutex::new(answers.to_vec()),
            calls: Mutex::default(),
        });
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let shared = Arc::clone(&shared);
                let stream = stream.unwrap();
                thread::spawn(move || shared.serve(&stream));
            }
        });
        Self { directory, state }
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.directory.path().join("rpc.sock")
    }

    /// The methods that were called, with their parameters.
    pub(crate) fn calls(&self) -> Vec<(String, Value)> {
        self.state.calls.lock().unwrap().clone()
    }

    /// Parameters of the only call of a method.
    #[track_caller]
    pub(crate) fn params_of(&self, method: &str) -> Value {
        let calls = self.calls();
        let mut calls = calls.into_iter().filter(|(name, _)| name == method);
        let (_, params) = calls.next().expect("the method was called");
        assert!(calls.next().is_none(), "{method} was called again");
        params
    }
}

impl State {
    fn serve(&self, mut stream: &UnixStream) {
        let requests = Deserializer::from_reader(BufReader::new(stream)).into_iter::<Value>();
        for request in requests {
            // A client may be killed in the middle.
            let Ok(request) = request else { return };
            assert_eq!(request["jsonrpc"], "2.0");
            let method = request["method"].as_str().unwrap().to_owned();
            let params = request.get("params").cloned().unwrap_or(Value::Null);
            assert_ne!(params, json!({}), "SPDK refuses empty parameters");
            self.calls.lock().unwrap().push((method.clone(), params));
            let answer = |body: Value| {
                let mut whole = json!({"jsonrpc": "2.0", "id": request["id"]});
                let object = whole.as_object_mut().unwrap();
                object.extend(body.as_object().unwrap().clone());
                whole.to_string().into_bytes()
            };
            let bytes = match self.next(&method) {
                Answer::Result(result) => answer(json!({ "result": result })),
                Answer::Late(delay, result) => {
                    thread::sleep(delay);
                    answer(json!({ "result": result }))
                }
                Answer::Error(code, message) => {
                    answer(json!({"error": {"code": code, "message": message}}))
                }
                Answer::Bytes(bytes) => {
                    let _ = stream.write_all(bytes);
                    return;
                }
                Answer::Silence => continue,
                Answer::Each(_) => unreachable!("not nested"),
            };
            // Two writes: an answer may come in pieces.
            let (first, second) = bytes.split_at(bytes.len() / 2);
            if stream.write_all(first).is_err() || stream.write_all(second).is_err() {
                return;
            }
        }
    }

    fn next(&self, method: &str) -> Answer {
        let mut answers = self.answers.lock().unwrap();
        let found = answers.iter_mut().find(|(name, _)| *name == method);
        match found.map(|(_, answer)| answer) {
            None => Answer::Error(-32601, "Method not found"),
            Some(Answer::Each(list)) if list.len() > 1 => list.remove(0),
            Some(Answer::Each(list)) => list[0].clone(),
            Some(answer) => answer.clone(),
        }
    }
}

/// What `raid1_get_bdevs` says of a mirror of two legs; `None` is one that was lost.
pub(crate) fn mirror(name: &str, legs: [Option<&str>; 2]) -> Value {
    let list: Vec<_> = legs
        .iter()
        .map(|leg| json!({"name": leg, "is_configured": leg.is_some(), "data_size": 131_072}))
        .collect();
    let present = legs.iter().flatten().count();
    json!({
        "name": name, "uuid": "0e2b9e14-1ad9-4f10-a26f-b7aa870ad45e", "state": "online",
        "raid_level": "raid1", "num_base_bdevs": 2, "num_base_bdevs_discovered": present,
        "num_base_bdevs_operational": present, "base_bdevs_list": list,
    })
}

/// The same with metadata; a leg is its name, if it has one, its state, and how far its rebuild is, of 200
/// blocks.
pub(crate) fn mirror_with_metadata(
    name: &str,
    legs: &[(Option<&str>, &str, Option<u64>)],
) -> Value {
    let list = legs.iter().map(|(leg, state, rebuild)| {
        let mut leg = json!({"name": leg, "is_configured": *state == "in_sync", "state": state});
        if let Some(done) = rebuild {
            leg["rebuild"] = json!({"blocks_done": done, "blocks_total": 200, "waits": false});
        }
        leg
    });
    let list: Vec<_> = list.collect();
    let count = |states: &[&str]| {
        let legs = legs.iter().filter(|(_, state, _)| states.contains(state));
        legs.count()
    };
    json!({
        "name": name, "uuid": "0e2b9e14-1ad9-4f10-a26f-b7aa870ad45e", "state": "online",
        "raid_level": "raid1", "superblock": true, "generation": 7, "num_base_bdevs": legs.len(),
        "num_base_bdevs_discovered": count(&["in_sync", "rebuilding"]),
        "num_base_bdevs_operational": count(&["in_sync"]), "base_bdevs_list": list,
    })
}

/// What `raid1_get_bdevs` says of a mirror of two that waits for its second leg.
pub(crate) fn waiting(name: &str) -> Value {
    json!({
        "name": name, "uuid": "0e2b9e14-1ad9-4f10-a26f-b7aa870ad45e", "state": "configuring",
        "superblock": true, "num_base_bdevs": 2, "num_base_bdevs_discovered": 1,
        "num_base_bdevs_operational": 2,
        "base_bdevs_list": [
            {"name": "Leg0", "is_configured": true}, {"name": null, "is_configured": false},
        ],
        "generation": 7, "waits_for": "Leg1 (slot 1); 'raid1_start' starts it without",
    })
}

/// What `bdev_get_bdevs` says of a bdev.
pub(crate) fn bdev(name: &str, claimed: bool) -> Value {
    json!({
        "name": name, "product_name": "AIO disk", "block_size": 512, "num_blocks": 131_072,
        "claimed": claimed,
        "driver_specific": {"aio": {"filename": format!("/files/{name}")}},
    })
}

/// An application with the mirror `m0` of `Leg0` and `Leg1`, and the bdev `Spare`.
pub(crate) fn usual() -> Vec<(&'static str, Answer)> {
    let mirrors = json!([mirror("m0", [Some("Leg0"), Some("Leg1")])]);
    let bdevs = json!([
        bdev("Leg0", true),
        bdev("Leg1", true),
        bdev("Spare", false),
        bdev("m0", false)
    ]);
    vec![
        ("raid1_get_bdevs", Answer::Result(mirrors)),
        ("bdev_get_bdevs", Answer::Result(bdevs)),
        (
            "bdev_get_iostat",
            Answer::Result(json!({"tick_rate": 1000, "ticks": 1, "bdevs": []})),
        ),
        (
            "rpc_get_methods",
            Answer::Result(json!(["raid1_create", "raid1_get_bdevs"])),
        ),
    ]
}

/// The usual one, with further answers, or others.
pub(crate) fn usual_but(answers: &[(&'static str, Answer)]) -> Application {
    let mut all = answers.to_vec();
    all.extend(usual());
    Application::start(&all)
}
