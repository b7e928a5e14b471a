//! JSON-RPC 2.0 over a unix socket, as SPDK's applications speak it: a call and its answer at a time.

use std::fs;
use std::io::{self, BufReader, Read, Write};
use std::os::unix::fs::FileTypeExt as _;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::failure::{Failure, RpcFailure};

/// An answer of more bytes is no answer of SPDK.
const ANSWER_BYTES_MAX: u64 = 256 << 20;

/// A connection.
pub(crate) struct Client {
    reader: BufReader<Patient>,
    id: u64,
}

impl Client {
    /// Connects to the socket. `timeout` is how long each call may take.
    pub(crate) fn connect(socket: &Path, timeout: Duration) -> Result<Self, Failure> {
        let stream = UnixStream::connect(socket).map_err(|error| unreachable(socket, &error))?;
        let patience = || {
            stream.set_read_timeout(Some(Patient::LOOK_UP))?;
            stream.set_write_timeout(Some(timeout))
        };
        patience()
            .map_err(|error| Failure::connection(format!("{}: {error}", socket.display())))?;
        Ok(Self {
            reader: BufReader::new(Patient {
                stream,
                timeout,
                asked: Instant::now(),
                what: String::new(),
                spinner: None,
            }),
            id: 0,
        })
    }

    /// Calls a method. While the answer is not there, the terminal shows that `what` is under way.
    pub(crate) fn call(
        &mut self,
        what: &str,
        method: &str,
        params: Value,
    ) -> Result<Value, Failure> {
        self.id += 1;
        let mut request = json!({"jsonrpc": "2.0", "id": self.id, "method": method});
        // SPDK's methods that take no parameters refuse empty ones.
        if let (Some(object), false) = (request.as_object_mut(), is_empty(&params)) {
            object.insert("params".into(), params);
        }
        let patient = self.reader.get_mut();
        patient.asked = Instant::now();
        patient.what = what.into();
        let sent = patient.stream.write_all(request.to_string().as_bytes());
        sent.map_err(|error| lost(method, &error))?;
        let answer = self.answer(method);
        if let Some(spinner) = self.reader.get_mut().spinner.take() {
            spinner.finish_and_clear();
        }
        let mut answer = answer?;
        if answer.get("id").and_then(Value::as_u64) != Some(self.id) {
            return Err(odd(method, "an answer to something else"));
        }
        if let Some(error) = answer.get("error") {
            let message = error.get("message").and_then(Value::as_str);
            return Err(Failure::from(RpcFailure {
                method: method.into(),
                code: error.get("code").and_then(Value::as_i64).unwrap_or(0),
                message: message.unwrap_or("an error without a message").into(),
            }));
        }
        let result = answer.get_mut("result").map(Value::take);
        result.ok_or_else(|| odd(method, "neither a result nor an error"))
    }

    /// Calls a method and decodes its result.
    pub(crate) fn get<T: DeserializeOwned>(
        &mut self,
        method: &str,
        params: Value,
    ) -> Result<T, Failure> {
        let result = self.call("waiting for the application", method, params)?;
        serde_json::from_value(result).map_err(|error| odd(method, &error.to_string()))
    }

    fn answer(&mut self, method: &str) -> Result<Value, Failure> {
        let limited = self.reader.by_ref().take(ANSWER_BYTES_MAX);
        let mut values = serde_json::Deserializer::from_reader(limited).into_iter::<Value>();
        match values.next() {
            Some(Ok(answer)) => Ok(answer),
            Some(Err(error)) if error.is_io() => Err(lost(method, &error.into())),
            // Nothing, or the beginning of an answer.
            Some(Err(error)) if error.is_eof() => {
                Err(lost(method, &io::ErrorKind::UnexpectedEof.into()))
            }
            Some(Err(error)) => Err(odd(method, &error.to_string())),
            None => Err(lost(method, &io::ErrorKind::UnexpectedEof.into())),
        }
    }
}

fn is_empty(params: &Value) -> bool {
    params.is_null() || params.as_object().is_some_and(serde_json::Map::is_empty)
}

/// Reads patiently: shows that something is under way when it takes long, and gives up in the end.
struct Patient {
    stream: UnixStream,
    timeout: Duration,
    asked: Instant,
    what: String,
    spinner: Option<ProgressBar>,
}

impl Patient {
    /// How often to look at the clock.
    const LOOK_UP: Duration = Duration::from_millis(50);
    /// What takes less is not worth a flicker.
    const UNSEEN: Duration = Duration::from_millis(400);
}

impl Read for Patient {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.stream.read(bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => (),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => (),
                other => return other,
            }
            let elapsed = self.asked.elapsed();
            if elapsed >= self.timeout {
                return Err(io::ErrorKind::TimedOut.into());
            }
            if elapsed >= Self::UNSEEN {
                let what = &self.what;
                let spinner = self.spinner.get_or_insert_with(|| {
                    let style = ProgressStyle::with_template("{spinner} {msg} ({elapsed})");
                    ProgressBar::new_spinner()
                        .with_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()))
                        .with_message(what.clone())
                        .with_elapsed(elapsed)
                });
                spinner.tick();
            }
        }
    }
}

fn unreachable(socket: &Path, error: &io::Error) -> Failure {
    let path = socket.display();
    let start = "start raid1, such as:\n\
                 raid1 --mirror m0=/tmp/leg0,/tmp/leg1 --nbd unix:/tmp/m0.sock\n\
                 or name the socket of the one that runs: raid1ctl --socket PATH";
    let (what, hint) = match error.kind() {
        io::ErrorKind::NotFound => ("no application listens there", start.to_owned()),
        io::ErrorKind::ConnectionRefused if !is_socket(socket) => (
            "this is no socket",
            "raid1ctl --socket PATH names it".into(),
        ),
        io::ErrorKind::ConnectionRefused => (
            "nothing listens there any more: the application that did has ended",
            start.to_owned(),
        ),
        io::ErrorKind::PermissionDenied => (
            "the socket belongs to another user",
            "run raid1ctl as the user who started the application".to_owned(),
        ),
        _ => ("cannot connect", String::new()),
    };
    Failure::connection(format!("{path}: {what}: {error}"))
        .with_hint((!hint.is_empty()).then_some(hint))
}

fn is_socket(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|metadata| metadata.file_type().is_socket())
}

fn lost(method: &str, error: &io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => {
            Failure::connection(format!("{method}: no answer in time")).with_hint(
                "the application may still do it, and may be busy; --timeout SECONDS waits longer"
                    .to_owned(),
            )
        }
        io::ErrorKind::UnexpectedEof
        | io::ErrorKind::BrokenPipe
        | io::ErrorKind::ConnectionReset => Failure::connection(format!(
            "{method}: the application hung up: it has ended, or does not like the request"
        )),
        _ => Failure::connection(format!("{method}: the connection is lost: {error}")),
    }
}

fn odd(method: &str, why: &str) -> Failure {
    Failure::connection(format!("{method}: the answer makes no sense: {why}"))
}
