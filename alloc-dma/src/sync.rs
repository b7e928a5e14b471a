//! Atomics and cells, or loom's of the same names, so that the crate's own code runs in its models.

#[cfg(not(loom))]
pub(crate) use core::sync::atomic::{AtomicBool, AtomicIsize, AtomicPtr, AtomicUsize, Ordering};
#[cfg(loom)]
pub(crate) use loom::{
    cell::UnsafeCell,
    sync::atomic::{AtomicBool, AtomicIsize, AtomicPtr, AtomicUsize, Ordering},
};

/// [`core::cell::UnsafeCell`] with the interface of loom's, which sees accesses that race.
#[cfg(not(loom))]
#[derive(Debug)]
pub(crate) struct UnsafeCell<T>(core::cell::UnsafeCell<T>);

#[cfg(not(loom))]
impl<T> UnsafeCell<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self(core::cell::UnsafeCell::new(value))
    }

    #[inline(always)]
    pub(crate) fn with_mut<R>(&self, f: impl FnOnce(*mut T) -> R) -> R {
        f(self.0.get())
    }
}

/// Lets another thread run, so that a wait comes to an end. `round` counts the waits so far.
#[cfg(not(loom))]
pub(crate) fn pause(round: u32) {
    /// A lock is held for some tens of instructions; longer than this, its holder is not running.
    const SPIN_COUNT: u32 = 64;
    if round < SPIN_COUNT {
        core::hint::spin_loop();
    } else {
        // SAFETY: `sched_yield` takes nothing, touches no memory of ours and cannot fail on Linux.
        unsafe { libc::sched_yield() };
    }
}

/// Lets another thread of the model run.
#[cfg(loom)]
pub(crate) fn pause(_round: u32) {
    loom::thread::yield_now();
}
