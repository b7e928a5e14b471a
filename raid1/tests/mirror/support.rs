//! What the tests share: I/O to a mirror's blocks, and the mirror named M.

use std::time::{Duration, Instant};

use barespdk::bdev::{Access, Channel, Desc};
use barespdk::errno::Errno;
use barespdk::message::Receiver;
use barespdk_alloc_dma::DmaBuf;

use crate::harness::PATIENCE;
pub(crate) use crate::harness::rpc::{begin_rpc, rpc, rpc_done};
pub(crate) use crate::harness::{Failure, Outcome, check, check_eq, end, pause, until};
use crate::rig::BLOCK_SIZE;

/// How long what must not happen yet is waited for.
pub(crate) const A_WHILE: Duration = Duration::from_millis(300);

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

/// Asks for a mirror named M. The whole response.
pub(crate) async fn try_mirror_of(legs: &[&str]) -> Result<String, Failure> {
    let params = format!(r#"{{"name":"M","base_bdevs":{legs:?},"superblock":false}}"#);
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
