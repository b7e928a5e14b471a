//! Memory for a fixed number of tasks, set aside at compile time.

use core::cell::UnsafeCell;
use core::fmt;
use core::future::Future;
use core::mem::{MaybeUninit, offset_of};
use core::ptr::NonNull;

use super::Executor;
use super::spawned::SpawnedTask;
use super::task::Header;

// A static cannot hold loom's atomics; the claim of a slot is one swap, for which there is nothing
// to explore.
use core::sync::atomic::{AtomicBool, Ordering};

/// Room for `N` tasks of up to `SIZE` bytes each, for background work that must not depend on the
/// heap. Any thread may spawn into the pool; the task runs on the thread that spawned it.
///
/// `SIZE` counts the future and its header; a future that does not fit does not compile.
///
/// ```
/// use barespdk::TaskPool;
/// static SCRUBBERS: TaskPool<512, 4> = TaskPool::new();
/// assert_eq!(SCRUBBERS.capacity(), 4);
/// ```
pub struct TaskPool<const SIZE: usize, const N: usize> {
    slots: [Slot<SIZE>; N],
}

#[repr(C, align(64))]
struct Slot<const SIZE: usize> {
    memory: UnsafeCell<MaybeUninit<[u8; SIZE]>>,
    taken: AtomicBool,
}

// SAFETY: the memory of a slot belongs to the thread that took it, until that frees it.
unsafe impl<const SIZE: usize> Sync for Slot<SIZE> {}

/// All tasks of a pool are in use. Gives the future back.
pub struct PoolFull<F>(pub F);

impl<F> fmt::Debug for PoolFull<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PoolFull")
    }
}

impl<F> fmt::Display for PoolFull<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("all tasks of the pool are in use")
    }
}

impl<const SIZE: usize, const N: usize> TaskPool<SIZE, N> {
    /// An empty pool.
    pub const fn new() -> Self {
        Self {
            slots: [const {
                Slot {
                    memory: UnsafeCell::new(MaybeUninit::uninit()),
                    taken: AtomicBool::new(false),
                }
            }; N],
        }
    }

    /// How many tasks fit.
    pub const fn capacity(&self) -> usize {
        N
    }

    /// How many tasks there are. Others may come and go meanwhile.
    pub fn in_use(&self) -> usize {
        self.slots
            .iter()
            .filter(|slot| slot.taken.load(Ordering::Relaxed))
            .count()
    }

    /// Runs a future on an executor, in a slot of this pool.
    ///
    /// # Safety
    /// As for [`Executor::spawn_boxed`].
    #[cfg(test)]
    pub(crate) unsafe fn spawn_on<F: Future<Output = ()> + 'static>(
        &'static self,
        executor: &Executor,
        future: F,
    ) -> Result<(), PoolFull<F>> {
        // SAFETY: the caller's word.
        unsafe { self.spawn_on_with(executor, future, ()) }
    }

    /// Like [`TaskPool::spawn_on`], and keeps `keep` until the task is released, or the pool found
    /// to be full.
    ///
    /// # Safety
    /// As for [`Executor::spawn_boxed_with`].
    pub(crate) unsafe fn spawn_on_with<F, K>(
        &'static self,
        executor: &Executor,
        future: F,
        keep: K,
    ) -> Result<(), PoolFull<F>>
    where
        F: Future<Output = ()> + 'static,
        K: 'static,
    {
        const {
            assert!(
                size_of::<SpawnedTask<F, K>>() <= SIZE,
                "the future does not fit into the pool"
            );
            assert!(
                align_of::<SpawnedTask<F, K>>() <= 64,
                "the future's alignment is above 64"
            );
        }
        unsafe fn free<const SIZE: usize>(task: NonNull<Header>) {
            let slot = task.cast::<Slot<SIZE>>();
            // SAFETY: `spawn_on_with` placed the task at the begin of its slot, which is static.
            let taken = unsafe {
                &*slot
                    .byte_add(offset_of!(Slot<SIZE>, taken))
                    .cast::<AtomicBool>()
                    .as_ptr()
            };
            taken.store(false, Ordering::Release);
        }
        let Some(slot) = self
            .slots
            .iter()
            .find(|slot| !slot.taken.swap(true, Ordering::Acquire))
        else {
            return Err(PoolFull(future));
        };
        // The pointer is made from the whole slot, as `free` goes from the task to the flag.
        let task = NonNull::from(slot).cast::<SpawnedTask<F, K>>();
        // SAFETY: the slot is ours until `free`; it is static, large enough and aligned, as
        // asserted above; its memory is in an `UnsafeCell`. The rest is the caller's word.
        unsafe {
            task.write(SpawnedTask::new(
                NonNull::from(executor),
                free::<SIZE>,
                future,
                keep,
            ));
            SpawnedTask::launch(task);
        }
        Ok(())
    }
}

impl<const SIZE: usize, const N: usize> Default for TaskPool<SIZE, N> {
    fn default() -> Self {
        Self::new()
    }
}
