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
use alloc::string::String;

use barespdk::bdev::{Access, Desc};

pub(crate) use self::export::export;
pub(crate) use self::import::{Import, Imported};
use crate::format::BdevRaid;
use crate::offline;

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
    let found = offline::read(desc, 0, BdevRaid::BYTES_MAX).await?;
    match BdevRaid::parse(found.as_slice()) {
        Ok(Some(array)) => Ok(array),
        Ok(None) => Err(String::from("has no superblock of bdev_raid on it")),
        Err(error) => Err(format!(
            "has a superblock of bdev_raid that is not taken over: {error}"
        )),
    }
}
