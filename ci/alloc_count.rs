//! Counts heap allocations of a program that it is preloaded into.
//!
//! ```text
//! rustc --edition 2024 -O --crate-type cdylib -o liballoc_count.so ci/alloc_count.rs
//! ALLOC_COUNT_FILE=count LD_PRELOAD=./liballoc_count.so program
//! ```
//!
//! Stands before glibc's `malloc`, `calloc`, `realloc`, `memalign`, `aligned_alloc` and
//! `posix_memalign`, and before SPDK's and DPDK's allocators of huge pages; counts each call and
//! passes it on. At exit, the number of calls is written into the file that `ALLOC_COUNT_FILE`
//! names. What calls to `free` cost is not of interest: each had its allocation.

use std::ffi::{c_char, c_int, c_void};
use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering};

static CALLS: AtomicU64 = AtomicU64::new(0);

const ENOMEM: c_int = 12;
/// `RTLD_NEXT` of glibc: the next definition in the order of search.
const RTLD_NEXT: *mut c_void = -1_isize as *mut c_void;

unsafe extern "C" {
    fn __libc_malloc(size: usize) -> *mut c_void;
    fn __libc_calloc(count: usize, size: usize) -> *mut c_void;
    fn __libc_realloc(block: *mut c_void, size: usize) -> *mut c_void;
    fn __libc_memalign(align: usize, size: usize) -> *mut c_void;
    fn dlsym(handle: *mut c_void, name: *const c_char) -> *mut c_void;
}

fn count() {
    CALLS.fetch_add(1, Ordering::Relaxed);
}

/// # Safety
/// As `malloc` of C.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn malloc(size: usize) -> *mut c_void {
    count();
    // SAFETY: the caller's own call, passed on.
    unsafe { __libc_malloc(size) }
}

/// # Safety
/// As `calloc` of C.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn calloc(number: usize, size: usize) -> *mut c_void {
    count();
    // SAFETY: the caller's own call, passed on.
    unsafe { __libc_calloc(number, size) }
}

/// # Safety
/// As `realloc` of C.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn realloc(block: *mut c_void, size: usize) -> *mut c_void {
    count();
    // SAFETY: the caller's own call, passed on.
    unsafe { __libc_realloc(block, size) }
}

/// # Safety
/// As `memalign` of glibc.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn memalign(align: usize, size: usize) -> *mut c_void {
    count();
    // SAFETY: the caller's own call, passed on.
    unsafe { __libc_memalign(align, size) }
}

/// # Safety
/// As `aligned_alloc` of C.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn aligned_alloc(align: usize, size: usize) -> *mut c_void {
    count();
    // SAFETY: the caller's own call, passed on.
    unsafe { __libc_memalign(align, size) }
}

/// # Safety
/// As `posix_memalign` of POSIX.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn posix_memalign(
    block: *mut *mut c_void,
    align: usize,
    size: usize,
) -> c_int {
    count();
    // SAFETY: the caller's own call, passed on; `block` is valid for a write by its contract.
    unsafe {
        let made = __libc_memalign(align, size);
        if made.is_null() {
            return ENOMEM;
        }
        block.write(made);
    }
    0
}

/// The next definition of a C function, looked up once.
struct Next {
    name: &'static [u8],
    found: AtomicPtr<c_void>,
}

impl Next {
    const fn new(name: &'static [u8]) -> Self {
        Self {
            name,
            found: AtomicPtr::new(std::ptr::null_mut()),
        }
    }

    fn get(&self) -> *mut c_void {
        let mut found = self.found.load(Ordering::Relaxed);
        if found.is_null() {
            // SAFETY: the name ends with NUL, and RTLD_NEXT is valid in a preloaded object.
            found = unsafe { dlsym(RTLD_NEXT, self.name.as_ptr().cast()) };
            assert!(
                !found.is_null(),
                "an allocator is called that is defined nowhere else"
            );
            self.found.store(found, Ordering::Relaxed);
        }
        found
    }
}

/// Stands before an allocator of SPDK or DPDK.
macro_rules! counted {
    ($($name:ident($($argument:ident: $type:ty),*);)*) => {$(
        /// # Safety
        /// As the function of this name in SPDK or DPDK v26.01.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $name($($argument: $type),*) -> *mut c_void {
            static NEXT: Next = Next::new(concat!(stringify!($name), "\0").as_bytes());
            count();
            // SAFETY: `get` found the function of this name, whose type this is.
            let next: unsafe extern "C" fn($($type),*) -> *mut c_void =
                unsafe { std::mem::transmute(NEXT.get()) };
            // SAFETY: the caller's own call, passed on.
            unsafe { next($($argument),*) }
        }
    )*};
}

counted! {
    spdk_malloc(size: usize, align: usize, unused: *mut u64, numa_id: c_int, flags: u32);
    spdk_zmalloc(size: usize, align: usize, unused: *mut u64, numa_id: c_int, flags: u32);
    spdk_realloc(block: *mut c_void, size: usize, align: usize);
    spdk_dma_malloc(size: usize, align: usize, unused: *mut u64);
    spdk_dma_zmalloc(size: usize, align: usize, unused: *mut u64);
    spdk_dma_malloc_socket(size: usize, align: usize, unused: *mut u64, numa_id: c_int);
    spdk_dma_zmalloc_socket(size: usize, align: usize, unused: *mut u64, numa_id: c_int);
    rte_malloc_socket(kind: *const c_char, size: usize, align: u32, socket: c_int);
    rte_zmalloc_socket(kind: *const c_char, size: usize, align: u32, socket: c_int);
}

extern "C" fn report() {
    let calls = CALLS.load(Ordering::Relaxed);
    if let Some(path) = std::env::var_os("ALLOC_COUNT_FILE") {
        // Nobody is left to hear of an error; a reader misses the file.
        let _ = std::fs::write(path, calls.to_string());
    }
}

#[used]
#[unsafe(link_section = ".fini_array")]
static AT_EXIT: extern "C" fn() = report;
