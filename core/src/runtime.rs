//! The executor of each SPDK thread, and what keeps it running.
//!
//! The per-thread executor is the context of an SPDK io_channel: SPDK allocates it when a thread
//! first needs one, counts its users, and frees it when the last is gone; there is no registry, no
//! lock and no map of ours. One poller per thread ticks it. Where reactors sleep, more keeps them from
//! sleeping too long: see `rouse`.

mod rouse;

use core::cell::Cell;
use core::ffi::{c_int, c_void};
use core::future::Future;
use core::pin::Pin;
use core::ptr::{self, NonNull};
use core::sync::atomic::{AtomicU8, AtomicU32, Ordering};
use core::task::{Context, Poll};
use core::time::Duration;

use barespdk_sys as ffi;

use crate::errno::Errno;
use crate::executor::pool::PoolFull;
use crate::executor::timers::TimerId;
use crate::executor::{Executor, TaskPool, TimersFull};

use rouse::Rouse;

/// The io_device whose channels are the executors: SPDK knows devices by address. An atomic has an
/// address of its own, which a constant might share.
static DEVICE: AtomicU8 = AtomicU8::new(0);

/// How many want the runtime: see [`register`].
static USERS: AtomicU32 = AtomicU32::new(0);

fn device() -> *mut c_void {
    DEVICE.as_ptr().cast()
}

/// Makes the runtime known to SPDK, unless it is. Whoever brings tasks to SPDK's threads does so: a
/// bdev module in `module_init`, an application when it starts. On the app thread.
pub(crate) fn register() {
    if USERS.fetch_add(1, Ordering::Relaxed) == 0 {
        // SAFETY: the device is a static; the callbacks keep the contract of channels with a context
        // of the size given; the name is copied.
        unsafe {
            ffi::spdk_io_device_register(
                device(),
                Some(create_runtime),
                Some(destroy_runtime),
                size_of::<Runtime>() as u32,
                c"barespdk".as_ptr(),
            );
        }
    }
}

/// Ends what one [`register`] began. On the app thread.
pub(crate) fn unregister() {
    if USERS.fetch_sub(1, Ordering::Relaxed) == 1 {
        // SAFETY: registered by `register`. Channels that still exist keep the device in SPDK until
        // they are put.
        unsafe { ffi::spdk_io_device_unregister(device(), None) };
    }
}

/// What a thread has: the context of its channel.
pub(crate) struct Runtime {
    executor: Executor,
    poller: Cell<*mut ffi::spdk_poller>,
    rouse: Rouse,
}

// SPDK allocates a context at 16 bytes, behind the 96 of its own header.
const _: () = assert!(align_of::<Runtime>() <= 16);

fn thread_id() -> usize {
    // SAFETY: callable from any thread; null outside of SPDK's.
    unsafe { ffi::spdk_get_thread() }.addr()
}

unsafe extern "C" fn create_runtime(_device: *mut c_void, context: *mut c_void) -> c_int {
    // SAFETY: on the thread that asks for a channel. A poller made on one that exits would be left
    // behind, and in interrupt mode SPDK follows a null pointer.
    if !unsafe { ffi::spdk_thread_is_running(ffi::spdk_get_thread()) } {
        return -libc::ESHUTDOWN;
    }
    let runtime = context.cast::<Runtime>();
    // On this thread, which runs; `destroy_runtime` ends it.
    let (rouse, kick) = Rouse::begin();
    // SAFETY: SPDK hands over a context of the size that was registered, sufficiently aligned, and
    // leaves it at its place until `destroy_runtime`.
    unsafe {
        runtime.write(Runtime {
            executor: Executor::new(thread_id, kick),
            poller: Cell::new(ptr::null_mut()),
            rouse,
        });
        let poller =
            ffi::spdk_poller_register_named(Some(tick), context, 0, c"barespdk_executor".as_ptr());
        if poller.is_null() {
            (*runtime).rouse.end();
            runtime.drop_in_place();
            return -libc::ENOMEM;
        }
        (*runtime).poller.set(poller);
    }
    0
}

unsafe extern "C" fn destroy_runtime(_device: *mut c_void, context: *mut c_void) {
    let runtime = context.cast::<Runtime>();
    // SAFETY: made by `create_runtime`, on this thread. No task is left: each keeps a `RuntimeRef`,
    // or belongs to something that does, so that SPDK would not have come here.
    unsafe {
        let mut poller = (*runtime).poller.get();
        ffi::spdk_poller_unregister(&mut poller);
        (*runtime).rouse.end();
        runtime.drop_in_place();
    }
}

unsafe extern "C" fn tick(context: *mut c_void) -> c_int {
    // SAFETY: the poller is unregistered before the context goes.
    let runtime = unsafe { &*context.cast::<Runtime>() };
    let executor = &runtime.executor;
    if executor.is_idle() && executor.timers().is_empty() {
        return ffi::SPDK_POLLER_IDLE as c_int;
    }
    work(runtime)
}

/// A tick with something to do; apart, so that one with nothing to do saves no registers.
#[inline(never)]
fn work(runtime: &Runtime) -> c_int {
    let executor = &runtime.executor;
    // SAFETY: reads the clock.
    let now_ticks = unsafe { ffi::spdk_get_ticks() };
    let busy = executor.tick(now_ticks);
    runtime
        .rouse
        .at(executor.timers().earliest_ticks(), runtime);
    (if busy {
        ffi::SPDK_POLLER_BUSY
    } else {
        ffi::SPDK_POLLER_IDLE
    }) as c_int
}

/// A counted reference to the runtime of the current SPDK thread, which it keeps. Bound to it.
pub(crate) struct RuntimeRef {
    runtime: NonNull<Runtime>,
}

impl RuntimeRef {
    /// The runtime of the thread that calls, made where there was none.
    ///
    /// # Errors
    /// - `EPERM` outside of SPDK's threads,
    /// - `ENODEV` where nobody has called [`register`],
    /// - `ENOMEM`, or where the thread has exited.
    pub(crate) fn current() -> Result<Self, Errno> {
        // SAFETY: callable from any thread.
        if unsafe { ffi::spdk_get_thread() }.is_null() {
            return Err(Errno::EPERM);
        }
        if USERS.load(Ordering::Relaxed) == 0 {
            return Err(Errno::ENODEV);
        }
        // SAFETY: on an SPDK thread; a device that SPDK does not know yields null.
        let channel = unsafe { ffi::spdk_get_io_channel(device()) };
        if channel.is_null() {
            return Err(Errno::ENOMEM);
        }
        // SAFETY: a channel of our device, with a `Runtime` as its context.
        let context = unsafe { ffi::spdk_io_channel_get_ctx(channel) };
        NonNull::new(context.cast())
            .map(|runtime| Self { runtime })
            .ok_or(Errno::ENOMEM)
    }

    pub(crate) fn executor(&self) -> &Executor {
        // SAFETY: the reference keeps the channel, and so its context.
        unsafe { &self.runtime.as_ref().executor }
    }
}

impl Clone for RuntimeRef {
    fn clone(&self) -> Self {
        // SAFETY: our reference keeps the channel; `RuntimeRef` is not `Send`, so this is its
        // thread.
        unsafe {
            ffi::spdk_io_channel_ref(ffi::spdk_io_channel_from_ctx(self.runtime.as_ptr().cast()));
        }
        Self {
            runtime: self.runtime,
        }
    }
}

impl Drop for RuntimeRef {
    fn drop(&mut self) {
        // SAFETY: gives up the reference that this value owned, on its thread. SPDK destroys the
        // channel later, by a message, so an executor never goes while it polls.
        unsafe {
            ffi::spdk_put_io_channel(ffi::spdk_io_channel_from_ctx(self.runtime.as_ptr().cast()));
        }
    }
}

/// Runs a future on the current SPDK thread until it ends, or the thread is asked to exit.
///
/// The future is boxed; it is first polled by the thread's next tick. For memory that is set aside
/// beforehand see [`spawn_in`].
///
/// # Errors
/// `EPERM` outside of SPDK's threads, `ENODEV` where neither an application nor a bdev module of
/// this crate runs, `ENOMEM`.
pub fn spawn_local<F: Future<Output = ()> + 'static>(future: F) -> Result<(), Errno> {
    let runtime = RuntimeRef::current()?;
    let keep = runtime.clone();
    // SAFETY: the task keeps the runtime until its release, so the executor stays until then; the
    // destruction of a channel comes by a message, hence not in the release itself.
    unsafe { runtime.executor().spawn_boxed_with(future, keep) };
    Ok(())
}

/// Why a future could not be spawned into a [`TaskPool`]. Gives it back.
#[derive(Debug)]
pub enum SpawnError<F> {
    /// All tasks of the pool are in use.
    Full(PoolFull<F>),
    /// The thread cannot run tasks: see [`spawn_local`].
    Thread(Errno, F),
}

/// Like [`spawn_local`], in memory of a [`TaskPool`].
///
/// # Errors
/// See [`SpawnError`].
pub fn spawn_in<F, const SIZE: usize, const N: usize>(
    pool: &'static TaskPool<SIZE, N>,
    future: F,
) -> Result<(), SpawnError<F>>
where
    F: Future<Output = ()> + 'static,
{
    let runtime = match RuntimeRef::current() {
        Ok(runtime) => runtime,
        Err(errno) => return Err(SpawnError::Thread(errno, future)),
    };
    let keep = runtime.clone();
    // SAFETY: as in `spawn_local`.
    unsafe { pool.spawn_on_with(runtime.executor(), future, keep) }.map_err(SpawnError::Full)
}

/// Drops all spawned tasks of the current thread; what they hold in flight drains.
pub(crate) fn cancel_current_thread() {
    if let Ok(runtime) = RuntimeRef::current() {
        runtime.executor().cancel_spawned();
    }
}

/// Ends after a time. See [`sleep`].
#[must_use = "a future does nothing unless it is awaited"]
pub struct Sleep {
    runtime: Result<RuntimeRef, Errno>,
    deadline_ticks: u64,
    timer: Option<TimerId>,
    /// Whether others had their turn since it could not begin.
    yielded: bool,
}

/// Why a [`Sleep`] could not begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SleepError {
    /// The thread has as many timers as it can.
    TimersFull(TimersFull),
    /// The thread cannot run tasks: see [`spawn_local`].
    Thread(Errno),
}

/// A future that ends `duration` from now, by the clock of `spdk_get_ticks`, to the precision of a
/// reactor's iteration. Of the current thread, which may be one that exits.
///
/// Where it fails it does so one turn of the thread's tasks later: who tries again at once, and for ever,
/// keeps others from nothing.
pub fn sleep(duration: Duration) -> Sleep {
    // SAFETY: both read the clock.
    let (now, hz) = unsafe { (ffi::spdk_get_ticks(), ffi::spdk_get_ticks_hz()) };
    let ticks = duration.as_nanos().saturating_mul(u128::from(hz)) / 1_000_000_000;
    Sleep {
        runtime: RuntimeRef::current(),
        deadline_ticks: now.saturating_add(u64::try_from(ticks).unwrap_or(u64::MAX)),
        timer: None,
        yielded: false,
    }
}

impl Future for Sleep {
    type Output = Result<(), SleepError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // SAFETY: reads the clock.
        let now_ticks = unsafe { ffi::spdk_get_ticks() };
        if now_ticks >= self.deadline_ticks {
            return Poll::Ready(Ok(()));
        }
        let error = match self.begin(cx) {
            Ok(()) => return Poll::Pending,
            Err(error) => error,
        };
        if self.yielded {
            return Poll::Ready(Err(error));
        }
        self.yielded = true;
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl Sleep {
    /// Has the task woken at the deadline.
    fn begin(&mut self, cx: &mut Context<'_>) -> Result<(), SleepError> {
        let runtime = self.runtime.as_ref();
        let timers = runtime
            .map_err(|errno| SleepError::Thread(*errno))?
            .executor()
            .timers();
        match self.timer {
            Some(timer) => timers.set_waker(timer, cx.waker()),
            None => {
                let timer = timers.insert(self.deadline_ticks, cx.waker().clone());
                self.timer = Some(timer.map_err(SleepError::TimersFull)?);
            }
        }
        Ok(())
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let (Ok(runtime), Some(timer)) = (&self.runtime, self.timer) {
            runtime.executor().timers().remove(timer);
        }
    }
}
