//! Every order in which threads can meet: `RUSTFLAGS="--cfg loom" cargo test --release --test loom`.
//!
//! What threads do to a block is modelled by a cell of loom's beside it, which fails the test when two
//! accesses are not ordered: when a block is in two hands, or was handed on without a release.
#![cfg(loom)]

use std::{
    alloc::{GlobalAlloc, Layout},
    cell::RefCell,
    collections::{BTreeMap, HashMap},
    hash::{DefaultHasher, Hash, Hasher},
    num::NonZeroUsize,
    ptr::NonNull,
};

use barespdk_alloc_dma::{Backing, Context, DmaBuf, LocalArena, SharedArena, SystemBacking};
use loom::{cell::UnsafeCell, sync::Arc, thread};

/// The threads of a model are coroutines of one OS thread; loom knows them apart.
struct LoomThread;

// SAFETY: loom numbers the threads of an execution. A collision of hashes would be found at once.
unsafe impl Context for LoomThread {
    fn current() -> NonZeroUsize {
        let mut hasher = DefaultHasher::new();
        thread::current().id().hash(&mut hasher);
        NonZeroUsize::new(hasher.finish() as usize | 1).unwrap()
    }
}

std::thread_local! {
    /// Memory that past executions have released, by size: zeroing 2 MiB each time takes long.
    static SPARE: RefCell<HashMap<usize, Vec<NonNull<u8>>>> = RefCell::default();
    /// What this execution has reserved and not released.
    static OUT: RefCell<Vec<(NonNull<u8>, usize)>> = RefCell::default();
    /// The cells that stand for the contents of blocks, by address.
    static CELLS: RefCell<BTreeMap<usize, Arc<UnsafeCell<()>>>> = RefCell::default();
}

#[derive(Clone, Copy, Debug)]
struct Recycled;

// SAFETY: memory of the system's, initialised, reserved once at a time. Not zeroed anew, which the tests
// do not look at.
unsafe impl Backing for Recycled {
    type Context = LoomThread;

    fn reserve(&self, size: usize, align: usize) -> Option<NonNull<u8>> {
        let spare = SPARE.with_borrow_mut(|spare| spare.get_mut(&size)?.pop());
        let ptr = spare.or_else(|| SystemBacking.reserve(size, align.max(4096)))?;
        OUT.with_borrow_mut(|out| out.push((ptr, size)));
        Some(ptr)
    }

    unsafe fn release(&self, ptr: NonNull<u8>, size: usize, _align: usize) {
        // Whoever used a block of it must have done so before.
        let start = ptr.addr().get();
        let cells = CELLS.with_borrow(|cells| {
            cells
                .range(start..start + size)
                .map(|(_, cell)| cell.clone())
                .collect::<Vec<_>>()
        });
        cells.iter().for_each(|cell| cell.with_mut(|_| ()));
        OUT.with_borrow_mut(|out| {
            let index = out.iter().position(|piece| *piece == (ptr, size)).unwrap();
            out.swap_remove(index);
        });
        SPARE.with_borrow_mut(|spare| spare.entry(size).or_default().push(ptr));
    }
}

fn model(preemption_bound: usize, f: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound.get_or_insert(preemption_bound);
    builder.check(move || {
        f();
        CELLS.with_borrow_mut(BTreeMap::clear);
        OUT.with_borrow(|out| assert!(out.is_empty(), "not released: {out:?}"));
    });
}

/// Writes to a block, as far as loom can tell.
fn touch(block: *const u8) {
    let cell = CELLS.with_borrow_mut(|cells| cells.entry(block.addr()).or_default().clone());
    cell.with_mut(|_| ());
}

/// A buffer that is used until just before it goes.
struct Held(DmaBuf);

impl Held {
    fn new(arena: &LocalArena<Recycled>, len: usize) -> Self {
        let buf = arena.alloc(len, 64).unwrap();
        touch(buf.as_ptr());
        Self(buf)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        touch(self.0.as_ptr());
    }
}

#[test]
fn a_block_freed_elsewhere_is_used_again_at_home() {
    model(4, || {
        let arena = LocalArena::with_limit(Recycled, 3 << 20).unwrap();
        let (a, b) = (Held::new(&arena, 1 << 20), Held::new(&arena, 1 << 20));
        let elsewhere = thread::spawn(move || drop(a));
        drop(b);
        let _c = Held::new(&arena, 1 << 20);
        // Loom takes the exchange after a thread's own load for undisputed, and would not try it earlier.
        thread::yield_now();
        // Empty here: looks into the inbox. There is no more memory than two blocks.
        if let Ok(d) = arena.alloc(1 << 20, 64) {
            touch(d.as_ptr());
        }
        elsewhere.join().unwrap();
        drop(Held::new(&arena, 1 << 20));
        arena.check().unwrap();
    });
}

#[test]
fn two_threads_free_to_one_inbox() {
    model(4, || {
        let arena = LocalArena::with_limit(Recycled, 3 << 20).unwrap();
        let threads = [(); 2].map(|()| {
            let held = Held::new(&arena, 1 << 20);
            thread::spawn(move || drop(held))
        });
        thread::yield_now();
        if let Ok(buf) = arena.alloc(1 << 20, 64) {
            touch(buf.as_ptr());
        }
        threads
            .into_iter()
            .for_each(|thread| thread.join().unwrap());
        let both = [Held::new(&arena, 1 << 20), Held::new(&arena, 1 << 20)];
        assert_eq!(arena.stats().live_count, 2);
        drop(both);
        arena.check().unwrap();
    });
}

#[test]
fn the_last_of_three_releases_the_arena() {
    model(4, || {
        let arena = LocalArena::new(Recycled).unwrap();
        let threads = [(); 2].map(|()| {
            let held = Held::new(&arena, 1 << 20);
            thread::spawn(move || drop(held))
        });
        let mine = Held::new(&arena, 1 << 20);
        thread::yield_now();
        drop(arena);
        drop(mine);
        threads
            .into_iter()
            .for_each(|thread| thread.join().unwrap());
    });
}

#[test]
fn a_large_buffer_is_freed_while_the_arena_ends() {
    model(4, || {
        let arena = LocalArena::new(Recycled).unwrap();
        let threads = [3 << 20, 1 << 20].map(|len| {
            let held = Held::new(&arena, len);
            thread::spawn(move || drop(held))
        });
        thread::yield_now();
        let _ = arena.stats();
        drop(arena);
        threads
            .into_iter()
            .for_each(|thread| thread.join().unwrap());
    });
}

/// Allocates and frees by the interface of a global allocator, which does not ask for a `static`.
fn use_shared(arena: &SharedArena<Recycled>, size: usize) {
    let layout = Layout::from_size_align(size, 64).unwrap();
    // SAFETY: the layout is not empty; what was allocated is freed once, with the same layout.
    unsafe {
        let ptr = GlobalAlloc::alloc(arena, layout);
        if !ptr.is_null() {
            touch(ptr);
            arena.dealloc(ptr, layout);
        }
    }
}

#[test]
fn two_threads_share_an_arena() {
    model(3, || {
        let arena = Arc::new(SharedArena::with_limit(Recycled, 3 << 20));
        let elsewhere = {
            let arena = arena.clone();
            thread::spawn(move || {
                use_shared(&arena, 2 << 20);
                use_shared(&arena, 1 << 20);
            })
        };
        use_shared(&arena, 1 << 20);
        elsewhere.join().unwrap();
        arena.check().unwrap();
        assert_eq!(arena.stats().live_count, 0);
    });
}

#[test]
fn one_thread_trims_while_another_allocates() {
    model(3, || {
        let arena = Arc::new(SharedArena::new(Recycled));
        use_shared(&arena, 1 << 20);
        let elsewhere = {
            let arena = arena.clone();
            thread::spawn(move || use_shared(&arena, 1 << 20))
        };
        arena.trim();
        elsewhere.join().unwrap();
        arena.check().unwrap();
    });
}
