//! Who is running: the identity that ties a per-thread arena to its thread.

use core::num::NonZeroUsize;

/// Tells threads apart, where "thread" is whatever an arena is to belong to.
///
/// This is not always the OS thread: SPDK moves its threads between reactors, and what belongs to an
/// SPDK thread moves along.
///
/// # Safety
///
/// Code that sees the same value of [`current`](Self::current) must be one sequence: if two pieces of
/// code saw the same value, then one of them happened before the other. A value may serve again once
/// its thread has ended, as the addresses of `pthread_t` and of `struct spdk_thread` do, if the end of
/// the first happens before the start of the second, which holds wherever an allocator hands out the
/// address.
///
/// An implementation that gives two threads the same value at a time lets both of them into one free
/// list without a lock: both are handed the same memory. One that gives a thread a new value each time
/// is safe, but no allocation from a [`LocalArena`](crate::LocalArena) succeeds.
pub unsafe trait Context {
    /// The identity of the running thread.
    fn current() -> NonZeroUsize;
}

/// OS threads, by `pthread_self`.
#[derive(Clone, Copy, Debug)]
pub struct OsThread;

// SAFETY: POSIX keeps the ids of the threads of a process distinct while they live. The C library reuses
// an id with the memory of the dead thread's descriptor, under its own lock, after it has ended.
unsafe impl Context for OsThread {
    #[inline]
    fn current() -> NonZeroUsize {
        // SAFETY: `pthread_self` takes nothing and always succeeds.
        let id = unsafe { libc::pthread_self() };
        // An address in the C libraries at hand, so never 0; were it 0, it would still be told from
        // all others: no descriptor has this odd address.
        NonZeroUsize::new(id as usize).unwrap_or(NonZeroUsize::MIN)
    }
}
