//! Passing a request on to the base, and back.
//!
//! ```text
//!   pass_on ──► get_buf, of a read ──► submit ──► base ──► done ──► OnBase::passed
//!                                       ▲ │ -ENOMEM
//!                                       └─┴── io_wait
//! ```

use std::ffi::{c_int, c_void};
use std::mem::ManuallyDrop;
use std::ptr;

use barespdk_sys::{
    SPDK_BDEV_IO_STATUS_FAILED, SPDK_BDEV_IO_STATUS_NOMEM, SPDK_BDEV_IO_TYPE_ABORT,
    SPDK_BDEV_IO_TYPE_COMPARE, SPDK_BDEV_IO_TYPE_COMPARE_AND_WRITE, SPDK_BDEV_IO_TYPE_COPY,
    SPDK_BDEV_IO_TYPE_FLUSH, SPDK_BDEV_IO_TYPE_READ, SPDK_BDEV_IO_TYPE_RESET,
    SPDK_BDEV_IO_TYPE_UNMAP, SPDK_BDEV_IO_TYPE_WRITE, SPDK_BDEV_IO_TYPE_WRITE_ZEROES,
    SPDK_BDEV_IO_TYPE_ZCOPY, spdk_bdev_abort, spdk_bdev_comparev_and_writev_blocks,
    spdk_bdev_comparev_blocks_with_md, spdk_bdev_copy_blocks, spdk_bdev_ext_io_opts,
    spdk_bdev_flush_blocks, spdk_bdev_free_io, spdk_bdev_io, spdk_bdev_io_get_buf,
    spdk_bdev_io_type, spdk_bdev_io_wait_entry, spdk_bdev_io_wait_entry__link,
    spdk_bdev_nvme_cdw12, spdk_bdev_nvme_cdw13, spdk_bdev_queue_io_wait,
    spdk_bdev_readv_blocks_ext, spdk_bdev_reset, spdk_bdev_unmap_blocks,
    spdk_bdev_write_zeroes_blocks, spdk_bdev_writev_blocks_ext, spdk_io_channel,
};
use libc::iovec;

use super::super::device::{Device, Disk};
use super::super::io::{Io, Outcome};
use super::{Base, BaseChannel};

/// Whether requests of a type are passed on.
pub(in super::super) fn is_passed(kind: spdk_bdev_io_type) -> bool {
    matches!(
        kind,
        SPDK_BDEV_IO_TYPE_READ
            | SPDK_BDEV_IO_TYPE_WRITE
            | SPDK_BDEV_IO_TYPE_UNMAP
            | SPDK_BDEV_IO_TYPE_FLUSH
            | SPDK_BDEV_IO_TYPE_RESET
            | SPDK_BDEV_IO_TYPE_WRITE_ZEROES
            | SPDK_BDEV_IO_TYPE_COMPARE
            | SPDK_BDEV_IO_TYPE_COMPARE_AND_WRITE
            | SPDK_BDEV_IO_TYPE_ABORT
            | SPDK_BDEV_IO_TYPE_COPY
            // Said as SPDK says it: there is no function here that would submit one.
            | SPDK_BDEV_IO_TYPE_ZCOPY
    )
}

/// A bdev that passes requests on to a base.
pub(in super::super) trait OnBase: Device {
    /// What it keeps with a request that the base has.
    type State: 'static;

    /// The base.
    fn base(&self) -> &Base;

    /// The base's channel of the same thread.
    fn base_channel(channel: &Self::Channel) -> &BaseChannel;

    /// The data of a request, as the base gets it. `state` does not move while the base has it.
    fn data(_state: &mut Self::State, io: &Io) -> (*mut iovec, c_int) {
        (io.params().iovs, io.params().iovcnt)
    }

    /// Takes a request that the base is done with.
    fn passed(
        disk: &Disk<Self>,
        channel: &Self::Channel,
        io: Io,
        state: Self::State,
        outcome: Outcome,
    );
}

/// What the module's memory in a request holds while the base has it.
struct Passing<D: OnBase> {
    channel: *const D::Channel,
    wait: spdk_bdev_io_wait_entry,
    state: ManuallyDrop<D::State>,
}

/// The module's `get_ctx_size`.
pub(in super::super) unsafe extern "C" fn ctx_size<D: OnBase>() -> c_int {
    size_of::<Passing<D>>() as c_int
}

/// Passes a request on; it fails if its type is not one of those that are.
pub(in super::super) fn pass_on<D: OnBase>(channel: &D::Channel, io: Io, state: D::State) {
    let passing = Passing::<D> {
        channel,
        wait: spdk_bdev_io_wait_entry {
            bdev: ptr::null_mut(),
            cb_fn: Some(again::<D>),
            cb_arg: io.as_ptr().cast(),
            dep_unblock: false,
            pad: [0; 7],
            link: spdk_bdev_io_wait_entry__link {
                tqe_next: ptr::null_mut(),
                tqe_prev: ptr::null_mut(),
            },
        },
        state: ManuallyDrop::new(state),
    };
    // SAFETY: memory of the module, as large as it asked for, that nobody else uses.
    unsafe { io.driver_ctx::<Passing<D>>().write(passing) };
    if io.kind() == SPDK_BDEV_IO_TYPE_READ {
        let len = io.len_bytes();
        // SAFETY: a request of this module on its thread, which the callback takes over. The
        // buffer is to be the request's own, not one that the base takes back at its end.
        unsafe { spdk_bdev_io_get_buf(io.into_raw(), Some(with_buffer::<D>), len) };
    } else {
        submit::<D>(io);
    }
}

unsafe extern "C" fn with_buffer<D: OnBase>(
    _ch: *mut spdk_io_channel,
    io: *mut spdk_bdev_io,
    success: bool,
) {
    // SAFETY: given away in `pass_on`.
    let io = unsafe { Io::from_raw(io) };
    if success {
        submit::<D>(io);
    } else {
        end::<D>(io, Outcome::Status(SPDK_BDEV_IO_STATUS_FAILED));
    }
}

unsafe extern "C" fn again<D: OnBase>(io: *mut c_void) {
    // SAFETY: given away in `submit`, when it began to wait.
    submit::<D>(unsafe { Io::from_raw(io.cast()) });
}

fn submit<D: OnBase>(io: Io) {
    let raw = io.as_ptr();
    let passing = io.driver_ctx::<Passing<D>>();
    // SAFETY: the bdev is registered and the channel open while they have requests, and `pass_on`
    // wrote `passing`.
    let (disk, channel, passing) = unsafe {
        (
            &*(*io.bdev()).ctxt.cast::<Disk<D>>(),
            &*(*passing).channel,
            &mut *passing,
        )
    };
    let base = disk.device().base();
    let base_channel = D::base_channel(channel).as_ptr();
    let data = D::data(&mut passing.state, &io);
    // SAFETY: the base is open, the channel its own, and the data stays with the request.
    let rc = unsafe { submit_to(base, base_channel, &io, data, Some(done::<D>), raw.cast()) };
    match rc {
        0 => _ = io.into_raw(),
        rc if rc == -libc::ENOMEM => {
            passing.wait.bdev = base.0.bdev.as_ptr();
            // SAFETY: the entry stays where it is until it is called.
            let rc = unsafe {
                spdk_bdev_queue_io_wait(passing.wait.bdev, base_channel, &mut passing.wait)
            };
            match rc {
                0 => _ = io.into_raw(),
                // There are free ones by now: the bdev layer tries again.
                _ if io.kind() != SPDK_BDEV_IO_TYPE_RESET => {
                    end::<D>(io, Outcome::Status(SPDK_BDEV_IO_STATUS_NOMEM));
                }
                _ => end::<D>(io, Outcome::Status(SPDK_BDEV_IO_STATUS_FAILED)),
            }
        }
        rc => {
            error_log!(
                "{}: the base refused a request: rc {rc}\n",
                disk.name_text()
            );
            end::<D>(io, Outcome::Status(SPDK_BDEV_IO_STATUS_FAILED));
        }
    }
}

/// Submits a request like `io` to the base.
///
/// # Safety
///
/// `ch` is a channel of the base, on this thread; `data` stays until `cb` runs.
unsafe fn submit_to(
    base: &Base,
    ch: *mut spdk_io_channel,
    io: &Io,
    (iovs, iovcnt): (*mut iovec, c_int),
    cb: Option<unsafe extern "C" fn(*mut spdk_bdev_io, bool, *mut c_void)>,
    arg: *mut c_void,
) -> c_int {
    let desc = base.desc();
    let params = io.params();
    let (offset, count) = (params.offset_blocks, params.num_blocks);
    let opts = &mut spdk_bdev_ext_io_opts {
        size: size_of::<spdk_bdev_ext_io_opts>(),
        memory_domain: params.memory_domain,
        memory_domain_ctx: params.memory_domain_ctx,
        metadata: params.md_buf,
        accel_sequence: ptr::null_mut(),
        dif_check_flags_exclude_mask: !params.dif_check_flags,
        nvme_cdw12: spdk_bdev_nvme_cdw12 { raw: 0 },
        nvme_cdw13: spdk_bdev_nvme_cdw13 { raw: 0 },
    };
    // SAFETY: as this function demands; the parameters are those of the request's type.
    unsafe {
        match io.kind() {
            SPDK_BDEV_IO_TYPE_READ => {
                spdk_bdev_readv_blocks_ext(desc, ch, iovs, iovcnt, offset, count, cb, arg, opts)
            }
            SPDK_BDEV_IO_TYPE_WRITE => {
                spdk_bdev_writev_blocks_ext(desc, ch, iovs, iovcnt, offset, count, cb, arg, opts)
            }
            SPDK_BDEV_IO_TYPE_UNMAP => spdk_bdev_unmap_blocks(desc, ch, offset, count, cb, arg),
            SPDK_BDEV_IO_TYPE_FLUSH => spdk_bdev_flush_blocks(desc, ch, offset, count, cb, arg),
            SPDK_BDEV_IO_TYPE_WRITE_ZEROES => {
                spdk_bdev_write_zeroes_blocks(desc, ch, offset, count, cb, arg)
            }
            SPDK_BDEV_IO_TYPE_COMPARE => spdk_bdev_comparev_blocks_with_md(
                desc,
                ch,
                iovs,
                iovcnt,
                params.md_buf,
                offset,
                count,
                cb,
                arg,
            ),
            SPDK_BDEV_IO_TYPE_COMPARE_AND_WRITE => spdk_bdev_comparev_and_writev_blocks(
                desc,
                ch,
                iovs,
                iovcnt,
                params.fused_iovs,
                params.fused_iovcnt,
                offset,
                count,
                cb,
                arg,
            ),
            SPDK_BDEV_IO_TYPE_COPY => spdk_bdev_copy_blocks(
                desc,
                ch,
                offset,
                params.copy.src_offset_blocks,
                count,
                cb,
                arg,
            ),
            SPDK_BDEV_IO_TYPE_RESET => spdk_bdev_reset(desc, ch, cb, arg),
            // The base knows a request by the argument of its callback, which is ours.
            SPDK_BDEV_IO_TYPE_ABORT => spdk_bdev_abort(desc, ch, io.to_abort().cast(), cb, arg),
            _ => -libc::ENOTSUP,
        }
    }
}

unsafe extern "C" fn done<D: OnBase>(base_io: *mut spdk_bdev_io, _success: bool, io: *mut c_void) {
    // SAFETY: given away in `submit`; the base's request is ours to free.
    let (io, outcome) = unsafe {
        let outcome = Outcome::of(base_io);
        spdk_bdev_free_io(base_io);
        (Io::from_raw(io.cast()), outcome)
    };
    end::<D>(io, outcome);
}

fn end<D: OnBase>(io: Io, outcome: Outcome) {
    // SAFETY: as in `submit`; the state is taken once, at the end.
    let (disk, channel, state) = unsafe {
        let mut passing = io.driver_ctx::<Passing<D>>().read();
        let state = ManuallyDrop::take(&mut passing.state);
        let disk = &*(*io.bdev()).ctxt.cast::<Disk<D>>();
        (disk, &*passing.channel, state)
    };
    D::passed(disk, channel, io, state, outcome);
}
