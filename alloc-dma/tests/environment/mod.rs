//! SPDK's environment and an SPDK thread, for the test and the benchmark that need the real one.

use std::{
    ffi::{CStr, c_int, c_void},
    fs,
    ptr::{null, null_mut},
};

use barespdk_sys::{
    env::{spdk_env_fini, spdk_env_init, spdk_env_opts, spdk_env_opts_init},
    thread::{spdk_set_thread, spdk_thread, spdk_thread_create},
};

unsafe extern "C" {
    /// Initialises the thread library, which an application does in `spdk_app_start`.
    fn spdk_thread_lib_init(new_thread_fn: *const c_void, ctx_sz: usize) -> c_int;
}

/// The pages that memory is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pages {
    Huge,
    Small,
}

/// Memory of the environment, in MiB.
pub(crate) const MEM_SIZE_MIB: i32 = 512;
/// Huge pages are added later as needed, if they are not limited; others may need them too.
const ARGUMENTS_HUGE: &CStr = c"--socket-limit=512 --log-level=lib.eal:error";
const ARGUMENTS_SMALL: &CStr = c"--log-level=lib.eal:error";

/// Huge pages if there are enough of them.
pub(crate) fn pages_at_hand() -> Pages {
    let meminfo = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let free = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("HugePages_Free:"));
    let free: i64 = free
        .and_then(|count| count.trim().parse().ok())
        .unwrap_or(0);
    if free * 2 >= i64::from(MEM_SIZE_MIB) {
        Pages::Huge
    } else {
        Pages::Small
    }
}

/// Starts the environment on this thread, once a process, and makes an app thread: only then is there
/// memory.
pub(crate) fn start(pages: Pages) {
    // SAFETY: the options are plain C data, valid as zeroes, and filled with defaults. Their strings
    // are literals.
    unsafe {
        let mut opts: spdk_env_opts = std::mem::zeroed();
        opts.opts_size = size_of::<spdk_env_opts>();
        spdk_env_opts_init(&mut opts);
        opts.name = c"arena".as_ptr();
        opts.core_mask = c"0x1".as_ptr();
        opts.mem_size = MEM_SIZE_MIB;
        // Without PCI, SPDK knows no physical addresses; small pages have none anyway.
        opts.no_pci = pages == Pages::Small;
        // Else SPDK takes memory of another node when the one asked for has none.
        opts.enforce_numa = true;
        opts.no_huge = pages == Pages::Small;
        let arguments = if pages == Pages::Huge {
            ARGUMENTS_HUGE
        } else {
            ARGUMENTS_SMALL
        };
        opts.env_context = arguments.as_ptr().cast_mut().cast();
        assert_eq!(spdk_env_init(&opts), 0, "SPDK's environment did not start");
    }
    let early = barespdk_alloc_dma::DmaBuf::new(4096, 4096);
    assert!(early.is_err(), "memory before there are threads");
    new_thread();
}

/// Makes an SPDK thread, which runs nothing by itself.
pub(crate) fn new_thread() -> *mut spdk_thread {
    static LIBRARY: std::sync::Once = std::sync::Once::new();
    // SAFETY: the environment has been started; no function, no context.
    LIBRARY.call_once(|| assert_eq!(unsafe { spdk_thread_lib_init(null(), 0) }, 0));
    // SAFETY: the library is initialised; a name and a mask are not needed.
    let thread = unsafe { spdk_thread_create(null(), null()) };
    assert!(!thread.is_null());
    thread
}

/// Runs `f` as the SPDK thread, which must not run elsewhere.
pub(crate) fn run_on<R>(thread: *mut spdk_thread, f: impl FnOnce() -> R) -> R {
    // SAFETY: a live thread of `new_thread`, set on one OS thread at a time by the tests here.
    unsafe { spdk_set_thread(thread) };
    let result = f();
    // SAFETY: none is always allowed.
    unsafe { spdk_set_thread(null_mut()) };
    result
}

/// Ends the environment, on the thread that started it.
pub(crate) fn stop() {
    barespdk_alloc_dma::end();
    // SAFETY: started, on this thread, and nobody asks for memory any more.
    unsafe { spdk_env_fini() };
}
