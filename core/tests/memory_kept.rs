//! Memory of SPDK's that somebody still has when the application has ended.
//!
//! SPDK starts once in a process, so each case runs this program again, with its name.

#[cfg(all(feature = "embedded", not(feature = "spdk")))]
use barespdk_embedded as _;

use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use barespdk::app::{self, App};
use barespdk::dma::{self, Backing as _, DmaBuf, LocalArena, Reason, SharedArena, SpdkBacking};

static KEPT: Mutex<Option<DmaBuf>> = Mutex::new(None);

/// Runs the application until `start` has been called.
fn run(start: impl FnOnce() + Send + 'static) {
    let socket = std::env::temp_dir().join(format!("barespdk-kept-{}.sock", std::process::id()));
    let fixed = [
        "kept",
        "--no-huge",
        "-s",
        "1024",
        "--no-pci",
        "--disable-cpumask-locks",
    ];
    let app = App::new("kept").rpc_addr(&socket.to_string_lossy());
    let code = app.run(fixed, || {
        start();
        app::stop(0).expect("it runs");
    });
    assert_eq!(code, Ok(0));
}

fn there_is_none() {
    let refused = DmaBuf::new(512, 512).expect_err("no SPDK runs");
    assert_eq!(refused.reason, Reason::Exhausted);
    assert!(LocalArena::new(SpdkBacking::ANY).is_err());
    let here = std::ptr::NonNull::from(&KEPT).cast();
    assert_eq!(SpdkBacking::ANY.translate(here, 1), None);
}

fn nothing() {
    there_is_none();
    run(|| {
        for len in [1, 512, 1 << 20, 3 << 20] {
            drop(DmaBuf::zeroed(len, 4096).expect("memory"));
        }
        assert!(dma::global().stats().reserved_bytes > 0);
    });
    assert_eq!(dma::global().stats().reserved_bytes, 0);
    there_is_none();
}

fn a_buffer() {
    run(|| {
        let mut buffer = DmaBuf::new(4096, 4096).expect("memory");
        buffer.fill(7);
        *KEPT.lock().expect("no panic") = Some(buffer);
    });
    let mut buffer = KEPT.lock().expect("no panic").take().expect("kept");
    assert!(buffer.iter().all(|byte| *byte == 7));
    buffer.fill(8);
    assert_eq!(buffer.physical(0), None);
    // What the arena has is good, but that is all.
    assert!(DmaBuf::new(4096, 4096).is_ok_and(|other| other.iter().all(|byte| *byte != 8)));
    assert!(DmaBuf::new(3 << 20, 4096).is_err());
    drop(buffer);
    there_is_nothing_in(dma::global());
}

fn there_is_nothing_in(arena: &SharedArena<SpdkBacking>) {
    assert_eq!(arena.stats().in_use_bytes, 0);
    arena.trim();
    assert_eq!(arena.stats().reserved_bytes, 0);
}

fn an_arena() {
    run(|| {
        let arena = LocalArena::new(SpdkBacking::ANY).expect("memory");
        let mut buffer = arena.alloc(64, 64).expect("memory");
        buffer.fill(7);
        *KEPT.lock().expect("no panic") = Some(buffer);
        // Nobody drops it.
        std::mem::forget(arena);
    });
    let buffer = KEPT.lock().expect("no panic").take().expect("kept");
    assert!(buffer.iter().all(|byte| *byte == 7));
}

/// Before SPDK has started, while it does, and after it has ended: what comes first is up to chance.
fn a_thread_that_goes_on() {
    static IS_OVER: AtomicBool = AtomicBool::new(false);
    let thread = thread::spawn(|| {
        while !IS_OVER.load(Ordering::Relaxed) {
            if let Ok(mut buffer) = DmaBuf::new(4096, 4096) {
                buffer.fill(7);
                thread::yield_now();
                assert!(buffer.iter().all(|byte| *byte == 7));
            }
        }
    });
    run(|| ());
    IS_OVER.store(true, Ordering::Relaxed);
    thread.join().expect("no panic");
}

const CASES: [(&str, fn()); 4] = [
    ("nothing", nothing),
    ("a_buffer", a_buffer),
    ("an_arena", an_arena),
    ("a_thread_that_goes_on", a_thread_that_goes_on),
];

fn main() {
    let mut args = std::env::args().skip(1);
    if args.next().as_deref() == Some("--case") {
        let name = args.next().expect("a case");
        let (_, case) = CASES.iter().find(|case| case.0 == name).expect("a case");
        return case();
    }
    let program = std::env::current_exe().expect("this program");
    for (name, _) in CASES {
        let status = Command::new(&program).args(["--case", name]).status();
        let status = status.expect("it starts");
        println!("test {name} ... {status}");
        assert!(status.success(), "{name}: {status}");
    }
}
