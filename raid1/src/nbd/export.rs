//! An export, and the place where it is served: what all threads share.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use barespdk::bdev::{Desc, IoType};
use barespdk::mutex::Mutex;
use barespdk::thread::Thread;

use super::protocol::{Catalogue, Geometry};
use super::socket::Listener;

/// How many connections one address serves at a time.
pub(crate) const CONNECTIONS_MAX: u32 = 256;

/// A size that suits most devices and file systems, in bytes.
const PREFERRED_BYTES: u32 = 4096;

/// The largest unit of requests that the protocol has, in bytes.
pub(crate) const BLOCK_BYTES_MAX: u32 = 64 << 10;

/// A bdev that is served.
#[derive(Debug)]
pub(crate) struct Export {
    /// Which one: never used again.
    pub(crate) id: u64,
    pub(crate) name: String,
    pub(crate) read_only: bool,
    pub(crate) desc: Desc,
    pub(crate) statistics: Statistics,
    /// Set before any worker is told to close it.
    pub(crate) is_closing: AtomicBool,
}

impl Export {
    pub(crate) fn geometry(&self) -> Geometry {
        let block_size = self.desc.block_size();
        let granularity = self
            .desc
            .preferred_write_granularity()
            .saturating_mul(block_size)
            .max(PREFERRED_BYTES);
        let block_preferred = if granularity.is_power_of_two() {
            granularity
        } else {
            PREFERRED_BYTES
        };
        Geometry {
            num_blocks: self.desc.num_blocks(),
            block_size,
            block_preferred: block_preferred.max(block_size),
            read_only: self.read_only,
            can_trim: self.desc.supports(IoType::UNMAP),
        }
    }
}

/// What has been done for an export since its start. Connections add to it when they have done some.
#[derive(Debug, Default)]
pub(crate) struct Statistics {
    pub(crate) connections: AtomicU32,
    pub(crate) connections_total: AtomicU64,
    pub(crate) reads: AtomicU64,
    pub(crate) writes: AtomicU64,
    pub(crate) others: AtomicU64,
    pub(crate) bytes_read: AtomicU64,
    pub(crate) bytes_written: AtomicU64,
    pub(crate) errors: AtomicU64,
}

/// An address, and what is served there.
#[derive(Debug)]
pub(crate) struct Place {
    /// Which one: never used again.
    pub(crate) id: u64,
    pub(crate) listener: Listener,
    /// In the order of their start: the first is the default one.
    pub(crate) exports: Mutex<Vec<Arc<Export>>>,
    /// The threads that connections are spread over.
    pub(crate) workers: Vec<Thread>,
    /// Connections at this address, those that have not chosen an export among them.
    pub(crate) connections: AtomicU32,
    /// Whether it was said that there are too many connections.
    pub(crate) is_full: AtomicBool,
}

impl Place {
    /// Counts a connection, if there may be one more.
    pub(crate) fn enter(self: &Arc<Self>) -> Option<Visit> {
        if self.connections.fetch_add(1, Ordering::Relaxed) < CONNECTIONS_MAX {
            return Some(Visit(Arc::clone(self)));
        }
        self.connections.fetch_sub(1, Ordering::Relaxed);
        None
    }
}

/// A connection to a place, which counts it.
#[derive(Debug)]
pub(crate) struct Visit(pub(crate) Arc<Place>);

impl Drop for Visit {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Ordering::Relaxed);
        self.0.is_full.store(false, Ordering::Relaxed);
    }
}

impl Catalogue for Place {
    type Export = Arc<Export>;

    fn find(&self, name: &str) -> Option<Arc<Export>> {
        let exports = self.exports.lock();
        exports
            .iter()
            .find(|export| export.name == name)
            .or_else(|| exports.first().filter(|_| name.is_empty()))
            .cloned()
    }

    fn name(export: &Arc<Export>) -> &str {
        &export.name
    }

    fn description(export: &Arc<Export>) -> &str {
        export.desc.product_name()
    }

    fn geometry(export: &Arc<Export>) -> Geometry {
        export.geometry()
    }

    fn list(&self, mut each: impl FnMut(&str)) {
        self.exports
            .lock()
            .iter()
            .for_each(|export| each(&export.name));
    }
}
