//! Buffers for requests that have none, or have one that the module cannot use.
//!
//! ```text
//!  spdk_bdev_io_get_buf ──(has one, aligned)──────────────────────────────► the module's callback
//!        │                                                                      ▲
//!        ├──(none free)──► waits ──got──┐                                       │
//!        └──(one free)──────────────────┴─► lend ──(a buffer of its own)──► copies what is written
//! ```
//!
//! On success what was read is copied back, before the submitter hears of it.

use std::ffi::c_void;
use std::ptr;

use barespdk_sys::*;
use libc::iovec;

use super::io::{Bounce, Io, Lent, flag};

/// Whether a request has memory.
pub(super) fn has_memory(io: Io) -> bool {
    let iovs = io.params().iovs;
    // SAFETY: with an iovec array comes at least one.
    !iovs.is_null() && !unsafe { (*iovs).iov_base }.is_null()
}

/// The iovecs of a request.
pub(super) fn iovs<'a>(io: Io) -> &'a [iovec] {
    let (iovs, count) = (io.params().iovs, io.params().iovcnt);
    match usize::try_from(count) {
        // SAFETY: the submitter's, or the request's own; they stay as they are meanwhile.
        Ok(count) if !iovs.is_null() => unsafe { std::slice::from_raw_parts(iovs, count) },
        _ => &[],
    }
}

fn is_aligned(io: Io) -> bool {
    let align = io.device().buf_align();
    align == 1
        || iovs(io)
            .iter()
            .all(|iov| iov.iov_base.addr().is_multiple_of(align))
}

fn metadata_len(io: Io) -> u64 {
    if io.device().is_md_separate() {
        io.params().num_blocks * u64::from(io.device().md_len())
    } else {
        0
    }
}

/// Gives a request a buffer, unless it has one that will do, and then calls `cb`: at once, or when
/// there is one.
pub(super) fn get_buf(mut io: Io, cb: spdk_bdev_io_get_buf_cb, len: u64) {
    io.own_mut().get_buf = cb;
    if has_memory(io) && is_aligned(io) {
        complete_get_buf(io, true);
        return;
    }
    let share = &io.channel().pool().buffers;
    let whole = len
        .checked_add(io.device().buf_align() as u64 - 1)
        .and_then(|len| len.checked_add(metadata_len(io)));
    let Some(whole) = whole.filter(|whole| *whole <= share.len_max()) else {
        error_log!("{len} bytes are more than a buffer holds\n");
        complete_get_buf(io, false);
        return;
    };
    let is_large = share.is_large(whole);
    io.own_mut().lent = Lent {
        base: ptr::null_mut(),
        len,
        is_large,
    };
    if let Some(buffer) = share.take_or_wait(io, is_large) {
        got(io, buffer.as_ptr());
    }
}

/// A request has got its buffer.
pub(super) fn got(mut io: Io, buffer: *mut u8) {
    io.own_mut().lent.base = buffer;
    io.set(flag::HAS_BUFFER);
    let align = io.device().buf_align();
    let data = buffer.map_addr(|addr| addr.next_multiple_of(align));
    let len = io.own().lent.len as usize;
    let lent = iovec {
        iov_base: data.cast(),
        iov_len: len,
    };
    let metadata = data.wrapping_add(len).cast::<c_void>();
    if has_memory(io) {
        bounce(io, lent);
    } else {
        let place = if io.params().iovs.is_null() {
            let own = io.iov();
            io.params_mut().iovs = own;
            io.params_mut().iovcnt = 1;
            own
        } else {
            io.params().iovs
        };
        // SAFETY: the request's own, or the submitter's, who left it to us to fill.
        unsafe { place.write(lent) };
    }
    if io.device().is_md_separate() {
        bounce_metadata(io, metadata);
    }
    complete_get_buf(io, true);
}

fn bounce(mut io: Io, lent: iovec) {
    let place = io.bounce_iov();
    let (iovs_before, iovcnt_before) = (io.params().iovs, io.params().iovcnt);
    if io.io_type() != SPDK_BDEV_IO_TYPE_READ {
        // SAFETY: the buffer is the request's, and overlaps with nothing.
        unsafe { gather(iovs(io), lent) };
    }
    io.own_mut().bounce = Bounce {
        iovs: iovs_before,
        iovcnt: iovcnt_before,
        iov: lent,
        metadata: ptr::null_mut(),
        metadata_len: 0,
    };
    io.params_mut().iovs = place;
    io.params_mut().iovcnt = 1;
    io.set(flag::BOUNCED);
}

fn bounce_metadata(mut io: Io, place: *mut c_void) {
    let before = io.params().md_buf;
    if !before.is_null() && io.has(flag::BOUNCED) {
        let len = metadata_len(io) as usize;
        if io.io_type() != SPDK_BDEV_IO_TYPE_READ {
            // SAFETY: the submitter's metadata, of all blocks; the buffer has room behind the data.
            unsafe { ptr::copy_nonoverlapping(before.cast::<u8>(), place.cast(), len) };
        }
        io.own_mut().bounce.metadata = before;
        io.own_mut().bounce.metadata_len = len;
    }
    io.params_mut().md_buf = place;
}

/// Copies from iovecs into a buffer, as much as there is of both.
unsafe fn gather(from: &[iovec], into: iovec) {
    let (mut at, mut room) = (into.iov_base.cast::<u8>(), into.iov_len);
    for iov in from {
        let len = iov.iov_len.min(room);
        // SAFETY: the caller's word: `len` bytes of both.
        unsafe { ptr::copy_nonoverlapping(iov.iov_base.cast::<u8>(), at, len) };
        at = at.wrapping_add(len);
        room -= len;
    }
}

/// Copies from a buffer into iovecs, as much as there is of both.
unsafe fn scatter(from: iovec, into: &[iovec]) {
    let (mut at, mut left) = (from.iov_base.cast::<u8>(), from.iov_len);
    for iov in into {
        let len = iov.iov_len.min(left);
        // SAFETY: the caller's word: `len` bytes of both.
        unsafe { ptr::copy_nonoverlapping(at, iov.iov_base.cast::<u8>(), len) };
        at = at.wrapping_add(len);
        left -= len;
    }
}

/// Tells the module, or whoever asked, whether there is a buffer now.
pub(super) fn complete_get_buf(mut io: Io, success: bool) {
    if let Some(cb) = io.own_mut().get_buf.take() {
        // SAFETY: what was asked for, once, on the thread of the request.
        unsafe { cb(io.channel().lower, io.raw(), success) };
    }
}

/// Lets a bounced request have its own memory again, with what was read where it succeeded.
pub(super) fn restore(mut io: Io) {
    io.clear(flag::BOUNCED);
    let bounce = io.own().bounce;
    let read = io.io_type() == SPDK_BDEV_IO_TYPE_READ && io.status() == SPDK_BDEV_IO_STATUS_SUCCESS;
    let lent_metadata = io.params().md_buf;
    io.params_mut().iovs = bounce.iovs;
    io.params_mut().iovcnt = bounce.iovcnt;
    if read {
        // SAFETY: the submitter's memory, which stays until its callback has run.
        unsafe { scatter(bounce.iov, iovs(io)) };
    }
    if io.device().is_md_separate() {
        io.params_mut().md_buf = bounce.metadata;
        if read && !bounce.metadata.is_null() {
            // SAFETY: as above; of this length, see `bounce_metadata`.
            unsafe {
                ptr::copy_nonoverlapping(
                    lent_metadata.cast::<u8>(),
                    bounce.metadata.cast(),
                    bounce.metadata_len,
                );
            }
        }
    }
}

/// Takes the buffer of a request back.
pub(super) fn put(io: Io) {
    io.clear(flag::HAS_BUFFER);
    let lent = io.own().lent;
    io.channel().pool().buffers.put(lent.is_large, lent.base);
}

#[unsafe(no_mangle)]
unsafe extern "C" fn spdk_bdev_io_get_buf(
    bdev_io: *mut spdk_bdev_io,
    cb: spdk_bdev_io_get_buf_cb,
    len: u64,
) {
    // SAFETY: the module has the request, on its thread.
    get_buf(unsafe { Io::new(bdev_io) }, cb, len);
}

same_as_declared!(spdk_bdev_io_get_buf);
