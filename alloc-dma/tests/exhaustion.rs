//! Memory that runs out, and comes back.
#![cfg(not(loom))]

mod common;

use std::sync::OnceLock;

use barespdk_alloc_dma::{AllocError, BLOCK_BYTES_MAX, LocalArena, Reason, SharedArena};
use common::Ledger;

fn exhausted(len: usize, align: usize) -> AllocError {
    AllocError {
        len,
        align,
        reason: Reason::Exhausted,
    }
}

#[test]
fn a_backing_without_memory_makes_no_arena() {
    assert_eq!(
        LocalArena::new(Ledger::new(0)).unwrap_err().reason,
        Reason::Exhausted
    );
    let ledger = Ledger::new(8 << 20);
    assert!(LocalArena::with_limit(ledger.clone(), 0).is_err());
    assert_eq!(ledger.calls(), 0);
}

#[test]
fn small_blocks_come_back_as_a_large_one() {
    let ledger = Ledger::new(BLOCK_BYTES_MAX + 16384);
    let arena = LocalArena::new(ledger.clone()).unwrap();
    let mut small = Vec::new();
    let error = loop {
        match arena.alloc(64, 64) {
            Ok(buf) => small.push(buf),
            Err(error) => break error,
        }
    };
    assert_eq!(error, exhausted(64, 64));
    assert_eq!(small.len(), BLOCK_BYTES_MAX / 64);
    assert_eq!(arena.stats().failure_count, 1);
    assert_eq!(
        arena.alloc(BLOCK_BYTES_MAX, 64).unwrap_err(),
        exhausted(BLOCK_BYTES_MAX, 64)
    );

    // Every other one: nothing can be joined.
    let mut keep = false;
    small.retain(|_| {
        keep = !keep;
        keep
    });
    assert_eq!(arena.alloc(128, 64).unwrap_err(), exhausted(128, 64));
    assert!(arena.alloc(64, 64).is_ok());
    arena.check().unwrap();

    drop(small);
    let whole = arena.alloc(BLOCK_BYTES_MAX, BLOCK_BYTES_MAX).unwrap();
    assert_eq!(whole.as_ptr().addr() % BLOCK_BYTES_MAX, 0);
    arena.check().unwrap();
    assert_eq!(arena.stats().failure_count, 3);
}

#[test]
fn a_failure_is_cheap_while_nothing_was_freed() {
    let ledger = Ledger::new(BLOCK_BYTES_MAX + 16384);
    let arena = LocalArena::new(ledger).unwrap();
    let small: Vec<_> = std::iter::from_fn(|| arena.alloc(64, 64).ok()).collect();
    let start = std::time::Instant::now();
    for _ in 0..1000 {
        assert!(arena.alloc(64, 64).is_err());
    }
    // Joining 32768 blocks a thousand times would take minutes.
    assert!(start.elapsed().as_secs() < 5);
    drop(small);
}

#[test]
fn memory_that_appears_later_is_used() {
    let ledger = Ledger::new(16384);
    let arena = LocalArena::new(ledger.clone()).unwrap();
    assert!(arena.alloc(4096, 4096).is_err());
    ledger.add_budget(BLOCK_BYTES_MAX);
    assert!(arena.alloc(4096, 4096).is_ok());
    // The chunk is free, so it is given back for the large buffer; once that does not suffice.
    let large = BLOCK_BYTES_MAX + 16384;
    assert_eq!(arena.alloc(large, 1).unwrap_err(), exhausted(large, 1));
    ledger.add_budget(16384);
    assert!(arena.alloc(large, 1).is_ok());
    drop(arena);
    assert_eq!(ledger.reserved_bytes(), 0);
}

#[test]
fn a_limit_is_kept() {
    let ledger = Ledger::new(usize::MAX);
    let limit = 7 << 20;
    let arena = LocalArena::with_limit(ledger.clone(), limit).unwrap();
    let large = arena.alloc(3 << 20, 64).unwrap();
    let blocks: Vec<_> = std::iter::from_fn(|| arena.alloc(1 << 20, 64).ok()).collect();
    assert_eq!(blocks.len(), 2);
    assert!(ledger.reserved_bytes() <= limit);
    drop(large);
    assert!(arena.alloc(2 << 20, 64).is_ok());
    assert!(arena.reserve(limit).is_err());
    assert!(ledger.reserved_bytes() <= limit);
    arena.check().unwrap();
}

#[test]
fn reserving_ahead_spares_the_backing() {
    let ledger = Ledger::new(usize::MAX);
    static ARENA: OnceLock<SharedArena<Ledger>> = OnceLock::new();
    let arena = ARENA.get_or_init(|| SharedArena::new(ledger.clone()));
    arena.reserve(64 << 20).unwrap();
    let calls = ledger.calls();
    let bufs: Vec<_> = (0..64).map(|_| arena.alloc(1 << 20, 64).unwrap()).collect();
    assert_eq!(ledger.calls(), calls);
    drop(bufs);
    assert!(arena.trim() >= 64 << 20);
    assert_eq!(arena.stats().reserved_bytes, ledger.reserved_bytes());
}
