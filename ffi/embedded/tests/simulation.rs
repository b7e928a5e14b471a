//! The simulator runs the same thing again for the same seed. Each run is a process of its own, as there
//! is one simulation a process: this binary runs itself.

use std::ffi::{c_int, c_void};
use std::process::Command;
use std::ptr::{null, null_mut};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use barespdk_embedded::sim;
use barespdk_sys::*;

/// Pings that each thread sends.
const PINGS: u64 = 2000;
const THREADS: u64 = 5;

static TRACE: AtomicU64 = AtomicU64::new(0);
static LEFT: AtomicU64 = AtomicU64::new(0);

/// Adds to a digest of all that happened, in its order and with its time.
fn note(what: u64) {
    let digest = TRACE.load(Ordering::Relaxed).rotate_left(5) ^ what ^ (sim::now_us() << 32);
    TRACE.store(
        digest.wrapping_mul(0x9E37_79B9_7F4A_7C15),
        Ordering::Relaxed,
    );
}

unsafe extern "C" fn ping(index: *mut c_void) {
    note(index as u64);
    LEFT.fetch_sub(1, Ordering::Relaxed);
}

struct Sender {
    left: u64,
    index: u64,
    target: *mut spdk_thread,
    poller: *mut spdk_poller,
}

unsafe extern "C" fn send(sender: *mut c_void) -> c_int {
    // SAFETY: made in `main`, on this thread; freed here, where the poller goes.
    unsafe {
        let sender: *mut Sender = sender.cast();
        if sim::random_below(4) == 0 {
            return 0;
        }
        let what = (*sender).index * 1_000_000 + (*sender).left;
        spdk_thread_send_msg((*sender).target, Some(ping), what as *mut c_void);
        (*sender).left -= 1;
        if (*sender).left == 0 {
            spdk_poller_unregister(&mut (*sender).poller);
            drop(Box::from_raw(sender));
        }
        1
    }
}

unsafe extern "C" fn start(sender: *mut c_void) {
    let sender: *mut Sender = sender.cast();
    // SAFETY: made in `main`, handed over to the poller.
    unsafe {
        let period = if (*sender).index.is_multiple_of(2) {
            0
        } else {
            (*sender).index * 10
        };
        (*sender).poller = spdk_poller_register_named(Some(send), sender.cast(), period, null());
    }
}

static WATCHER: Mutex<usize> = Mutex::new(0);

/// Ends the simulation once all has arrived.
unsafe extern "C" fn watch(_: *mut c_void) -> c_int {
    unsafe extern "C" fn exit(_: *mut c_void) {
        // SAFETY: the current thread.
        unsafe { spdk_thread_exit(spdk_get_thread()) };
    }
    static ASKED: AtomicU64 = AtomicU64::new(0);
    if LEFT.load(Ordering::Relaxed) == 0 && ASKED.fetch_add(1, Ordering::Relaxed) == 0 {
        for id in 2..=THREADS + 1 {
            // SAFETY: a thread that nobody else asks to exit.
            unsafe { spdk_thread_send_msg(spdk_thread_get_by_id(id), Some(exit), null_mut()) };
        }
    }
    // SAFETY: reads a number.
    if unsafe { spdk_thread_get_count() } == 1 {
        let mut watcher = *WATCHER.lock().expect("no panic") as *mut spdk_poller;
        // SAFETY: this poller, on its thread.
        unsafe { spdk_poller_unregister(&mut watcher) };
        sim::stop();
    }
    0
}

fn main() {
    let Some(seed) = std::env::var("SIMULATION_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok())
    else {
        return compare();
    };
    LEFT.store(PINGS * THREADS, Ordering::Relaxed);
    sim::run_threads(seed, c"0xF", || {
        // SAFETY: all on SPDK threads, which live as long as the simulation.
        unsafe {
            let threads: Vec<_> = (0..THREADS)
                .map(|_| spdk_thread_create(null(), null()))
                .collect();
            for (index, thread) in (0..).zip(&threads) {
                let sender = Box::into_raw(Box::new(Sender {
                    left: PINGS,
                    index,
                    target: threads[(index as usize + 1) % threads.len()],
                    poller: null_mut(),
                }));
                spdk_thread_send_msg(*thread, Some(start), sender.cast());
            }
            *WATCHER.lock().expect("no panic") =
                spdk_poller_register_named(Some(watch), null_mut(), 50, null()) as usize;
        }
    });
    println!("{:016x} {}", TRACE.load(Ordering::Relaxed), sim::now_us());
    eprintln!("{} turns", sim::turns());
}

fn run(seed: u64) -> String {
    let own = std::env::current_exe().expect("a path");
    let start = Instant::now();
    let output = Command::new(own)
        .env("SIMULATION_SEED", seed.to_string())
        .output();
    let output = output.expect("it starts");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    println!(
        "seed {seed}: {} {:?}",
        String::from_utf8_lossy(&output.stderr).trim(),
        start.elapsed()
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn compare() {
    let first = run(1);
    assert_eq!(first, run(1), "the same seed, the same run");
    assert_ne!(first, run(2), "another seed, another run");
}
