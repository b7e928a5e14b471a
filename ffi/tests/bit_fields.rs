//! Tests of the accessors of bit-fields and of the inline functions.
#![allow(missing_docs)]

use barespdk_sys::bdev_module::{spdk_bdev__numa, spdk_bdev_io, spdk_bdev_io_from_ctx};
use barespdk_sys::nvme_spec::spdk_nvme_cmd;
use barespdk_sys::thread::{SPDK_IO_CHANNEL_STRUCT_SIZE, spdk_io_channel_get_ctx};

#[test]
fn setters_leave_other_bits_alone() {
    let mut numa = spdk_bdev__numa { _bits0: 0 };
    numa.set_id(u32::MAX);
    assert_eq!((numa.id(), numa.id_valid()), (0x7fff_ffff, 0));
    numa.set_id_valid(1);
    numa.set_id(5);
    assert_eq!((numa.id(), numa.id_valid(), numa._bits0), (5, 1, 0b1011));
    numa.set_id_valid(2);
    assert_eq!((numa.id(), numa.id_valid()), (5, 0));
}

#[test]
fn fields_of_a_command() {
    // SAFETY: a command is integers alone, for which zero bytes are valid.
    let mut cmd: spdk_nvme_cmd = unsafe { core::mem::zeroed() };
    cmd._bits0 = 0x4200;
    cmd.set_opc(0x1ff);
    assert_eq!(
        (cmd.opc(), cmd.fuse(), cmd.rsvd1(), cmd.psdt()),
        (0xff, 0b10, 0, 0b01)
    );
}

#[test]
fn contexts_and_what_they_belong_to() {
    let mut memory = [0_u64; 512];
    let io = memory.as_mut_ptr().cast::<spdk_bdev_io>();
    // SAFETY: the memory is aligned for a request and larger than one.
    let ctx = unsafe { (&raw mut (*io).driver_ctx).cast() };
    // SAFETY: `ctx` is the `driver_ctx` of `io` and derived from it.
    assert_eq!(unsafe { spdk_bdev_io_from_ctx(ctx) }, io);

    let channel = memory.as_mut_ptr().cast();
    // SAFETY: the memory is larger than a channel; SPDK is not involved.
    let ctx = unsafe { spdk_io_channel_get_ctx(channel) };
    assert_eq!(ctx.addr() - channel.addr(), SPDK_IO_CHANNEL_STRUCT_SIZE);
    // SAFETY: NULL is allowed.
    assert!(unsafe { spdk_io_channel_get_ctx(core::ptr::null_mut()) }.is_null());
}
