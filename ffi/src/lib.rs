//! The C ABI of SPDK v26.01.
#![no_std]
