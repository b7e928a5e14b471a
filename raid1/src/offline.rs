//! What is on a bdev to which no keeper writes: it is part of no mirror yet, or of none any more. Used on the
//! app thread.
//!
//! Offsets and lengths are in bytes of data: metadata between them is not counted, nor are checks of protection
//! information done.

use alloc::format;
use alloc::string::{String, ToString};

use barespdk::bdev::{Channel, Desc, DifChecks, IoError, IoType};
use barespdk_alloc_dma::DmaBuf;

use crate::format::{SUPERBLOCK_BYTES, SUPERBLOCK_OFFSETS};
use crate::interleaved::Blocks;

/// Reads `len` bytes from an offset, rounded up to whole blocks.
///
/// # Errors
/// Says why the bdev cannot be read.
pub(crate) async fn read(desc: &Desc, offset: u64, len: usize) -> Result<DmaBuf, String> {
    let failed = |reason: &dyn core::fmt::Display| format!("cannot be read: {reason}");
    let blocks = Blocks::of(desc);
    let buffer = desc.buffer(blocks.spread_len(len));
    let buffer = buffer.map_err(|error| failed(&error))?;
    let channel = Channel::leaving_out(DifChecks::ALL, desc).map_err(|errno| failed(&errno))?;
    let (outcome, buffer) = channel.read_buf(buffer, blocks.at(offset)).await;
    outcome.map_err(|error| failed(&error))?;
    let mut buffer = buffer.ok_or_else(|| failed(&"no buffer came back"))?;
    let len = blocks.gather(buffer.as_mut_slice());
    buffer.set_len(len).map_err(|error| failed(&error))?;
    Ok(buffer)
}

/// Writes `len` bytes at an offset, rounded up to whole blocks: `content`, then zeroes. It survives a loss of
/// power.
///
/// # Errors
/// Why it is not written.
pub(crate) async fn write(
    desc: &Desc,
    offset: u64,
    content: &[u8],
    len: usize,
) -> Result<(), String> {
    let blocks = Blocks::of(desc);
    let len = blocks.spread_len(content.len().max(len));
    let mut buffer = desc.buffer(len).map_err(|error| error.to_string())?;
    buffer.as_mut_slice().fill(0);
    buffer
        .as_mut_slice()
        .iter_mut()
        .zip(content)
        .for_each(|(to, from)| *to = *from);
    blocks.spread(buffer.as_mut_slice());
    let channel = Channel::leaving_out(DifChecks::ALL, desc).map_err(|errno| errno.to_string())?;
    let (outcome, _) = channel.write_buf(buffer, blocks.at(offset)).await;
    outcome.map_err(|error| error.to_string())?;
    flush(&channel).await.map_err(|error| error.to_string())
}

/// Has what was written survive a loss of power.
pub(crate) async fn flush(channel: &Channel) -> Result<(), IoError> {
    let desc = channel.desc();
    // What cannot flush has nothing to flush.
    if !desc.supports(IoType::FLUSH) {
        return Ok(());
    }
    channel.flush(0, desc.num_blocks()).await
}

/// Makes a bdev forget that it was part of a mirror: neither copy of the superblock stays.
///
/// # Errors
/// Why it may not have forgotten.
pub(crate) async fn wipe(desc: &Desc) -> Result<(), String> {
    for offset in SUPERBLOCK_OFFSETS {
        write(desc, offset, &[], SUPERBLOCK_BYTES).await?;
    }
    Ok(())
}
