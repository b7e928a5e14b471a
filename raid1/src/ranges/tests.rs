extern crate std;

use alloc::sync::Arc;
use alloc::task::Wake;
use alloc::vec;
use alloc::vec::Vec;
use core::pin::pin;
use core::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use core::task::Waker;
use std::thread;

use proptest::prelude::*;

use super::*;

/// Blocks of 4 KiB: 8 to a chunk.
const BLOCK_SIZE: u32 = 4096;
const CHUNK: u64 = 8;

impl Ranges {
    /// Nothing is held, and nothing left behind.
    fn assert_empty(&self) {
        self.for_each(|start, len| panic!("{len} blocks at {start} are held"));
        assert_eq!(self.waiters.lock().len(), 0);
        assert!(!self.line.overlaps(Range::new(0, u64::MAX)));
    }
}

#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// A future of a range, and how often it was woken.
struct Waiting<'a> {
    hold: Pin<Box<Hold<'a>>>,
    wakes: Arc<Wakes>,
}

impl<'a> Waiting<'a> {
    fn new(ranges: &'a Ranges, start: u64, len: u64) -> Self {
        Self {
            hold: Box::pin(ranges.hold(start, len)),
            wakes: Arc::default(),
        }
    }

    fn poll(&mut self) -> Option<Held<'a>> {
        let waker = Waker::from(Arc::clone(&self.wakes));
        match self.hold.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(held) => Some(held),
            Poll::Pending => None,
        }
    }

    fn wakes(&self) -> usize {
        self.wakes.0.load(Ordering::SeqCst)
    }
}

#[test]
fn what_overlaps_is_not_held_twice() {
    let ranges = Ranges::new(BLOCK_SIZE);
    // In one chunk, over a border, over many; ranges that touch do not overlap.
    for (held, overlapping, beside) in [
        ((4, 2), [(4, 2), (5, 1), (3, 2), (0, 100)], [(6, 2), (2, 2)]),
        ((6, 4), [(6, 4), (7, 1), (8, 1), (9, 50)], [(10, 1), (0, 6)]),
        (
            (8, 800),
            [(8, 1), (807, 1), (100, 9), (0, 9000)],
            [(0, 8), (808, 99)],
        ),
    ] {
        assert!(ranges.try_hold(held.0, held.1));
        assert!(ranges.is_busy(held.0, held.1));
        for (start, len) in overlapping {
            assert!(!ranges.try_hold(start, len), "{len} at {start}");
            assert!(ranges.is_busy(start, len));
        }
        for (start, len) in beside {
            assert!(!ranges.is_busy(start, len));
            assert!(ranges.try_hold(start, len), "{len} at {start}");
            ranges.release(start, len);
        }
        ranges.release(held.0, held.1);
        assert!(!ranges.is_busy(0, u64::MAX));
    }
    ranges.assert_empty();
}

#[test]
fn ranges_at_the_edge_of_numbers() {
    for block_size in [0, 1, 512, 520, 4096, 1 << 20, u32::MAX] {
        let ranges = Ranges::new(block_size);
        let edges = [0, 1, 1 << 56, u64::MAX - 1, u64::MAX];
        for (start, len) in edges
            .into_iter()
            .flat_map(|start| edges.map(|len| (start, len)))
        {
            assert!(ranges.try_hold(start, len), "{len} at {start}");
            let is_empty = Range::new(start, len).is_empty();
            assert_eq!(ranges.is_busy(0, u64::MAX), !is_empty);
            ranges.release(start, len);
            ranges.assert_empty();
        }
    }
}

#[test]
fn no_blocks_wait_for_nothing() {
    let ranges = Ranges::new(BLOCK_SIZE);
    let _all = ranges.adopt(0, u64::MAX);
    assert!(ranges.try_hold(0, u64::MAX));
    assert!(ranges.try_hold(5, 0) && !ranges.is_busy(5, 0));
    assert!(Waiting::new(&ranges, 5, 0).poll().is_some());
    ranges.release(5, 0);
}

#[test]
fn a_full_bucket_sends_on() {
    // 64 blocks of 512 bytes to a chunk: more than a bucket takes.
    let ranges = Ranges::new(512);
    let tried = (0..64).filter(|block| ranges.try_hold(*block, 1)).count();
    assert!(tried < 64);
    let rest: Vec<_> = (tried as u64..64)
        .map(|block| Waiting::new(&ranges, block, 1).poll().unwrap())
        .collect();
    assert!((0..64).all(|block| ranges.is_busy(block, 1) && !ranges.try_hold(block, 1)));
    drop(rest);
    (0..tried as u64).for_each(|block| ranges.release(block, 1));
    ranges.assert_empty();
}

#[test]
fn who_waits_is_woken_once_it_is_its_turn() {
    let ranges = Ranges::new(BLOCK_SIZE);
    for (held, wanted) in [((3, 1), (3, 2)), ((3, 1), (0, 900)), ((0, 900), (3, 1))] {
        assert!(ranges.try_hold(held.0, held.1));
        let mut waiting = Waiting::new(&ranges, wanted.0, wanted.1);
        assert!(waiting.poll().is_none());
        assert!(waiting.poll().is_none());
        // Those beside do not concern it.
        assert!(ranges.try_hold(2000, 1));
        ranges.release(2000, 1);
        assert_eq!(waiting.wakes(), 0);
        ranges.release(held.0, held.1);
        assert_eq!(waiting.wakes(), 1);
        assert!(waiting.poll().is_some());
        ranges.assert_empty();
    }
}

#[test]
fn a_future_that_is_dropped_leaves_nothing_behind() {
    let ranges = Ranges::new(BLOCK_SIZE);
    assert!(ranges.try_hold(3, 1));
    drop(ranges.hold(3, 1));
    for (start, len) in [(3, 1), (0, 900)] {
        let mut first = Waiting::new(&ranges, start, len);
        assert!(first.poll().is_none());
        let mut second = Waiting::new(&ranges, start + len - 1, 1);
        assert!(second.poll().is_none());
        drop(first);
        assert_eq!(second.wakes(), 1, "it stood before");
        drop(second);
    }
    ranges.release(3, 1);
    ranges.assert_empty();
    // One that has ended and is dropped leaves the range to its guard.
    let mut done = Waiting::new(&ranges, 0, 900);
    let held = done.poll().unwrap();
    assert!(done.poll().is_none());
    drop(done);
    assert!(ranges.is_busy(0, 1));
    drop(held);
    ranges.assert_empty();
}

#[test]
fn a_window_gets_its_turn_before_newcomers() {
    let ranges = Ranges::new(BLOCK_SIZE);
    assert!(ranges.try_hold(0, 1) && ranges.try_hold(5 * CHUNK, 1));
    let mut window = Waiting::new(&ranges, 0, 8 * CHUNK);
    assert!(window.poll().is_none());
    assert!(!ranges.try_hold(2 * CHUNK, 1), "a newcomer waits");
    assert!(!ranges.try_hold(2 * CHUNK, 90), "a wide one too");
    assert!(ranges.try_hold(8 * CHUNK, 1), "one beside does not");
    let mut newcomer = Waiting::new(&ranges, 2 * CHUNK, 1);
    assert!(newcomer.poll().is_none());
    ranges.release(5 * CHUNK, 1);
    assert!(window.poll().is_none());
    ranges.release(0, 1);
    assert_eq!((window.wakes(), newcomer.wakes()), (1, 0));
    let held = window.poll().unwrap();
    assert!(newcomer.poll().is_none());
    drop(held);
    assert_eq!(newcomer.wakes(), 1);
    drop(newcomer.poll().unwrap());
    ranges.release(8 * CHUNK, 1);
    ranges.assert_empty();
}

#[test]
fn each_that_leaves_wakes_its_follower_alone() {
    let ranges = Ranges::new(BLOCK_SIZE);
    assert!(ranges.try_hold(3, 1));
    let mut line: Vec<_> = (0..40).map(|_| Waiting::new(&ranges, 3, 1)).collect();
    assert!(line.iter_mut().all(|waiting| waiting.poll().is_none()));
    ranges.release(3, 1);
    for at in 0..line.len() {
        let woken = line.iter().filter(|waiting| waiting.wakes() != 0).count();
        assert_eq!(woken, at + 1);
        assert_eq!(line[at].wakes(), 1);
        drop(line[at].poll().unwrap());
    }
    ranges.assert_empty();
}

#[test]
fn many_at_one_place_are_all_woken() {
    let ranges = Ranges::new(BLOCK_SIZE);
    assert!(ranges.try_hold(0, 900));
    let mut all: Vec<_> = (0..100)
        .map(|at| Waiting::new(&ranges, at * 9, 1))
        .collect();
    assert!(all.iter_mut().all(|waiting| waiting.poll().is_none()));
    ranges.release(0, 900);
    assert!(all.iter().all(|waiting| waiting.wakes() == 1));
    let held: Vec<_> = all
        .iter_mut()
        .map(|waiting| waiting.poll().unwrap())
        .collect();
    drop(held);
    ranges.assert_empty();
}

#[derive(Clone, Debug)]
enum Action {
    Try(u64, u64),
    Hold(u64, u64),
    /// Of those that are held.
    Release(usize),
    /// Of those that wait.
    Drop(usize),
}

fn actions() -> impl Strategy<Value = Vec<Action>> {
    let range = (
        0..100_u64,
        prop_oneof![4 => 1..4_u64, 1 => 4..40_u64, 1 => Just(20_000)],
    );
    let action = prop_oneof![
        3 => range.clone().prop_map(|(start, len)| Action::Try(start, len)),
        3 => range.prop_map(|(start, len)| Action::Hold(start, len)),
        3 => any::<usize>().prop_map(Action::Release),
        1 => any::<usize>().prop_map(Action::Drop),
    ];
    prop::collection::vec(action, 1..120)
}

proptest! {
    /// Against a list: what is held never overlaps; who waits, waits for one that is held or stands
    /// before it; who could go on was woken.
    #[test]
    fn does_as_a_list_does(block_size in prop::sample::select(vec![512_u32, 4096]), actions in actions()) {
        let ranges = Ranges::new(block_size);
        let mut held: Vec<(Range, Option<Held<'_>>)> = Vec::new();
        let mut waiting: Vec<(Range, Waiting<'_>)> = Vec::new();
        for action in actions {
            match action {
                Action::Try(start, len) => {
                    let range = Range::new(start, len);
                    let is_free = !held.iter().any(|(other, _)| other.overlaps(range))
                        && !waiting.iter().any(|(other, _)| other.overlaps(range));
                    let got = ranges.try_hold(start, len);
                    prop_assert!(is_free || !got, "{range:?} overlaps");
                    let crowded = held.len() >= bucket::BUCKET_RANGES;
                    prop_assert!(got || !is_free || crowded, "{range:?} was free");
                    if got {
                        held.push((range, None));
                    }
                }
                Action::Hold(start, len) => {
                    waiting.push((Range::new(start, len), Waiting::new(&ranges, start, len)));
                    let (range, new) = waiting.last_mut().unwrap();
                    if let Some(guard) = new.poll() {
                        held.push((*range, Some(guard)));
                        waiting.pop();
                    }
                }
                Action::Release(at) if !held.is_empty() => {
                    let (range, guard) = held.swap_remove(at % held.len());
                    if guard.is_none() {
                        ranges.release(range.start, range.end - range.start);
                    }
                }
                Action::Drop(at) if !waiting.is_empty() => {
                    drop(waiting.remove(at % waiting.len()));
                }
                Action::Release(_) | Action::Drop(_) => {}
            }
            // As an executor does: those that were woken are polled, until nobody is.
            while let Some(at) = waiting.iter().position(|(_, one)| one.wakes() != 0) {
                let (range, one) = &mut waiting[at];
                one.wakes = Arc::default();
                if let Some(guard) = one.poll() {
                    held.push((*range, Some(guard)));
                    waiting.remove(at);
                }
            }
            for (at, (range, _)) in held.iter().enumerate() {
                prop_assert!(!held[..at].iter().any(|(other, _)| other.overlaps(*range)));
            }
            for (at, (range, _)) in waiting.iter().enumerate() {
                let has_a_reason = held.iter().any(|(other, _)| other.overlaps(*range))
                    || waiting[..at].iter().any(|(other, _)| other.overlaps(*range));
                prop_assert!(has_a_reason, "{range:?} was not woken");
            }
            let mut known: Vec<_> = held.iter().map(|(range, _)| *range).collect();
            known.extend(waiting.iter().map(|(range, _)| *range));
            let mut seen = Vec::new();
            ranges.for_each(|start, len| seen.push(Range::new(start, len)));
            known.sort_by_key(|range| (range.start, range.end));
            seen.sort_by_key(|range| (range.start, range.end));
            prop_assert_eq!(seen, known);
        }
        waiting.clear();
        for (range, guard) in held {
            if guard.is_none() {
                ranges.release(range.start, range.end - range.start);
            }
        }
        ranges.assert_empty();
    }
}

/// Wakes a thread that waits for it.
struct Unpark(thread::Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Waits in earnest: without a wake it hangs.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(value) => return value,
            Poll::Pending => thread::park(),
        }
    }
}

/// Who has each block.
fn hammer(num_blocks: u64, widest: u64, rounds: u32) {
    const THREADS: u32 = 6;
    let ranges = Ranges::new(BLOCK_SIZE);
    let owners: Vec<_> = (0..num_blocks).map(|_| AtomicU32::new(0)).collect();
    thread::scope(|scope| {
        for owner in 1..=THREADS {
            let (ranges, owners) = (&ranges, &owners);
            scope.spawn(move || {
                let mut random = u64::from(owner).wrapping_mul(0x9e37_79b9_7f4a_7c15);
                let mut below = |end: u64| {
                    // xorshift64
                    random ^= random << 13;
                    random ^= random >> 7;
                    random ^= random << 17;
                    random % end
                };
                for round in 0..rounds {
                    let len = if below(4) == 0 {
                        1 + below(widest)
                    } else {
                        1 + below(3)
                    };
                    let start = below(num_blocks - len + 1);
                    let held = match ranges.try_hold(start, len) {
                        true => ranges.adopt(start, len),
                        // One in eight gives up.
                        false if below(8) == 0 => {
                            let mut given_up = Waiting::new(ranges, start, len);
                            let _held_or_not = given_up.poll();
                            continue;
                        }
                        false => block_on(ranges.hold(start, len)),
                    };
                    let mine = &owners[start as usize..(start + len) as usize];
                    assert!(ranges.is_busy(start, len));
                    for block in mine {
                        assert_eq!(block.swap(owner, Ordering::Relaxed), 0);
                    }
                    if round % 16 == 0 {
                        thread::yield_now();
                    }
                    for block in mine {
                        assert_eq!(block.swap(0, Ordering::Relaxed), owner);
                    }
                    drop(held);
                }
            });
        }
    });
    ranges.assert_empty();
}

#[test]
fn threads_never_share_a_block() {
    hammer(64, 40, 4_000);
}

#[test]
fn threads_never_share_a_block_of_few() {
    hammer(3, 3, 4_000);
}

#[test]
fn threads_never_share_a_block_of_many() {
    // Wider than there are buckets.
    hammer(20 * BUCKETS as u64, 10 * BUCKETS as u64, 300);
}

/// Cleared before the look, or held before the look: one of the two sees the other. As a dirty bit is.
#[test]
fn a_look_and_a_writer_do_not_miss_each_other() {
    let ranges = Ranges::new(BLOCK_SIZE);
    let dirty = AtomicU32::new(1);
    for round in 0..3_000_u64 {
        dirty.store(1, Ordering::Relaxed);
        let len = [1, 20][round as usize % 2];
        let (was_dirty, was_busy) = thread::scope(|scope| {
            let writer = scope.spawn(|| {
                let held = block_on(ranges.hold(round, len));
                (dirty.load(Ordering::Relaxed) == 1, held)
            });
            dirty.store(0, Ordering::Relaxed);
            let was_busy = ranges.is_busy(0, 1 << 20);
            let (was_dirty, _held) = writer.join().unwrap();
            (was_dirty, was_busy)
        });
        assert!(!was_dirty || was_busy, "round {round}");
    }
}

/// Not a test: prints what a write pays. `cargo test --release -- --ignored --nocapture what_a_write_pays`
#[test]
#[ignore = "measures"]
fn what_a_write_pays() {
    const ROUNDS: u64 = 10_000_000;
    fn measure(what: &str, ranges: &Ranges, len: u64) {
        let begin = std::time::Instant::now();
        for round in 0..ROUNDS {
            let start = round.wrapping_mul(0x9e37_79b9) % (1 << 28) * 64;
            assert!(ranges.try_hold(core::hint::black_box(start), len));
            ranges.release(start, len);
        }
        let ns = begin.elapsed().as_nanos() as f64 / ROUNDS as f64;
        std::println!("{what}: {ns:.1} ns");
    }
    let ranges = Ranges::new(BLOCK_SIZE);
    measure("4 KiB", &ranges, 1);
    measure("128 KiB", &ranges, 32);
    measure("1 MiB", &ranges, 256);
    let windows: Vec<_> = (0..8_u64)
        .map(|at| (1 << 40) + at * 64)
        .filter(|start| ranges.try_hold(*start, 64))
        .map(|start| ranges.adopt(start, 64))
        .collect();
    measure("4 KiB beside 8 windows", &ranges, 1);
    drop(windows);
    let in_flight: Vec<_> = (0..256_u64)
        .map(|at| (1 << 40) + at * 8)
        .filter(|start| ranges.try_hold(*start, 1))
        .map(|start| ranges.adopt(start, 1))
        .collect();
    measure("4 KiB beside 256 others", &ranges, 1);
    drop(in_flight);
    let begin = std::time::Instant::now();
    assert!((0..1000).all(|_| !ranges.is_busy(0, 1 << 30)));
    let us = begin.elapsed().as_micros() as f64 / 1000.0;
    std::println!("to look at a region of 4 TiB: {us:.1} us");
}
