//! Arenas of DMA memory.
//!
//! SPDK moves data by DMA, so buffers come from memory that is pinned and known to the devices. Taking
//! each one from SPDK's own allocator costs a global lock and a search. An arena takes memory from a
//! [`Backing`] in chunks (2 MiB and more: whole huge pages where there are any) and serves blocks from
//! free lists that live in the free memory itself, so that an allocation is a pop and a free is a push.
//! Nothing here uses the heap.
//!
//! - [`LocalArena`]: one per thread (an SPDK thread or an OS thread), no atomic operation and no lock on
//!   its own thread.
//! - [`SharedArena`]: behind a lock, `Sync`, implements [`core::alloc::GlobalAlloc`].
//! - [`DmaBuf`]: an owned buffer of either. It is `Send + Sync`: it may be dropped on any thread, and
//!   may outlive its [`LocalArena`].
//!
//! # Sizes
//!
//! Blocks are powers of two from [`BLOCK_BYTES_MIN`] to [`BLOCK_BYTES_MAX`], and aligned to their size,
//! so that no block crosses a 2 MiB page: each is physically contiguous. A longer buffer is reserved
//! from the backing alone and goes back to it when freed. Any power of two up to [`BLOCK_BYTES_MAX`] is
//! an alignment; below [`BLOCK_BYTES_MIN`] it is rounded up.
//!
//! # What fails, and how
//!
//! A length of zero, an alignment that is no power of two or too large, exhaustion: each is an
//! [`AllocError`] that names the request. Nothing here panics. When the backing has no more memory, free
//! blocks are joined with their neighbours and the request is tried again before it fails.
//!
//! # Content
//!
//! Memory is always initialised, as every backing gives it zeroed; a block that was used before holds
//! what its last owner left (and an address of the free list) unless it is asked for as zeroed.
#![no_std]

mod backing;
mod buf;
mod chunk;
mod class;
mod context;
mod error;
#[cfg(not(loom))]
mod global;
mod inbox;
mod list;
mod local;
mod lock;
mod owner;
mod pool;
mod refill;
mod shared;
mod spdk;
mod stats;
mod sync;
mod system;

pub use backing::{Backing, Physical};
pub use buf::{DmaBuf, RawDmaBuf};
pub use class::{BLOCK_BYTES_MAX, BLOCK_BYTES_MIN, LARGE_BYTES_MAX};
pub use context::{Context, OsThread};
pub use error::{AllocError, CheckError, OverrunError, Reason};
#[cfg(not(loom))]
pub use global::{end, global};
pub use local::LocalArena;
pub use shared::SharedArena;
pub use spdk::{SpdkBacking, SpdkThread};
pub use stats::Stats;
pub use system::SystemBacking;
