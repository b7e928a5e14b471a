//! Buffers that the layer lends: small and large ones, a store of each for all threads, and a share
//! of each for every thread. Who finds none waits, and gets the next one that its thread gives back.

use std::cell::Cell;
use std::ffi::{c_int, c_void};
use std::ptr::{self, NonNull};
use std::sync::Mutex;

use barespdk_sys::*;

use super::channel::Channel;
use super::io::{InQueue, Io};
use super::list::List;
use super::{bounce, lock};

/// What buffers are aligned to, in bytes.
const ALIGN: usize = 4096;
/// How many bytes of buffers are made at a time.
const CHUNK_BYTES: usize = 1 << 20;

const SMALL_COUNT_MIN: u64 = 64;
const LARGE_COUNT_MIN: u64 = 8;
const SMALL_SIZE_MIN: u32 = 4096;
const LARGE_SIZE_MIN: u32 = 8192;

/// Options of the buffers, `iobuf_set_options`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Options {
    pub(super) small_pool_count: u64,
    pub(super) large_pool_count: u64,
    pub(super) small_bufsize: u32,
    pub(super) large_bufsize: u32,
    pub(super) enable_numa: bool,
}

/// A buffer that is free holds the address of the next one.
#[repr(C)]
struct Free {
    next: *mut Free,
}

/// The buffers of one size that no thread has. They are made when they are first wanted.
struct Store {
    free: *mut Free,
    made: u64,
    given: u64,
    chunks: Vec<*mut c_void>,
}

struct Stores {
    options: Options,
    small: Store,
    large: Store,
}

// SAFETY: a free buffer belongs to the store, on whatever thread that is used.
unsafe impl Send for Stores {}

const EMPTY: Store = Store {
    free: ptr::null_mut(),
    made: 0,
    given: 0,
    chunks: Vec::new(),
};

const OPTIONS: Options = Options {
    small_pool_count: 8192,
    large_pool_count: 1024,
    small_bufsize: 8 * 1024,
    large_bufsize: 132 * 1024,
    enable_numa: false,
};

static STORES: Mutex<Stores> = Mutex::new(Stores {
    options: OPTIONS,
    small: EMPTY,
    large: EMPTY,
});

pub(super) fn options() -> Options {
    lock(&STORES).options
}

/// Changes the options, before the layer starts.
pub(super) fn set_options(mut options: Options) -> Result<(), c_int> {
    if options.small_pool_count < SMALL_COUNT_MIN
        || options.large_pool_count < LARGE_COUNT_MIN
        || options.small_bufsize < SMALL_SIZE_MIN
        || options.large_bufsize < LARGE_SIZE_MIN
    {
        error_log!("buffers have to be more, or larger: {options:?}\n");
        return Err(-libc::EINVAL);
    }
    let aligned = |size: u32| size.checked_next_multiple_of(ALIGN as u32);
    let (Some(small), Some(large)) = (
        aligned(options.small_bufsize),
        aligned(options.large_bufsize),
    ) else {
        return Err(-libc::EINVAL);
    };
    (options.small_bufsize, options.large_bufsize) = (small, large);
    lock(&STORES).options = options;
    Ok(())
}

impl Store {
    fn take(&mut self, limit: u64, size: usize) -> *mut Free {
        if self.free.is_null() && self.made < limit {
            self.grow(limit, size);
        }
        let buffer = self.free;
        if !buffer.is_null() {
            // SAFETY: free, so ours, and written by `put`.
            self.free = unsafe { (*buffer).next };
            self.given += 1;
        }
        buffer
    }

    fn put(&mut self, buffer: *mut Free) {
        self.given -= 1;
        self.add(buffer);
    }

    fn add(&mut self, buffer: *mut Free) {
        // SAFETY: given up by its user, and larger than this.
        unsafe { (*buffer).next = self.free };
        self.free = buffer;
    }

    #[cold]
    fn grow(&mut self, limit: u64, size: usize) {
        let count = ((CHUNK_BYTES / size).max(1) as u64).min(limit - self.made) as usize;
        // SAFETY: the environment is there, as there are threads.
        let base = unsafe { spdk_dma_malloc(count * size, ALIGN, ptr::null_mut()) };
        if base.is_null() {
            return;
        }
        self.chunks.push(base);
        self.made += count as u64;
        for index in (0..count).rev() {
            self.add(base.cast::<u8>().wrapping_add(index * size).cast());
        }
    }

    fn free_all(&mut self) {
        if self.given != 0 {
            // Somebody may still use them: their memory is left to them.
            error_log!("{} buffers were not given back\n", self.given);
            self.given = 0;
            self.chunks.clear();
        }
        for chunk in self.chunks.drain(..) {
            // SAFETY: allocated by `grow`; no thread has a share any more.
            unsafe { spdk_dma_free(chunk) };
        }
        self.free = ptr::null_mut();
        self.made = 0;
    }
}

impl Stores {
    fn take(&mut self, is_large: bool) -> *mut Free {
        let options = self.options;
        if is_large {
            self.large
                .take(options.large_pool_count, options.large_bufsize as usize)
        } else {
            self.small
                .take(options.small_pool_count, options.small_bufsize as usize)
        }
    }

    fn put(&mut self, is_large: bool, buffer: *mut Free) {
        if is_large {
            self.large.put(buffer);
        } else {
            self.small.put(buffer);
        }
    }
}

/// Frees the buffers, when no thread has a share any more.
pub(super) fn free_all() {
    let mut stores = lock(&STORES);
    stores.small.free_all();
    stores.large.free_all();
    stores.options = OPTIONS;
}

/// How often buffers came from where, `iobuf_get_stats`.
#[derive(Clone, Copy, Default)]
pub(super) struct Counts {
    pub(super) cache: u64,
    pub(super) main: u64,
    pub(super) retry: u64,
}

/// A thread's buffers of one size, and who waits for one.
struct Shelf {
    is_large: bool,
    free: Cell<*mut Free>,
    count: Cell<u32>,
    limit: u32,
    waiting: List<InQueue>,
    /// Whether `put` is at work, further up: it hands out what others put meanwhile.
    handing_out: Cell<bool>,
    counts: Cell<Counts>,
}

impl Shelf {
    const fn new(is_large: bool, limit: u32) -> Self {
        Self {
            is_large,
            free: Cell::new(ptr::null_mut()),
            count: Cell::new(0),
            limit,
            waiting: List::new(),
            handing_out: Cell::new(false),
            counts: Cell::new(Counts {
                cache: 0,
                main: 0,
                retry: 0,
            }),
        }
    }

    fn pop(&self) -> *mut Free {
        let buffer = self.free.get();
        if !buffer.is_null() {
            // SAFETY: free, so ours, and written by `push`.
            self.free.set(unsafe { (*buffer).next });
            self.count.set(self.count.get() - 1);
        }
        buffer
    }

    fn push(&self, buffer: *mut Free) {
        // SAFETY: given up by its user, and larger than this.
        unsafe { (*buffer).next = self.free.get() };
        self.free.set(buffer);
        self.count.set(self.count.get() + 1);
    }

    fn fill(&self) -> bool {
        while self.count.get() < self.limit {
            let buffer = lock(&STORES).take(self.is_large);
            if buffer.is_null() {
                return false;
            }
            self.push(buffer);
        }
        true
    }

    fn empty(&self, limit: u32) {
        while self.count.get() > limit {
            lock(&STORES).put(self.is_large, self.pop());
        }
    }

    fn take(&self) -> Option<NonNull<u8>> {
        let mut counts = self.counts.get();
        let mut buffer = ptr::null_mut();
        if self.waiting.is_empty() {
            buffer = self.pop();
            if !buffer.is_null() {
                counts.cache += 1;
            } else {
                buffer = lock(&STORES).take(self.is_large);
                counts.main += u64::from(!buffer.is_null());
            }
        }
        counts.retry += u64::from(buffer.is_null());
        self.counts.set(counts);
        NonNull::new(buffer.cast())
    }

    fn put(&self, buffer: *mut u8) {
        self.push(buffer.cast());
        if self.handing_out.replace(true) {
            return;
        }
        while !self.free.get().is_null()
            && let Some(io) = self.waiting.pop_front()
        {
            let buffer = self.pop();
            bounce::got(io, buffer.cast());
        }
        self.handing_out.set(false);
        self.empty(self.limit);
    }
}

/// A thread's buffers, and who waits for them.
pub(super) struct Share {
    small: Shelf,
    large: Shelf,
    small_bufsize: u64,
    large_bufsize: u64,
}

impl Share {
    /// A share with as many buffers as it is to have; `None` where there are not that many.
    pub(super) fn new(small_count: u32, large_count: u32) -> Option<Self> {
        let options = options();
        let share = Self {
            small: Shelf::new(false, small_count),
            large: Shelf::new(true, large_count),
            small_bufsize: u64::from(options.small_bufsize),
            large_bufsize: u64::from(options.large_bufsize),
        };
        if share.small.fill() && share.large.fill() {
            return Some(share);
        }
        share.empty();
        None
    }

    pub(super) fn empty(&self) {
        self.small.empty(0);
        self.large.empty(0);
    }

    /// The longest buffer, in bytes.
    pub(super) fn len_max(&self) -> u64 {
        self.large_bufsize
    }

    /// Whether a buffer of `len` bytes is a large one.
    pub(super) fn is_large(&self, len: u64) -> bool {
        len > self.small_bufsize
    }

    fn shelf(&self, is_large: bool) -> &Shelf {
        if is_large { &self.large } else { &self.small }
    }

    /// A buffer, or none: then the request waits, and gets one by [`bounce::got`].
    pub(super) fn take_or_wait(&self, io: Io, is_large: bool) -> Option<NonNull<u8>> {
        let shelf = self.shelf(is_large);
        let buffer = shelf.take();
        if buffer.is_none() {
            shelf.waiting.push_back(io);
        }
        buffer
    }

    pub(super) fn put(&self, is_large: bool, buffer: *mut u8) {
        self.shelf(is_large).put(buffer);
    }

    /// Has the first request that waits and `is_it` go without a buffer.
    pub(super) fn abort(&self, is_it: impl Fn(Io) -> bool) -> bool {
        for shelf in [&self.small, &self.large] {
            if let Some(io) = shelf.waiting.iter().find(|io| is_it(*io)) {
                shelf.waiting.remove(io);
                bounce::complete_get_buf(io, false);
                return true;
            }
        }
        false
    }

    pub(super) fn counts(&self) -> [Counts; 2] {
        [self.small.counts.get(), self.large.counts.get()]
    }
}

/// Has all requests of a channel that wait go without a buffer.
pub(super) fn abort_all(channel: &Channel) {
    let share = &channel.pool().buffers;
    for shelf in [&share.small, &share.large] {
        let taken = List::<InQueue>::new();
        for io in shelf.waiting.iter() {
            if ptr::eq(io.channel(), channel) {
                shelf.waiting.remove(io);
                taken.push_back(io);
            }
        }
        while let Some(io) = taken.pop_front() {
            bounce::complete_get_buf(io, false);
        }
    }
}
