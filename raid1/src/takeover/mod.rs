//! Arrays of SPDK's `bdev_raid` become mirrors, and mirrors become such arrays again. No data is moved: both
//! have it in the same place.
//!
//! ```text
//!              copy A, at block 0     copy B
//!  bdev_raid   its superblock         -
//!     │ import its superblock         generation g, odd     both know the array: ours counts
//!     ▼        generation g + 1       generation g
//!  mirror
//!     │ export its superblock         generation g, odd     as above
//!     ▼        its superblock         zeroes
//!  bdev_raid
//! ```
//!
//! Each line is on the stable media of all legs before the next one is begun on any.

mod export;
mod import;
mod plan;
#[cfg(test)]
mod tests;

use alloc::format;
use alloc::string::{String, ToString};

use barespdk::bdev::{Access, Channel, Desc, IoType};
use barespdk_alloc_dma::DmaBuf;

pub(crate) use self::export::export;
pub(crate) use self::import::{Import, Imported};
use crate::format::BdevRaid;

/// What a bdev has of an array of `bdev_raid`.
///
/// # Errors
/// There is no such bdev, or nothing of that on it.
pub(crate) async fn look(bdev: &str) -> Result<BdevRaid, String> {
    let desc = Desc::open(bdev, Access::Read, |_| ())
        .map_err(|errno| format!("base bdev '{bdev}' cannot be opened: {errno}"))?;
    read_array(&desc)
        .await
        .map_err(|reason| format!("base bdev '{bdev}' {reason}"))
}

async fn read_array(desc: &Desc) -> Result<BdevRaid, String> {
    let found = read(desc, 0, BdevRaid::BYTES_MAX).await?;
    match BdevRaid::parse(found.as_slice()) {
        Ok(Some(array)) => Ok(array),
        Ok(None) => Err(String::from("has no superblock of bdev_raid on it")),
        Err(error) => Err(format!(
            "has a superblock of bdev_raid that is not taken over: {error}"
        )),
    }
}

/// Reads `len` bytes or more from an offset in bytes.
async fn read(desc: &Desc, offset: u64, len: usize) -> Result<DmaBuf, String> {
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
async fn write(desc: &Desc, offset: u64, content: &[u8], len: usize) -> Result<(), String> {
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
