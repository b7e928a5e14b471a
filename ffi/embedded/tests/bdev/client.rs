//! A client: a thread with a part of the disk to itself, whose content it knows, and the last block,
//! which it shares with the others and increments.

use std::ffi::{c_int, c_void};
use std::ptr::{null_mut, without_provenance_mut};

use barespdk_embedded::sim;
use barespdk_sys::*;
use libc::iovec;

use crate::disk::NUM_BLOCKS;
use crate::world::{self, CLIENTS, chance, note};

const OPS: u64 = 250;
const DEPTH: u64 = 12;
/// The blocks of a client.
const REGION: u64 = 1024;
const _: () = assert!(REGION * CLIENTS < NUM_BLOCKS);
/// The longest request, in blocks.
const LEN_MAX: u64 = 40;

/// No simulation takes so long, though resets may wait for seconds.
const TIME_MAX_US: u64 = 60_000_000;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Read,
    /// Into a buffer of the layer's.
    ReadLent,
    Write,
    WriteZeroes,
    Unmap,
    Compare,
    CompareWrong,
    Copy,
    Flush,
    Seek,
    Reset,
    Abort,
    /// A read of the shared block, and then a compare-and-write of it.
    Look,
    Increment,
}

const KINDS: [Kind; 20] = [
    Kind::Read,
    Kind::Read,
    Kind::Read,
    Kind::ReadLent,
    Kind::ReadLent,
    Kind::Write,
    Kind::Write,
    Kind::Write,
    Kind::Write,
    Kind::WriteZeroes,
    Kind::Unmap,
    Kind::Compare,
    Kind::CompareWrong,
    Kind::Copy,
    Kind::Flush,
    Kind::Seek,
    Kind::Look,
    Kind::Look,
    Kind::Abort,
    Kind::Reset,
];

/// A request of a client: its memory, and what it is about.
struct Op {
    client: *mut Client,
    kind: Kind,
    /// In blocks.
    offset: u64,
    len: u64,
    source: u64,
    memory: Vec<u8>,
    fused: Vec<u8>,
    iovs: Vec<iovec>,
    fused_iovs: Vec<iovec>,
    /// The request that is to be aborted.
    target: *mut c_void,
    wait: spdk_bdev_io_wait_entry,
    submitting: bool,
    /// Whether the layer has taken it.
    taken: bool,
}

pub(crate) struct Client {
    index: u64,
    thread: *mut spdk_thread,
    block: usize,
    desc: *mut spdk_bdev_desc,
    channel: *mut spdk_io_channel,
    /// What the region holds; None for what nobody knows.
    model: Vec<Option<u8>>,
    in_flight: Vec<*mut Op>,
    begun: u64,
    counter: u64,
    poller: *mut spdk_poller,
    filler: u8,
}

unsafe extern "C" fn no_event(_: spdk_bdev_event_type, _: *mut spdk_bdev, _: *mut c_void) {
    panic!("the disk goes, or changes, while clients have it");
}

impl Client {
    /// Begins, on the client's thread.
    pub(crate) unsafe extern "C" fn start(index: *mut c_void) {
        // SAFETY: on an SPDK thread; the client goes in `end`.
        unsafe {
            let mut desc = null_mut();
            let name = c"trouble0".as_ptr();
            let rc = spdk_bdev_open_ext(name, true, Some(no_event), null_mut(), &mut desc);
            assert_eq!(rc, 0);
            let channel = spdk_bdev_get_io_channel(desc);
            assert!(!channel.is_null());
            let block = spdk_bdev_desc_get_block_size(desc) as usize;
            let client = Box::into_raw(Box::new(Self {
                index: index as u64,
                thread: spdk_get_thread(),
                block,
                desc,
                channel,
                model: vec![Some(0); block * REGION as usize],
                in_flight: Vec::new(),
                begun: 0,
                counter: 0,
                poller: null_mut(),
                filler: 0,
            }));
            (*client).poller = spdk_poller_register_named(
                Some(Self::poll),
                client.cast(),
                5 + sim::random_below(40),
                c"client".as_ptr(),
            );
        }
    }

    unsafe extern "C" fn poll(client: *mut c_void) -> c_int {
        let client = client.cast::<Self>();
        // SAFETY: of this thread; no reference lives while others are called.
        unsafe {
            if sim::now_us() > TIME_MAX_US {
                let kinds: Vec<_> = (*client)
                    .in_flight
                    .iter()
                    .map(|op| ((**op).kind, (**op).taken))
                    .collect();
                panic!(
                    "client {} has waited too long for {kinds:?}",
                    (*client).index
                );
            }
            if (*client).begun < OPS {
                if ((*client).in_flight.len() as u64) < DEPTH {
                    Self::begin(client);
                }
            } else if (*client).in_flight.is_empty() {
                spdk_poller_unregister(&raw mut (*client).poller);
                Self::end(client);
            }
        }
        1
    }

    /// Reads the shared block for the last time, and goes.
    unsafe fn end(client: *mut Self) {
        // SAFETY: as above; nothing is in flight.
        unsafe {
            let block = (*client).block;
            let op = Op::new(client, Kind::Look, NUM_BLOCKS - 1, 1);
            (*op).memory = vec![0; block];
            Op::lay_out(op);
            // One more than all: `done` sees that it is the last.
            (*client).begun = OPS + 1;
            (*client).in_flight.push(op);
            Op::submit(op);
        }
    }

    unsafe fn leave(client: *mut Self, count: u64) {
        // SAFETY: as above.
        unsafe {
            let client = Box::from_raw(client);
            spdk_put_io_channel(client.channel);
            spdk_bdev_close(client.desc);
            let app = spdk_thread_get_app_thread();
            let count = without_provenance_mut(count as usize);
            spdk_thread_send_msg(app, Some(world::client_ended), count);
            spdk_thread_exit(client.thread);
        }
    }

    /// Bytes of the region for blocks of it.
    fn range(&self, offset: u64, len: u64) -> std::ops::Range<usize> {
        let start = (offset - self.index * REGION) as usize * self.block;
        start..start + len as usize * self.block
    }

    /// Whether a request that is in flight has blocks of a range.
    fn is_busy(&self, offset: u64, len: u64) -> bool {
        let overlaps = |at: u64, count: u64| at < offset + len && offset < at + count;
        self.in_flight.iter().any(|op| {
            // SAFETY: in flight, so there, and of this thread.
            let op = unsafe { &**op };
            overlaps(op.offset, op.len) || op.kind == Kind::Copy && overlaps(op.source, op.len)
        })
    }

    unsafe fn begin(client: *mut Self) {
        let kind = KINDS[sim::random_below(KINDS.len() as u64) as usize];
        // SAFETY: as above.
        unsafe {
            let this = &mut *client;
            if matches!(kind, Kind::Reset | Kind::Abort) && !chance(4) {
                return;
            }
            let len = 1 + sim::random_below(LEN_MAX);
            let base = this.index * REGION;
            let mut offset = base + sim::random_below(REGION - len + 1);
            let source = base + sim::random_below(REGION - len + 1);
            let mut len = len;
            match kind {
                Kind::Look => (offset, len) = (NUM_BLOCKS - 1, 1),
                Kind::Reset | Kind::Abort | Kind::Seek | Kind::Flush => len = 0,
                _ => {}
            }
            if len != 0 && kind != Kind::Look && this.is_busy(offset, len) {
                return;
            }
            if kind == Kind::Copy
                && (this.is_busy(source, len) || source < offset + len && offset < source + len)
            {
                return;
            }
            let target = this.in_flight.first().copied();
            let op = Op::new(client, kind, offset, len);
            (*op).source = source;
            let bytes = len as usize * this.block;
            match kind {
                Kind::Read | Kind::Look => (*op).memory = vec![0xee; bytes],
                Kind::Write => {
                    this.filler = this.filler.wrapping_add(1);
                    let filler = this.filler;
                    (*op).memory = (0..bytes).map(|at| filler ^ (at / 97) as u8).collect();
                }
                Kind::Compare | Kind::CompareWrong => {
                    let known: Option<Vec<u8>> = this.model[this.range(offset, len)]
                        .iter()
                        .copied()
                        .collect();
                    let Some(mut known) = known else {
                        drop(Box::from_raw(op));
                        return;
                    };
                    if kind == Kind::CompareWrong {
                        known[sim::random_below(bytes as u64) as usize] ^= 1;
                    }
                    (*op).memory = known;
                }
                Kind::Abort => {
                    let Some(target) = target else {
                        drop(Box::from_raw(op));
                        return;
                    };
                    (*op).target = target.cast();
                }
                _ => {}
            }
            this.begun += 1;
            Op::lay_out(op);
            this.in_flight.push(op);
            Op::submit(op);
        }
    }
}

impl Op {
    fn new(client: *mut Client, kind: Kind, offset: u64, len: u64) -> *mut Self {
        Box::into_raw(Box::new(Self {
            client,
            kind,
            offset,
            len,
            source: 0,
            memory: Vec::new(),
            fused: Vec::new(),
            iovs: Vec::new(),
            fused_iovs: Vec::new(),
            target: null_mut(),
            wait: spdk_bdev_io_wait_entry {
                bdev: null_mut(),
                cb_fn: None,
                cb_arg: null_mut(),
                dep_unblock: false,
                pad: [0; 7],
                link: spdk_bdev_io_wait_entry__link {
                    tqe_next: null_mut(),
                    tqe_prev: null_mut(),
                },
            },
            submitting: false,
            taken: false,
        }))
    }

    /// Cuts the memory into iovecs, none shorter than a block, so that a block lies in two at most.
    unsafe fn lay_out(op: *mut Self) {
        // SAFETY: the client's, not in flight.
        let (this, block) = unsafe { (&mut *op, (*(*op).client).block) };
        let cut = |memory: &mut [u8]| {
            let mut iovs = Vec::new();
            let (base, mut at) = (memory.as_mut_ptr(), 0);
            while at < memory.len() {
                let rest = memory.len() - at;
                let mut len = rest;
                if rest >= 2 * block && chance(2) {
                    len = block + sim::random_below((rest - 2 * block + 1) as u64) as usize;
                }
                iovs.push(iovec {
                    iov_base: base.wrapping_add(at).cast(),
                    iov_len: len,
                });
                at += len;
            }
            iovs
        };
        this.iovs = cut(&mut this.memory);
        this.fused_iovs = cut(&mut this.fused);
        if this.kind == Kind::ReadLent {
            this.iovs = vec![iovec {
                iov_base: null_mut(),
                iov_len: this.len as usize * block,
            }];
        }
    }

    unsafe extern "C" fn again(op: *mut c_void) {
        // SAFETY: it waited.
        unsafe { Self::submit(op.cast()) };
    }

    unsafe fn submit(op: *mut Self) {
        // SAFETY: the client's; its memory stays until `done`.
        unsafe {
            (*op).submitting = true;
            let rc = Self::call(op);
            if rc == 0 {
                // It may not be over yet: that would have been from inside of its submission.
                (*op).submitting = false;
                (*op).taken = true;
                return;
            }
            (*op).submitting = false;
            let client = (*op).client;
            match -rc {
                libc::ENOMEM => {
                    let bdev = spdk_bdev_desc_get_bdev((*client).desc);
                    (*op).wait.bdev = bdev;
                    (*op).wait.cb_fn = Some(Self::again);
                    (*op).wait.cb_arg = op.cast();
                    let wait = &raw mut (*op).wait;
                    assert_eq!(spdk_bdev_queue_io_wait(bdev, (*client).channel, wait), 0);
                    note(2);
                }
                rc => panic!("{:?} is refused: {rc}", (*op).kind),
            }
        }
    }

    unsafe fn call(op: *mut Self) -> c_int {
        // SAFETY: as above.
        unsafe {
            let this = &mut *op;
            let client = &*this.client;
            let (desc, ch, cb, arg) = (client.desc, client.channel, Some(done as _), op.cast());
            let (iovs, count) = (this.iovs.as_mut_ptr(), this.iovs.len() as c_int);
            let (offset, len) = (this.offset, this.len);
            match this.kind {
                Kind::Read | Kind::ReadLent | Kind::Look => {
                    spdk_bdev_readv_blocks(desc, ch, iovs, count, offset, len, cb, arg)
                }
                Kind::Write => spdk_bdev_writev_blocks(desc, ch, iovs, count, offset, len, cb, arg),
                Kind::WriteZeroes => spdk_bdev_write_zeroes_blocks(desc, ch, offset, len, cb, arg),
                Kind::Unmap => spdk_bdev_unmap_blocks(desc, ch, offset, len, cb, arg),
                Kind::Compare | Kind::CompareWrong => spdk_bdev_comparev_blocks_with_md(
                    desc,
                    ch,
                    iovs,
                    count,
                    null_mut(),
                    offset,
                    len,
                    cb,
                    arg,
                ),
                Kind::Copy => spdk_bdev_copy_blocks(desc, ch, offset, this.source, len, cb, arg),
                Kind::Flush => spdk_bdev_flush_blocks(desc, ch, 0, NUM_BLOCKS, cb, arg),
                Kind::Seek => spdk_bdev_seek_data(desc, ch, offset, cb, arg),
                Kind::Reset => spdk_bdev_reset(desc, ch, cb, arg),
                Kind::Abort => spdk_bdev_abort(desc, ch, this.target, cb, arg),
                Kind::Increment => {
                    let (write, writes) =
                        (this.fused_iovs.as_mut_ptr(), this.fused_iovs.len() as c_int);
                    spdk_bdev_comparev_and_writev_blocks(
                        desc, ch, iovs, count, write, writes, offset, 1, cb, arg,
                    )
                }
            }
        }
    }
}

unsafe extern "C" fn done(io: *mut spdk_bdev_io, success: bool, op: *mut c_void) {
    // SAFETY: of `call`, once; the request is given back.
    unsafe {
        let op = Box::from_raw(op.cast::<Op>());
        let client = op.client;
        assert!(!op.submitting, "{:?} ends within its submission", op.kind);
        assert!(op.taken);
        assert_eq!(spdk_get_thread(), (*client).thread);
        let status = c_int::from((*io).internal.status);
        assert_eq!(success, status == SPDK_BDEV_IO_STATUS_SUCCESS);
        note(op.kind as u64 | (status as u64) << 8 | op.offset << 16);
        let lent = (*io).u.bdev.iovs;
        if success && op.kind == Kind::ReadLent {
            let iov = *lent;
            let found = std::slice::from_raw_parts(iov.iov_base.cast::<u8>(), iov.iov_len);
            (*client).is_as_known(&op, found);
        }
        let seek = spdk_bdev_io_get_seek_offset(io);
        assert!(op.kind != Kind::Seek || !success || seek == op.offset);
        spdk_bdev_free_io(io);
        let this = &raw const *op;
        (*client)
            .in_flight
            .retain(|other| !std::ptr::addr_eq(*other, this));
        (*client).learn(&op, status);
        if op.kind == Kind::Look {
            if (*client).begun > OPS {
                // The last look of all: once more if it failed.
                if success {
                    let count = (*client).counter;
                    Client::leave(client, count);
                } else {
                    Client::end(client);
                }
            } else if success {
                increment(client, &op.memory);
            }
        }
    }
}

/// Adds one to what the shared block held when it was read.
unsafe fn increment(client: *mut Client, seen: &[u8]) {
    // SAFETY: as above.
    unsafe {
        let op = Op::new(client, Kind::Increment, NUM_BLOCKS - 1, 1);
        (*op).memory = seen.to_vec();
        (*op).fused = seen.to_vec();
        let count = u64::from_le_bytes(seen[..8].try_into().expect("eight bytes")) + 1;
        (&mut (*op).fused)[..8].copy_from_slice(&count.to_le_bytes());
        Op::lay_out(op);
        (*client).in_flight.push(op);
        Op::submit(op);
    }
}

impl Client {
    fn is_as_known(&self, op: &Op, found: &[u8]) {
        let known = &self.model[self.range(op.offset, op.len)];
        assert_eq!(known.len(), found.len());
        for (at, (known, found)) in known.iter().zip(found).enumerate() {
            assert!(
                known.is_none_or(|known| known == *found),
                "{:?} of {} blocks at {}: byte {at} is {found:#x} and not {known:x?}",
                op.kind,
                op.len,
                op.offset
            );
        }
    }

    /// Takes note of what a request has done.
    fn learn(&mut self, op: &Op, status: spdk_bdev_io_status) {
        let success = status == SPDK_BDEV_IO_STATUS_SUCCESS;
        // SAFETY: the disk is not freed.
        let fails = unsafe { (*world::disk()).fails };
        let by_others = matches!(
            status,
            SPDK_BDEV_IO_STATUS_ABORTED | SPDK_BDEV_IO_STATUS_FAILED
        );
        match op.kind {
            Kind::Read if success => self.is_as_known(op, &op.memory),
            Kind::Write | Kind::WriteZeroes | Kind::Unmap | Kind::Copy => {
                let range = self.range(op.offset, op.len);
                if !success {
                    self.model[range].fill(None);
                } else if op.kind == Kind::Write {
                    for (known, written) in self.model[range].iter_mut().zip(&op.memory) {
                        *known = Some(*written);
                    }
                } else if op.kind == Kind::Copy {
                    let source = self.range(op.source, op.len);
                    self.model.copy_within(source, range.start);
                } else {
                    self.model[range].fill(Some(0));
                }
            }
            Kind::Compare => assert_ne!(status, SPDK_BDEV_IO_STATUS_MISCOMPARE),
            Kind::CompareWrong => {
                assert!(!success);
                assert!(fails || by_others || status == SPDK_BDEV_IO_STATUS_MISCOMPARE);
            }
            Kind::Look if success => {
                self.counter = u64::from_le_bytes(op.memory[..8].try_into().expect("eight"));
            }
            Kind::Increment => match status {
                SPDK_BDEV_IO_STATUS_SUCCESS => world::counted(1, 0),
                SPDK_BDEV_IO_STATUS_MISCOMPARE => {}
                _ => world::counted(0, 1),
            },
            Kind::Flush | Kind::Seek => assert!(success || fails || by_others),
            Kind::Reset => assert!(success),
            _ => {}
        }
    }
}
