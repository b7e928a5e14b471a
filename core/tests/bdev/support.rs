//! What the tests of bdevs share: the application's bdevs, and I/O to them.

use barespdk::bdev::{Access, Channel, Data, Desc};
use barespdk::errno::Errno;
use barespdk_alloc_dma::DmaBuf;

pub(crate) use crate::harness::rpc::{rpc, rpc_done};
pub(crate) use crate::harness::{
    Counter, Failure, Outcome, both, check, check_eq, end, other_core, pause, poll_once, turn,
    until,
};

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
