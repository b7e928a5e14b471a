//! A mirror of bdevs for SPDK v26.01, and a server that exports bdevs over NBD.
//!
//! The mirror:
//!
//! ```text
//!  rpc ──► mirrors (by name) ──► Mirror ── legs: which base bdevs are in
//!                                  │ per thread
//!                                  ▼
//!                                Channel ── io::pass ──────────────────► base bdevs
//!                                  ▲  ▲         │ not done by that         ▲ ▲ ▲
//!                                  │  │         ▼                          │ │ │
//!                                  │  └── io::{read, write, reset} ────────┘ │ │
//!                                  │            │ a leg failed a write,      │ │
//!                                  │            ▼ a region is to be marked   │ │
//!                                  └─ keeper (app thread) ── record, format ─┘ │
//!                                        ▲   │ a leg lacks something           │
//!             rpc, hot removal, assembly ┘   └──► recovery: copies ────────────┘
//! ```
//!
//! The server, which knows nothing of mirrors:
//!
//! ```text
//!  rpc ──► nbd::server: exports by name ──► nbd::worker, one a core ──► sessions ──► any bdev
//! ```
//!
//! The modules and their RPCs register themselves when the program, or the shared object, is loaded. So
//! any SPDK application hosts the shared object by `LD_PRELOAD`, and a Rust program becomes one that
//! has mirrors by linking this crate: `use barespdk_raid1 as _;`. The RPCs are its interface, and
//! `raid1/RPC.md` describes them. All that it exports is for applications: [`BDEV_RAID_METHODS`], to choose, and
//! [`survey`], to know what becomes of files before there are bdevs of them.
//!
//! The executables of this package are the application `raid1`, its client `raid1ctl` (feature `ctl`, on
//! by default) and the simulator `raid1-sim` (feature `sim`).
#![no_std]
// Nothing calls what is registered with SPDK at load time only.
#![cfg_attr(test, allow(dead_code))]

extern crate alloc;
// The shared object needs a panic handler and an allocator. This is all that is used of `std`: it
// has no name here.
extern crate std as _;

mod assembly;
mod buffer;
mod channel;
mod driver;
mod format;
mod fresh;
mod geometry;
mod interleaved;
mod io;
mod join;
mod keeper;
mod leg;
mod legs;
mod mirror;
mod mirrors;
mod nbd;
mod news;
mod offline;
mod online;
mod ranges;
mod recovery;
mod region_map;
mod regions;
mod rpc;
mod takeover;
mod undo;

pub use assembly::survey;

/// The RPCs of SPDK's `bdev_raid`, with their parameters, results and errors, for mirrors of this driver: to
/// be given to [`App::methods`](barespdk::app::App::methods) where SPDK's own module is not linked. Where it is,
/// the application ends with [`AppError::Method`](barespdk::app::AppError::Method).
#[cfg(not(test))]
pub static BDEV_RAID_METHODS: [barespdk::rpc::Method; 6] = rpc::BDEV_RAID;
