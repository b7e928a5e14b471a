//! Bdevs of others, to do I/O to.
//!
//! ```text
//!  Desc (any thread) ──► Channel (one thread) ──► Io, BufIo, SeekIo (futures)
//!                          └ Slots: what I/O in flight needs, whoever waits for it or not
//! ```
//!
//! A [`Desc`] is an open bdev, a [`Channel`] a thread's way to it. [`Data`] is what an I/O moves:
//! the data of a request, or a buffer.
//!
//! Every type of I/O is there but zero-copy (`spdk_bdev_zcopy_start`): it lends the memory of the device
//! itself, which other requests may change at the same time. Safe code could do no more with that than
//! copy in and out, and that is what reading and writing do.

use alloc::ffi::CString;

use barespdk_sys as ffi;

pub(crate) mod channel;
pub(crate) mod data;
mod desc;
mod dif;
mod io;
mod io_type;
pub(crate) mod making;
mod metadata;
mod nvme;
pub(crate) mod op;
mod slot;
pub(crate) mod status;
mod zone;

pub use channel::Channel;
pub use data::Data;
pub use desc::{Access, Desc, Event};
pub use dif::DifChecks;
pub use io::{BufIo, Io, SeekIo};
pub use io_type::IoType;
pub use metadata::MetadataIo;
pub use nvme::{NvmeCommand, NvmeIo, NvmeOutcome};
pub use status::{IoError, Status};
pub use zone::{AppendIo, ZoneAction, ZoneInfo, ZoneKind, ZoneState, ZonesIo};

/// Whether there is a bdev of this name, or with this alias, such as its UUID. On an SPDK thread.
pub fn exists(name: &str) -> bool {
    let Ok(name) = CString::new(name) else {
        return false;
    };
    // SAFETY: the name is used during the call only; the result is not followed.
    !unsafe { ffi::spdk_bdev_get_by_name(name.as_ptr()) }.is_null()
}
