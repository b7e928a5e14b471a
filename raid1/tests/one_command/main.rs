//! `raid1 --mirror`, run as its users run it, with the backend that it was linked with.
//!
//! Each test has files, an RPC socket and a process of its own.

mod files;
mod histories;
mod running;
mod scratch;
mod usage;
