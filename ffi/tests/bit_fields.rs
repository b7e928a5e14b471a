//! Tests of the accessors of bit-fields and of the inline functions.
#![allow(missing_docs)]

use barespdk_sys::bdev_module::{spdk_bdev, spdk_bdev__numa};
use barespdk_sys::nvme_spec::spdk_nvme_cmd;
use barespdk_sys::thread::{SPDK_IO_CHANNEL_STRUCT_SIZE, spdk_io_channel_get_ctx};

#[test]
fn setters_leave_other_bits_alone() {
    // SAFETY: a bdev is integers, pointers and optional functions, for which zero bytes are valid.
    let mut bdev: spdk_bdev = unsafe { core::mem::zeroed() };
    bdev.set_md_interleave(u32::MAX);
    assert_eq!((bdev.md_interleave(), bdev._bits0), (1, 0b0100));
    bdev._bits0 = u32::MAX;
    bdev.set_split_on_optimal_io_boundary(0);
    assert_eq!(bdev.split_on_optimal_io_boundary(), 0);
    assert_eq!(bdev._bits0, !0b0010);
    bdev.set_split_on_optimal_io_boundary(2);
    assert_eq!(bdev._bits0, !0b0010);
}

#[test]
fn fields_of_more_than_one_bit() {
    let numa = |bits| spdk_bdev__numa { _bits0: bits };
    assert_eq!((numa(0b1011).id(), numa(0b1011).id_valid()), (5, 1));
    assert_eq!(
        (numa(u32::MAX - 1).id(), numa(u32::MAX - 1).id_valid()),
        (0x7fff_ffff, 0)
    );
}

#[test]
fn fields_of_a_command() {
    // SAFETY: a command is integers alone, for which zero bytes are valid.
    let mut cmd: spdk_nvme_cmd = unsafe { core::mem::zeroed() };
    cmd._bits0 = 0x42ff;
    assert_eq!(
        (cmd.opc(), cmd.fuse(), cmd.rsvd1(), cmd.psdt()),
        (0xff, 0b10, 0, 0b01)
    );
}

#[test]
fn the_context_of_a_channel_is_behind_it() {
    let mut memory = [0_u64; 512];
    let channel = memory.as_mut_ptr().cast();
    // SAFETY: the memory is larger than a channel; SPDK is not involved.
    let ctx = unsafe { spdk_io_channel_get_ctx(channel) };
    assert_eq!(ctx.addr() - channel.addr(), SPDK_IO_CHANNEL_STRUCT_SIZE);
    // SAFETY: NULL is allowed.
    assert!(unsafe { spdk_io_channel_get_ctx(core::ptr::null_mut()) }.is_null());
}
