//! A lock that spins: for tens of instructions at a time, without the heap, in a `static`.

use crate::sync::{AtomicBool, Ordering, UnsafeCell, pause};

/// A value behind a lock. A thread that waits long gives up its time slice. Not fair, not recursive.
#[derive(Debug)]
pub(crate) struct SpinLock<T> {
    locked: AtomicBool,
    value: UnsafeCell<T>,
}

// SAFETY: `with` lets one thread at a time at the value, and orders them: the store that unlocks
// releases, the exchange that locks acquires. So sharing the lock moves the value between threads, for
// which `T: Send` is enough.
unsafe impl<T: Send> Sync for SpinLock<T> {}
// SAFETY: the lock owns its value.
unsafe impl<T: Send> Send for SpinLock<T> {}

impl<T> SpinLock<T> {
    #[cfg(not(loom))]
    pub(crate) const fn new(value: T) -> Self {
        Self {
            locked: AtomicBool::new(false),
            value: UnsafeCell::new(value),
        }
    }

    #[cfg(loom)]
    pub(crate) fn new(value: T) -> Self {
        Self {
            locked: AtomicBool::new(false),
            value: UnsafeCell::new(value),
        }
    }

    /// Runs `f` with the lock held. `f` must not take the same lock: that would wait for ever.
    #[inline]
    pub(crate) fn with<R>(&self, f: impl FnOnce(&mut T) -> R) -> R {
        if !self.try_lock() {
            self.wait();
        }
        // A guard, not a plain store, so that a panic in a test's backing does not hang the others.
        let _unlock = Unlock(&self.locked);
        self.value.with_mut(|value| {
            // SAFETY: the lock is ours until the guard drops, so no other reference exists; and the
            // exchange that took it happened after the previous holder's accesses.
            f(unsafe { &mut *value })
        })
    }

    /// An exchange that fails writes nothing, unlike a swap.
    #[inline(always)]
    fn try_lock(&self) -> bool {
        self.locked
            .compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed)
            .is_ok()
    }

    #[cold]
    fn wait(&self) {
        let mut round = 0;
        loop {
            pause(round);
            round = round.saturating_add(1);
            // Reading first keeps the line shared while another thread holds the lock. Not in a model,
            // where a relaxed read may see the past for ever.
            let is_held = cfg!(not(loom)) && self.locked.load(Ordering::Relaxed);
            if !is_held && self.try_lock() {
                return;
            }
        }
    }
}

struct Unlock<'a>(&'a AtomicBool);

impl Drop for Unlock<'_> {
    #[inline]
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}
