//! What the tests share: failures as values, the application's bdevs, a client of its RPCs.

use std::future::Future;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::panic::Location;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use barespdk::bdev::{Access, Channel, Data, Desc, IoError};
use barespdk::cpuset::Cpuset;
use barespdk::errno::Errno;
use barespdk::message::oneshot;
use barespdk::runtime;
use barespdk::thread::Thread;
use barespdk_alloc_dma::DmaBuf;

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

impl From<String> for Anything {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl<T> From<(Errno, T)> for Anything {
    fn from((errno, _): (Errno, T)) -> Self {
        Self(errno.to_string())
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

/// Ends after the reactor has gone round once.
pub(crate) async fn turn() {
    pause(Duration::from_micros(1)).await;
}

/// Polls a future once.
pub(crate) async fn poll_once<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    std::future::poll_fn(|cx| Poll::Ready(Pin::new(&mut *future).poll(cx))).await
}

/// Polls both futures with the waker of the task, until both have ended.
pub(crate) async fn both<A: Future, B: Future>(a: A, b: B) -> (A::Output, B::Output) {
    let (mut a, mut b) = (std::pin::pin!(a), std::pin::pin!(b));
    let (mut of_a, mut of_b) = (None, None);
    std::future::poll_fn(move |cx: &mut Context<'_>| {
        if of_a.is_none()
            && let Poll::Ready(output) = a.as_mut().poll(cx)
        {
            of_a = Some(output);
        }
        if of_b.is_none()
            && let Poll::Ready(output) = b.as_mut().poll(cx)
        {
            of_b = Some(output);
        }
        match (of_a.take(), of_b.take()) {
            (Some(a), Some(b)) => Poll::Ready((a, b)),
            (a, b) => {
                (of_a, of_b) = (a, b);
                Poll::Pending
            }
        }
    })
    .await
}

/// A thread on the second core, so that it runs in parallel with the tests.
pub(crate) fn other_core(name: &str) -> Result<Thread, Errno> {
    let last = Cpuset::of_application().iter().last().unwrap_or(0);
    let cores = Cpuset::from_cores([last]).map_err(|_| Errno::EINVAL)?;
    Thread::create(name, Some(&cores))
}

/// Has a thread exit and waits for it.
pub(crate) async fn end(thread: &Thread) -> Outcome {
    thread.request_exit()?;
    check!(until(|| thread.has_exited()).await);
    Ok(())
}

/// Counts how often something happened.
#[derive(Default)]
pub(crate) struct Counter(AtomicUsize);

impl Counter {
    pub(crate) fn add(&self) -> usize {
        self.0.fetch_add(1, Ordering::SeqCst)
    }

    pub(crate) fn get(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

/// Opens a bdev for writing; its events are of no interest.
pub(crate) fn open(name: &str) -> Result<Desc, Errno> {
    Desc::open(name, Access::Write, |_| ())
}

/// This thread's channel to a bdev, which is opened for it.
pub(crate) fn disk(name: &str) -> Result<Channel, Errno> {
    Channel::new(&open(name)?)
}

/// This thread's channel to a bdev that others may have claimed, for reading.
pub(crate) fn peek(name: &str) -> Result<Channel, Errno> {
    Channel::new(&Desc::open(name, Access::Read, |_| ())?)
}

/// Memory of DMA's, full of `byte`.
pub(crate) fn filled(len: usize, byte: u8) -> Result<DmaBuf, Errno> {
    let mut buffer = DmaBuf::new(len, 4096).map_err(|_| Errno::ENOMEM)?;
    buffer.fill(byte);
    Ok(buffer)
}

/// As [`filled`], but aligned to 512 bytes and no more: a bdev that wants more has SPDK bounce it.
pub(crate) fn misaligned(len: usize, byte: u8) -> Result<Data<'static>, Errno> {
    Data::from_buffer(filled(len + 512, byte)?).slice(512..len as u64 + 512)
}

/// Whether a view is full of `byte`.
pub(crate) fn is_full(data: &Data<'_>, byte: u8) -> bool {
    let mut seen = vec![!byte; data.len() as usize];
    data.copy_to(&mut seen).is_ok() && seen.iter().all(|found| *found == byte)
}

/// Writes `byte` all over a range.
pub(crate) async fn write(
    channel: &Channel,
    offset_blocks: u64,
    len: usize,
    byte: u8,
) -> Result<(), Failure> {
    let (outcome, _) = channel.write_buf(filled(len, byte)?, offset_blocks).await;
    Ok(outcome?)
}

/// Reads a range.
pub(crate) async fn read(
    channel: &Channel,
    offset_blocks: u64,
    len: usize,
) -> Result<DmaBuf, Failure> {
    let (outcome, buffer) = channel.read_buf(filled(len, 0xee)?, offset_blocks).await;
    outcome?;
    buffer.ok_or_else(|| Failure("no buffer came back".into()))
}

/// Whether a range is full of `byte`.
pub(crate) async fn reads(
    channel: &Channel,
    offset_blocks: u64,
    len: usize,
    byte: u8,
) -> Result<bool, Failure> {
    let buffer = read(channel, offset_blocks, len).await?;
    Ok(buffer.iter().all(|found| *found == byte))
}

pub(crate) static SOCKET: OnceLock<PathBuf> = OnceLock::new();

fn call(method: &str, params: &str) -> std::io::Result<String> {
    let mut stream = UnixStream::connect(SOCKET.get().expect("set by main"))?;
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    let params = match params {
        "" => String::new(),
        params => format!(r#","params":{params}"#),
    };
    write!(
        stream,
        r#"{{"jsonrpc":"2.0","id":1,"method":"{method}"{params}}}"#
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

/// Calls an RPC of SPDK's, as a client would. The whole response.
pub(crate) async fn rpc(method: &'static str, params: &str) -> Result<String, Failure> {
    let params = params.to_owned();
    let (sender, receiver) = oneshot();
    std::thread::spawn(move || sender.send(call(method, &params)));
    let response = receiver.await?;
    response.map_err(|error| Failure(format!("{method}: {error}")))
}

/// Calls an RPC that must succeed.
pub(crate) async fn rpc_done(method: &'static str, params: &str) -> Outcome {
    let response = rpc(method, params).await?;
    if response.contains(r#""error":"#) {
        return Err(Failure(format!("{method} {params}: {response}")));
    }
    Ok(())
}
