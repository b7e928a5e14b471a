//! A queue that any thread may fill and one empties: a lock-free stack that its owner takes whole and
//! turns round, so that what one thread pushes comes out in that order.

use std::ptr::null_mut;
use std::sync::atomic::{AtomicPtr, Ordering};

/// A place in a queue; may be used again.
pub(crate) struct Node<T> {
    next: *mut Node<T>,
    pub(crate) value: T,
}

impl<T> Node<T> {
    pub(crate) fn new(value: T) -> Box<Self> {
        Box::new(Self {
            next: null_mut(),
            value,
        })
    }
}

/// The shared end.
pub(crate) struct Inbox<T> {
    newest: AtomicPtr<Node<T>>,
}

// SAFETY: nodes are handed from thread to thread whole, with what is in them.
unsafe impl<T: Send> Sync for Inbox<T> {}

impl<T> Inbox<T> {
    pub(crate) const fn new() -> Self {
        Self {
            newest: AtomicPtr::new(null_mut()),
        }
    }

    /// Adds a node. Any thread. Whoever reads something else after this, in the order of sequential
    /// consistency, and the owner who looks here after having written that: one of the two sees the other.
    pub(crate) fn push(&self, node: Box<Node<T>>) {
        let node = Box::into_raw(node);
        let mut newest = self.newest.load(Ordering::Relaxed);
        loop {
            // SAFETY: the node is ours until the exchange succeeds.
            unsafe { (*node).next = newest };
            match self.newest.compare_exchange_weak(
                newest,
                node,
                Ordering::SeqCst,
                Ordering::Relaxed,
            ) {
                Ok(_) => return,
                Err(other) => newest = other,
            }
        }
    }

    /// Whether nothing waits here. Any thread.
    pub(crate) fn is_empty(&self) -> bool {
        self.newest.load(Ordering::SeqCst).is_null()
    }

    /// Moves all that waits to the end of the owner's list. The owner alone.
    pub(crate) fn take_into(&self, list: &mut List<T>) {
        if self.newest.load(Ordering::Relaxed).is_null() {
            return;
        }
        let newest = self.newest.swap(null_mut(), Ordering::Acquire);
        let (mut node, mut oldest) = (newest, null_mut());
        while !node.is_null() {
            // SAFETY: taken from the stack, so that the nodes are this thread's; their writes happened
            // before the exchange that published them.
            let next = unsafe { std::mem::replace(&mut (*node).next, oldest) };
            oldest = node;
            node = next;
        }
        // `newest` was turned to the end.
        list.append(oldest, newest);
    }
}

impl<T> Drop for Inbox<T> {
    fn drop(&mut self) {
        let mut rest = List::new();
        self.take_into(&mut rest);
    }
}

/// The owner's end: the oldest first.
pub(crate) struct List<T> {
    first: *mut Node<T>,
    last: *mut Node<T>,
}

impl<T> List<T> {
    pub(crate) const fn new() -> Self {
        Self {
            first: null_mut(),
            last: null_mut(),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.first.is_null()
    }

    /// Adds a chain of nodes.
    fn append(&mut self, first: *mut Node<T>, last: *mut Node<T>) {
        if self.last.is_null() {
            self.first = first;
        } else {
            // SAFETY: the last node of this list, which owns it.
            unsafe { (*self.last).next = first };
        }
        self.last = last;
    }

    /// The oldest node.
    pub(crate) fn pop(&mut self) -> Option<Box<Node<T>>> {
        if self.first.is_null() {
            return None;
        }
        // SAFETY: a node of this list, made by `Box::into_raw`, which leaves the list here.
        let node = unsafe { Box::from_raw(self.first) };
        self.first = node.next;
        if self.first.is_null() {
            self.last = null_mut();
        }
        Some(node)
    }
}

impl<T> Drop for List<T> {
    fn drop(&mut self) {
        while self.pop().is_some() {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_sender_stays_in_order() {
        const COUNT: usize = if cfg!(miri) { 50 } else { 20_000 };
        let inbox: Inbox<(usize, usize)> = Inbox::new();
        std::thread::scope(|scope| {
            for sender in 0..3 {
                let inbox = &inbox;
                scope.spawn(move || {
                    (0..COUNT).for_each(|index| inbox.push(Node::new((sender, index))));
                });
            }
            let mut list = List::new();
            let mut next = [0; 3];
            while next != [COUNT; 3] {
                inbox.take_into(&mut list);
                while let Some(node) = list.pop() {
                    let (sender, index) = node.value;
                    assert_eq!(next[sender], index);
                    next[sender] += 1;
                }
            }
        });
        assert!(inbox.is_empty());
        // Dropped with something in it.
        inbox.push(Node::new((0, 0)));
    }
}
