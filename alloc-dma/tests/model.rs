//! Both arenas against a model: a list of what is in use. Everything is compared after every step.
#![cfg(not(loom))]

mod common;

use barespdk_alloc_dma::{AllocError, DmaBuf, LocalArena, Reason, SharedArena, Stats};
use common::Ledger;
use proptest::prelude::*;

/// What the model test needs of an arena.
trait Arena {
    fn alloc(&self, len: usize, align: usize, zeroed: bool) -> Result<DmaBuf, AllocError>;
    fn reserve(&self, bytes: usize) -> Result<(), AllocError>;
    fn trim(&self) -> usize;
    fn stats(&self) -> Stats;
    fn check(&self);
    fn free_blocks(&self) -> Vec<(usize, usize)>;
}

macro_rules! arena {
    ($type:ty) => {
        impl Arena for $type {
            fn alloc(&self, len: usize, align: usize, zeroed: bool) -> Result<DmaBuf, AllocError> {
                if zeroed {
                    (*self).alloc_zeroed(len, align)
                } else {
                    (*self).alloc(len, align)
                }
            }
            fn reserve(&self, bytes: usize) -> Result<(), AllocError> {
                (*self).reserve(bytes)
            }
            fn trim(&self) -> usize {
                (*self).trim()
            }
            fn stats(&self) -> Stats {
                (*self).stats()
            }
            fn check(&self) {
                (*self).check().unwrap();
            }
            fn free_blocks(&self) -> Vec<(usize, usize)> {
                let mut blocks = Vec::new();
                // SAFETY: pushing to a vector does not use the arena.
                #[allow(unused_unsafe)]
                unsafe {
                    self.for_each_free(|ptr, size| blocks.push((ptr.addr().get(), size)))
                };
                blocks
            }
        }
    };
}

arena!(LocalArena<Ledger>);
arena!(&'static SharedArena<Ledger>);

#[derive(Clone, Debug)]
enum Step {
    Alloc {
        len: usize,
        align_shift: u32,
        zeroed: bool,
    },
    Resize {
        which: usize,
        len: usize,
    },
    Free {
        which: usize,
    },
    FreeElsewhere {
        which: usize,
    },
    ThroughRaw {
        which: usize,
    },
    Reserve {
        bytes: usize,
    },
    Trim,
    MoreBudget {
        bytes: usize,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let len = prop_oneof![
        8 => 1..200_usize,
        8 => 200..70_000_usize,
        3 => 70_000..(2_usize << 20) + 1,
        1 => (2_usize << 20)..(5_usize << 20),
    ];
    let align_shift = prop_oneof![6 => 0..13_u32, 1 => 13..22_u32];
    let which = any::<usize>();
    prop_oneof![
        20 => (len, align_shift, any::<bool>())
            .prop_map(|(len, align_shift, zeroed)| Step::Alloc { len, align_shift, zeroed }),
        1 => (which, 0..100_000_usize).prop_map(|(which, len)| Step::Resize { which, len }),
        12 => which.prop_map(|which| Step::Free { which }),
        3 => which.prop_map(|which| Step::FreeElsewhere { which }),
        1 => which.prop_map(|which| Step::ThroughRaw { which }),
        1 => (1..(9_usize << 20)).prop_map(|bytes| Step::Reserve { bytes }),
        1 => Just(Step::Trim),
        1 => (1..(6_usize << 20)).prop_map(|bytes| Step::MoreBudget { bytes }),
    ]
}

/// A buffer in use, and the byte that its first and last hundred bytes are filled with.
struct Live {
    buf: DmaBuf,
    mark: u8,
}

const EDGE: usize = 100;

impl Live {
    fn new(mut buf: DmaBuf, mark: u8) -> Self {
        let len = buf.len();
        buf[..len.min(EDGE)].fill(mark);
        buf[len.saturating_sub(EDGE)..].fill(mark);
        Self { buf, mark }
    }

    fn is_intact(&self) -> bool {
        let len = self.buf.len();
        let edges = self.buf[..len.min(EDGE)]
            .iter()
            .chain(&self.buf[len.saturating_sub(EDGE)..]);
        edges.into_iter().all(|byte| *byte == self.mark)
    }
}

struct Model<A> {
    arena: A,
    ledger: Ledger,
    live: Vec<Live>,
    peak: usize,
    failures: u64,
    next_mark: u8,
}

impl<A: Arena> Model<A> {
    fn new(arena: A, ledger: Ledger) -> Self {
        Self {
            arena,
            ledger,
            live: Vec::new(),
            peak: 0,
            failures: 0,
            next_mark: 0,
        }
    }

    fn in_use(&self) -> usize {
        self.live.iter().map(|live| live.buf.capacity()).sum()
    }

    fn assert_valid(&self) {
        self.arena.check();
        let stats = self.arena.stats();
        assert_eq!(stats.in_use_bytes, self.in_use());
        assert_eq!(stats.peak_bytes, self.peak);
        assert_eq!(stats.live_count, self.live.len() as u64);
        assert_eq!(stats.failure_count, self.failures);
        assert_eq!(stats.reserved_bytes, self.ledger.reserved_bytes());

        let in_use = self
            .live
            .iter()
            .map(|live| (live.buf.as_ptr().addr(), live.buf.capacity()));
        let mut blocks = self.arena.free_blocks();
        blocks.extend(in_use);
        blocks.sort_unstable();
        for pair in blocks.windows(2) {
            assert!(
                pair[0].0 + pair[0].1 <= pair[1].0,
                "blocks overlap: {pair:x?}"
            );
        }
        for live in &self.live {
            assert!(live.is_intact(), "someone else wrote to {:?}", live.buf);
        }
    }

    fn alloc(&mut self, len: usize, align: usize, zeroed: bool) {
        match self.arena.alloc(len, align, zeroed) {
            Ok(buf) => {
                assert_eq!(buf.len(), len);
                assert!(buf.capacity() >= len && buf.alignment() >= align.max(64));
                assert_eq!(buf.as_ptr().addr() % buf.alignment(), 0);
                assert!(!zeroed || buf.iter().all(|byte| *byte == 0));
                self.next_mark = self.next_mark.wrapping_add(1) | 1;
                self.live.push(Live::new(buf, self.next_mark));
                self.peak = self.peak.max(self.in_use());
            }
            Err(error) => {
                assert_eq!(
                    error,
                    AllocError {
                        len,
                        align,
                        reason: Reason::Exhausted
                    }
                );
                self.failures += 1;
                // It must have been true: neither a free block nor the backing could serve it.
                let need = len.max(align).max(64).next_power_of_two();
                let large = need > 2 << 20;
                let free = self.arena.free_blocks();
                assert!(
                    large || free.iter().all(|(_, size)| *size < need),
                    "{need} was free"
                );
                let needed = if large { len } else { 2 << 20 };
                assert!(
                    self.ledger.budget() < needed + 4096,
                    "the backing had {needed} bytes"
                );
            }
        }
    }

    fn take(&mut self, which: usize) -> Option<DmaBuf> {
        let count = self.live.len();
        (count > 0).then(|| self.live.swap_remove(which % count).buf)
    }

    fn run(&mut self, step: Step) {
        match step {
            Step::Alloc {
                len,
                align_shift,
                zeroed,
            } => self.alloc(len, 1 << align_shift, zeroed),
            Step::Resize { which, len } => {
                if let Some(mut buf) = self.take(which) {
                    let before = buf.len();
                    match buf.set_len(len) {
                        Ok(()) => assert!(len <= buf.capacity() && buf.len() == len),
                        Err(_) => assert!(len > buf.capacity() && buf.len() == before),
                    }
                    let mark = self.next_mark;
                    self.live.push(Live::new(buf, mark));
                }
            }
            Step::Free { which } => drop(self.take(which)),
            Step::FreeElsewhere { which } => {
                let buf = self.take(which);
                std::thread::spawn(|| drop(buf)).join().unwrap();
            }
            Step::ThroughRaw { which } => {
                if let Some(buf) = self.take(which) {
                    let (mark, ptr) = (self.next_mark, buf.as_ptr());
                    let raw = Live::new(buf, mark).buf.into_raw();
                    assert_eq!(raw.as_ptr().cast_const(), ptr);
                    // SAFETY: turned back once.
                    let buf = unsafe { DmaBuf::from_raw(raw) };
                    self.live.push(Live { buf, mark });
                }
            }
            Step::Reserve { bytes } => {
                let before = self.arena.stats().reserved_bytes;
                match self.arena.reserve(bytes) {
                    Ok(()) => assert!(self.arena.stats().reserved_bytes >= before + bytes),
                    Err(error) => {
                        assert_eq!(error.reason, Reason::Exhausted);
                        self.failures += 1;
                    }
                }
            }
            Step::Trim => {
                let before = self.arena.stats().reserved_bytes;
                let released = self.arena.trim();
                assert_eq!(self.arena.stats().reserved_bytes, before - released);
            }
            Step::MoreBudget { bytes } => self.ledger.add_budget(bytes),
        }
        self.assert_valid();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..Default::default() })]

    #[test]
    fn local_arena_agrees(steps in prop::collection::vec(step(), 1..250), budget in 20_000..(24_usize << 20)) {
        let ledger = Ledger::new(budget);
        let arena = LocalArena::new(ledger.clone()).unwrap();
        let mut model = Model::new(arena, ledger.clone());
        steps.into_iter().for_each(|step| model.run(step));
        // Half of what is left dies before the arena, half after.
        let later = model.live.split_off(model.live.len() / 2);
        drop(model);
        prop_assert!(later.iter().all(Live::is_intact));
        drop(later);
        prop_assert_eq!(ledger.reserved_bytes(), 0);
    }

    #[test]
    fn shared_arena_agrees(steps in prop::collection::vec(step(), 1..250), budget in 20_000..(24_usize << 20)) {
        let ledger = Ledger::new(budget);
        let arena = Box::into_raw(Box::new(SharedArena::new(ledger.clone())));
        // SAFETY: a box that is taken back when all buffers are gone.
        let mut model = Model::new(unsafe { &*arena }, ledger.clone());
        steps.into_iter().for_each(|step| model.run(step));
        drop(model);
        // SAFETY: from `Box::into_raw`, and no reference is left.
        drop(unsafe { Box::from_raw(arena) });
        prop_assert_eq!(ledger.reserved_bytes(), 0);
    }
}
