//! The arena of all threads.

use core::{
    alloc::{GlobalAlloc, Layout},
    ptr::NonNull,
};

use crate::{
    backing::{Backing, Physical},
    buf::DmaBuf,
    class::Placement,
    error::{AllocError, CheckError, Reason},
    lock::SpinLock,
    owner::{Block, Owner},
    pool::Pool,
    refill::{self, PoolCell},
    stats::Stats,
    system::SystemBacking,
};

/// An arena that all threads may use, behind a lock that spins.
///
/// It is made in a `static`, and gives out [`DmaBuf`]s from there; or it serves as `#[global_allocator]`
/// (over [`SystemBacking`](crate::SystemBacking): SPDK's memory is not there when a program starts).
///
/// ```
/// use barespdk_alloc_dma::{SharedArena, SystemBacking};
///
/// static ARENA: SharedArena<SystemBacking> = SharedArena::new(SystemBacking);
///
/// let buf = ARENA.alloc_zeroed(512, 512)?;
/// std::thread::spawn(move || assert_eq!(buf.len(), 512)).join().unwrap();
/// assert_eq!(ARENA.stats().live_count, 0);
/// # Ok::<(), barespdk_alloc_dma::AllocError>(())
/// ```
#[repr(C)]
#[derive(Debug)]
pub struct SharedArena<B: Backing> {
    owner: Owner,
    pool: SpinLock<Pool>,
    /// Held while the backing is asked for more, so that one thread at a time grows the pool.
    growing: SpinLock<()>,
    backing: B,
}

static_assertions::assert_impl_all!(SharedArena<SystemBacking>: Send, Sync);

impl<B: Backing> PoolCell for SharedArena<B> {
    #[inline(always)]
    fn with<R>(&self, f: impl FnOnce(&mut Pool) -> R) -> R {
        self.pool.with(f)
    }
}

macro_rules! constructors {
    ($($const:tt)?) => {
        /// Makes an empty arena; the first chunk is reserved with the first allocation.
        pub $($const)? fn new(backing: B) -> Self {
            Self::with_limit(backing, usize::MAX)
        }

        /// As [`new`](Self::new); it will hold `limit_bytes` of the backing's memory at most.
        pub $($const)? fn with_limit(backing: B, limit_bytes: usize) -> Self {
            Self {
                owner: Owner { free: free::<B>, translate: translate::<B> },
                pool: SpinLock::new(Pool::new(limit_bytes, 0)),
                growing: SpinLock::new(()),
                backing,
            }
        }
    };
}

impl<B: Backing> SharedArena<B> {
    #[cfg(not(loom))]
    constructors!(const);
    #[cfg(loom)]
    constructors!();

    /// Allocates `len` bytes aligned to `align`. They are initialised, but hold anything.
    ///
    /// # Errors
    ///
    /// See [`Reason`]; any but [`Reason::ForeignThread`].
    #[inline]
    pub fn alloc(&'static self, len: usize, align: usize) -> Result<DmaBuf, AllocError> {
        let placement = Placement::of(len, align)?;
        let Some(ptr) = self.take(placement) else {
            return Err(AllocError {
                len,
                align,
                reason: Reason::Exhausted,
            });
        };
        let block = match placement {
            Placement::Class(class) => Block::of_class(ptr, class),
            Placement::Large { size, align } => Block::large(ptr, size, align),
        };
        // SAFETY: just taken, from this arena, which is there for ever; the placement fits the length.
        Ok(unsafe { DmaBuf::new_in(block, len, NonNull::from(self).cast()) })
    }

    /// As [`alloc`](Self::alloc), and the `len` bytes are zero.
    ///
    /// # Errors
    ///
    /// See [`Reason`]; any but [`Reason::ForeignThread`].
    #[inline]
    pub fn alloc_zeroed(&'static self, len: usize, align: usize) -> Result<DmaBuf, AllocError> {
        let mut buf = self.alloc(len, align)?;
        buf.as_mut_slice().fill(0);
        Ok(buf)
    }

    #[inline]
    fn take(&self, placement: Placement) -> Option<NonNull<u8>> {
        if let Placement::Class(class) = placement
            && let Some(ptr) = self.pool.with(|pool| pool.take(class))
        {
            return Some(ptr);
        }
        self.take_slow(placement)
    }

    #[cold]
    #[inline(never)]
    fn take_slow(&self, placement: Placement) -> Option<NonNull<u8>> {
        let block = self.growing.with(|()| match placement {
            Placement::Class(class) => refill::take(self, &self.backing, class),
            Placement::Large { size, align } => {
                refill::take_large(self, &self.backing, size, align)
            }
        });
        if block.is_none() {
            self.pool.with(Pool::note_failure);
        }
        block
    }

    /// Gives back memory that was taken for `placement`.
    ///
    /// # Safety
    ///
    /// `ptr` was taken from this arena for this placement, not given back since, and is not used after.
    #[inline]
    unsafe fn give(&self, placement: Placement, ptr: NonNull<u8>) {
        match placement {
            // SAFETY: as the caller promises.
            Placement::Class(class) => self.pool.with(|pool| unsafe { pool.give(class, ptr) }),
            Placement::Large { size, align } => {
                // SAFETY: reserved by `take_large` with this size and alignment, and not used any more.
                unsafe { self.backing.release(ptr, size, align) };
                self.pool.with(|pool| pool.remove_large(size));
            }
        }
    }

    /// Reserves chunks of at least `bytes` now, so that allocations need not later.
    ///
    /// # Errors
    ///
    /// [`Reason::Exhausted`]: what could be reserved stays.
    pub fn reserve(&self, bytes: usize) -> Result<(), AllocError> {
        if self
            .growing
            .with(|()| refill::reserve(self, &self.backing, bytes))
        {
            return Ok(());
        }
        self.pool.with(Pool::note_failure);
        let align = crate::BLOCK_BYTES_MAX;
        Err(AllocError {
            len: bytes,
            align,
            reason: Reason::Exhausted,
        })
    }

    /// Gives chunks back to the backing that are wholly free, and with the last one the arena's records of
    /// them; returns how many bytes.
    ///
    /// It sorts the free blocks, and others wait for the lock meanwhile: milliseconds, if a chunk was
    /// split to its smallest blocks. It is not for the way of an I/O.
    pub fn trim(&self) -> usize {
        self.growing.with(|()| refill::trim(self, &self.backing))
    }

    /// The arena's figures, all of one moment.
    pub fn stats(&self) -> Stats {
        self.pool.with(|pool| pool.stats())
    }

    /// Looks for contradictions in the arena: damage by something that wrote where it must not.
    ///
    /// # Errors
    ///
    /// What was found first.
    pub fn check(&self) -> Result<(), CheckError> {
        self.pool.with(|pool| pool.check())
    }

    /// Calls `f` with address and size of each free block, for tests; `f` must not use the arena.
    #[doc(hidden)]
    pub fn for_each_free(&self, f: impl FnMut(NonNull<u8>, usize)) {
        self.pool.with(|pool| pool.for_each_free(f));
    }
}

impl<B: Backing> Drop for SharedArena<B> {
    /// Gives the memory back, unless a block is in use: then all of it leaks, which is safe.
    fn drop(&mut self) {
        self.pool.with(|pool| {
            if pool.live_count() == 0 {
                // SAFETY: no block is out, and the arena ends.
                unsafe { refill::release_all(pool, &self.backing) };
            }
        });
    }
}

// SAFETY: a block is as large and as aligned as its layout says, is nobody else's until it is given
// back, and stays when the arena is moved (nothing points into the arena itself) or dropped (memory in
// use leaks). Nothing here unwinds: bad layouts and exhaustion are a NULL.
unsafe impl<B: Backing> GlobalAlloc for SharedArena<B> {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let Ok(placement) = Placement::of(layout.size(), layout.align()) else {
            return core::ptr::null_mut();
        };
        self.take(placement)
            .map_or(core::ptr::null_mut(), NonNull::as_ptr)
    }

    #[inline]
    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        // Neither fails for what `alloc` returned for this layout.
        if let (Some(ptr), Ok(placement)) = (
            NonNull::new(ptr),
            Placement::of(layout.size(), layout.align()),
        ) {
            // SAFETY: allocated here with this layout, which gives the same placement again, and not
            // used any more, as the caller promises.
            unsafe { self.give(placement, ptr) }
        }
    }

    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        let old = Placement::of(layout.size(), layout.align());
        if old.is_ok() && old == Placement::of(new_size, layout.align()) {
            return ptr;
        }
        // SAFETY: the caller promises that the size is not 0 and, rounded up to the alignment, fits
        // `isize`; the alignment is the old layout's.
        let new = unsafe { Layout::from_size_align_unchecked(new_size, layout.align()) };
        // SAFETY: the layout is not empty. Both blocks are valid for the smaller of the two sizes, and
        // distinct. The old one is given back once.
        unsafe {
            let to = GlobalAlloc::alloc(self, new);
            if !to.is_null() {
                to.copy_from_nonoverlapping(ptr, layout.size().min(new_size));
                self.dealloc(ptr, layout);
            }
            to
        }
    }
}

/// [`Owner::free`] of shared arenas.
///
/// # Safety
///
/// As said there.
unsafe fn free<B: Backing>(owner: NonNull<Owner>, block: Block) {
    // SAFETY: `owner` starts a `SharedArena<B>`, as only that names this function, and it is a static:
    // `alloc` asks for one. The block came from there for its placement and is given up.
    unsafe {
        owner
            .cast::<SharedArena<B>>()
            .as_ref()
            .give(block.placement(), block.ptr)
    }
}

/// [`Owner::translate`] of shared arenas.
///
/// # Safety
///
/// As said there.
unsafe fn translate<B: Backing>(
    owner: NonNull<Owner>,
    ptr: NonNull<u8>,
    len: usize,
) -> Option<Physical> {
    // SAFETY: as in `free`; a backing may be called from any thread.
    unsafe { owner.cast::<SharedArena<B>>().as_ref() }
        .backing
        .translate(ptr, len)
}
