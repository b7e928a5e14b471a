//! A safe runtime for SPDK.
#![no_std]

pub mod errno;
