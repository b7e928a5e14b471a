//! A raid1 driver.
#![no_std]
extern crate std as _;
