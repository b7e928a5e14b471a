//! A queue of fixed capacity from any thread to one task.

use core::fmt;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll, Waker};

use heapless::Deque;

use crate::mutex::Mutex;

/// A queue of at most `N` items that never allocates; a `static` may hold it.
///
/// Any thread may send. One task receives; it is woken by whatever waker its future holds, so it runs
/// on its own thread. If several tasks wait, the one that came last is woken by the next item, and the
/// one that it displaced is woken at once to try again.
///
/// Items lie in a [`heapless::Deque`] under a [`Mutex`] that is held for one push or pop.
/// `heapless::mpmc` would do without the lock, but its authors deprecate it: a sender that the kernel
/// interrupts in mid-operation makes the queue look full or empty to everyone else.
pub struct Mailbox<T, const N: usize> {
    slots: Mutex<Slots<T, N>>,
}

struct Slots<T, const N: usize> {
    items: Deque<T, N>,
    receiver: Option<Waker>,
}

/// There was no room: the item, given back.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Full<T>(pub T);

impl<T> fmt::Debug for Full<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Full(..)")
    }
}

impl<T> fmt::Display for Full<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("mailbox is full")
    }
}

impl<T> core::error::Error for Full<T> {}

impl<T, const N: usize> Mailbox<T, N> {
    /// An empty mailbox.
    pub const fn new() -> Self {
        Self {
            slots: Mutex::new(Slots {
                items: Deque::new(),
                receiver: None,
            }),
        }
    }

    /// How many items it can hold.
    pub const fn capacity(&self) -> usize {
        N
    }

    /// How many items wait at this moment.
    pub fn len(&self) -> usize {
        self.slots.lock().items.len()
    }

    /// Whether no item waits at this moment.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Appends an item and wakes the receiver.
    ///
    /// # Errors
    /// [`Full`] with the item if there is no room.
    pub fn send(&self, item: T) -> Result<(), Full<T>> {
        let mut slots = self.slots.lock();
        slots.items.push_back(item).map_err(Full)?;
        let receiver = slots.receiver.take();
        // A waker runs foreign code: not under the lock.
        drop(slots);
        if let Some(waker) = receiver {
            waker.wake();
        }
        Ok(())
    }

    /// The oldest item, if there is one.
    pub fn try_recv(&self) -> Option<T> {
        self.slots.lock().items.pop_front()
    }

    /// A future of the oldest item. Dropping it loses nothing.
    pub const fn recv(&self) -> Recv<'_, T, N> {
        Recv { mailbox: self }
    }
}

impl<T, const N: usize> Default for Mailbox<T, N> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T, const N: usize> fmt::Debug for Mailbox<T, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Mailbox({} of {N})", self.len())
    }
}

/// Waits for an item of a [`Mailbox`]; made by [`Mailbox::recv`].
#[derive(Debug)]
#[must_use = "a future does nothing unless it is awaited"]
pub struct Recv<'a, T, const N: usize> {
    mailbox: &'a Mailbox<T, N>,
}

impl<T, const N: usize> Future for Recv<'_, T, N> {
    type Output = T;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        // Cloned before and dropped after the lock: both are foreign code.
        let next = cx.waker().clone();
        let mut slots = self.mailbox.slots.lock();
        if let Some(item) = slots.items.pop_front() {
            return Poll::Ready(item);
        }
        let former = slots.receiver.replace(next);
        drop(slots);
        if let Some(former) = former
            && !former.will_wake(cx.waker())
        {
            former.wake();
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
    use core::pin::pin;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn poll<T, const N: usize>(mailbox: &Mailbox<T, N>, waker: &Waker) -> Option<T> {
        match pin!(mailbox.recv()).poll(&mut Context::from_waker(waker)) {
            Poll::Ready(item) => Some(item),
            Poll::Pending => None,
        }
    }

    #[test]
    fn a_full_mailbox_gives_the_item_back() {
        static MAILBOX: Mailbox<u32, 2> = Mailbox::new();
        assert_eq!(MAILBOX.send(1), Ok(()));
        assert_eq!(MAILBOX.send(2), Ok(()));
        assert_eq!(MAILBOX.send(3), Err(Full(3)));
        assert_eq!(MAILBOX.len(), MAILBOX.capacity());
        assert_eq!(
            [MAILBOX.try_recv(), MAILBOX.try_recv(), MAILBOX.try_recv()],
            [Some(1), Some(2), None]
        );
        assert!(MAILBOX.is_empty());
    }

    #[test]
    fn items_wake_the_receiver() {
        let (mailbox, count) = (Mailbox::<_, 4>::new(), Arc::<Count>::default());
        let waker = Waker::from(Arc::clone(&count));
        assert_eq!(poll(&mailbox, &waker), None);
        assert_eq!(poll(&mailbox, &waker), None);
        assert_eq!(count.0.load(Ordering::SeqCst), 0);
        mailbox.send('a').unwrap();
        mailbox.send('b').unwrap();
        assert_eq!(count.0.load(Ordering::SeqCst), 1);
        assert_eq!(poll(&mailbox, &waker), Some('a'));
        assert_eq!(poll(&mailbox, &waker), Some('b'));
        assert_eq!(poll(&mailbox, &waker), None);
    }

    #[test]
    fn a_displaced_receiver_is_woken() {
        let mailbox = Mailbox::<u8, 1>::new();
        let (first, second) = (Arc::<Count>::default(), Arc::<Count>::default());
        assert_eq!(poll(&mailbox, &Waker::from(Arc::clone(&first))), None);
        assert_eq!(poll(&mailbox, &Waker::from(Arc::clone(&second))), None);
        assert_eq!(first.0.load(Ordering::SeqCst), 1);
        mailbox.send(1).unwrap();
        assert_eq!(second.0.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn many_senders_lose_nothing() {
        static MAILBOX: Mailbox<usize, 8> = Mailbox::new();
        const EACH: usize = 2_000;
        let senders = [0, 1, 2].map(|_| {
            std::thread::spawn(|| {
                for item in 1..=EACH {
                    let mut item = item;
                    while let Err(Full(back)) = MAILBOX.send(item) {
                        item = back;
                        std::thread::yield_now();
                    }
                }
            })
        });
        let (mut sum, mut received) = (0, 0);
        while received < 3 * EACH {
            match MAILBOX.try_recv() {
                Some(item) => (sum, received) = (sum + item, received + 1),
                None => std::thread::yield_now(),
            }
        }
        for sender in senders {
            sender.join().unwrap();
        }
        assert_eq!(sum, 3 * EACH * (EACH + 1) / 2);
    }
}
