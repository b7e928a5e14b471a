//! The inbox: blocks of a local arena that other threads have freed.

use core::ptr::NonNull;

use crate::{
    class::Class,
    sync::{AtomicPtr, Ordering},
};

/// What stands at the start of a block in the inbox.
struct Node {
    next: *mut Node,
    class: Class,
}

/// A stack of blocks: many threads push, the owner takes all of them at once. As nobody takes a single
/// one, a head that went and came back (ABA) does no harm: it is the head again.
#[derive(Debug)]
pub(crate) struct Inbox {
    /// NULL: empty. [`closed`]: the arena is gone and takes nothing more. Otherwise the last pushed.
    head: AtomicPtr<Node>,
}

/// The head of an inbox that is closed: an address that no block has.
fn closed() -> *mut Node {
    core::ptr::without_provenance_mut(1)
}

/// What became of a push.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Pushed {
    /// The owner will find the block. The inbox must not be touched again: it may be gone.
    Queued,
    /// There is no owner any more; the block is still the caller's.
    Closed,
}

impl Inbox {
    pub(crate) fn new() -> Self {
        Self {
            head: AtomicPtr::new(core::ptr::null_mut()),
        }
    }

    /// Hands over a block.
    ///
    /// # Safety
    ///
    /// `this` is valid as long as the block is not handed over. `block` is one of `class`, of the arena
    /// of this inbox, and the caller gives it up if the answer is [`Pushed::Queued`].
    pub(crate) unsafe fn push(this: *const Self, class: Class, block: NonNull<u8>) -> Pushed {
        let node = block.cast::<Node>().as_ptr();
        // SAFETY: valid, as the caller promises. No reference outlives the exchange that hands over.
        let mut head = unsafe { &(*this).head }.load(Ordering::Relaxed);
        loop {
            if core::ptr::eq(head, closed()) {
                return Pushed::Closed;
            }
            // SAFETY: the block is the caller's until the exchange succeeds; it is large and aligned
            // enough for a node.
            unsafe { node.write(Node { next: head, class }) };
            // Release: the node, and all that was done with the block, is seen by who takes it.
            // SAFETY: still valid, as the block is not handed over yet.
            let result = unsafe { &(*this).head }.compare_exchange_weak(
                head,
                node,
                Ordering::Release,
                Ordering::Relaxed,
            );
            match result {
                Ok(_) => return Pushed::Queued,
                Err(current) => head = current,
            }
        }
    }

    /// Takes all blocks and calls `f` with each.
    pub(crate) fn drain(&self, f: impl FnMut(Class, NonNull<u8>)) {
        // Relaxed: only whether to look closer. A push that is not seen yet is found the next time.
        if !self.head.load(Ordering::Relaxed).is_null() {
            Self::take_all(self.head.swap(core::ptr::null_mut(), Ordering::Acquire), f);
        }
    }

    /// Takes all blocks for the last time and calls `f` with each; every later push is refused.
    pub(crate) fn close(&self, f: impl FnMut(Class, NonNull<u8>)) {
        Self::take_all(self.head.swap(closed(), Ordering::Acquire), f);
    }

    fn take_all(mut node: *mut Node, mut f: impl FnMut(Class, NonNull<u8>)) {
        while let Some(block) = NonNull::new(node) {
            // SAFETY: a pusher wrote the node and gave it up before the exchange that we acquired. With
            // all blocks taken at once no one else reaches it. The owner never drains a closed inbox.
            let Node { next, class } = unsafe { block.read() };
            node = next;
            f(class, block.cast());
        }
    }
}
