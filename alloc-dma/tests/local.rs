//! The arena of one thread: buffers that travel, outlive it, or do not fit.
#![cfg(not(loom))]

mod common;

use std::sync::{OnceLock, mpsc};

use barespdk_alloc_dma::{
    BLOCK_BYTES_MAX, DmaBuf, LocalArena, OverrunError, Reason, SystemBacking,
};
use common::Ledger;

#[test]
fn serves_and_takes_back() {
    let arena = LocalArena::new(SystemBacking).unwrap();
    let mut a = arena.alloc_zeroed(4096, 4096).unwrap();
    assert!(a.iter().all(|b| *b == 0));
    a.fill(7);
    let first = a.as_ptr();
    drop(a);
    let b = arena.alloc(4000, 64).unwrap();
    assert_eq!(
        b.as_ptr(),
        first,
        "the last block freed is the first reused"
    );
    assert_eq!((b.len(), b.capacity(), b.alignment()), (4000, 4096, 4096));
    let stats = arena.stats();
    assert_eq!(
        (stats.in_use_bytes, stats.peak_bytes, stats.live_count),
        (4096, 4096, 1)
    );
    arena.check().unwrap();
}

#[test]
fn refuses_bad_requests() {
    let arena = LocalArena::new(SystemBacking).unwrap();
    let reason = |len, align| arena.alloc(len, align).unwrap_err().reason;
    assert_eq!(reason(0, 64), Reason::ZeroLength);
    assert_eq!(reason(1, 0), Reason::AlignNotPowerOfTwo);
    assert_eq!(reason(1, 96), Reason::AlignNotPowerOfTwo);
    assert_eq!(reason(1, usize::MAX), Reason::AlignNotPowerOfTwo);
    assert_eq!(reason(1, 2 * BLOCK_BYTES_MAX), Reason::AlignTooLarge);
    assert_eq!(reason(1, 1 << 63), Reason::AlignTooLarge);
    assert_eq!(reason(usize::MAX, 64), Reason::LengthTooLarge);
    assert_eq!(
        arena.stats().failure_count,
        0,
        "only well-formed requests count"
    );
    let error = arena.alloc(7, 3).unwrap_err();
    let text = "no DMA memory of 7 bytes aligned to 3: the alignment is no power of two";
    assert_eq!(error.to_string(), text);
}

#[test]
fn copies_are_checked() {
    let arena = LocalArena::new(SystemBacking).unwrap();
    let mut buf = arena.alloc_zeroed(10, 64).unwrap();
    buf.write_at(8, b"ab").unwrap();
    let error = OverrunError {
        offset: 9,
        len: 2,
        available: 10,
    };
    assert_eq!(buf.write_at(9, b"ab").unwrap_err(), error);
    assert!(buf.write_at(usize::MAX, b"ab").is_err());
    assert!(buf.copy_from_slice(&[1; 11]).is_err());
    assert!(buf.read_at(5, &mut [0; 6]).is_err());
    let mut end = [9; 3];
    buf.read_at(7, &mut end).unwrap();
    assert_eq!(&end, b"\0ab");
    assert!(buf.set_len(65).is_err());
    buf.set_len(64).unwrap();
    assert_eq!(buf.as_slice().len(), 64);
    buf.set_len(0).unwrap();
    assert!(buf.is_empty() && buf.physical(0).is_none());
}

#[test]
fn physical_addresses_are_passed_through() {
    let arena = LocalArena::new(Ledger::new(usize::MAX)).unwrap();
    let block = arena.alloc(BLOCK_BYTES_MAX, 64).unwrap();
    assert_eq!(block.physical(0).unwrap().contiguous_bytes, BLOCK_BYTES_MAX);
    assert_eq!(
        block.physical(100).unwrap().contiguous_bytes,
        BLOCK_BYTES_MAX - 100
    );
    assert_eq!(block.physical(BLOCK_BYTES_MAX), None);
    let large = arena.alloc(2 * BLOCK_BYTES_MAX, BLOCK_BYTES_MAX).unwrap();
    let (low, high) = (
        large.physical(0).unwrap(),
        large.physical(BLOCK_BYTES_MAX).unwrap(),
    );
    assert_eq!(
        (low.contiguous_bytes, high.contiguous_bytes),
        (BLOCK_BYTES_MAX, BLOCK_BYTES_MAX)
    );
    assert!(
        high.address < low.address,
        "not contiguous, and so reported"
    );
    assert_eq!(
        LocalArena::new(SystemBacking)
            .unwrap()
            .alloc(1, 1)
            .unwrap()
            .physical(0),
        None
    );
}

#[test]
fn outlived_by_buffers_on_other_threads() {
    let ledger = Ledger::new(usize::MAX);
    let arena = LocalArena::new(ledger.clone()).unwrap();
    let (a, b) = (
        arena.alloc(100, 1).unwrap(),
        arena.alloc(3 << 20, 1).unwrap(),
    );
    let c = arena.alloc_zeroed(1 << 20, 1).unwrap();
    let d = arena.alloc(3 << 20, 1).unwrap();
    std::thread::spawn(move || drop((a, d))).join().unwrap();
    drop(arena);
    std::thread::spawn(move || drop(b)).join().unwrap();
    assert!(c.iter().all(|b| *b == 0));
    assert!(ledger.reserved_bytes() > 0);
    drop(c);
    assert_eq!(ledger.reserved_bytes(), 0);
}

#[test]
fn an_arena_that_nothing_outlives_is_released() {
    let ledger = Ledger::new(usize::MAX);
    drop(LocalArena::new(ledger.clone()).unwrap());
    let arena = LocalArena::new(ledger.clone()).unwrap();
    drop(arena.alloc(64, 64));
    drop(arena);
    assert_eq!(ledger.reserved_bytes(), 0);
}

#[test]
fn what_others_free_is_used_again() {
    let ledger = Ledger::new(BLOCK_BYTES_MAX + 16384);
    let arena = LocalArena::new(ledger).unwrap();
    let (send, receive) = mpsc::channel::<DmaBuf>();
    let consumer = std::thread::spawn(move || receive.into_iter().map(|buf| buf.len()).sum());
    let mut sent = 0;
    while sent < 20_000 {
        // Fails while all 32 blocks are on their way.
        match arena.alloc(65_536, 64) {
            Ok(buf) => {
                send.send(buf).unwrap();
                sent += 1;
            }
            Err(error) => {
                assert_eq!(error.reason, Reason::Exhausted);
                std::thread::yield_now();
            }
        }
    }
    drop(send);
    let total: usize = consumer.join().unwrap();
    assert_eq!(total, 20_000 * 65_536);
    assert_eq!(arena.stats().in_use_bytes, 0);
    arena.check().unwrap();
}

#[test]
fn many_threads_free_while_the_arena_ends() {
    for _ in 0..200 {
        let ledger = Ledger::new(usize::MAX);
        let arena = LocalArena::new(ledger.clone()).unwrap();
        let len = |n: usize| {
            if n.is_multiple_of(8) {
                (2 << 20) + n
            } else {
                1 + 300 * n
            }
        };
        let threads: Vec<_> = (0..3)
            .map(|_| {
                let bufs: Vec<_> = (0..20).map(|n| arena.alloc(len(n), 64).unwrap()).collect();
                std::thread::spawn(move || drop(bufs))
            })
            .collect();
        drop(arena);
        threads
            .into_iter()
            .for_each(|thread| thread.join().unwrap());
        assert_eq!(ledger.reserved_bytes(), 0);
    }
}

#[test]
fn an_arena_in_foreign_hands_refuses() {
    struct Smuggled(LocalArena<Ledger>);
    // SAFETY: none; this is what a runtime that breaks the rules would do. The arena notices.
    unsafe impl Send for Smuggled {}
    impl Smuggled {
        fn arena(self) -> LocalArena<Ledger> {
            self.0
        }
    }

    let ledger = Ledger::new(usize::MAX);
    let smuggled = Smuggled(LocalArena::new(ledger.clone()).unwrap());
    let buf = smuggled.0.alloc(64, 64).unwrap();
    std::thread::spawn(move || {
        let arena = smuggled.arena();
        assert_eq!(
            arena.alloc(64, 64).unwrap_err().reason,
            Reason::ForeignThread
        );
        assert_eq!(arena.reserve(64).unwrap_err().reason, Reason::ForeignThread);
        assert_eq!(arena.trim(), 0);
        drop(arena);
    })
    .join()
    .unwrap();
    drop(buf);
    assert!(ledger.reserved_bytes() > 0, "leaked rather than raced for");
    // For the leak sanitizer, which finds the addresses in the books: this leak is meant.
    static LEAKED: OnceLock<Ledger> = OnceLock::new();
    assert!(LEAKED.set(ledger).is_ok());
}
