//! A bdev in memory, with limits that the seed chooses, that takes its time, runs out of memory, fails
//! and completes at once, as it likes.

use std::cell::{Cell, RefCell};
use std::ffi::{CStr, c_int, c_void};
use std::ptr::{self, addr_of_mut};

use barespdk_embedded::sim;
use barespdk_sys::*;
use libc::iovec;

use crate::quiet;
use crate::world::{self, chance};

/// How often a channel looks for what is due. With a period, so that idle time is skipped.
const POLL_US: u64 = 20;

pub(crate) const NUM_BLOCKS: u64 = 4096;

struct Module(spdk_bdev_module);
// SAFETY: static data, which the layer reads.
unsafe impl Sync for Module {}

static MODULE: Module = Module(spdk_bdev_module {
    module_init: Some(init),
    init_complete: None,
    fini_start: None,
    module_fini: None,
    config_json: None,
    name: c"trouble".as_ptr(),
    get_ctx_size: Some(context_size),
    examine_config: None,
    examine_disk: None,
    async_init: false,
    async_fini: false,
    async_fini_start: false,
    _tail: [0; 77],
});

unsafe extern "C" fn init() -> c_int {
    0
}

/// What the module keeps in a request: how often it was seen, to be told by the layer apart.
unsafe extern "C" fn context_size() -> c_int {
    64
}

pub(crate) fn add_module() {
    // SAFETY: static, and before the layer starts.
    unsafe { spdk_bdev_module_list_add((&raw const MODULE.0).cast_mut()) };
}

pub(crate) struct Disk {
    pub(crate) bdev: spdk_bdev,
    data: RefCell<Vec<u8>>,
    supported: Vec<spdk_bdev_io_type>,
    /// Whether requests may fail, but for those of the last block.
    pub(crate) fails: bool,
    pub(crate) submissions: Cell<u64>,
    pub(crate) destructed: Cell<bool>,
}

/// A request that the module has, and when it is done.
struct Pending {
    io: *mut spdk_bdev_io,
    due_ticks: u64,
}

struct Channel {
    pending: Vec<Pending>,
    poller: *mut spdk_poller,
}

static TABLE: spdk_bdev_fn_table = spdk_bdev_fn_table {
    destruct: Some(destruct),
    submit_request: Some(submit),
    io_type_supported: Some(supported),
    get_io_channel: Some(get_channel),
    dump_info_json: None,
    write_config_json: None,
    get_spin_time: None,
    get_module_ctx: None,
    get_memory_domains: None,
    reset_device_stat: None,
    dump_device_stat_json: None,
    accel_sequence_supported: None,
};

fn one_of(values: &[u32]) -> u32 {
    values[sim::random_below(values.len() as u64) as usize]
}

impl Disk {
    /// Makes a disk and registers it. On the app thread.
    pub(crate) fn register(name: &'static CStr) -> *mut Self {
        // SAFETY: plain data, for which zeroes will do.
        let mut bdev: spdk_bdev = unsafe { std::mem::zeroed() };
        bdev.name = name.as_ptr().cast_mut();
        bdev.product_name = c"Trouble disk".as_ptr().cast_mut();
        bdev.blocklen = one_of(&[512, 512, 4096]);
        bdev.blockcnt = NUM_BLOCKS;
        bdev.required_alignment = one_of(&[0, 0, 6, 9, 12]) as u8;
        bdev.max_rw_size = one_of(&[0, 0, 5, 16]);
        bdev.max_segment_size = one_of(&[0, 0, 4096, 8192]);
        bdev.max_num_segments = one_of(&[0, 0, 2, 4]);
        bdev.max_unmap = one_of(&[0, 4, 32]);
        bdev.max_unmap_segments = 1;
        bdev.max_write_zeroes = one_of(&[0, 3, 16]);
        bdev.max_copy = one_of(&[0, 2, 8]);
        bdev.optimal_io_boundary = one_of(&[0, 8, 7]);
        bdev.set_split_on_optimal_io_boundary(u32::from(bdev.optimal_io_boundary != 0));
        bdev.reset_io_drain_timeout = one_of(&[0, 0, 0, 0, 0, 1]) as u16;
        let mut supported = vec![
            SPDK_BDEV_IO_TYPE_READ,
            SPDK_BDEV_IO_TYPE_WRITE,
            SPDK_BDEV_IO_TYPE_UNMAP,
            SPDK_BDEV_IO_TYPE_FLUSH,
            SPDK_BDEV_IO_TYPE_RESET,
            SPDK_BDEV_IO_TYPE_ABORT,
        ];
        for io_type in [
            SPDK_BDEV_IO_TYPE_WRITE_ZEROES,
            SPDK_BDEV_IO_TYPE_COMPARE,
            SPDK_BDEV_IO_TYPE_COMPARE_AND_WRITE,
            SPDK_BDEV_IO_TYPE_COPY,
        ] {
            if chance(2) {
                supported.push(io_type);
            }
        }
        bdev.module = (&raw const MODULE.0).cast_mut();
        bdev.fn_table = &raw const TABLE;
        let bytes = bdev.blocklen as usize * NUM_BLOCKS as usize;
        let disk = Box::into_raw(Box::new(Self {
            bdev,
            data: RefCell::new(vec![0; bytes]),
            supported,
            fails: chance(2),
            submissions: Cell::new(0),
            destructed: Cell::new(false),
        }));
        // SAFETY: the disk stays until the process ends; its callbacks fit the context.
        unsafe {
            (*disk).bdev.ctxt = disk.cast();
            spdk_io_device_register(
                disk.cast(),
                Some(create),
                Some(destroy),
                size_of::<Channel>() as u32,
                c"trouble".as_ptr(),
            );
            assert_eq!(spdk_bdev_register(addr_of_mut!((*disk).bdev)), 0);
        }
        disk
    }
}

unsafe extern "C" fn destruct(disk: *mut c_void) -> c_int {
    // SAFETY: of `register`, and still there.
    unsafe {
        let disk = disk.cast::<Disk>();
        assert!(!(*disk).destructed.replace(true));
        spdk_io_device_unregister(disk.cast(), Some(unregistered));
    }
    1
}

unsafe extern "C" fn unregistered(disk: *mut c_void) {
    // SAFETY: as above; `destruct` left the rest to this.
    unsafe { spdk_bdev_destruct_done(addr_of_mut!((*disk.cast::<Disk>()).bdev), 0) };
}

unsafe extern "C" fn supported(disk: *mut c_void, io_type: spdk_bdev_io_type) -> bool {
    // SAFETY: as above.
    unsafe { (*disk.cast::<Disk>()).supported.contains(&io_type) }
}

unsafe extern "C" fn get_channel(disk: *mut c_void) -> *mut spdk_io_channel {
    // SAFETY: registered.
    unsafe { spdk_get_io_channel(disk) }
}

unsafe extern "C" fn create(_: *mut c_void, channel: *mut c_void) -> c_int {
    // SAFETY: memory for one; the poller goes before it does.
    unsafe {
        channel.cast::<Channel>().write(Channel {
            pending: Vec::new(),
            poller: spdk_poller_register_named(Some(poll), channel, POLL_US, c"trouble".as_ptr()),
        });
    }
    0
}

unsafe extern "C" fn destroy(_: *mut c_void, channel: *mut c_void) {
    let channel = channel.cast::<Channel>();
    // SAFETY: made by `create`.
    unsafe {
        assert!(
            (*channel).pending.is_empty(),
            "requests outlive their channel"
        );
        spdk_poller_unregister(&raw mut (*channel).poller);
        channel.drop_in_place();
    }
}

/// What the module was promised of a request.
unsafe fn check(disk: &Disk, io: *mut spdk_bdev_io) {
    // SAFETY: the module's request; the iovecs are there with their count.
    unsafe {
        let (bdev, params) = (&disk.bdev, &(*io).u.bdev);
        let io_type = u32::from((*io).r#type);
        let iovs: &[iovec] = if params.iovs.is_null() {
            &[]
        } else {
            std::slice::from_raw_parts(params.iovs, params.iovcnt as usize)
        };
        if !matches!(io_type, SPDK_BDEV_IO_TYPE_FLUSH) {
            assert!(
                !quiet::is_quiet(params.offset_blocks, params.num_blocks),
                "a request of type {io_type} in a quiet range"
            );
        }
        if matches!(io_type, SPDK_BDEV_IO_TYPE_READ | SPDK_BDEV_IO_TYPE_WRITE) {
            let size = u64::from(bdev.max_rw_size);
            assert!(size == 0 || params.num_blocks <= size);
            let boundary = u64::from(bdev.optimal_io_boundary);
            let last = params.offset_blocks + params.num_blocks - 1;
            assert!(boundary == 0 || params.offset_blocks / boundary == last / boundary);
            let segments = bdev.max_num_segments as usize;
            assert!(segments == 0 || iovs.len() <= segments);
            let segment = bdev.max_segment_size as usize;
            let has_memory = iovs.first().is_some_and(|iov| !iov.iov_base.is_null());
            let is_long = iovs.iter().any(|iov| iov.iov_len > segment);
            // One that is tried again may have the one buffer that it asked for before.
            assert!(segment == 0 || !has_memory || !is_long || (*io).num_retries != 0);
        }
        let max = match io_type {
            SPDK_BDEV_IO_TYPE_UNMAP => bdev.max_unmap,
            SPDK_BDEV_IO_TYPE_WRITE_ZEROES => bdev.max_write_zeroes,
            SPDK_BDEV_IO_TYPE_COPY => bdev.max_copy,
            _ => 0,
        };
        assert!(max == 0 || params.num_blocks <= u64::from(max));
        assert!(disk.supported.contains(&io_type));
    }
}

unsafe extern "C" fn submit(channel: *mut spdk_io_channel, io: *mut spdk_bdev_io) {
    // SAFETY: the module's channel and request.
    unsafe {
        let disk = &*(*(*io).bdev).ctxt.cast::<Disk>();
        let channel = spdk_io_channel_get_ctx(channel).cast::<Channel>();
        disk.submissions.set(disk.submissions.get() + 1);
        let io_type = u32::from((*io).r#type);
        match io_type {
            SPDK_BDEV_IO_TYPE_ABORT => return abort(channel, io),
            SPDK_BDEV_IO_TYPE_RESET => {
                let pending = std::mem::take(&mut (*channel).pending);
                for request in pending {
                    spdk_bdev_io_complete(request.io, SPDK_BDEV_IO_STATUS_ABORTED);
                }
                return begin(channel, io);
            }
            _ => {}
        }
        check(disk, io);
        if chance(12) {
            spdk_bdev_io_complete(io, SPDK_BDEV_IO_STATUS_NOMEM);
            return;
        }
        let len = (*io).u.bdev.num_blocks * u64::from(disk.bdev.blocklen);
        match io_type {
            // Bounced where it is not aligned.
            SPDK_BDEV_IO_TYPE_READ | SPDK_BDEV_IO_TYPE_WRITE => {
                spdk_bdev_io_get_buf(io, Some(got_buf), len);
            }
            _ => begin(channel, io),
        }
    }
}

unsafe extern "C" fn got_buf(channel: *mut spdk_io_channel, io: *mut spdk_bdev_io, success: bool) {
    // SAFETY: as above.
    unsafe {
        if !success {
            spdk_bdev_io_complete(io, SPDK_BDEV_IO_STATUS_FAILED);
            return;
        }
        let disk = &*(*(*io).bdev).ctxt.cast::<Disk>();
        let align = 1_usize << disk.bdev.required_alignment;
        let params = &(*io).u.bdev;
        for iov in std::slice::from_raw_parts(params.iovs, params.iovcnt as usize) {
            assert!(iov.iov_base.addr().is_multiple_of(align));
        }
        begin(spdk_io_channel_get_ctx(channel).cast(), io);
    }
}

unsafe fn begin(channel: *mut Channel, io: *mut spdk_bdev_io) {
    // SAFETY: as above.
    unsafe {
        if chance(6) {
            finish(io);
            return;
        }
        (*channel).pending.push(Pending {
            io,
            due_ticks: spdk_get_ticks() + sim::random_below(200_000),
        });
    }
}

unsafe fn abort(channel: *mut Channel, io: *mut spdk_bdev_io) {
    // SAFETY: as above.
    unsafe {
        let target = (*io).u.abort.bio_to_abort;
        let found = (*channel)
            .pending
            .iter()
            .position(|pending| pending.io == target);
        let Some(index) = found.filter(|_| chance(2)) else {
            spdk_bdev_io_complete(io, SPDK_BDEV_IO_STATUS_FAILED);
            return;
        };
        (*channel).pending.swap_remove(index);
        spdk_bdev_io_complete(target, SPDK_BDEV_IO_STATUS_ABORTED);
        spdk_bdev_io_complete(io, SPDK_BDEV_IO_STATUS_SUCCESS);
    }
}

unsafe extern "C" fn poll(channel: *mut c_void) -> c_int {
    let channel = channel.cast::<Channel>();
    let mut busy = false;
    // SAFETY: of this thread; nothing is borrowed while others are called.
    unsafe {
        let now = spdk_get_ticks();
        loop {
            let pending = &mut (*channel).pending;
            let due = pending.iter().position(|pending| pending.due_ticks <= now);
            let Some(index) = due else { break };
            let io = pending.swap_remove(index).io;
            busy = true;
            if u32::from((*io).r#type) != SPDK_BDEV_IO_TYPE_RESET && chance(20) {
                spdk_bdev_io_complete(io, SPDK_BDEV_IO_STATUS_NOMEM);
            } else {
                finish(io);
            }
        }
    }
    c_int::from(busy)
}

/// Does what a request asks for, and completes it.
unsafe fn finish(io: *mut spdk_bdev_io) {
    // SAFETY: the module's request, with memory of the length that it says.
    unsafe {
        let disk = &*(*(*io).bdev).ctxt.cast::<Disk>();
        if u32::from((*io).r#type) == SPDK_BDEV_IO_TYPE_RESET {
            spdk_bdev_io_complete(io, SPDK_BDEV_IO_STATUS_SUCCESS);
            return;
        }
        let params = (*io).u.bdev;
        let is_last = params.offset_blocks + params.num_blocks == NUM_BLOCKS;
        if disk.fails && !is_last && chance(100) {
            world::note(1);
            spdk_bdev_io_complete_nvme_status(io, 0, 2, 0x81);
            return;
        }
        let status = transfer(disk, u32::from((*io).r#type), &params);
        spdk_bdev_io_complete(io, status);
    }
}

unsafe fn transfer(
    disk: &Disk,
    io_type: spdk_bdev_io_type,
    params: &spdk_bdev_io_block_params,
) -> spdk_bdev_io_status {
    let block = disk.bdev.blocklen as usize;
    let start = params.offset_blocks as usize * block;
    let range = start..start + params.num_blocks as usize * block;
    let mut data = disk.data.borrow_mut();
    // SAFETY: the caller's word.
    unsafe {
        match io_type {
            SPDK_BDEV_IO_TYPE_READ => {
                each(
                    params.iovs,
                    params.iovcnt,
                    range.len(),
                    |at, memory, len| {
                        ptr::copy_nonoverlapping(data[range.start + at..].as_ptr(), memory, len);
                    },
                );
            }
            SPDK_BDEV_IO_TYPE_WRITE => write(&mut data[range], params.iovs, params.iovcnt),
            SPDK_BDEV_IO_TYPE_UNMAP | SPDK_BDEV_IO_TYPE_WRITE_ZEROES => data[range].fill(0),
            SPDK_BDEV_IO_TYPE_COPY => {
                let from = params.copy.src_offset_blocks as usize * block;
                data.copy_within(from..from + range.len(), range.start);
            }
            SPDK_BDEV_IO_TYPE_COMPARE | SPDK_BDEV_IO_TYPE_COMPARE_AND_WRITE => {
                let mut equal = true;
                each(
                    params.iovs,
                    params.iovcnt,
                    range.len(),
                    |at, memory, len| {
                        let found = &data[range.start + at..range.start + at + len];
                        equal &= found == std::slice::from_raw_parts(memory, len);
                    },
                );
                if !equal {
                    return SPDK_BDEV_IO_STATUS_MISCOMPARE;
                }
                if io_type == SPDK_BDEV_IO_TYPE_COMPARE_AND_WRITE {
                    write(&mut data[range], params.fused_iovs, params.fused_iovcnt);
                }
            }
            _ => {}
        }
    }
    SPDK_BDEV_IO_STATUS_SUCCESS
}

unsafe fn write(into: &mut [u8], iovs: *mut iovec, iovcnt: c_int) {
    let len = into.len();
    // SAFETY: the caller's word.
    unsafe {
        each(iovs, iovcnt, len, |at, memory, len| {
            ptr::copy_nonoverlapping(memory, into[at..].as_mut_ptr(), len);
        });
    }
}

/// Calls `f` for each piece of memory, which together have `whole` bytes.
unsafe fn each(
    iovs: *mut iovec,
    iovcnt: c_int,
    whole: usize,
    mut f: impl FnMut(usize, *mut u8, usize),
) {
    let mut at = 0;
    // SAFETY: the caller's word.
    for iov in unsafe { std::slice::from_raw_parts(iovs, iovcnt as usize) } {
        let len = iov.iov_len.min(whole - at);
        f(at, iov.iov_base.cast(), len);
        at += len;
    }
    assert_eq!(at, whole, "a request without memory for all of its blocks");
}
