//! The slots of a channel that are not in use.

use alloc::rc::Rc;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};
use core::ptr::NonNull;

use super::{Keep, Listener, Phase, Slot};
use crate::bdev::channel::ChannelInner;
use crate::errno::Errno;
use crate::executor::task::Header;

/// How many slots a channel adds when it runs out.
const CHUNK: usize = 64;

/// The slots of one channel: a list, last in, first out, so that the slots in use stay in the cache.
pub(crate) struct Slots {
    free: Cell<Option<NonNull<Slot>>>,
    chunks: RefCell<Vec<Vec<Slot>>>,
}

impl Slots {
    pub(in crate::bdev) const fn new() -> Self {
        Self {
            free: Cell::new(None),
            chunks: RefCell::new(Vec::new()),
        }
    }

    /// Transition 1. The slot counts as a reference to the channel; `parent` is held.
    #[inline(always)]
    pub(in crate::bdev) fn take(
        channel: &Rc<ChannelInner>,
        parent: Option<NonNull<Header>>,
    ) -> Result<NonNull<Slot>, Errno> {
        let slots = channel.slots();
        let slot = match slots.free.get() {
            Some(slot) => slot,
            None => slots.grow(channel)?,
        };
        // SAFETY: a slot lives as long as its channel.
        let this = unsafe { slot.as_ref() };
        slots.free.set(this.next_free.get());
        this.parent.set(parent);
        this.phase.set(Phase::Taken);
        this.listener.set(Listener::Nobody);
        this.attached.set(true);
        this.turn.set(this.turn.get().wrapping_add(1));
        if let Some(parent) = parent {
            // SAFETY: the task that is being polled, or whose request is borrowed, is alive.
            unsafe { parent.as_ref() }.hold();
        }
        // SAFETY: the pointer is that of the `Rc`, which is borrowed, so counts at least one.
        unsafe { Rc::increment_strong_count(this.channel.as_ptr()) };
        Ok(slot)
    }

    #[cold]
    fn grow(&self, channel: &Rc<ChannelInner>) -> Result<NonNull<Slot>, Errno> {
        let owner = NonNull::new(Rc::as_ptr(channel).cast_mut()).ok_or(Errno::ENOMEM)?;
        let mut chunks = self.chunks.borrow_mut();
        let mut chunk = Vec::new();
        chunk.try_reserve_exact(CHUNK).map_err(|_| Errno::ENOMEM)?;
        chunks.try_reserve(1).map_err(|_| Errno::ENOMEM)?;
        chunk.resize_with(CHUNK, || Slot::new(owner));
        // The slots stay where they are when the chunk moves into the list: a `Vec` has its
        // content elsewhere, and this one never grows.
        for slot in &mut chunk {
            slot.next_free.set(self.free.get());
            self.free.set(Some(NonNull::from(slot)));
        }
        chunks.push(chunk);
        self.free.get().ok_or(Errno::ENOMEM)
    }
}

/// Gives the slot back to its channel, and the channel its reference.
///
/// # Safety
/// Nobody uses the slot after.
#[inline]
pub(super) unsafe fn free(slot: NonNull<Slot>) {
    // SAFETY: alive until the channel's reference goes, at the end.
    let this = unsafe { slot.as_ref() };
    if this.laden.replace(false) {
        drop(this.keep.replace(Keep::Nothing));
        drop(this.waker.take());
    }
    this.phase.set(Phase::Free);
    let channel = this.channel;
    // SAFETY: the slot keeps the channel until the next statement.
    let slots = unsafe { channel.as_ref() }.slots();
    this.next_free.set(slots.free.get());
    slots.free.set(Some(slot));
    // SAFETY: the reference that `take` added. It may be the last, and then the slots go too.
    unsafe { Rc::decrement_strong_count(channel.as_ptr()) };
}
