//! Requests that are too large for the module, or lie across a boundary: served by parts.
//!
//! Parts are submitted, a handful at a time, until all is consumed or one fails. Where the pool has
//! no request for the next part, those in flight are waited for, or else a place in the pool's queue.

use std::ffi::c_int;

use barespdk_sys::*;
use libc::iovec;

use super::bounce;
use super::complete;
use super::io::{Io, Split, flag};
use super::pool;
use super::request::{self, Order, Span, data};

/// How many iovecs a request has for its parts.
const CHILD_IOVS: usize = 32;
/// How many parts without data are in flight at a time.
const PARTS_MAX: u32 = 8;

/// The boundary in blocks that a request must not cross, or 0.
fn boundary(io: Io) -> u32 {
    let device = io.device();
    if io.io_type() == SPDK_BDEV_IO_TYPE_WRITE && device.split_on_write_unit() {
        device.write_unit_size()
    } else if device.split_on_optimal_io_boundary() {
        device.optimal_io_boundary()
    } else {
        0
    }
}

/// Whether a request has to be served by parts.
#[inline]
pub(super) fn is_needed(io: Io) -> bool {
    let (device, params) = (io.device(), io.params());
    match io.io_type() {
        SPDK_BDEV_IO_TYPE_READ | SPDK_BDEV_IO_TYPE_WRITE => is_needed_for_data(io),
        SPDK_BDEV_IO_TYPE_UNMAP => {
            let (max, segments) = (device.max_unmap(), device.max_unmap_segments());
            max != 0
                && segments != 0
                && params.num_blocks.div_ceil(u64::from(max)) > u64::from(segments)
        }
        SPDK_BDEV_IO_TYPE_WRITE_ZEROES => {
            let max = device.max_write_zeroes();
            max != 0 && params.num_blocks > u64::from(max)
        }
        SPDK_BDEV_IO_TYPE_COPY => {
            let max = device.max_copy();
            max != 0 && params.num_blocks > u64::from(max)
        }
        _ => false,
    }
}

#[inline]
fn is_needed_for_data(io: Io) -> bool {
    let (device, params) = (io.device(), io.params());
    let boundary = u64::from(boundary(io));
    let (segments, segment_size) = (device.max_num_segments(), device.max_segment_size());
    let size = u64::from(device.max_rw_size());
    if boundary == 0 && segments == 0 && segment_size == 0 && size == 0 {
        return false;
    }
    let last = (params.offset_blocks + params.num_blocks).saturating_sub(1);
    boundary != 0 && params.offset_blocks / boundary != last.max(params.offset_blocks) / boundary
        || size != 0 && params.num_blocks > size
        || segments != 0 && i64::from(params.iovcnt) > i64::from(segments)
        || segment_size != 0
            && bounce::iovs(io)
                .iter()
                .any(|iov| iov.iov_len > segment_size as usize)
}

/// Begins to serve a request by parts, from inside its submission.
pub(super) fn begin(mut io: Io) {
    let (offset, count) = (io.params().offset_blocks, io.params().num_blocks);
    io.own_mut().split = Split {
        next_offset_blocks: offset,
        remaining_blocks: count,
        outstanding: 0,
    };
    io.set_status(SPDK_BDEV_IO_STATUS_SUCCESS);
    if io.io_type() == SPDK_BDEV_IO_TYPE_READ && !bounce::has_memory(io) {
        let bytes = count * u64::from(io.device().blocklen());
        bounce::get_buf(io, Some(got_memory), bytes);
        return;
    }
    go_on(io);
}

unsafe extern "C" fn got_memory(_: *mut spdk_io_channel, io: *mut spdk_bdev_io, success: bool) {
    // SAFETY: the request that asked, see `begin`.
    let io = unsafe { Io::new(io) };
    if success {
        go_on(io);
    } else {
        fail(io);
    }
}

/// Ends a request none of whose parts is in flight.
#[cold]
fn fail(io: Io) {
    io.set_status(SPDK_BDEV_IO_STATUS_FAILED);
    io.channel().submitted.remove(io);
    // This may be inside of its submission.
    complete::unsubmitted(io);
}

/// Submits parts.
fn go_on(io: Io) {
    match io.io_type() {
        SPDK_BDEV_IO_TYPE_READ | SPDK_BDEV_IO_TYPE_WRITE => go_on_with_data(io),
        _ => go_on_without_data(io),
    }
}

/// The longest part of a request without data.
fn part_max(io: Io) -> u64 {
    let device = io.device();
    match io.io_type() {
        SPDK_BDEV_IO_TYPE_UNMAP => {
            u64::from(device.max_unmap()) * u64::from(device.max_unmap_segments())
        }
        SPDK_BDEV_IO_TYPE_WRITE_ZEROES => u64::from(device.max_write_zeroes()),
        _ => u64::from(device.max_copy()),
    }
}

fn go_on_without_data(io: Io) {
    let max = part_max(io).max(1);
    for _ in 0..PARTS_MAX {
        let Split {
            next_offset_blocks: offset,
            remaining_blocks: remaining,
            ..
        } = io.own().split;
        if remaining == 0 {
            return;
        }
        let span = Span {
            offset_blocks: offset,
            num_blocks: remaining.min(max),
        };
        let submitted = submit_part(io, span.num_blocks, |order| match io.io_type() {
            SPDK_BDEV_IO_TYPE_UNMAP => request::unmap(order, span),
            SPDK_BDEV_IO_TYPE_WRITE_ZEROES => request::zeroes::write_zeroes(order, span),
            _ => {
                let behind = offset - io.params().offset_blocks;
                let source = io.params().copy.src_offset_blocks + behind;
                request::copy::copy(order, span, source)
            }
        });
        if !submitted {
            return;
        }
    }
}

/// Submits one part. If that fails, it waits for a better time, or the request ends.
fn submit_part(mut io: Io, num_blocks: u64, submit: impl FnOnce(Order) -> c_int) -> bool {
    io.own_mut().split.outstanding += 1;
    let rc = submit(Order {
        desc: io.desc(),
        channel: io.channel(),
        cb: Some(part_done),
        cb_arg: io.context(),
        is_child: true,
        serves_child: false,
    });
    let split = &mut io.own_mut().split;
    if rc == 0 {
        split.next_offset_blocks += num_blocks;
        split.remaining_blocks -= num_blocks;
        return true;
    }
    split.outstanding -= 1;
    let alone = split.outstanding == 0;
    if rc == -libc::ENOMEM {
        if alone {
            pool::wait(io, go_on);
        }
    } else {
        io.own_mut().split.remaining_blocks = 0;
        io.set_status(SPDK_BDEV_IO_STATUS_FAILED);
        if alone {
            fail(io);
        }
    }
    false
}

/// Where the next part begins in the memory of the request: an iovec, and bytes into it.
struct Cursor<'a> {
    iovs: &'a [iovec],
    index: usize,
    at: usize,
}

impl<'a> Cursor<'a> {
    fn new(iovs: &'a [iovec], mut bytes: u64) -> Self {
        let mut index = 0;
        while let Some(iov) = iovs.get(index)
            && bytes >= iov.iov_len as u64
        {
            bytes -= iov.iov_len as u64;
            index += 1;
        }
        Self {
            iovs,
            index,
            at: bytes as usize,
        }
    }

    /// Takes a piece of at most `max` bytes, in one iovec.
    fn take(&mut self, max: usize) -> Option<iovec> {
        let mut iov = self.iovs.get(self.index)?;
        while iov.iov_len == self.at {
            self.index += 1;
            self.at = 0;
            iov = self.iovs.get(self.index)?;
        }
        let len = (iov.iov_len - self.at).min(max);
        let piece = iovec {
            iov_base: iov.iov_base.cast::<u8>().wrapping_add(self.at).cast(),
            iov_len: len,
        };
        self.at += len;
        Some(piece)
    }
}

/// Fills `places` with pieces of `wanted` bytes; fewer where there are not enough places, but whole
/// blocks. Says how many places are used, and how many bytes that is.
fn fill(
    cursor: &mut Cursor<'_>,
    places: &mut [iovec],
    wanted: usize,
    piece_max: usize,
    block_size: usize,
) -> (usize, usize) {
    let (mut used, mut bytes) = (0, 0);
    while bytes < wanted
        && let Some(place) = places.get_mut(used)
        && let Some(piece) = cursor.take(piece_max.min(wanted - bytes))
    {
        *place = piece;
        used += 1;
        bytes += piece.iov_len;
    }
    let mut surplus = bytes % block_size;
    bytes -= surplus;
    while surplus > 0 {
        let last = &mut places[used - 1].iov_len;
        let cut = surplus.min(*last);
        *last -= cut;
        surplus -= cut;
        if *last == 0 {
            used -= 1;
        }
    }
    (used, bytes)
}

fn go_on_with_data(io: Io) {
    let (device, params) = (io.device(), *io.params());
    let unlimited = |max: u32| if max == 0 { u32::MAX } else { max };
    let piece_max = unlimited(device.max_segment_size()) as usize;
    let places_max = unlimited(device.max_num_segments()).min(CHILD_IOVS as u32) as usize;
    let size_max = u64::from(unlimited(device.max_rw_size()));
    let boundary = u64::from(boundary(io));
    let block_size = u64::from(device.blocklen());
    let iovs = bounce::iovs(io);
    let mut place = 0;
    while place < CHILD_IOVS && io.own().split.remaining_blocks > 0 {
        let split = io.own().split;
        let behind = split.next_offset_blocks - params.offset_blocks;
        let mut count = split.remaining_blocks.min(size_max);
        if boundary != 0 {
            count = count.min(boundary - split.next_offset_blocks % boundary);
        }
        // Built anew for each part, from where that begins: parts end within iovecs.
        let mut cursor = Cursor::new(iovs, behind * block_size);
        let wanted = usize::try_from(count * block_size).unwrap_or(usize::MAX);
        let first = io.child_iovs().wrapping_add(place);
        // SAFETY: the request's own, of which this part of the list is in no other use.
        let places =
            unsafe { std::slice::from_raw_parts_mut(first, places_max.min(CHILD_IOVS - place)) };
        let (used, bytes) = fill(&mut cursor, places, wanted, piece_max, block_size as usize);
        count = bytes as u64 / block_size;
        if count == 0 {
            if io.own().split.outstanding == 0 {
                error_log!("a part of a request is shorter than a block\n");
                fail(io);
            }
            return;
        }
        place += used;
        let metadata = if params.md_buf.is_null() {
            params.md_buf
        } else {
            let at = behind * u64::from(device.md_len());
            params.md_buf.cast::<u8>().wrapping_add(at as usize).cast()
        };
        let part = data::Data {
            iovs: first,
            iovcnt: used as c_int,
            metadata,
            dif_check_flags: params.dif_check_flags,
            nvme_cdw12: params.nvme_cdw12,
            nvme_cdw13: params.nvme_cdw13,
        };
        let span = Span {
            offset_blocks: split.next_offset_blocks,
            num_blocks: count,
        };
        let submitted = submit_part(io, count, |order| match io.io_type() {
            SPDK_BDEV_IO_TYPE_READ => data::read(order, &part, span),
            _ => data::write(order, &part, span),
        });
        if !submitted {
            return;
        }
    }
}

/// A part is done: the last one in flight goes on, or ends the request.
unsafe extern "C" fn part_done(
    part: *mut spdk_bdev_io,
    success: bool,
    parent: *mut std::ffi::c_void,
) {
    // SAFETY: submitted by `submit_part` with this argument; the part is given back here, once.
    let (part, mut io) = unsafe { (Io::new(part), Io::new(parent.cast())) };
    if !success {
        io.set_status(part.status());
        io.internal.error = part.internal.error;
        let split = &mut io.own_mut().split;
        split.next_offset_blocks += split.remaining_blocks;
        split.remaining_blocks = 0;
    }
    pool::free(part);
    let split = &mut io.own_mut().split;
    split.outstanding -= 1;
    if split.outstanding != 0 {
        return;
    }
    if split.remaining_blocks != 0 {
        go_on(io);
        return;
    }
    io.channel().submitted.remove(io);
    if io.has(flag::BOUNCED) {
        bounce::restore(io);
    }
    io.call_back();
}
