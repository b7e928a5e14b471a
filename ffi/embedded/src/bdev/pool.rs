//! The pool of requests: one for all threads, with a share for each that is its own.
//!
//! A thread takes from its share and gives back to it. A share that is empty takes from the pool,
//! unless somebody of the thread waits already: who waits goes first. As a share is filled when it
//! is made, a thread that waits has requests of its own in flight, and the first that ends lets the
//! first that waits go on. But those in flight may be served by others, which are what waits; so while
//! somebody waits, a timer looks for requests that other threads have given back to the pool.

use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::cell::{Cell, RefCell};
use std::ffi::{c_int, c_void};
use std::mem::size_of;
use std::ptr::{self, NonNull};
use std::sync::Mutex;

use barespdk_sys::*;

use super::buffer::Share;
use super::channel::Channel;
use super::io::{Io, flag};
use super::registry::registry;
use super::shared::Shared;
use super::{bounce, lock};

/// Requests stand on lines of the cache, and are made by so many at a time.
const ALIGN: usize = 64;
const CHUNK: u32 = 64;

/// How often a thread that waits looks into the pool.
const LOOK_US: u64 = 10_000;

/// The requests that no thread has. They are made when they are first wanted.
struct Store {
    free: Option<Io>,
    made: u32,
    limit: u32,
    given: u32,
    stride: usize,
    chunks: Vec<(NonNull<u8>, Layout)>,
}

// SAFETY: a request that is free belongs to the store, on whatever thread that is used.
unsafe impl Send for Store {}

static STORE: Mutex<Store> = Mutex::new(Store {
    free: None,
    made: 0,
    limit: 0,
    given: 0,
    stride: 0,
    chunks: Vec::new(),
});

impl Store {
    fn take(&mut self) -> Option<Io> {
        if self.free.is_none() {
            self.grow();
        }
        let mut io = self.free?;
        self.free = next_free(&mut io);
        self.given += 1;
        Some(io)
    }

    fn put(&mut self, mut io: Io) {
        set_next_free(&mut io, self.free);
        self.free = Some(io);
        self.given -= 1;
    }

    #[cold]
    fn grow(&mut self) {
        let count = CHUNK.min(self.limit - self.made);
        let size = self.stride * count as usize;
        let Ok(layout) = Layout::from_size_align(size, ALIGN) else {
            return;
        };
        if count == 0 {
            return;
        }
        // SAFETY: the size is not 0. Zeroes are valid requests.
        let Some(base) = NonNull::new(unsafe { alloc_zeroed(layout) }) else {
            return;
        };
        self.chunks.push((base, layout));
        self.made += count;
        for index in (0..count as usize).rev() {
            // SAFETY: within the chunk, which stays as long as the store; aligned, as the stride is.
            let mut io = unsafe { Io::new(base.as_ptr().add(index * self.stride).cast()) };
            set_next_free(&mut io, self.free);
            self.free = Some(io);
        }
    }
}

fn next_free(io: &mut Io) -> Option<Io> {
    let next = io.internal.buf_link.stqe_next;
    // SAFETY: a free request links to another one.
    (!next.is_null()).then(|| unsafe { Io::new(next) })
}

fn set_next_free(io: &mut Io, next: Option<Io>) {
    io.internal.buf_link.stqe_next = next.map_or(ptr::null_mut(), Io::raw);
}

/// What a thread has: its share of the requests, its buffers, and who waits for them. The context
/// of an io_channel.
pub(super) struct Pool {
    free: Cell<Option<Io>>,
    count: Cell<u32>,
    limit: u32,
    first_waiting: Cell<*mut spdk_bdev_io_wait_entry>,
    last_waiting: Cell<*mut spdk_bdev_io_wait_entry>,
    /// While somebody waits, and a moment longer.
    poller: Cell<*mut spdk_poller>,
    pub(super) buffers: Share,
    shared: RefCell<Vec<NonNull<Shared>>>,
}

impl Pool {
    #[inline]
    pub(super) fn take(&self) -> Option<Io> {
        if let Some(mut io) = self.free.get() {
            self.free.set(next_free(&mut io));
            self.count.set(self.count.get() - 1);
            return Some(io);
        }
        if !self.first_waiting.get().is_null() {
            return None;
        }
        lock(&STORE).take()
    }

    #[inline]
    fn put(&self, mut io: Io) {
        if self.count.get() >= self.limit && self.first_waiting.get().is_null() {
            lock(&STORE).put(io);
            return;
        }
        set_next_free(&mut io, self.free.get());
        self.free.set(Some(io));
        self.count.set(self.count.get() + 1);
        while self.count.get() > 0 && !self.first_waiting.get().is_null() {
            self.wake_one();
        }
    }

    #[cold]
    fn wake_one(&self) {
        let entry = self.first_waiting.get();
        // SAFETY: it waits, so it is there, and its links are ours; from here on it is the owner's,
        // who is called as was asked for.
        unsafe {
            self.first_waiting.set((*entry).link.tqe_next);
            if self.first_waiting.get().is_null() {
                self.last_waiting.set(ptr::null_mut());
            }
            if let Some(cb) = (*entry).cb_fn {
                cb((*entry).cb_arg);
            }
        }
    }

    /// # Safety
    /// The entry stays at its place until it is called, and waits nowhere yet.
    unsafe fn wait(&self, entry: *mut spdk_bdev_io_wait_entry) -> bool {
        if self.count.get() > 0 {
            return false;
        }
        if self.poller.get().is_null() {
            // SAFETY: on the thread of the pool; unregistered before that goes.
            self.poller.set(unsafe {
                spdk_poller_register_named(
                    Some(look),
                    ptr::from_ref(self).cast_mut().cast(),
                    LOOK_US,
                    c"bdev_io_wait".as_ptr(),
                )
            });
        }
        // SAFETY: the caller's word, for this entry and those that wait.
        unsafe {
            (*entry).link.tqe_prev = ptr::null_mut();
            let (first, last) = (self.first_waiting.get(), self.last_waiting.get());
            if first.is_null() {
                (*entry).link.tqe_next = ptr::null_mut();
                self.first_waiting.set(entry);
                self.last_waiting.set(entry);
            } else if (*entry).dep_unblock {
                (*entry).link.tqe_next = first;
                self.first_waiting.set(entry);
            } else {
                (*entry).link.tqe_next = ptr::null_mut();
                (*last).link.tqe_next = entry;
                self.last_waiting.set(entry);
            }
        }
        true
    }
}

impl Pool {
    fn stop(&self) {
        let mut poller = self.poller.replace(ptr::null_mut());
        // SAFETY: this thread's, or NULL.
        unsafe { spdk_poller_unregister(&mut poller) };
    }
}

unsafe extern "C" fn look(pool: *mut c_void) -> c_int {
    // SAFETY: registered by `wait`, and unregistered before the end.
    let pool = unsafe { &*pool.cast::<Pool>() };
    if pool.first_waiting.get().is_null() {
        pool.stop();
        return SPDK_POLLER_IDLE as c_int;
    }
    let mut found = SPDK_POLLER_IDLE;
    while !pool.first_waiting.get().is_null() {
        let Some(io) = lock(&STORE).take() else { break };
        found = SPDK_POLLER_BUSY;
        pool.put(io);
        if pool.count.get() > 0 {
            // Nobody took it.
            break;
        }
    }
    found as c_int
}

/// The io_device of the pools.
static POOLS: u8 = 0;

pub(super) fn io_device() -> *mut c_void {
    (&raw const POOLS).cast_mut().cast()
}

/// The pool of a thread.
///
/// # Safety
/// A channel of [`io_device`], of the current thread, which is there during `'a`.
pub(super) unsafe fn of<'a>(channel: *mut spdk_io_channel) -> &'a Pool {
    // SAFETY: made by `create`.
    unsafe { &*spdk_io_channel_get_ctx(channel).cast() }
}

/// Sets the pool up, for the modules that there are. On the app thread.
pub(super) fn start() {
    let (limit, context_size) = {
        let options = registry().options;
        let modules = registry().modules.clone();
        let sizes = modules.iter().filter_map(|module| {
            let get = module.get().get_ctx_size?;
            // SAFETY: a function of a module, which may be called at any time.
            usize::try_from(unsafe { get() }).ok()
        });
        (options.bdev_io_pool_size, sizes.max().unwrap_or(0))
    };
    let mut store = lock(&STORE);
    store.limit = limit;
    store.stride = (size_of::<spdk_bdev_io>() + context_size).next_multiple_of(ALIGN);
    drop(store);
    // SAFETY: on an SPDK thread; the size is that of the context.
    unsafe {
        spdk_io_device_register(
            io_device(),
            Some(create),
            Some(destroy),
            size_of::<Pool>() as u32,
            c"bdev_mgr".as_ptr(),
        );
    }
}

/// Takes the pool down. `done` runs when no thread has a share any more.
pub(super) fn finish(done: spdk_io_device_unregister_cb) {
    // SAFETY: on an SPDK thread; registered by `start`.
    unsafe { spdk_io_device_unregister(io_device(), done) };
}

/// Frees the requests, where all have come back.
pub(super) fn free_all() {
    let mut store = lock(&STORE);
    store.free = None;
    store.made = 0;
    if store.given != 0 {
        // Somebody may still use them: their memory is left to them.
        error_log!("{} requests were not given back\n", store.given);
        store.given = 0;
        store.chunks.clear();
    }
    for (base, layout) in store.chunks.drain(..) {
        // SAFETY: allocated by `grow` with this layout; all requests are free.
        unsafe { dealloc(base.as_ptr(), layout) };
    }
}

unsafe extern "C" fn create(_: *mut c_void, context: *mut c_void) -> c_int {
    let options = registry().options;
    let Some(buffers) = Share::new(
        options.iobuf_small_cache_size,
        options.iobuf_large_cache_size,
    ) else {
        error_log!("there are not enough buffers: see iobuf_set_options\n");
        return -libc::ENOMEM;
    };
    let pool = Pool {
        free: Cell::new(None),
        count: Cell::new(0),
        limit: options.bdev_io_cache_size,
        first_waiting: Cell::new(ptr::null_mut()),
        last_waiting: Cell::new(ptr::null_mut()),
        poller: Cell::new(ptr::null_mut()),
        buffers,
        shared: RefCell::new(Vec::new()),
    };
    for _ in 0..pool.limit {
        let Some(io) = lock(&STORE).take() else {
            error_log!("there are not enough requests: see bdev_io_pool_size\n");
            pool.empty();
            return -libc::ENOMEM;
        };
        pool.put(io);
    }
    // SAFETY: memory for one, of the size that was registered.
    unsafe { context.cast::<Pool>().write(pool) };
    0
}

impl Pool {
    fn empty(&self) {
        let mut store = lock(&STORE);
        while let Some(mut io) = self.free.get() {
            self.free.set(next_free(&mut io));
            store.put(io);
        }
        self.count.set(0);
        self.buffers.empty();
    }
}

unsafe extern "C" fn destroy(_: *mut c_void, context: *mut c_void) {
    let pool = context.cast::<Pool>();
    // SAFETY: made by `create`; nobody has it any more.
    unsafe {
        (*pool).stop();
        (*pool).empty();
        pool.drop_in_place();
    }
}

/// What the current thread has for a channel of a module, with one more user; `None` without
/// memory.
pub(super) fn shared_of(lower: *mut spdk_io_channel) -> Option<NonNull<Shared>> {
    // SAFETY: on an SPDK thread.
    let channel = unsafe { spdk_get_io_channel(io_device()) };
    if channel.is_null() {
        return None;
    }
    // SAFETY: made by `create`; the reference stays with the shared part.
    let pool = unsafe { NonNull::new_unchecked(spdk_io_channel_get_ctx(channel).cast::<Pool>()) };
    // SAFETY: as above.
    let mut all = unsafe { pool.as_ref() }.shared.borrow_mut();
    for shared in all.iter() {
        // SAFETY: in the list, so alive, and of this thread.
        let known = unsafe { shared.as_ref() };
        if known.lower == lower {
            known.users.set(known.users.get() + 1);
            // SAFETY: got above; the shared part has one.
            unsafe { spdk_put_io_channel(channel) };
            return Some(*shared);
        }
    }
    let shared = NonNull::from(Box::leak(Box::new(Shared::new(pool, channel, lower))));
    all.push(shared);
    Some(shared)
}

/// Gives up one use of what [`shared_of`] gave.
pub(super) fn release(shared: NonNull<Shared>) {
    // SAFETY: in use until here, on this thread.
    let this = unsafe { shared.as_ref() };
    this.users.set(this.users.get() - 1);
    if this.users.get() != 0 {
        return;
    }
    let channel = this.pool_channel;
    this.pool()
        .shared
        .borrow_mut()
        .retain(|other| *other != shared);
    this.stop();
    // SAFETY: made by `shared_of`; the last user has gone. The pool's channel was got there.
    unsafe {
        drop(Box::from_raw(shared.as_ptr()));
        spdk_put_io_channel(channel);
    }
}

/// Gives a request back to the pool of its thread.
#[inline]
pub(super) fn free(io: Io) {
    let pool = io.channel().pool();
    if io.has(flag::HAS_BUFFER) {
        bounce::put(io);
    }
    pool.put(io);
}

/// Calls `go_on` with a request when there is one more in the pool, right after there was none.
pub(super) fn wait(mut io: Io, go_on: fn(Io)) {
    io.own_mut().go_on = Some(go_on);
    let (entry, bdev) = (io.wait_entry(), io.bdev);
    // SAFETY: a place of the request, which waits for one thing at a time.
    let waits = unsafe {
        entry.write(spdk_bdev_io_wait_entry {
            bdev,
            cb_fn: Some(waited),
            cb_arg: io.context(),
            // It holds a request already: those that hold none can wait.
            dep_unblock: true,
            pad: [0; 7],
            link: spdk_bdev_io_wait_entry__link {
                tqe_next: ptr::null_mut(),
                tqe_prev: ptr::null_mut(),
            },
        });
        io.channel().pool().wait(entry)
    };
    if !waits {
        // There is one after all. Not from inside the call that found none.
        io.later(Some(waited));
    }
}

unsafe extern "C" fn waited(io: *mut c_void) {
    // SAFETY: the request that waited.
    let io = unsafe { Io::new(io.cast()) };
    if let Some(go_on) = io.own().go_on {
        go_on(io);
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn spdk_bdev_free_io(bdev_io: *mut spdk_bdev_io) {
    // SAFETY: the caller's, complete, given up by this.
    free(unsafe { Io::new(bdev_io) });
}

#[unsafe(no_mangle)]
unsafe extern "C" fn spdk_bdev_queue_io_wait(
    bdev: *mut spdk_bdev,
    ch: *mut spdk_io_channel,
    entry: *mut spdk_bdev_io_wait_entry,
) -> c_int {
    // SAFETY: the caller has the channel, on this thread, and keeps the entry until it is called.
    unsafe {
        if (*entry).bdev != bdev || !Channel::of(ch).pool().wait(entry) {
            return -libc::EINVAL;
        }
    }
    0
}

same_as_declared!(spdk_bdev_free_io, spdk_bdev_queue_io_wait);
