//! Memory and threads of SPDK.

use core::{ffi::c_int, num::NonZeroUsize, ptr::NonNull};

use barespdk_sys::{
    env::{
        SPDK_ENV_NUMA_ID_ANY, SPDK_MALLOC_DMA, SPDK_VTOPHYS_ERROR, spdk_free, spdk_vtophys,
        spdk_zmalloc,
    },
    thread::spdk_get_thread,
};

use crate::{
    backing::{Backing, Physical},
    context::{Context, OsThread},
};

/// DMA memory of SPDK, by `spdk_zmalloc`: huge pages, or ordinary ones under `--no-huge`.
///
/// There is none before `spdk_env_init` has succeeded (allocations fail as exhausted), and the program
/// must not release any after `spdk_env_fini`: drop buffers and local arenas before that.
#[derive(Clone, Copy, Debug)]
pub struct SpdkBacking {
    numa_id: c_int,
}

impl SpdkBacking {
    /// Memory of whatever NUMA node SPDK chooses.
    pub const ANY: Self = Self::on_numa(SPDK_ENV_NUMA_ID_ANY);

    /// Memory of one NUMA node: the number is passed on to SPDK as it is.
    pub const fn on_numa(numa_id: i32) -> Self {
        Self { numa_id }
    }

    /// The NUMA node asked for, or `SPDK_ENV_NUMA_ID_ANY` (-1).
    pub const fn numa_id(&self) -> i32 {
        self.numa_id
    }
}

impl Default for SpdkBacking {
    fn default() -> Self {
        Self::ANY
    }
}

// SAFETY: `spdk_zmalloc` gives `size` zeroed bytes at a multiple of `align`, shared by all threads, until
// `spdk_free`. Both are C functions that take a lock of their own and do not unwind.
unsafe impl Backing for SpdkBacking {
    type Context = SpdkThread;

    fn reserve(&self, size: usize, align: usize) -> Option<NonNull<u8>> {
        // SAFETY: plain numbers; the unused pointer has to be NULL. Before the environment is
        // initialised DPDK has no heap, and returns NULL.
        let ptr = unsafe {
            spdk_zmalloc(
                size,
                align,
                core::ptr::null_mut(),
                self.numa_id,
                SPDK_MALLOC_DMA,
            )
        };
        NonNull::new(ptr.cast())
    }

    unsafe fn release(&self, ptr: NonNull<u8>, _size: usize, _align: usize) {
        // SAFETY: from `spdk_zmalloc`, and not freed before, as the caller promises.
        unsafe { spdk_free(ptr.as_ptr().cast()) }
    }

    fn translate(&self, ptr: NonNull<u8>, len: usize) -> Option<Physical> {
        let mut contiguous = len as u64;
        // SAFETY: the address is looked up, not accessed, and the length is a valid place.
        let address = unsafe { spdk_vtophys(ptr.as_ptr().cast(), &mut contiguous) };
        if address == SPDK_VTOPHYS_ERROR {
            return None;
        }
        let contiguous_bytes = usize::try_from(contiguous).unwrap_or(len).min(len);
        Some(Physical {
            address,
            contiguous_bytes,
        })
    }
}

/// SPDK threads, by `spdk_get_thread`, and OS threads that run none.
#[derive(Clone, Copy, Debug)]
pub struct SpdkThread;

// SAFETY: SPDK polls a thread on one OS thread at a time, and when it moves one to another reactor, the
// message that does so orders the two. An OS thread without an SPDK thread is told apart by its own id.
// The two kinds of value differ in their lowest bit, as both are addresses of aligned memory.
unsafe impl Context for SpdkThread {
    #[inline]
    fn current() -> NonZeroUsize {
        // SAFETY: reads a thread-local pointer of SPDK's; valid at any time on any thread.
        let thread = unsafe { spdk_get_thread() };
        match NonZeroUsize::new(thread.addr()) {
            Some(id) => id,
            None => OsThread::current() | 1,
        }
    }
}
