//! The arena of one thread: buffers that travel, outlive it, or do not fit.

use barespdk_alloc_dma::{BLOCK_BYTES_MAX, LocalArena, Reason, SystemBacking};

#[test]
fn serves_and_takes_back() {
    let arena = LocalArena::new(SystemBacking).unwrap();
    let mut a = arena.alloc_zeroed(4096, 4096).unwrap();
    assert!(a.iter().all(|b| *b == 0));
    a.fill(7);
    let first = a.as_ptr();
    drop(a);
    let b = arena.alloc(4000, 64).unwrap();
    assert_eq!(b.as_ptr(), first, "the last block freed is the first reused");
    assert_eq!((b.len(), b.capacity(), b.alignment()), (4000, 4096, 4096));
    assert_eq!(b.physical(0), None);
    let stats = arena.stats();
    assert_eq!((stats.in_use_bytes, stats.peak_bytes, stats.live_count), (4096, 4096, 1));
    arena.check().unwrap();
}

#[test]
fn refuses_bad_requests() {
    let arena = LocalArena::new(SystemBacking).unwrap();
    let reason = |len, align| arena.alloc(len, align).unwrap_err().reason;
    assert_eq!(reason(0, 64), Reason::ZeroLength);
    assert_eq!(reason(1, 0), Reason::AlignNotPowerOfTwo);
    assert_eq!(reason(1, 96), Reason::AlignNotPowerOfTwo);
    assert_eq!(reason(1, 2 * BLOCK_BYTES_MAX), Reason::AlignTooLarge);
    assert_eq!(reason(usize::MAX, 64), Reason::LengthTooLarge);
    assert_eq!(arena.stats().failure_count, 0);
}

#[test]
fn outlived_by_a_buffer_on_another_thread() {
    let arena = LocalArena::new(SystemBacking).unwrap();
    let (a, b) = (arena.alloc(100, 1).unwrap(), arena.alloc(3 << 20, 1).unwrap());
    let c = arena.alloc_zeroed(1 << 20, 1).unwrap();
    drop(a);
    drop(arena);
    std::thread::spawn(move || drop(b)).join().unwrap();
    assert!(c.iter().all(|b| *b == 0));
}
