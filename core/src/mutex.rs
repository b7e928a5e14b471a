//! A lock for state that SPDK threads share off the I/O path.
//!
//! [`Mutex`] puts the waiting operating-system thread to sleep in the kernel, and with it every SPDK
//! thread of that reactor. Hold it for a few instructions: to look something up in a list of devices,
//! to swap a configuration. What every I/O touches belongs into per-thread channels instead
//! (see [`io_device`](crate::io_device)).
//!
//! Why not the lock of the C library or SPDK's: an SPDK thread may move to another core, and so to
//! another operating-system thread, between two polls. A guard that lives across an `.await` would
//! then be released by another thread than the one that took it, which is undefined behaviour for
//! `pthread_mutex_t` and an abort for `spdk_spinlock` (`spdk/thread.h`). This lock has no owner, so
//! the worst that such a guard does is block whoever comes next - on the same reactor for ever.
//! Do not hold a guard across an `.await`.

use core::cell::UnsafeCell;
use core::fmt;
use core::marker::PhantomData;
use core::ops::{Deref, DerefMut};
use core::ptr;
use core::sync::atomic::{AtomicU32, Ordering};

/// Nobody holds the lock.
const FREE: u32 = 0;
/// Held, and nobody sleeps.
const HELD: u32 = 1;
/// Held, and somebody may sleep: the holder has to wake one.
const CONTENDED: u32 = 2;

/// How often a locker looks again before it sleeps. Sections are short: the lock is usually free by then.
const SPINS: u32 = 100;

/// Mutual exclusion for control-plane state. See the [module](self) for where it does not belong.
///
/// It is not poisoned by a panic, and not recursive: locking it twice on one thread waits for ever.
///
/// The guard stays on the thread that locked:
///
/// ```compile_fail,E0277
/// fn assert_send<T: Send>(_: T) {}
/// let mutex = barespdk::mutex::Mutex::new(0);
/// assert_send(mutex.lock());
/// ```
pub struct Mutex<T: ?Sized> {
    state: AtomicU32,
    value: UnsafeCell<T>,
}

// SAFETY: whoever owns the mutex owns the value, so it may move wherever the value may.
unsafe impl<T: ?Sized + Send> Send for Mutex<T> {}
// SAFETY: a shared mutex hands out the value to one thread at a time, by `&mut`, which is a move of
// the value as far as threads are concerned: `T: Send` is enough.
unsafe impl<T: ?Sized + Send> Sync for Mutex<T> {}

impl<T> Mutex<T> {
    /// A free lock around `value`.
    pub const fn new(value: T) -> Self {
        Self {
            state: AtomicU32::new(FREE),
            value: UnsafeCell::new(value),
        }
    }

    /// The value, when nobody can hold the lock any more.
    pub fn into_inner(self) -> T {
        self.value.into_inner()
    }
}

impl<T: ?Sized> Mutex<T> {
    /// Waits until the lock is free and takes it. Any thread may call this, SPDK's or not.
    pub fn lock(&self) -> MutexGuard<'_, T> {
        if self
            .state
            .compare_exchange(FREE, HELD, Ordering::Acquire, Ordering::Relaxed)
            .is_err()
        {
            self.lock_contended();
        }
        MutexGuard {
            mutex: self,
            stays: PhantomData,
        }
    }

    /// Takes the lock if it is free at this moment.
    pub fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        self.state
            .compare_exchange(FREE, HELD, Ordering::Acquire, Ordering::Relaxed)
            .is_ok()
            .then(|| MutexGuard {
                mutex: self,
                stays: PhantomData,
            })
    }

    /// The value, without locking: the borrow shows that no guard exists.
    pub fn get_mut(&mut self) -> &mut T {
        self.value.get_mut()
    }

    #[cold]
    fn lock_contended(&self) {
        for _ in 0..SPINS {
            if self.state.load(Ordering::Relaxed) == FREE
                && self
                    .state
                    .compare_exchange(FREE, HELD, Ordering::Acquire, Ordering::Relaxed)
                    .is_ok()
            {
                return;
            }
            core::hint::spin_loop();
        }
        // From here on the lock is taken as CONTENDED: whether others sleep is not known to us, and
        // one wake too many costs less than one that is missing.
        while self.state.swap(CONTENDED, Ordering::Acquire) != FREE {
            self.sleep();
        }
    }

    /// Sleeps while the state is `CONTENDED`. May return early; the caller looks again.
    fn sleep(&self) {
        // SAFETY: FUTEX_WAIT reads one aligned u32 at an address that `&self` keeps valid, and takes
        // a null timeout for "no timeout". All its failures (EAGAIN, EINTR) mean "look again", which
        // the caller does.
        unsafe {
            libc::syscall(
                libc::SYS_futex,
                self.state.as_ptr(),
                libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG,
                CONTENDED,
                ptr::null::<libc::timespec>(),
            );
        }
    }

    fn unlock(&self) {
        if self.state.swap(FREE, Ordering::Release) == CONTENDED {
            // SAFETY: FUTEX_WAKE takes the address as a key and reads nothing there. Another thread
            // may have locked, unlocked and freed the mutex by now: then the call wakes nobody, or
            // somebody who waits on a later futex at that address and has to expect early returns.
            unsafe {
                libc::syscall(
                    libc::SYS_futex,
                    self.state.as_ptr(),
                    libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG,
                    1,
                );
            }
        }
    }
}

impl<T: Default> Default for Mutex<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for Mutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.try_lock() {
            Some(guard) => f.debug_tuple("Mutex").field(&&*guard).finish(),
            None => f.write_str("Mutex(<locked>)"),
        }
    }
}

/// The right to use the value of a [`Mutex`]; dropping it frees the lock.
#[must_use = "the lock is free again at once"]
pub struct MutexGuard<'a, T: ?Sized> {
    mutex: &'a Mutex<T>,
    /// Not `Send`: a critical section belongs to one thread.
    stays: PhantomData<*mut ()>,
}

// SAFETY: a shared guard gives `&T` alone, which `T: Sync` allows on any thread.
unsafe impl<T: ?Sized + Sync> Sync for MutexGuard<'_, T> {}

impl<T: ?Sized> Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: this guard holds the lock, so no other guard exists, and `&self` keeps its own
        // `deref_mut` away.
        unsafe { &*self.mutex.value.get() }
    }
}

impl<T: ?Sized> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: this guard holds the lock, so no other guard exists, and `&mut self` is exclusive.
        unsafe { &mut *self.mutex.value.get() }
    }
}

impl<T: ?Sized> Drop for MutexGuard<'_, T> {
    fn drop(&mut self) {
        self.mutex.unlock();
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
    use std::sync::Arc;
    use std::thread;
    use std::vec::Vec;

    #[test]
    fn excludes_and_loses_no_update() {
        const THREADS: usize = 4;
        const ROUNDS: usize = 20_000;
        let counter = Arc::new(Mutex::new(0_usize));
        let threads: Vec<_> = (0..THREADS)
            .map(|_| {
                let counter = Arc::clone(&counter);
                thread::spawn(move || {
                    for _ in 0..ROUNDS {
                        *counter.lock() += 1;
                    }
                })
            })
            .collect();
        for thread in threads {
            thread.join().unwrap();
        }
        assert_eq!(*counter.lock(), THREADS * ROUNDS);
    }

    #[test]
    fn a_sleeper_is_woken() {
        let mutex = Arc::new(Mutex::new(false));
        let guard = mutex.lock();
        let sleeper = {
            let mutex = Arc::clone(&mutex);
            thread::spawn(move || *mutex.lock() = true)
        };
        thread::sleep(std::time::Duration::from_millis(20));
        drop(guard);
        sleeper.join().unwrap();
        assert!(*mutex.lock());
    }

    #[test]
    fn try_lock_says_no_instead_of_waiting() {
        let mut mutex = Mutex::new(7);
        let guard = mutex.lock();
        assert!(mutex.try_lock().is_none());
        assert_eq!(std::format!("{mutex:?}"), "Mutex(<locked>)");
        drop(guard);
        assert_eq!(mutex.try_lock().map(|guard| *guard), Some(7));
        *mutex.get_mut() = 8;
        assert_eq!(mutex.into_inner(), 8);
    }
}
