//! What the tests share: failures as values, a client of the application's RPCs, a mirror's I/O.

use std::future::Future;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::panic::Location;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use barespdk::bdev::{Access, Channel, Desc, IoError};
use barespdk::errno::Errno;
use barespdk::message::{Receiver, oneshot};
use barespdk::runtime;
use barespdk_alloc_dma::DmaBuf;

use crate::rig::BLOCK_SIZE;

/// Why a test failed, and where it was noticed. A panic could not leave the callbacks of C.
pub(crate) struct Failure(pub(crate) String);

pub(crate) type Outcome = Result<(), Failure>;

impl<E: Into<Anything>> From<E> for Failure {
    #[track_caller]
    fn from(error: E) -> Self {
        Self(format!("{}: {}", Location::caller(), error.into().0))
    }
}

/// An error, as text.
pub(crate) struct Anything(String);

impl From<Errno> for Anything {
    fn from(errno: Errno) -> Self {
        Self(errno.to_string())
    }
}

impl From<IoError> for Anything {
    fn from(error: IoError) -> Self {
        Self(error.to_string())
    }
}

impl From<std::io::Error> for Anything {
    fn from(error: std::io::Error) -> Self {
        Self(error.to_string())
    }
}

/// Fails the test unless both are equal.
macro_rules! check_eq {
    ($left:expr, $right:expr $(,)?) => {
        match (&$left, &$right) {
            (left, right) if *left == *right => {}
            (left, right) => {
                return Err(crate::support::Failure(format!(
                    "{}:{}: {} is {left:?} and not {right:?}",
                    file!(),
                    line!(),
                    stringify!($left)
                )));
            }
        }
    };
}

/// Fails the test unless the condition holds.
macro_rules! check {
    ($condition:expr $(,)?) => {
        if !$condition {
            let (file, line) = (file!(), line!());
            let text = format!("{file}:{line}: not {}", stringify!($condition));
            return Err(crate::support::Failure(text));
        }
    };
}

pub(crate) use {check, check_eq};

/// How long a test waits for what should happen in no time.
const PATIENCE: Duration = Duration::from_secs(20);

/// How long what must not happen yet is waited for.
pub(crate) const A_WHILE: Duration = Duration::from_millis(300);

pub(crate) async fn pause(duration: Duration) {
    let _ = runtime::sleep(duration).await;
}

/// Waits until the condition holds, or [`PATIENCE`] is over.
pub(crate) async fn until(mut condition: impl FnMut() -> bool) -> bool {
    let start = Instant::now();
    while !condition() {
        if start.elapsed() > PATIENCE {
            return false;
        }
        pause(Duration::from_micros(200)).await;
    }
    true
}

/// The value, if it comes in time.
pub(crate) async fn within<T>(
    time: Duration,
    receiver: &mut Receiver<T>,
) -> Option<Result<T, Errno>> {
    let start = Instant::now();
    loop {
        if let Some(value) = receiver.try_take() {
            return Some(value);
        }
        if start.elapsed() > time {
            return None;
        }
        pause(Duration::from_micros(200)).await;
    }
}

/// Opens a bdev for writing; its events are of no interest.
pub(crate) fn open(name: &str) -> Result<Desc, Errno> {
    Desc::open(name, Access::Write, |_| ())
}

/// Writes a block full of `byte`, on this thread.
pub(crate) async fn write(desc: &Desc, block: u64, byte: u8) -> Outcome {
    let channel = Channel::new(desc)?;
    let mut buffer = DmaBuf::new(BLOCK_SIZE, 4096).map_err(|_| Errno::ENOMEM)?;
    buffer.fill(byte);
    let (outcome, _) = channel.write_buf(buffer, block).await;
    Ok(outcome?)
}

/// Reads a block that is full of one byte, on this thread. It is submitted by the first poll.
pub(crate) async fn read(desc: &Desc, block: u64) -> Result<u8, Failure> {
    let channel = Channel::new(desc)?;
    let buffer = DmaBuf::new(BLOCK_SIZE, 4096).map_err(|_| Errno::ENOMEM)?;
    let (outcome, buffer) = channel.read_buf(buffer, block).await;
    outcome?;
    let buffer = buffer.ok_or_else(|| Failure("no buffer came back".into()))?;
    let byte = buffer[0];
    check!(buffer.iter().all(|other| *other == byte));
    Ok(byte)
}

pub(crate) static SOCKET: OnceLock<PathBuf> = OnceLock::new();

fn call(method: &str, params: &str) -> std::io::Result<String> {
    let mut stream = UnixStream::connect(SOCKET.get().expect("set by main"))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(
        stream,
        r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{params}}}"#
    )?;
    let (mut response, mut part) = (Vec::new(), [0; 1 << 14]);
    while !response.ends_with(b"\n") {
        match stream.read(&mut part)? {
            0 => break,
            len => response.extend_from_slice(&part[..len]),
        }
    }
    Ok(String::from_utf8_lossy(&response).into_owned())
}

/// Calls an RPC, as a client would; at once, not when what it returns is polled.
pub(crate) fn begin_rpc(
    method: &'static str,
    params: &str,
) -> impl Future<Output = Result<String, Failure>> + use<> {
    let params = params.to_owned();
    let (sender, receiver) = oneshot();
    std::thread::spawn(move || sender.send(call(method, &params)));
    async move { Ok(receiver.await??) }
}

/// Calls an RPC. The whole response.
pub(crate) async fn rpc(method: &'static str, params: &str) -> Result<String, Failure> {
    begin_rpc(method, params).await
}

/// Calls an RPC that must succeed.
pub(crate) async fn rpc_done(method: &'static str, params: &str) -> Outcome {
    let response = rpc(method, params).await?;
    if response.contains(r#""error":"#) {
        return Err(Failure(format!("{method} {params}: {response}")));
    }
    Ok(())
}

/// Asks for a mirror named M. The whole response.
pub(crate) async fn try_mirror_of(legs: &[&str]) -> Result<String, Failure> {
    let params = format!(r#"{{"name":"M","base_bdevs":{legs:?}}}"#);
    rpc("raid1_create", &params).await
}

/// Makes a mirror named M.
pub(crate) async fn mirror_of(legs: &[&str]) -> Outcome {
    let response = try_mirror_of(legs).await?;
    if response.contains(r#""error":"#) {
        return Err(Failure(format!("{legs:?}: {response}")));
    }
    Ok(())
}

/// Whether the mirror lists this leg.
pub(crate) async fn lists(leg: &str) -> Result<bool, Failure> {
    let list = rpc("raid1_get_bdevs", r#"{"category":"all"}"#).await?;
    Ok(list.contains(&format!(r#""name":"{leg}""#)))
}

/// Waits until the mirror does not list a leg any more. Whether that came to pass.
pub(crate) async fn lost(leg: &str) -> Result<bool, Failure> {
    let start = Instant::now();
    while lists(leg).await? {
        if start.elapsed() > PATIENCE {
            return Ok(false);
        }
        pause(Duration::from_millis(1)).await;
    }
    Ok(true)
}
