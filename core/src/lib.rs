//! A safe runtime for SPDK.
#![no_std]
