//! Locks of ranges of blocks.
//!
//! ```text
//!  lock ──(overlaps another lock)──► pending ──(that one is gone)──┐
//!    │                                                             │
//!    └─────────────────────────────────────────────────────────────┴─► for each channel: note the
//!      lock, so that nothing more gets through; wait until what overlaps is done ──► locked
//!  unlock ──► for each channel: forget the lock, submit what it kept back ──► unlocked
//! ```

use std::cell::Cell;
use std::ffi::{c_int, c_void};
use std::ptr::{self, NonNull};

use barespdk_sys::*;

use super::channel::{self, Channel, Step};
use super::device::{Bdev, Life};
use super::io::Io;
use super::quiesce::Quiesced;
use super::register;
use super::request::Span;
use super::submit;

/// How often a channel is asked whether what overlaps with a new lock is done.
const POLL_US: u64 = 100;

/// For whom a range is locked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Owner {
    /// For a request: those with it as their argument, on its channel, get through. Reads do too.
    Request(Io),
    /// For a module: nothing gets through.
    Quiesce(NonNull<Quiesced>),
}

/// A lock, as a channel knows it.
#[derive(Clone, Copy)]
pub(super) struct Lock {
    span: Span,
    owner: Owner,
}

fn overlap(a: Span, b: Span) -> bool {
    a.num_blocks != 0
        && b.num_blocks != 0
        && a.offset_blocks < b.offset_blocks.saturating_add(b.num_blocks)
        && b.offset_blocks < a.offset_blocks.saturating_add(a.num_blocks)
}

impl Lock {
    fn is_same(&self, other: &Lock) -> bool {
        self.owner == other.owner
            && self.span.offset_blocks == other.span.offset_blocks
            && self.span.num_blocks == other.span.num_blocks
    }

    /// Whether a request has to wait until the lock is gone.
    fn keeps_back(&self, channel: &Channel, io: Io) -> bool {
        match io.io_type() {
            // Nobody looks into commands: they may write anything.
            SPDK_BDEV_IO_TYPE_NVME_IO | SPDK_BDEV_IO_TYPE_NVME_IO_MD => return true,
            SPDK_BDEV_IO_TYPE_READ | SPDK_BDEV_IO_TYPE_COMPARE
                if matches!(self.owner, Owner::Request(_)) =>
            {
                return false;
            }
            // SPDK lets compares through, also those that write: nobody could rely on quiet then.
            SPDK_BDEV_IO_TYPE_READ
            | SPDK_BDEV_IO_TYPE_COMPARE
            | SPDK_BDEV_IO_TYPE_COMPARE_AND_WRITE
            | SPDK_BDEV_IO_TYPE_WRITE
            | SPDK_BDEV_IO_TYPE_WRITE_UNCORRECTABLE
            | SPDK_BDEV_IO_TYPE_UNMAP
            | SPDK_BDEV_IO_TYPE_WRITE_ZEROES
            | SPDK_BDEV_IO_TYPE_ZCOPY
            | SPDK_BDEV_IO_TYPE_COPY => {}
            _ => return false,
        }
        let span = Span {
            offset_blocks: io.params().offset_blocks,
            num_blocks: io.params().num_blocks,
        };
        // What a part of a copy reads is not looked at again.
        let source = Span {
            offset_blocks: match io.io_type() {
                SPDK_BDEV_IO_TYPE_COPY if matches!(self.owner, Owner::Quiesce(_)) => {
                    io.params().copy.src_offset_blocks
                }
                _ => span.offset_blocks,
            },
            ..span
        };
        if !overlap(self.span, span) && !overlap(self.span, source) {
            return false;
        }
        match self.owner {
            Owner::Request(owner) => {
                !ptr::eq(owner.channel(), channel) || io.internal.caller_ctx != owner.context()
            }
            Owner::Quiesce(_) => true,
        }
    }
}

/// Whether a lock of the channel keeps a request back.
#[cold]
pub(super) fn keeps_back(channel: &Channel, io: Io) -> bool {
    let locks = channel.locks.borrow();
    locks.iter().any(|lock| lock.keeps_back(channel, io))
}

/// A lock of a bdev, that is held, or waits for its turn.
struct Entry {
    lock: Lock,
    thread: *mut spdk_thread,
    done: fn(Owner),
    /// Whether nothing overlaps any more.
    is_locked: bool,
}

/// The locks of a bdev.
pub(super) struct Ranges {
    held: Vec<NonNull<Entry>>,
    pending: Vec<NonNull<Entry>>,
}

impl Ranges {
    pub(super) const fn new() -> Self {
        Self {
            held: Vec::new(),
            pending: Vec::new(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// What a channel that is made now has to know.
    pub(super) fn for_new_channel(&self) -> Vec<Lock> {
        // SAFETY: in the list, so alive, and not changed.
        self.held
            .iter()
            .map(|entry| unsafe { entry.as_ref() }.lock)
            .collect()
    }

    fn blocks(&self, span: Span) -> bool {
        self.held
            .iter()
            // SAFETY: as above.
            .any(|entry| overlap(unsafe { entry.as_ref() }.lock.span, span))
    }
}

/// Locks a range. `done` runs on this thread, later or at once.
pub(super) fn lock(device: Bdev, owner: Owner, span: Span, done: fn(Owner)) {
    let entry = NonNull::from(Box::leak(Box::new(Entry {
        lock: Lock { span, owner },
        // SAFETY: on an SPDK thread.
        thread: unsafe { spdk_get_thread() },
        done,
        is_locked: false,
    })));
    let mut control = device.control();
    if control.ranges.blocks(span) {
        control.ranges.pending.push(entry);
        return;
    }
    control.ranges.held.push(entry);
    drop(control);
    acquire(device, entry);
}

/// What goes from channel to channel while a lock is taken.
struct Taking {
    entry: NonNull<Entry>,
    lock: Lock,
    poller: Cell<*mut spdk_poller>,
    held: Cell<*mut spdk_io_channel>,
}

fn acquire(device: Bdev, entry: NonNull<Entry>) {
    let taking = Taking {
        entry,
        // SAFETY: alive until it is unlocked.
        lock: unsafe { entry.as_ref() }.lock,
        poller: Cell::new(ptr::null_mut()),
        held: Cell::new(ptr::null_mut()),
    };
    channel::for_each(
        device,
        taking,
        |mut step| {
            let lock = step.context().lock;
            let channel = step.channel();
            let mut locks = channel.locks.borrow_mut();
            // A channel that was made meanwhile has it, and nothing got past it.
            if locks.iter().any(|known| known.is_same(&lock)) {
                drop(locks);
                step.go_on(0);
                return;
            }
            locks.push(lock);
            drop(locks);
            channel.has_locks.set(true);
            look(step);
        },
        |taking, _| {
            let mut entry = taking.entry;
            // SAFETY: alive until it is unlocked, which who wants it may do from now on.
            let (done, owner) = unsafe {
                entry.as_mut().is_locked = true;
                (entry.as_ref().done, entry.as_ref().lock.owner)
            };
            done(owner);
        },
    );
}

/// Goes on when nothing is in flight that overlaps with the new lock.
fn look(mut step: Step<Taking>) {
    let lock = step.context().lock;
    let busy = {
        let channel = step.channel();
        channel
            .submitted
            .iter()
            .any(|io| lock.keeps_back(channel, io))
    };
    if !busy {
        let held = step.context().held.replace(ptr::null_mut());
        if !held.is_null() {
            // SAFETY: held below, on this thread.
            unsafe { spdk_put_io_channel(held) };
        }
        step.go_on(0);
        return;
    }
    if step.context().held.get().is_null() {
        let raw = step.channel().raw();
        step.context().held.set(channel::hold(raw));
    }
    let place = ptr::from_ref(&step.context().poller);
    let raw = step.into_raw();
    // SAFETY: on the channel's thread; unregistered when it is called. The place is that of the
    // walk, which goes on not before.
    unsafe {
        let poller = spdk_poller_register_named(
            Some(look_again),
            raw,
            POLL_US,
            c"bdev_lock_lba_range_check_io".as_ptr(),
        );
        (*place).set(poller);
    }
}

unsafe extern "C" fn look_again(step: *mut c_void) -> c_int {
    // SAFETY: from `look`; the poller that has it ends here.
    let mut step = unsafe { Step::<Taking>::from_raw(step) };
    let mut poller = step.context().poller.replace(ptr::null_mut());
    // SAFETY: of this thread.
    unsafe { spdk_poller_unregister(&mut poller) };
    look(step);
    SPDK_POLLER_BUSY as c_int
}

/// What a range is locked for that a module has quiesced.
pub(super) fn quiesced(device: Bdev, span: Span) -> Option<NonNull<Quiesced>> {
    let control = device.control();
    control.ranges.held.iter().find_map(|entry| {
        // SAFETY: in the list, so alive.
        let entry = unsafe { entry.as_ref() };
        match entry.lock.owner {
            Owner::Quiesce(quiesced)
                if entry.is_locked && entry.lock.is_same(&Lock { span, ..entry.lock }) =>
            {
                Some(quiesced)
            }
            _ => None,
        }
    })
}

/// Unlocks a range that is locked, and calls `done` on this thread, later or at once. `false` where
/// it is not locked.
pub(super) fn unlock(device: Bdev, owner: Owner, span: Span, done: fn(Owner)) -> bool {
    let wanted = Lock { span, owner };
    let mut control = device.control();
    let held = &mut control.ranges.held;
    let index = held
        .iter()
        // SAFETY: in the list, so alive.
        .position(|entry| unsafe { entry.as_ref() }.lock.is_same(&wanted));
    let Some(index) = index else {
        return false;
    };
    // A channel that is made from now on does not have it.
    let entry = held.remove(index);
    drop(control);
    // SAFETY: out of the list, so ours alone.
    unsafe { (*entry.as_ptr()).done = done };
    channel::for_each(
        device,
        (device, entry),
        |mut step| {
            // SAFETY: alive until the walk has ended.
            let lock = unsafe { step.context().1.as_ref() }.lock;
            forget(step.channel(), &lock);
            step.go_on(0);
        },
        |(device, entry), _| released(device, entry),
    );
    true
}

fn forget(channel: &Channel, lock: &Lock) {
    let mut locks = channel.locks.borrow_mut();
    locks.retain(|known| !known.is_same(lock));
    channel.has_locks.set(!locks.is_empty());
    drop(locks);
    let kept_back = channel.kept_back.take();
    while let Some(io) = kept_back.pop_front() {
        submit::submit(io);
    }
}

fn released(device: Bdev, entry: NonNull<Entry>) {
    // SAFETY: made by `lock`, out of all lists, and no channel has it.
    let entry = unsafe { Box::from_raw(entry.as_ptr()) };
    let mut control = device.control();
    let mut index = 0;
    while let Some(next) = control.ranges.pending.get(index).copied() {
        // SAFETY: in the list, so alive.
        let (span, thread) = unsafe { (next.as_ref().lock.span, next.as_ref().thread) };
        if control.ranges.blocks(span) {
            index += 1;
            continue;
        }
        control.ranges.pending.remove(index);
        control.ranges.held.push(next);
        let message = Box::new((device, next));
        // SAFETY: the thread that wants the lock has a channel, or is the app thread.
        unsafe {
            spdk_thread_send_msg(thread, Some(acquire_message), Box::into_raw(message).cast())
        };
    }
    if control.life == Life::Unregistering
        && control.ranges.is_empty()
        && let Some(unregistered) = control.unregistered
    {
        // The unregistration waited for this.
        // SAFETY: the thread that asked for it waits for its end.
        unsafe {
            spdk_thread_send_msg(
                unregistered.thread,
                Some(register::go_on_message),
                device.raw().cast(),
            );
        }
    }
    drop(control);
    (entry.done)(entry.lock.owner);
}

unsafe extern "C" fn acquire_message(message: *mut c_void) {
    // SAFETY: made by `released`, once.
    let (device, entry) = *unsafe { Box::from_raw(message.cast::<(Bdev, NonNull<Entry>)>()) };
    acquire(device, entry);
}
