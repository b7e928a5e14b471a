//! Memory and threads of a real SPDK. One test: the environment starts once in a process.

#[allow(dead_code, reason = "the benchmark uses the rest")]
mod environment;

use barespdk_alloc_dma::{Context, DmaBuf, LocalArena, Reason, SpdkBacking, SpdkThread, global};
use environment::{MEM_SIZE_MIB, Pages, new_thread, pages_at_hand, run_on, start, stop};

#[test]
fn spdk_memory_and_threads() {
    assert_eq!(
        DmaBuf::zeroed(4096, 4096).unwrap_err().reason,
        Reason::Exhausted,
        "too early"
    );
    assert_eq!(
        LocalArena::new(SpdkBacking::ANY).unwrap_err().reason,
        Reason::Exhausted
    );

    let pages = pages_at_hand();
    start(pages);
    the_global_arena_serves(pages);
    a_numa_node_is_passed_on(pages);
    an_arena_follows_its_spdk_thread();
    memory_runs_out();
    global().trim();
    assert_eq!(global().stats().in_use_bytes, 0);
    stop();
}

fn the_global_arena_serves(pages: Pages) {
    let mut buf = DmaBuf::zeroed(32768, 4096).unwrap();
    assert!(buf.iter().all(|byte| *byte == 0));
    buf.fill(1);
    let physical = buf.physical(512);
    println!("{pages:?} pages, physical address {physical:x?}");
    if pages == Pages::Huge {
        assert_eq!(physical.unwrap().contiguous_bytes, 32768 - 512);
    }
    let buf = std::thread::spawn(move || buf).join().unwrap();
    assert_eq!(global().stats().in_use_bytes, 32768);
    drop(buf);
    assert_eq!(global().stats().in_use_bytes, 0);
    let large = DmaBuf::new(5_000_000, 4096).unwrap();
    assert_eq!(large.capacity() % 4096, 0);
    drop(large);
    assert!(DmaBuf::new(0, 4096).is_err());
    global().check().unwrap();
}

fn a_numa_node_is_passed_on(pages: Pages) {
    assert_eq!(SpdkBacking::on_numa(0).numa_id(), 0);
    assert!(
        LocalArena::new(SpdkBacking::on_numa(0))
            .unwrap()
            .alloc(512, 512)
            .is_ok()
    );
    let nowhere = LocalArena::new(SpdkBacking::on_numa(31));
    // Small pages are of no known node.
    assert_eq!(
        nowhere.is_err(),
        pages == Pages::Huge,
        "there is no such node"
    );
}

/// Moves with an SPDK thread from one OS thread to another, as a scheduler of SPDK would do.
struct Moved<T>(T);

// SAFETY: the arena is used by the SPDK thread that made it, on one OS thread at a time, which joining
// and spawning orders.
unsafe impl<T> Send for Moved<T> {}

impl<T> Moved<T> {
    fn into_inner(self) -> T {
        self.0
    }
}

fn an_arena_follows_its_spdk_thread() {
    let (home, other) = (new_thread(), new_thread());
    let ids = [home, other].map(|thread| run_on(thread, SpdkThread::current));
    assert!(ids[0] != ids[1] && !ids.contains(&SpdkThread::current()));

    let arena = run_on(home, || LocalArena::new(SpdkBacking::ANY).unwrap());
    // The same OS thread, but not the same SPDK thread.
    assert_eq!(
        arena.alloc(64, 64).unwrap_err().reason,
        Reason::ForeignThread
    );
    let foreign = run_on(other, || arena.alloc(64, 64).unwrap_err().reason);
    assert_eq!(foreign, Reason::ForeignThread);

    let buf = run_on(home, || arena.alloc(64, 64).unwrap());
    run_on(other, || drop(buf));
    run_on(home, || assert_eq!(arena.stats().live_count, 0));

    let moved = Moved((home, arena));
    let late = std::thread::spawn(move || {
        let (home, arena) = moved.into_inner();
        run_on(home, || {
            let late = arena.alloc(4096, 4096).unwrap();
            drop(arena.alloc(4096, 4096).unwrap());
            assert_eq!(arena.stats().live_count, 1);
            arena.check().unwrap();
            drop(arena);
            late
        })
    })
    .join()
    .unwrap();
    assert_eq!(late.len(), 4096);
}

fn memory_runs_out() {
    let arena = LocalArena::new(SpdkBacking::ANY).unwrap();
    let bufs: Vec<_> = std::iter::from_fn(|| arena.alloc(1 << 20, 4096).ok()).collect();
    println!("{} MiB of {MEM_SIZE_MIB} in blocks of 1 MiB", bufs.len());
    assert!((64..=512).contains(&bufs.len()));
    drop(bufs);
    assert!(arena.trim() > 64 << 20);
    drop(arena.alloc(2 << 20, 2 << 20).unwrap());
    arena.check().unwrap();
}
