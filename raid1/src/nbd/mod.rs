//! Bdevs over NBD: `nbd_export_start` makes any bdev one that nbdcopy, fio, qemu and the kernel's
//! nbd-client use, over a unix socket or a loopback port, without root or kernel modules.
//!
//! ```text
//!  app thread       rpc ──► server: exports by name ──► Place: an address and its exports
//!                   module: examine, save_config, shutdown ─┘      │ listener
//!                                                                  ▼
//!  a thread on each core      worker: sockets that have news ──► connection
//!                                                                  │ handshake, then
//!                                                                  ▼
//!                             bdev ◄── Channel ◄── slots ◄──── session
//! ```
//!
//! [`protocol`] knows the bytes, `socket` the system calls, and neither knows the other. A connection
//! stays on the thread that it was given to; nothing is locked, and nothing is allocated for a request
//! once a connection has had as many in flight before.
//!
//! A client that breaks the rules loses its connection. What a connection may hold is bounded: slots,
//! memory, and the time for a handshake, for the rest of a request, and for replies to be taken.

mod address;
mod connection;
mod export;
mod memory;
mod module;
mod news;
mod orphans;
mod protocol;
mod rpc;
mod server;
mod session;
mod slot;
mod socket;
mod worker;
