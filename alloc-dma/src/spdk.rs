//! Memory and threads of SPDK.

use core::{
    ffi::c_int,
    num::NonZeroUsize,
    ptr::NonNull,
    sync::atomic::{AtomicUsize, Ordering, fence},
};

use barespdk_sys::{
    env::{
        SPDK_ENV_NUMA_ID_ANY, SPDK_MALLOC_DMA, SPDK_VTOPHYS_ERROR, spdk_free, spdk_vtophys,
        spdk_zmalloc,
    },
    thread::{spdk_get_thread, spdk_thread_get_app_thread},
};

use crate::{
    backing::{Backing, Physical},
    context::{Context, OsThread},
    sync::pause,
};

/// DMA memory of SPDK, by `spdk_zmalloc`: huge pages, or ordinary ones under `--no-huge`.
///
/// There is some while SPDK has an app thread: which is made when its environment is initialised, but
/// not before all of that is done. Before and after, allocations fail as exhausted. A buffer that is
/// kept beyond the end of the application is good memory still, until the process exits; DPDK unmaps it
/// among the last things of `exit`, so that no other thread may use one then.
#[derive(Clone, Copy, Debug)]
pub struct SpdkBacking {
    numa_id: c_int,
}

/// How many calls of SPDK's environment are under way, and [`ENDED`].
static CALLS: AtomicUsize = AtomicUsize::new(0);
/// Added when the environment is about to end.
const ENDED: usize = 1 << (usize::BITS - 1);

/// As long as there is one the environment is there.
struct Call;

impl Call {
    /// `None` where there is no environment, or it is about to come or to go.
    fn begin() -> Option<Self> {
        let before = CALLS.fetch_add(1, Ordering::Relaxed);
        let call = Self;
        // SAFETY: reads a pointer, which SPDK sets by an atomic operation.
        if before & ENDED != 0 || unsafe { spdk_thread_get_app_thread() }.is_null() {
            return None;
        }
        // With what came before that operation: the initialisation.
        fence(Ordering::Acquire);
        Some(call)
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        CALLS.fetch_sub(1, Ordering::Release);
    }
}

/// Says that SPDK's environment is about to end: there is no memory any more, and when this returns
/// nobody is about to take some.
pub(crate) fn end() {
    CALLS.fetch_or(ENDED, Ordering::Relaxed);
    let mut round = 0;
    // Acquire: after all that they did. Who begins later sees that it has ended.
    while CALLS.load(Ordering::Acquire) != ENDED {
        pause(round);
        round = round.saturating_add(1);
    }
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
        // DPDK makes its heap while it is initialised, and does not expect to be asked then.
        let _call = Call::begin()?;
        // SAFETY: plain numbers; the unused pointer has to be NULL. There is an environment.
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
        // SAFETY: from `spdk_zmalloc`, and not freed before, as the caller promises. DPDK's heap stays
        // when the environment ends.
        unsafe { spdk_free(ptr.as_ptr().cast()) }
    }

    fn translate(&self, ptr: NonNull<u8>, len: usize) -> Option<Physical> {
        let mut contiguous = len as u64;
        let _call = Call::begin()?;
        // SAFETY: the address is looked up, not accessed, in a map which is there as long as the
        // environment; the length is a valid place.
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
