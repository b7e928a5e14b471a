//! Arenas against `spdk_dma_malloc` and `spdk_dma_free`: `cargo bench --features spdk`.
//!
//! Each round runs the three in turn; the ratio is taken per round, as the machine may be noisy.
//! DPDK clears memory when it is freed, so its figures depend on the caches of the machine and grow with
//! the size and the number of buffers; an arena touches eight bytes of a block.

#[path = "../tests/environment/mod.rs"]
mod environment;

use std::{fs, hint::black_box, ptr::null_mut};

use barespdk_alloc_dma::{DmaBuf, LocalArena, SpdkBacking, global};
use barespdk_sys::env::{spdk_dma_free, spdk_dma_malloc};

const ROUNDS: usize = 15;
const ALIGN: usize = 4096;

/// Who serves memory. `Buf` gives it back when it drops.
trait Allocator {
    type Buf;
    fn alloc(&self, len: usize) -> Self::Buf;
    fn address(buf: &Self::Buf) -> *const u8;
}

struct Spdk;
struct SpdkBuf(*mut std::ffi::c_void);

impl Drop for SpdkBuf {
    fn drop(&mut self) {
        // SAFETY: from `spdk_dma_malloc`, freed once.
        unsafe { spdk_dma_free(self.0) }
    }
}

impl Allocator for Spdk {
    type Buf = SpdkBuf;
    fn alloc(&self, len: usize) -> SpdkBuf {
        // SAFETY: plain numbers and the NULL that is asked for.
        let ptr = unsafe { spdk_dma_malloc(len, ALIGN, null_mut()) };
        assert!(!ptr.is_null());
        SpdkBuf(ptr)
    }
    fn address(buf: &SpdkBuf) -> *const u8 {
        buf.0.cast()
    }
}

struct Local(LocalArena<SpdkBacking>);

impl Allocator for Local {
    type Buf = DmaBuf;
    fn alloc(&self, len: usize) -> DmaBuf {
        self.0.alloc(len, ALIGN).expect("memory suffices")
    }
    fn address(buf: &DmaBuf) -> *const u8 {
        buf.as_ptr()
    }
}

struct Shared;

impl Allocator for Shared {
    type Buf = DmaBuf;
    fn alloc(&self, len: usize) -> DmaBuf {
        global().alloc(len, ALIGN).expect("memory suffices")
    }
    fn address(buf: &DmaBuf) -> *const u8 {
        buf.as_ptr()
    }
}

/// CPU time of this thread in ns: what others do on a shared machine does not count.
fn cpu_ns() -> f64 {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `time` is a valid place for the result.
    let rc = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
    assert_eq!(rc, 0);
    time.tv_sec as f64 * 1e9 + time.tv_nsec as f64
}

/// In which order buffers come and go.
#[derive(Clone, Copy)]
enum Pattern {
    /// One is allocated and freed.
    Single,
    /// All are allocated, then freed in the same order.
    Batch,
    /// All are held; the oldest is freed for each that is allocated.
    Ring,
}

const HELD: usize = 256;

impl Pattern {
    fn name(self) -> String {
        match self {
            Self::Single => "one".to_owned(),
            Self::Batch => format!("{HELD}, then none"),
            Self::Ring => format!("{HELD} all the time"),
        }
    }
}

/// ns per allocate and free.
fn pair_ns<A: Allocator>(allocator: &A, len: usize, pattern: Pattern, pairs: usize) -> f64 {
    let len = black_box(len);
    let alloc = || {
        let buf = allocator.alloc(len);
        black_box(A::address(&buf));
        Some(buf)
    };
    let mut bufs: Vec<Option<A::Buf>> = (0..HELD).map(|_| None).collect();
    if let Pattern::Ring = pattern {
        bufs.fill_with(alloc);
    }
    let start = cpu_ns();
    match pattern {
        Pattern::Single => (0..pairs).for_each(|_| drop(alloc())),
        Pattern::Batch => {
            for _ in 0..pairs / HELD {
                bufs.iter_mut().for_each(|slot| *slot = alloc());
                bufs.iter_mut().for_each(|slot| *slot = None);
            }
        }
        Pattern::Ring => {
            for n in 0..pairs {
                let slot = &mut bufs[n % HELD];
                *slot = None;
                *slot = alloc();
            }
        }
    }
    (cpu_ns() - start) / pairs as f64
}

/// Smallest, median and largest.
fn spread(mut values: Vec<f64>) -> [f64; 3] {
    values.sort_by(f64::total_cmp);
    [
        values[0],
        values[values.len() / 2],
        values[values.len() - 1],
    ]
}

fn machine() -> String {
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpuinfo
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split(": ").nth(1));
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    format!("{}, {cores} cores", model.unwrap_or("unknown CPU"))
}

fn main() {
    let pages = environment::pages_at_hand();
    println!(
        "{}; {pages:?} pages; {ROUNDS} rounds, interleaved; CPU time.",
        machine()
    );
    println!("ns per allocate and free: min / median / max.");
    println!("x: SPDK's time over ours, per round.\n");
    environment::start(pages);
    let thread = environment::new_thread();
    environment::run_on(thread, || {
        let local = Local(LocalArena::new(SpdkBacking::ANY).expect("memory suffices"));
        println!("| size, held | spdk_dma_malloc | local arena | x | shared arena | x |");
        println!("|---|---|---|---|---|---|");
        for len in [4096, 32768] {
            for pattern in [Pattern::Single, Pattern::Batch, Pattern::Ring] {
                row(&local, len, pattern);
            }
        }
    });
    environment::stop();
}

fn row(local: &Local, len: usize, pattern: Pattern) {
    const PAIRS: usize = 25_600;
    let mut rounds = Vec::new();
    for round in 0..=ROUNDS {
        let spdk = pair_ns(&Spdk, len, pattern, PAIRS);
        // The arenas are fast: they repeat more, so that the clock has something to measure.
        let local = pair_ns(local, len, pattern, 20 * PAIRS);
        let shared = pair_ns(&Shared, len, pattern, 20 * PAIRS);
        // The first round warms up.
        if round > 0 {
            rounds.push([spdk, local, shared, spdk / local, spdk / shared]);
        }
    }
    let column = |index: usize| {
        let [min, median, max] = spread(rounds.iter().map(|round| round[index]).collect());
        let digits = if max < 100.0 { 1 } else { 0 };
        format!("{min:.digits$} / {median:.digits$} / {max:.digits$}")
    };
    println!(
        "| {} KiB, {} | {} | {} | {} | {} | {} |",
        len / 1024,
        pattern.name(),
        column(0),
        column(1),
        column(3),
        column(2),
        column(4)
    );
}
