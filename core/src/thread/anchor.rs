//! What the runtime keeps on each SPDK thread that it has touched.
//!
//! An [`Anchor`] is the context of an io_channel, on one io_device for the whole process. SPDK
//! allocates it, and lets no thread exit that holds one; a poller beside it sees when the thread was
//! told to exit - by [`Thread::request_exit`](super::Thread::request_exit) or by anybody's C - and
//! takes the runtime down in order:
//!
//! ```text
//! [1] attach:  channel, poller, record open
//! [2] tick sees the thread exiting: gate closing (no messages of users), tasks and locals dropped
//! [3] no channel of an IoDevice left, or four seconds gone: gate closed
//! [4] no sender inside, no job waiting: poller unregistered, channel given back
//! [5] SPDK calls `destroy` by message, then the thread exits
//! ```
//!
//! SPDK ends a thread by force five seconds after it was told to exit. Its pollers run before it looks
//! at the time (`spdk_thread_poll`), and [3] comes four seconds after the last tick that saw the thread
//! running: nothing is sent to a thread that has been ended so. (In SPDK's interrupt mode the order of
//! poller and exit is not given: there a reactor that stalls for five seconds in the middle of an exit
//! leaves this argument.)

use alloc::sync::Arc;
use core::cell::Cell;
use core::ffi::{c_int, c_void};
use core::mem::MaybeUninit;
use core::ptr::{self, NonNull};
use core::sync::atomic::{AtomicPtr, AtomicU8, AtomicU64, Ordering};

use barespdk_sys as ffi;

use super::record::Record;
use crate::errno::Errno;
use crate::local::Table;
use crate::mutex::Mutex;
use crate::runtime;

/// How often an anchor looks whether its thread was told to exit. SPDK frees an exited thread when the
/// period of its last timed poller has passed, so this also bounds how long a thread lingers.
const WATCH_PERIOD_US: u64 = 10_000;
/// How long channels may keep a thread from closing; SPDK's own patience is five seconds.
const CLOSE_TIMEOUT_S: u64 = 4;

/// The runtime's part of one SPDK thread. Used on that thread alone.
pub(crate) struct Anchor {
    record: Arc<Record>,
    locals: Table,
    channel: NonNull<ffi::spdk_io_channel>,
    /// Null once unregistered.
    poller: Cell<*mut ffi::spdk_poller>,
    /// When the thread was last seen before its exit, in ticks.
    running_at_ticks: Cell<u64>,
    /// Step [2] was taken.
    closing: Cell<bool>,
    /// Step [4] was taken.
    released: Cell<bool>,
}

/// The context as SPDK allocates it: all zero, so `ready` starts as `false`.
#[repr(C)]
struct Context {
    anchor: MaybeUninit<Anchor>,
    ready: bool,
}

const _: () = assert!(
    align_of::<Context>() <= 16,
    "SPDK aligns contexts to 16 bytes"
);

/// The address stands for the runtime's io_device; nothing is ever stored there. An atomic, so that no
/// other static can share the address.
static DEVICE: AtomicU8 = AtomicU8::new(0);

/// Whether `DEVICE` is registered. Under a lock, so that two threads do not register at once.
static REGISTERED: Mutex<bool> = Mutex::new(false);

/// The record of the app thread, once the runtime has touched it.
static APP: Mutex<Option<Arc<Record>>> = Mutex::new(None);

/// Anchors by thread id, so that finding one's own takes no lock.
///
/// A slot belongs to the thread whose id is in it: that thread put it there (from 0) and only it takes
/// it out. So who finds its own id finds its own anchor. Threads that share a slot go without.
struct Slot {
    id: AtomicU64,
    anchor: AtomicPtr<Anchor>,
}

const SLOTS: usize = 128;

static TABLE: [Slot; SLOTS] = [const {
    Slot {
        id: AtomicU64::new(0),
        anchor: AtomicPtr::new(ptr::null_mut()),
    }
}; SLOTS];

fn slot(id: u64) -> &'static Slot {
    &TABLE[(id % SLOTS as u64) as usize]
}

fn device() -> *mut c_void {
    DEVICE.as_ptr().cast()
}

/// Registers the io_device of the runtime, once.
///
/// # Safety
/// On an SPDK thread.
unsafe fn register() {
    let mut registered = REGISTERED.lock();
    if !*registered {
        // SAFETY: on an SPDK thread; the address stays valid for ever, and the callbacks fit a
        // context of that size.
        unsafe {
            ffi::spdk_io_device_register(
                device(),
                Some(create),
                Some(destroy),
                size_of::<Context>() as u32,
                c"barespdk".as_ptr(),
            );
        }
        *registered = true;
    }
}

unsafe extern "C" fn create(_device: *mut c_void, _context: *mut c_void) -> c_int {
    // `attach` fills the context in: it knows the record, which this callback could not be told.
    0
}

/// # Safety
/// SPDK's callback: on the thread of the channel, for a context that nobody uses any more.
unsafe extern "C" fn destroy(_device: *mut c_void, context: *mut c_void) {
    let context = context.cast::<Context>();
    // SAFETY: by contract; `ready` is initialised from the start (zero), the anchor if it is on.
    unsafe {
        if (*context).ready {
            (*context).anchor.assume_init_drop();
        }
    }
}

/// # Safety
/// As for [`destroy`].
unsafe extern "C" fn unregistered(_device: *mut c_void) {
    *REGISTERED.lock() = false;
}

/// Calls `f` with the anchor of the current SPDK thread, which is made if there is none.
///
/// `f` must not run foreign code: it could end in a nested poll that takes the anchor down.
///
/// # Errors
/// `EPERM` outside SPDK threads, `ESHUTDOWN` on one that exits, `ENOMEM`.
pub(crate) fn with<R>(f: impl FnOnce(&Anchor) -> R) -> Result<R, Errno> {
    // SAFETY: no arguments.
    let thread = unsafe { ffi::spdk_get_thread() };
    if thread.is_null() {
        return Err(Errno::EPERM);
    }
    // SAFETY: the current thread is alive.
    let id = unsafe { ffi::spdk_thread_get_id(thread) };
    let slot = slot(id);
    if slot.id.load(Ordering::Relaxed) == id {
        // SAFETY: our slot, so our anchor. It is alive: `release` clears the slot before it gives the
        // channel back, on this thread, hence not during this call.
        return Ok(f(unsafe { &*slot.anchor.load(Ordering::Relaxed) }));
    }
    // SAFETY: `thread` is the current one.
    let anchor = unsafe { attach(thread, None)? };
    // SAFETY: `attach` gives an anchor that has not been released, which happens on this thread alone.
    Ok(f(unsafe { anchor.as_ref() }))
}

/// Whether the current thread is one of SPDK's and was not told to exit. Pollers may be made there.
pub(crate) fn current_is_running() -> bool {
    // SAFETY: no arguments; the current thread is alive.
    unsafe {
        let thread = ffi::spdk_get_thread();
        !thread.is_null() && ffi::spdk_thread_is_running(thread)
    }
}

/// Finds or makes the anchor of the current thread. [1]
///
/// # Safety
/// `thread` must be the current SPDK thread, and `record`, if given, must be of it.
pub(super) unsafe fn attach(
    thread: *mut ffi::spdk_thread,
    record: Option<&Arc<Record>>,
) -> Result<NonNull<Anchor>, Errno> {
    // SAFETY: on an SPDK thread.
    unsafe { register() };
    // SAFETY: any address may be asked for; NULL says no.
    let channel =
        NonNull::new(unsafe { ffi::spdk_get_io_channel(device()) }).ok_or(Errno::ENOMEM)?;
    // SAFETY: `channel` is one of `DEVICE` (its only kind of context is ours) and we hold a reference
    // to it. It stays on this thread.
    unsafe {
        let context = ffi::spdk_io_channel_get_ctx(channel.as_ptr()).cast::<Context>();
        let anchor = NonNull::new_unchecked((*context).anchor.as_mut_ptr());
        if (*context).ready {
            ffi::spdk_put_io_channel(channel.as_ptr());
            let released = anchor.as_ref().released.get();
            return if released {
                Err(Errno::ESHUTDOWN)
            } else {
                Ok(anchor)
            };
        }
        // Nothing starts on a thread that is going.
        let poller = if current_is_running() {
            let period_us = WATCH_PERIOD_US;
            let argument = anchor.as_ptr().cast();
            ffi::spdk_poller_register_named(Some(tick), argument, period_us, c"barespdk".as_ptr())
        } else {
            ptr::null_mut()
        };
        if poller.is_null() {
            ffi::spdk_put_io_channel(channel.as_ptr());
            return Err(if current_is_running() {
                Errno::ENOMEM
            } else {
                Errno::ESHUTDOWN
            });
        }
        let record = match record {
            Some(record) => Arc::clone(record),
            // The thread cannot exit before `release` gives the channel back.
            None => Record::new(thread, false),
        };
        if ffi::spdk_thread_is_app_thread(thread) {
            let former = APP.lock().replace(Arc::clone(&record));
            // Not under the lock: it may be the last to drop what was sent to that thread.
            drop(former);
        }
        let slot = slot(record.id());
        // Acquire pairs with the Release of the slot's former owner.
        let claimed = slot
            .id
            .compare_exchange(0, record.id(), Ordering::Acquire, Ordering::Relaxed)
            .is_ok();
        if claimed {
            slot.anchor.store(anchor.as_ptr(), Ordering::Relaxed);
        }
        anchor.write(Anchor {
            record,
            locals: Table::new(),
            channel,
            poller: Cell::new(poller),
            running_at_ticks: Cell::new(ffi::spdk_get_ticks()),
            closing: Cell::new(false),
            released: Cell::new(false),
        });
        (*context).ready = true;
        Ok(anchor)
    }
}

/// The record of the app thread, if the runtime has touched that thread and it is not gone.
pub(super) fn app() -> Option<Arc<Record>> {
    APP.lock().clone()
}

/// The poller of an anchor.
///
/// # Safety
/// SPDK's callback, on the thread of the anchor; `release` unregisters it before the anchor goes.
unsafe extern "C" fn tick(anchor: *mut c_void) -> c_int {
    let anchor = anchor.cast::<Anchor>();
    // SAFETY: by contract; the reference ends before `release`.
    match unsafe { (*anchor).step() } {
        Step::Running => return ffi::SPDK_POLLER_IDLE as c_int,
        Step::Closing => {}
        // SAFETY: `step` says that the time has come.
        Step::Release => unsafe { release(anchor) },
    }
    ffi::SPDK_POLLER_BUSY as c_int
}

/// Where an anchor is on its way.
enum Step {
    Running,
    Closing,
    Release,
}

impl Anchor {
    pub(crate) fn record(&self) -> &Arc<Record> {
        &self.record
    }

    pub(crate) fn locals(&self) -> &Table {
        &self.locals
    }

    fn step(&self) -> Step {
        // SAFETY: no arguments.
        let (now, hz) = unsafe { (ffi::spdk_get_ticks(), ffi::spdk_get_ticks_hz()) };
        if current_is_running() {
            self.running_at_ticks.set(now);
            return Step::Running;
        }
        self.begin_close();
        let late = now.saturating_sub(self.running_at_ticks.get()) >= CLOSE_TIMEOUT_S * hz;
        if !self.record.has_channels() {
            self.record.close();
        } else if late {
            self.record.close();
            // SPDK may end the thread as soon as we return. Who is inside is in the middle of putting
            // one entry into a ring.
            while self.record.has_senders() {
                core::hint::spin_loop();
            }
        }
        if self.record.is_closed() && self.record.is_quiet() {
            Step::Release
        } else {
            Step::Closing
        }
    }

    /// Refuses messages of users and drops what they have on this thread: first tasks, then locals,
    /// because tasks may use locals. [2]
    ///
    /// Runs foreign code, which cannot take the anchor down: that is done by [`tick`] alone, which
    /// SPDK calls from the thread's poll.
    pub(super) fn begin_close(&self) {
        if self.closing.replace(true) {
            return;
        }
        self.record.begin_close();
        self.hurry();
        runtime::cancel_current_thread();
        self.locals.clear();
    }

    /// From the watching poller to one that runs in each turn of the reactor.
    ///
    /// Not on a thread that C has told to exit already: in interrupt mode SPDK follows a null pointer
    /// when it registers a poller there (`busy_poller_set_interrupt_mode`).
    fn hurry(&self) {
        if !current_is_running() {
            return;
        }
        let argument = ptr::from_ref(self).cast_mut().cast();
        // SAFETY: on the thread of the anchor, which outlives the poller as in `attach`. Unregistering
        // a poller that is running is allowed: SPDK frees it when it returns.
        unsafe {
            let busy =
                ffi::spdk_poller_register_named(Some(tick), argument, 0, c"barespdk".as_ptr());
            if !busy.is_null() {
                let mut watching = self.poller.replace(busy);
                ffi::spdk_poller_unregister(&raw mut watching);
            }
        }
    }
}

/// Gives up the anchor's own hold on the thread. [4]
///
/// # Safety
/// On the thread of the anchor, once, when [`Anchor::step`] said so.
unsafe fn release(anchor: *mut Anchor) {
    // SAFETY: alive until SPDK runs the message that the put below sends.
    let anchor = unsafe { &*anchor };
    anchor.released.set(true);
    let id = anchor.record.id();
    let slot = slot(id);
    if slot.id.load(Ordering::Relaxed) == id {
        slot.anchor.store(ptr::null_mut(), Ordering::Relaxed);
        // Release: the next owner's claim comes after all our uses.
        slot.id.store(0, Ordering::Release);
    }
    let mut poller = anchor.poller.replace(ptr::null_mut());
    // SAFETY: on the thread of both; each is given up once.
    unsafe {
        ffi::spdk_poller_unregister(&raw mut poller);
        ffi::spdk_put_io_channel(anchor.channel.as_ptr());
        if ffi::spdk_thread_is_app_thread(ptr::null_mut()) {
            // The last of all threads to exit; it waits for the anchors of the others.
            let record = APP.lock().take();
            drop(record);
            ffi::spdk_io_device_unregister(device(), Some(unregistered));
        }
    }
}
