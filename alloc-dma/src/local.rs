//! The arena of one thread.

use core::{marker::PhantomData, ptr::NonNull};

use crate::{
    backing::{Backing, Physical},
    buf::DmaBuf,
    class::{Class, Placement},
    context::Context,
    error::{AllocError, CheckError, Reason},
    inbox::{Inbox, Pushed},
    owner::{Block, Owner},
    pool::Pool,
    refill::{self, PoolCell},
    stats::Stats,
    sync::{AtomicIsize, AtomicUsize, Ordering, UnsafeCell},
    system::SystemBacking,
};

/// The `home` of an arena that was dropped: no thread's identity.
const NOBODY: usize = 0;

/// What an arena consists of. It lives in the backing's memory, as buffers may outlive the
/// [`LocalArena`].
///
/// # Its end
///
/// `debt` decides who releases the memory. While the arena lives, it is minus the number of large
/// buffers that other threads have freed (their memory goes back at once). Dropping the arena
///  1. sets `home` to nobody (`LocalArena::drop`): no free is a local one from here on,
///  2. closes the inbox (`Inbox::close`): a free on any thread now counts down `debt` (`free_elsewhere`),
///  3. adds the number of blocks that are not back to `debt`.
///
/// Before 3 `debt` is never brought to 0 by counting down, as it starts there; after it, `debt` is the
/// number of blocks still out. So exactly one party finds 0 after its own step: it releases everything.
/// A thread that frees a block may use the arena until it has given up that block (pushed it, or counted
/// it), and not after.
#[repr(C)]
struct Core<B> {
    owner: Owner,
    /// The thread that may use `pool`, or [`NOBODY`]. Others read it only to find that it is not them.
    home: AtomicUsize,
    /// Used by the home thread alone, and by whoever releases everything.
    pool: UnsafeCell<Pool>,
    backing: B,
    away: Away,
}

/// What other threads write, on a cache line of its own.
#[repr(align(64))]
struct Away {
    inbox: Inbox,
    debt: AtomicIsize,
    /// Bytes of large buffers that went back to the backing and are not accounted for in `pool`.
    large_bytes: AtomicUsize,
}

impl<B: Backing> Core<B> {
    const BYTES: usize = size_of::<Self>();
    /// Of the backing, so at least 64.
    const ALIGN: usize = if align_of::<Self>() > 64 {
        align_of::<Self>()
    } else {
        64
    };

    fn is_home(&self) -> bool {
        // Relaxed: only the home thread writes its own identity here, and only it can take it away.
        self.home.load(Ordering::Relaxed) == B::Context::current().get()
    }
}

impl<B: Backing> PoolCell for Core<B> {
    #[inline(always)]
    fn with<R>(&self, f: impl FnOnce(&mut Pool) -> R) -> R {
        self.pool.with_mut(|pool| {
            // SAFETY: every caller has checked that it runs on the home thread, so by the contract of
            // `Context` no one else is in here, nor is there an outer borrow: `f` is always a closure of
            // this crate that calls neither the backing nor a buffer's drop.
            f(unsafe { &mut *pool })
        })
    }
}

/// An arena for one thread: no lock, and no atomic operation that costs anything, on the way of an
/// allocation or a free there.
///
/// "Thread" is what the backing's [`Context`] says: an SPDK thread for
/// [`SpdkBacking`](crate::SpdkBacking). The arena is neither `Send` nor `Sync`; what moves an SPDK thread
/// with all that belongs to it to another reactor may move its arenas along. An arena that is used
/// elsewhere all the same finds out: allocations fail with [`Reason::ForeignThread`], and dropping it
/// there leaks its memory.
///
/// A [`DmaBuf`] that is dropped on another thread goes to an inbox (one atomic exchange), which the arena
/// empties when a free list is. Buffers may outlive the arena: its memory goes back to the backing with
/// the last of them.
///
/// ```
/// # fn main() -> Result<(), barespdk_alloc_dma::AllocError> {
/// use barespdk_alloc_dma::{LocalArena, SystemBacking};
///
/// let arena = LocalArena::new(SystemBacking)?;
/// let mut buf = arena.alloc_zeroed(4096, 512)?;
/// assert!(buf.copy_from_slice(b"data").is_ok());
/// drop(arena);
/// assert_eq!(&buf[..6], b"data\0\0");
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct LocalArena<B: Backing> {
    core: NonNull<Core<B>>,
    /// Neither `Send` nor `Sync`.
    _local: PhantomData<*mut B>,
}

static_assertions::assert_not_impl_any!(LocalArena<SystemBacking>: Send, Sync);

impl<B: Backing> LocalArena<B> {
    /// Makes an arena that belongs to the running thread. It reserves a page for itself; the first chunk
    /// follows with the first allocation, or with [`reserve`](Self::reserve).
    ///
    /// # Errors
    ///
    /// The backing has no memory.
    pub fn new(backing: B) -> Result<Self, AllocError> {
        Self::with_limit(backing, usize::MAX)
    }

    /// As [`new`](Self::new); it will hold `limit_bytes` of the backing's memory at most.
    ///
    /// # Errors
    ///
    /// The backing has no memory, or the limit does not suffice for the arena itself.
    pub fn with_limit(backing: B, limit_bytes: usize) -> Result<Self, AllocError> {
        let (len, align) = (Core::<B>::BYTES, Core::<B>::ALIGN);
        let error = AllocError {
            len,
            align,
            reason: Reason::Exhausted,
        };
        if len > limit_bytes {
            return Err(error);
        }
        let core = backing.reserve(len, align).ok_or(error)?.cast::<Core<B>>();
        let value = Core {
            owner: Owner {
                free: free::<B>,
                translate: translate::<B>,
            },
            home: AtomicUsize::new(B::Context::current().get()),
            pool: UnsafeCell::new(Pool::new(limit_bytes, len)),
            backing,
            away: Away {
                inbox: Inbox::new(),
                debt: AtomicIsize::new(0),
                large_bytes: AtomicUsize::new(0),
            },
        };
        // SAFETY: fresh from the backing, of this size and alignment.
        unsafe { core.write(value) };
        Ok(Self {
            core,
            _local: PhantomData,
        })
    }

    #[inline(always)]
    fn core(&self) -> &Core<B> {
        // SAFETY: written by `with_limit`; stays until the arena is dropped, and only shared references
        // to it are made until then.
        unsafe { self.core.as_ref() }
    }

    /// Allocates `len` bytes aligned to `align`. They are initialised, but hold anything.
    ///
    /// # Errors
    ///
    /// See [`Reason`]; all of them can occur.
    #[inline]
    pub fn alloc(&self, len: usize, align: usize) -> Result<DmaBuf, AllocError> {
        let core = self.core();
        if let Some(class) = Class::of(len, align)
            && core.is_home()
            && let Some(ptr) = core.with(|pool| pool.take(class))
        {
            // SAFETY: just taken, from this arena; the class fits the length.
            return Ok(unsafe {
                DmaBuf::new_in(Block::of_class(ptr, class), len, self.core.cast())
            });
        }
        self.alloc_slow(len, align)
    }

    /// As [`alloc`](Self::alloc), and the `len` bytes are zero.
    ///
    /// # Errors
    ///
    /// See [`Reason`]; all of them can occur.
    #[inline]
    pub fn alloc_zeroed(&self, len: usize, align: usize) -> Result<DmaBuf, AllocError> {
        let mut buf = self.alloc(len, align)?;
        buf.as_mut_slice().fill(0);
        Ok(buf)
    }

    #[cold]
    #[inline(never)]
    fn alloc_slow(&self, len: usize, align: usize) -> Result<DmaBuf, AllocError> {
        let placement = Placement::of(len, align)?;
        let core = self.core();
        if !core.is_home() {
            return Err(AllocError {
                len,
                align,
                reason: Reason::ForeignThread,
            });
        }
        self.collect();
        let block = match placement {
            Placement::Class(class) => {
                refill::take(core, &core.backing, class).map(|ptr| Block::of_class(ptr, class))
            }
            Placement::Large { size, align } => {
                refill::take_large(core, &core.backing, size, align)
                    .map(|ptr| Block::large(ptr, size, align))
            }
        };
        let Some(block) = block else {
            core.with(Pool::note_failure);
            return Err(AllocError {
                len,
                align,
                reason: Reason::Exhausted,
            });
        };
        // SAFETY: just taken, from this arena; the placement fits the length.
        Ok(unsafe { DmaBuf::new_in(block, len, self.core.cast()) })
    }

    /// Takes in what other threads have freed. On the home thread only.
    fn collect(&self) {
        let core = self.core();
        core.away.inbox.drain(|class, block| {
            // SAFETY: a block that was in use, and whose user gave it up to the inbox.
            core.with(|pool| unsafe { pool.give(class, block) });
        });
        let large_bytes = core.away.large_bytes.swap(0, Ordering::Relaxed);
        core.with(|pool| pool.forget_large(large_bytes));
    }

    /// Reserves chunks of at least `bytes` now, so that allocations need not later.
    ///
    /// # Errors
    ///
    /// [`Reason::Exhausted`]: what could be reserved stays. [`Reason::ForeignThread`].
    pub fn reserve(&self, bytes: usize) -> Result<(), AllocError> {
        let core = self.core();
        let error = |reason| AllocError {
            len: bytes,
            align: crate::BLOCK_BYTES_MAX,
            reason,
        };
        if !core.is_home() {
            return Err(error(Reason::ForeignThread));
        }
        if refill::reserve(core, &core.backing, bytes) {
            return Ok(());
        }
        core.with(Pool::note_failure);
        Err(error(Reason::Exhausted))
    }

    /// Gives chunks back to the backing that are wholly free; returns how many bytes. Takes its time
    /// (see [`SharedArena::trim`](crate::SharedArena::trim)).
    pub fn trim(&self) -> usize {
        let core = self.core();
        if !core.is_home() {
            return 0;
        }
        self.collect();
        refill::trim(core, &core.backing)
    }

    /// The arena's figures, after taking in what other threads have freed. All zero on a foreign thread.
    pub fn stats(&self) -> Stats {
        let core = self.core();
        if !core.is_home() {
            return Stats::default();
        }
        self.collect();
        let mut stats = core.with(|pool| pool.stats());
        // Large buffers that other threads have freed are counted there.
        let large = core.away.debt.load(Ordering::Relaxed).unsigned_abs();
        stats.live_count = stats.live_count.saturating_sub(large as u64);
        stats
    }

    /// Looks for contradictions in the arena: damage by something that wrote where it must not.
    ///
    /// # Errors
    ///
    /// What was found first.
    pub fn check(&self) -> Result<(), CheckError> {
        let core = self.core();
        if !core.is_home() {
            return Ok(());
        }
        self.collect();
        core.with(|pool| pool.check())
    }

    /// Calls `f` with address and size of each free block, for tests.
    ///
    /// # Safety
    ///
    /// `f` does not use the arena nor drop a buffer of it: the free lists are borrowed.
    #[doc(hidden)]
    pub unsafe fn for_each_free(&self, f: impl FnMut(NonNull<u8>, usize)) {
        let core = self.core();
        if core.is_home() {
            core.with(|pool| pool.for_each_free(f));
        }
    }
}

impl<B: Backing> Drop for LocalArena<B> {
    fn drop(&mut self) {
        let core = self.core();
        if !core.is_home() {
            // The home thread may be freeing into the pool now. Leaking is what is left.
            return;
        }
        core.home.store(NOBODY, Ordering::Relaxed);
        core.away.inbox.close(|class, block| {
            // SAFETY: a block that was in use, and whose user gave it up to the inbox. We are the home
            // thread still: no one else frees into the pool.
            core.with(|pool| unsafe { pool.give(class, block) });
        });
        let out = core.with(|pool| pool.live_count()) as isize;
        // Release: who comes to 0 sees our pool. Acquire: if it is us, we see that all are done.
        let debt = core.away.debt.fetch_add(out, Ordering::AcqRel);
        if debt + out == 0 {
            // SAFETY: all blocks are back, and nobody but us has a pointer to the arena.
            unsafe { release_core(self.core) };
        }
    }
}

/// Releases an arena.
///
/// # Safety
///
/// All its blocks are back, everything that was done with them happened before, and nobody else uses
/// `core`, now or later.
unsafe fn release_core<B: Backing>(core: NonNull<Core<B>>) {
    // SAFETY: the arena is ours alone, so it can be moved out and its place given back.
    unsafe {
        let Core { pool, backing, .. } = core.read();
        pool.with_mut(|pool| refill::release_all(&mut *pool, &backing));
        backing.release(core.cast(), Core::<B>::BYTES, Core::<B>::ALIGN);
    }
}

/// [`Owner::free`] of local arenas.
///
/// # Safety
///
/// As said there.
unsafe fn free<B: Backing>(owner: NonNull<Owner>, block: Block) {
    let core = owner.cast::<Core<B>>();
    // SAFETY: `owner` starts a `Core<B>`, as only `LocalArena<B>` names this function, and it outlives
    // the block, which is still out.
    unsafe {
        if (*core.as_ptr()).is_home()
            && let Placement::Class(class) = block.placement()
        {
            (*core.as_ptr()).with(|pool| pool.give(class, block.ptr));
        } else {
            free_slow(core, block);
        }
    }
}

/// Frees a block on another thread, or one that is large.
///
/// # Safety
///
/// As [`free`].
#[cold]
#[inline(never)]
unsafe fn free_slow<B: Backing>(core: NonNull<Core<B>>, block: Block) {
    let this = core.as_ptr();
    // SAFETY: the arena is there until our block is given up: pushed or counted. References to it are
    // made for single steps before that, none across it.
    unsafe {
        match block.placement() {
            Placement::Class(class) => {
                match Inbox::push(&raw const (*this).away.inbox, class, block.ptr) {
                    Pushed::Queued => return,
                    // Everything goes at the end.
                    Pushed::Closed => {}
                }
            }
            Placement::Large { size, align } => {
                (*this).backing.release(block.ptr, size, align);
                if (*this).is_home() {
                    (*this).with(|pool| pool.remove_large(size));
                    return;
                }
                (*this).away.large_bytes.fetch_add(size, Ordering::Relaxed);
            }
        }
        // Release: what was done with the block happened before the end. Acquire: if this is the end,
        // it comes after what all others did.
        if (*this).away.debt.fetch_sub(1, Ordering::AcqRel) == 1 {
            release_core(core);
        }
    }
}

/// [`Owner::translate`] of local arenas.
///
/// # Safety
///
/// As said there.
unsafe fn translate<B: Backing>(
    owner: NonNull<Owner>,
    ptr: NonNull<u8>,
    len: usize,
) -> Option<Physical> {
    // SAFETY: `owner` starts a `Core<B>`, which is there as long as a block of it is in use, and a
    // backing may be called from any thread.
    unsafe {
        (*owner.cast::<Core<B>>().as_ptr())
            .backing
            .translate(ptr, len)
    }
}
