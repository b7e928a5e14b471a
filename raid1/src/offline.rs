//! What is on a bdev to which no keeper writes: it is part of no mirror yet, or of none any more. Used on the
//! app thread.

use alloc::format;
use alloc::string::{String, ToString};

use barespdk::bdev::{Channel, Desc, IoType};
use barespdk_alloc_dma::DmaBuf;

use crate::format::{SUPERBLOCK_BYTES, SUPERBLOCK_OFFSETS};

/// Reads `len` bytes or more from an offset in bytes.
///
/// # Errors
/// Says why the bdev cannot be read.
pub(crate) async fn read(desc: &Desc, offset: u64, len: usize) -> Result<DmaBuf, String> {
    let failed = |reason: &dyn core::fmt::Display| format!("cannot be read: {reason}");
    let block_size = desc.block_size().max(1);
    let len = len.next_multiple_of(block_size as usize);
    let buffer = desc.buffer(len).map_err(|error| failed(&error))?;
    let channel = Channel::new(desc).map_err(|errno| failed(&errno))?;
    let (outcome, buffer) = channel
        .read_buf(buffer, offset / u64::from(block_size))
        .await;
    outcome.map_err(|error| failed(&error))?;
    buffer.ok_or_else(|| failed(&"no buffer came back"))
}

/// Writes `len` bytes or more at an offset in bytes: `content`, then zeroes. It survives a loss of power.
///
/// # Errors
/// Why it is not written.
pub(crate) async fn write(
    desc: &Desc,
    offset: u64,
    content: &[u8],
    len: usize,
) -> Result<(), String> {
    let block_size = desc.block_size().max(1);
    let len = content.len().max(len).next_multiple_of(block_size as usize);
    let mut buffer = desc.buffer(len).map_err(|error| error.to_string())?;
    buffer.as_mut_slice().fill(0);
    buffer
        .as_mut_slice()
        .iter_mut()
        .zip(content)
        .for_each(|(to, from)| *to = *from);
    let channel = Channel::new(desc).map_err(|errno| errno.to_string())?;
    let (outcome, _) = channel
        .write_buf(buffer, offset / u64::from(block_size))
        .await;
    outcome.map_err(|error| error.to_string())?;
    // What cannot flush has nothing to flush.
    if !desc.supports(IoType::FLUSH) {
        return Ok(());
    }
    let flushed = channel.flush(0, desc.num_blocks()).await;
    flushed.map_err(|error| error.to_string())
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
