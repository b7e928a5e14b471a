//! SPDK threads: handles on them, messages to them, their beginning and end.
//!
//! An SPDK thread is a queue of messages and a list of pollers that a reactor - an operating-system
//! thread on a core of its own - polls in turn with other SPDK threads. It may move to another reactor
//! between two polls. Channels, pollers, locals and tasks belong to the SPDK thread that made them,
//! never to the operating-system thread.
//!
//! Rust knows operating-system threads alone, and so does `Send`. What is `!Send` here cannot leave for
//! another reactor by safe code, but a `std::thread_local!` would carry it from one SPDK thread to
//! another on the same reactor: use [`LocalKey`](crate::local::LocalKey) instead. Dropping a channel or
//! a poller on a wrong thread is sent home, so that such a mistake does not corrupt memory.
//!
//! C: `spdk/thread.h`.

pub(crate) mod anchor;
mod gate;
pub(crate) mod record;

pub(crate) use gate::Origin;

use alloc::ffi::CString;
use alloc::sync::Arc;
use core::ffi::c_void;
use core::fmt;
use core::hash::{Hash, Hasher};
use core::ptr;

use barespdk_sys as ffi;

use crate::cpuset::Cpuset;
use crate::errno::Errno;
use crate::message::{Receiver, Sender, oneshot};
use crate::runtime;
use record::Record;

/// A handle on an SPDK thread. It may outlive the thread; then everything it does is an error value.
///
/// Cloned, sent and used by any thread, SPDK's or not. Two handles are equal if they are of the same
/// thread; SPDK never reuses an id.
#[derive(Clone)]
pub struct Thread {
    record: Arc<Record>,
}

/// Why a closure was not sent, and the closure.
#[derive(Clone, Copy)]
pub struct SendError<F> {
    /// `ESHUTDOWN`: the thread exits or is gone. `ENOMEM`: no memory for the message.
    pub errno: Errno,
    /// What was to be sent.
    pub closure: F,
}

impl<F> fmt::Debug for SendError<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SendError")
            .field("errno", &self.errno)
            .finish_non_exhaustive()
    }
}

impl<F> fmt::Display for SendError<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot send to the SPDK thread: {}", self.errno)
    }
}

impl<F> core::error::Error for SendError<F> {}

impl<F> From<SendError<F>> for Errno {
    fn from(error: SendError<F>) -> Self {
        error.errno
    }
}

/// The id of the SPDK thread that this code runs on, if it runs on one. Cheap: no lock, no table.
pub fn current_id() -> Option<u64> {
    // SAFETY: no arguments; the current thread is alive.
    unsafe {
        let thread = ffi::spdk_get_thread();
        (!thread.is_null()).then(|| ffi::spdk_thread_get_id(thread))
    }
}

/// Whether this code runs on an SPDK thread.
pub fn is_spdk_thread() -> bool {
    // SAFETY: no arguments.
    !unsafe { ffi::spdk_get_thread() }.is_null()
}

/// How many SPDK threads there are, C's among them. Out of date as soon as it is known.
pub fn count() -> u32 {
    // SAFETY: no arguments.
    unsafe { ffi::spdk_thread_get_count() }
}

/// How many cores, and so how many reactors, the application runs on.
pub fn core_count() -> u32 {
    // SAFETY: no arguments.
    unsafe { ffi::spdk_env_get_core_count() }
}

impl Thread {
    /// The SPDK thread that this code runs on. `None` if it runs on none, on one that exits, or if
    /// there is no memory for the runtime's part of it.
    pub fn current() -> Option<Self> {
        let record = Record::current().ok()?;
        Some(Self { record })
    }

    /// The app thread: the first one, on which subsystems start and RPCs are served.
    ///
    /// Off the app thread this is `None` until the runtime has been used on that thread once, which
    /// starting an application or a bdev module does; and again after it exited.
    pub fn app() -> Option<Self> {
        if is_app_thread() {
            return Self::current();
        }
        anchor::app().map(|record| Self { record })
    }

    /// Makes a thread that runs on any core of the application (`cores` is `None`) or of the given
    /// ones. The reactor that gets it polls it from then on.
    ///
    /// The thread lives until [`request_exit`](Self::request_exit); SPDK complains about threads that
    /// are left when the application stops.
    ///
    /// # Errors
    /// `EPERM` outside SPDK threads; `EINVAL` for a name with NUL or for cores on which this
    /// application does not run; `ENAMETOOLONG` beyond 255 bytes; `ENOMEM` if SPDK cannot make it.
    pub fn create(name: &str, cores: Option<&Cpuset>) -> Result<Self, Errno> {
        // The thread that creates also keeps the application from stopping meanwhile.
        Record::current()?;
        if name.len() > NAME_MAX {
            return Err(Errno::ENAMETOOLONG);
        }
        let name = CString::new(name).map_err(|_| Errno::EINVAL)?;
        let mask = match cores {
            Some(cores) => {
                let ours = Cpuset::of_application();
                // SPDK would take a core of its own choice then.
                if !cores.iter().any(|core| ours.contains(core)) {
                    return Err(Errno::EINVAL);
                }
                cores.as_ptr()
            }
            None => ptr::null(),
        };
        // SAFETY: both are copied during the call.
        let raw = unsafe { ffi::spdk_thread_create(name.as_ptr(), mask) };
        if raw.is_null() {
            return Err(Errno::ENOMEM);
        }
        // SAFETY: the thread has just been made. Only who knows it can end it, and nobody was told but
        // its reactor, which does so when the application stops; that is begun on the app thread after
        // the subsystems have been taken down, not while threads are still being made. Until the first
        // message has run SPDK does not let it exit; that message attaches the anchor, which keeps it.
        let record = unsafe {
            let record = Record::new(raw, true);
            record.schedule(attach);
            record
        };
        Ok(Self { record })
    }

    pub(crate) fn record(&self) -> &Arc<Record> {
        &self.record
    }

    /// SPDK's id of the thread: never 0, never used twice.
    pub fn id(&self) -> u64 {
        self.record.id()
    }

    /// The name that the thread was created with; what is not UTF-8 in it is replaced.
    pub fn name(&self) -> &str {
        self.record.name()
    }

    /// Whether this code runs on that thread.
    pub fn is_current(&self) -> bool {
        self.record.is_current()
    }

    /// Whether the thread takes messages: it was not asked to exit. It may be asked at any moment.
    pub fn is_running(&self) -> bool {
        self.record.is_open()
    }

    /// Whether the thread is gone: it has exited and SPDK has freed it, which it does when the period of
    /// the last timed poller there, dropped or not, has passed. The app thread is never freed while the
    /// application runs.
    pub fn has_exited(&self) -> bool {
        // SAFETY: any id may be asked for; the result is not followed.
        self.record.is_closed() && unsafe { ffi::spdk_thread_get_by_id(self.id()) }.is_null()
    }

    /// Runs a future on the current thread: [`spawn_local`](runtime::spawn_local).
    ///
    /// # Errors
    /// Those of `spawn_local`.
    pub fn spawn_here<F>(future: F) -> Result<(), Errno>
    where
        F: Future<Output = ()> + 'static,
    {
        runtime::spawn_local(future)
    }

    /// Runs `closure` on the thread, soon, after what was sent before. Never during this call, not
    /// even when that thread is the current one. A closure that was taken runs, also if the thread is
    /// asked to exit meanwhile; only the end of the process keeps it from running.
    ///
    /// ```compile_fail,E0277
    /// # fn to(thread: &barespdk::thread::Thread) {
    /// // It leaves the current thread, so it may take along what is `Send` alone.
    /// let local = std::rc::Rc::new(1);
    /// let _ = thread.send(move || drop(local));
    /// # }
    /// ```
    ///
    /// ```compile_fail,E0597
    /// # fn to(thread: &barespdk::thread::Thread) {
    /// // It runs later, so it borrows nothing.
    /// let local = 1;
    /// let borrowed = &local;
    /// let _ = thread.send(move || drop(*borrowed));
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`SendError`] with the closure if the thread exits or is gone, or if there is no memory.
    pub fn send<F>(&self, closure: F) -> Result<(), SendError<F>>
    where
        F: FnOnce() + Send + 'static,
    {
        self.record.send(Origin::User, closure)
    }

    /// Runs `function` on the thread and gives a future of what it returns.
    ///
    /// It is sent at once, not when the future is first polled. The future may be dropped; `function`
    /// runs all the same. It fails as [`send`](Self::send) does, and with `ECANCELED` if the function
    /// was dropped without having run.
    pub fn call<R, F>(&self, function: F) -> Receiver<R>
    where
        R: Send + 'static,
        F: FnOnce() -> R + Send + 'static,
    {
        let (sender, receiver) = oneshot();
        let call = Call { sender, function };
        if let Err(SendError {
            errno,
            closure: Call { sender, .. },
        }) = self.record.send(Origin::User, call)
        {
            sender.fail(errno);
        }
        receiver
    }

    /// Has the thread make a future and run it, and gives a future of its output.
    ///
    /// The future is made there by `maker`, so it need not be `Send`. It starts without being waited
    /// for, and runs on if what this returns is dropped.
    ///
    /// ```compile_fail,E0277
    /// # fn on(thread: &barespdk::thread::Thread) {
    /// // What the maker takes along must be `Send`.
    /// let local = std::rc::Rc::new(1);
    /// drop(thread.spawn(move || async move { *local }));
    /// # }
    /// ```
    ///
    /// What is returned fails as that of [`call`](Self::call) does, and with `ECANCELED` if the future
    /// was dropped because the thread exits or cannot run tasks (see
    /// [`spawn_local`](crate::runtime::spawn_local)).
    pub fn spawn<M, F>(&self, maker: M) -> Receiver<F::Output>
    where
        M: FnOnce() -> F + Send + 'static,
        F: Future + 'static,
        F::Output: Send + 'static,
    {
        let (sender, receiver) = oneshot();
        let spawn = Spawn { sender, maker };
        if let Err(SendError {
            errno,
            closure: Spawn { sender, .. },
        }) = self.record.send(Origin::User, spawn)
        {
            sender.fail(errno);
        }
        receiver
    }

    /// Asks the thread to exit. On it, in this order: messages of users are refused, tasks are
    /// dropped, then locals; `spdk_thread_exit` is called; what had been sent before runs; when no
    /// channel is left, the runtime gives up its own hold and SPDK frees the thread.
    ///
    /// Returns at once; see [`has_exited`](Self::has_exited). Asking again does nothing. A thread whose
    /// channels are still in use after five seconds is ended by SPDK, which leaks them.
    ///
    /// # Errors
    /// `EPERM` for a thread that was not made by [`create`](Self::create): its owner's C would use it
    /// after its end. `ENOMEM` if there is no memory for the message.
    pub fn request_exit(&self) -> Result<(), Errno> {
        if !self.record.created_here() {
            return Err(Errno::EPERM);
        }
        match self.record.send(Origin::User, exit_current) {
            Ok(()) => Ok(()),
            Err(SendError {
                errno: Errno::ESHUTDOWN,
                ..
            }) => Ok(()),
            Err(error) => Err(error.errno),
        }
    }
}

/// Longer names are cut by SPDK.
const NAME_MAX: usize = 255;

/// Whether this code runs on the app thread. SPDK itself takes no thread for it while there is none.
pub(crate) fn is_app_thread() -> bool {
    // SAFETY: NULL asks for the current thread.
    is_spdk_thread() && unsafe { ffi::spdk_thread_is_app_thread(ptr::null_mut()) }
}

/// What [`Thread::call`] sends. A type of its own, so that a refusal gives the sender back.
struct Call<R, F> {
    sender: Sender<R>,
    function: F,
}

impl<R, F> crate::message::Job for Call<R, F>
where
    R: Send + 'static,
    F: FnOnce() -> R + Send + 'static,
{
    fn run(self) {
        let result = (self.function)();
        // Nobody may wait for it any more; then it is dropped here.
        drop(self.sender.send(result));
    }
}

/// What [`Thread::spawn`] sends.
struct Spawn<M, T> {
    sender: Sender<T>,
    maker: M,
}

impl<M, F> crate::message::Job for Spawn<M, F::Output>
where
    M: FnOnce() -> F + Send + 'static,
    F: Future + 'static,
    F::Output: Send + 'static,
{
    fn run(self) {
        let Self { sender, maker } = self;
        let future = maker();
        // A future that is refused is dropped with its sender, which tells who waits.
        let _ = runtime::spawn_local(async move {
            // Nobody may wait for it any more.
            drop(sender.send(future.await));
        });
    }
}

/// Ends the current thread, whose anchor it takes down first.
fn exit_current() {
    // Fails only if the anchor is on its way down already.
    let _ = anchor::with(anchor::Anchor::begin_close);
    // SAFETY: in a message of the thread, as SPDK asks for. Doing it twice is harmless.
    unsafe { ffi::spdk_thread_exit(ffi::spdk_get_thread()) };
}

/// The first message to a thread of ours: gives it an anchor.
///
/// # Safety
/// A message made by [`Record::schedule`] for the thread of the record.
unsafe extern "C" fn attach(context: *mut c_void) {
    // SAFETY: the reference that `schedule` gave away; we run on the thread of the record.
    unsafe {
        let record = Arc::from_raw(context.cast_const().cast::<Record>());
        let thread = ffi::spdk_get_thread();
        if anchor::attach(thread, Some(&record)).is_err() {
            // No memory. Nobody may send any more, and the thread must not stay without an anchor.
            record.close();
            while record.has_senders() {
                core::hint::spin_loop();
            }
            ffi::spdk_thread_exit(thread);
        }
    }
}

impl Record {
    /// The record of the current thread.
    ///
    /// # Errors
    /// As for [`anchor::with`].
    pub(crate) fn current() -> Result<Arc<Self>, Errno> {
        anchor::with(|anchor| Arc::clone(anchor.record()))
    }
}

impl PartialEq for Thread {
    fn eq(&self, other: &Self) -> bool {
        self.id() == other.id()
    }
}

impl Eq for Thread {}

impl Hash for Thread {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.id().hash(state);
    }
}

impl fmt::Debug for Thread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Thread({}, {:?})", self.id(), self.name())
    }
}
