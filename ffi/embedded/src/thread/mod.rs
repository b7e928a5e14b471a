//! Lightweight threads, messages, pollers, io_devices and channels. C: `spdk/thread.h`.
//!
//! A thread is polled by its reactor: up to eight messages, then its pollers, then its timers that are
//! due; see [`poll`]. Fields that only the reactor's OS thread touches are cells; what others reach is
//! atomic.

mod channel;
mod exit;
mod for_each;
mod inbox;
mod interrupt;
mod io_device;
mod message;
mod poll;
mod poller;
pub(crate) mod rpc;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::ffi::{CStr, CString, c_char};
use std::ptr::null_mut;
use std::sync::atomic::{AtomicPtr, AtomicU8, AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard};

use barespdk_sys::{spdk_cpuset, spdk_thread};

use crate::env::{clock, cpuset};
use crate::reactor::{self, Reactor};

use self::channel::Channel;
pub(crate) use self::exit::{destroy, finish, may_be_destroyed};
pub(crate) use self::for_each::for_each_thread;
pub(crate) use self::inbox::{Inbox, List, Node};
pub(crate) use self::interrupt::{Interrupt, sweep};
pub(crate) use self::io_device::device_count;
use self::message::Message;
pub(crate) use self::message::on_thread;
pub(crate) use self::poll::{poll, poll_some};
use self::poller::Pollers;

/// Longest name of a thread, a poller or an io_device, in bytes; the rest is cut.
const NAME_LEN_MAX: usize = 256;

/// What a thread is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum State {
    /// Polled.
    Running,
    /// Asked to exit, which it does once nothing is left that needs it.
    Exiting,
    /// Done; it takes no more messages.
    Exited,
}

/// What a thread did so far, in ticks.
#[derive(Clone, Copy, Default)]
pub(crate) struct Stats {
    pub(crate) busy: u64,
    pub(crate) idle: u64,
}

/// `struct spdk_thread`.
pub(crate) struct Thread {
    id: u64,
    name: CString,
    cpumask: spdk_cpuset,
    state: AtomicU8,
    inbox: Inbox<Message>,
    /// Who polls it: set before the thread is known to others, and never again.
    reactor: Cell<Option<&'static Reactor>>,

    // From here on: for the OS thread that polls it.
    messages: RefCell<List<Message>>,
    /// Nodes of messages that have run, to be used for the next ones.
    #[allow(
        clippy::vec_box,
        reason = "nodes go from here into queues, which link them"
    )]
    spare: RefCell<Vec<Box<Node<Message>>>>,
    pollers: Pollers,
    interrupts: RefCell<Vec<*mut Interrupt>>,
    /// By the ids of their devices.
    channels: RefCell<BTreeMap<u64, *mut Channel>>,
    /// Number of `spdk_for_each_channel` and the like that this thread has started.
    for_each_count: Cell<u32>,
    /// Number of io_devices whose end this thread waits for.
    unregister_count: Cell<u32>,
    exit_by_ticks: Cell<u64>,
    /// When it was given to its reactor.
    placed_ticks: u64,
    stats: Cell<Stats>,
    pub(crate) last_ticks: Cell<u64>,
}

/// A pointer to what is shared between OS threads by its own rules.
struct Shared<T>(*mut T);

// SAFETY: only the address is handed over; those who use it keep the rules of what it points to.
unsafe impl<T> Send for Shared<T> {}

struct Threads {
    next_id: u64,
    by_id: BTreeMap<u64, Shared<Thread>>,
}

static THREADS: Mutex<Threads> = Mutex::new(Threads {
    next_id: 1,
    by_id: BTreeMap::new(),
});
static COUNT: AtomicU32 = AtomicU32::new(0);
static APP: AtomicPtr<Thread> = AtomicPtr::new(null_mut());

thread_local! {
    static CURRENT: Cell<*mut Thread> = const { Cell::new(null_mut()) };
    /// Counts what ran and found work, after which a simulation has to look again at pollers that
    /// had found none.
    static PROGRESS: Cell<u64> = const { Cell::new(0) };
}

/// Notes that something ran and found work.
#[inline]
pub(crate) fn note_progress() {
    PROGRESS.set(PROGRESS.get() + 1);
}

fn threads() -> MutexGuard<'static, Threads> {
    THREADS
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// The thread at hand.
#[inline]
fn current() -> *mut Thread {
    CURRENT.get()
}

/// The thread at hand, with the reason in the log if there is none.
fn current_or_log(what: &str) -> Option<&'static Thread> {
    // SAFETY: the current thread lives at least as long as it is polled, and nobody who asks keeps the
    // reference beyond that.
    let thread = unsafe { current().as_ref() };
    if thread.is_none() {
        error_log!("{what} called from non-SPDK thread\n");
    }
    thread
}

/// The thread of a pointer from the ABI.
///
/// # Safety
///
/// `thread` is a live thread, and stays one while the reference is used.
pub(crate) unsafe fn of<'a>(thread: *const spdk_thread) -> &'a Thread {
    // SAFETY: as the caller promises.
    unsafe { &*thread.cast::<Thread>() }
}

impl Thread {
    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    pub(crate) fn name(&self) -> &CStr {
        &self.name
    }

    pub(crate) fn cpumask(&self) -> &spdk_cpuset {
        &self.cpumask
    }

    pub(crate) fn state(&self) -> State {
        match self.state.load(Ordering::SeqCst) {
            0 => State::Running,
            1 => State::Exiting,
            _ => State::Exited,
        }
    }

    fn set_state(&self, state: State) {
        self.state.store(state as u8, Ordering::SeqCst);
    }

    pub(crate) fn as_abi(&self) -> *mut spdk_thread {
        std::ptr::from_ref(self).cast_mut().cast()
    }

    pub(crate) fn stats(&self) -> Stats {
        self.stats.get()
    }

    pub(crate) fn placed_ticks(&self) -> u64 {
        self.placed_ticks
    }

    /// Counts time that passed without a poll as idle.
    pub(crate) fn add_idle(&self, ticks: u64) {
        let stats = self.stats.get();
        self.stats.set(Stats {
            idle: stats.idle + ticks,
            ..stats
        });
    }

    /// Whether a message waits.
    pub(crate) fn has_messages(&self) -> bool {
        !self.messages.borrow().is_empty() || !self.inbox.is_empty()
    }

    pub(crate) fn pollers(&self) -> &Pollers {
        &self.pollers
    }

    pub(crate) fn interrupts(&self) -> &RefCell<Vec<*mut Interrupt>> {
        &self.interrupts
    }
}

/// A name of C, cut to what SPDK keeps; `other` for NULL.
///
/// # Safety
///
/// `name` is NULL or a C string.
unsafe fn name_of(name: *const c_char, other: impl FnOnce() -> String) -> CString {
    if name.is_null() {
        return CString::new(other()).unwrap_or_default();
    }
    // SAFETY: a C string, as the caller promises.
    let bytes = unsafe { CStr::from_ptr(name) }.to_bytes();
    CString::new(&bytes[..bytes.len().min(NAME_LEN_MAX)]).unwrap_or_default()
}

#[unsafe(no_mangle)]
unsafe extern "C" fn spdk_thread_create(
    name: *const c_char,
    cpumask: *const spdk_cpuset,
) -> *mut spdk_thread {
    let mut all = threads();
    let id = all.next_id;
    all.next_id += 1;
    let thread = Box::into_raw(Box::new(Thread {
        id,
        // SAFETY: as the ABI has it.
        name: unsafe { name_of(name, || format!("thread {id}")) },
        // SAFETY: NULL or a set.
        cpumask: unsafe { cpumask.as_ref() }
            .copied()
            .unwrap_or(cpuset::full()),
        state: AtomicU8::new(State::Running as u8),
        inbox: Inbox::new(),
        reactor: Cell::new(None),
        messages: RefCell::new(List::new()),
        spare: RefCell::default(),
        pollers: Pollers::new(),
        interrupts: RefCell::default(),
        channels: RefCell::default(),
        for_each_count: Cell::new(0),
        unregister_count: Cell::new(0),
        exit_by_ticks: Cell::new(0),
        placed_ticks: clock::now(),
        stats: Cell::default(),
        last_ticks: Cell::new(clock::now()),
    }));
    // SAFETY: just made, and known to nobody else yet.
    let reactor = reactor::choose(unsafe { &(*thread).cpumask });
    // SAFETY: as above.
    unsafe { (*thread).reactor.set(reactor) };
    all.by_id.insert(id, Shared(thread));
    COUNT.fetch_add(1, Ordering::Relaxed);
    drop(all);
    // The first one is the application's.
    let _ = APP.compare_exchange(null_mut(), thread, Ordering::SeqCst, Ordering::SeqCst);
    if let Some(reactor) = reactor {
        // SAFETY: alive until that reactor destroys it.
        unsafe { reactor.adopt(thread) };
    }
    thread.cast()
}

#[unsafe(no_mangle)]
unsafe extern "C" fn spdk_get_thread() -> *mut spdk_thread {
    current().cast()
}

#[unsafe(no_mangle)]
unsafe extern "C" fn spdk_set_thread(thread: *mut spdk_thread) {
    CURRENT.set(thread.cast());
}

#[unsafe(no_mangle)]
unsafe extern "C" fn spdk_thread_get_app_thread() -> *mut spdk_thread {
    APP.load(Ordering::Acquire).cast()
}

#[unsafe(no_mangle)]
unsafe extern "C" fn spdk_thread_is_app_thread(thread: *mut spdk_thread) -> bool {
    let thread: *mut Thread = if thread.is_null() {
        current()
    } else {
        thread.cast()
    };
    APP.load(Ordering::Acquire) == thread
}

#[unsafe(no_mangle)]
unsafe extern "C" fn spdk_thread_is_running(thread: *mut spdk_thread) -> bool {
    // SAFETY: a live thread of the caller.
    unsafe { of(thread) }.state() == State::Running
}

#[unsafe(no_mangle)]
unsafe extern "C" fn spdk_thread_get_name(thread: *const spdk_thread) -> *const c_char {
    // SAFETY: a live thread of the caller.
    unsafe { of(thread) }.name.as_ptr()
}

#[unsafe(no_mangle)]
unsafe extern "C" fn spdk_thread_get_id(thread: *const spdk_thread) -> u64 {
    // SAFETY: a live thread of the caller.
    unsafe { of(thread) }.id
}

#[unsafe(no_mangle)]
unsafe extern "C" fn spdk_thread_get_by_id(id: u64) -> *mut spdk_thread {
    let all = threads();
    if id == 0 || id >= all.next_id {
        drop(all);
        error_log!("invalid thread id: {id}.\n");
        return null_mut();
    }
    all.by_id
        .get(&id)
        .map_or(null_mut(), |thread| thread.0.cast())
}

#[unsafe(no_mangle)]
unsafe extern "C" fn spdk_thread_get_count() -> u32 {
    COUNT.load(Ordering::Relaxed)
}

same_as_declared!(
    spdk_thread_create,
    spdk_get_thread,
    spdk_set_thread,
    spdk_thread_get_app_thread,
    spdk_thread_is_app_thread,
    spdk_thread_is_running,
    spdk_thread_get_name,
    spdk_thread_get_id,
    spdk_thread_get_by_id,
    spdk_thread_get_count,
);
