//! One value, from any thread to one task.

use alloc::sync::Arc;
use core::fmt;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll, Waker};

use crate::errno::Errno;
use crate::mutex::Mutex;

/// Where the value is. Each transition happens under the lock of [`Shared`]:
///
/// ```text
/// Empty --send, drop of the sender--> Full --poll of the receiver--> Taken
///   '------- drop of the receiver ----> Taken (a value sent later is given back)
/// ```
enum State<T> {
    Empty(Option<Waker>),
    Full(Result<T, Errno>),
    Taken,
}

type Shared<T> = Mutex<State<T>>;

/// A pair of ends for one value of type `T`. Allocates once.
pub fn oneshot<T>() -> (Sender<T>, Receiver<T>) {
    let shared = Arc::new(Mutex::new(State::Empty(None)));
    (
        Sender {
            shared: Some(Arc::clone(&shared)),
        },
        Receiver { shared },
    )
}

/// The end that gives the value. Dropping it unused fails the receiver with `ECANCELED`.
pub struct Sender<T> {
    /// `None` once used.
    shared: Option<Arc<Shared<T>>>,
}

impl<T> Sender<T> {
    /// Hands the value over and wakes the receiver.
    ///
    /// # Errors
    /// Gives the value back if the receiver is gone.
    pub fn send(mut self, value: T) -> Result<(), T> {
        match self.put(Ok(value)) {
            Some(Ok(value)) => Err(value),
            _ => Ok(()),
        }
    }

    /// Fails the receiver with `errno` instead of a value.
    pub fn fail(mut self, errno: Errno) {
        self.put(Err(errno));
    }

    /// Whether nobody waits for the value any more.
    pub fn is_canceled(&self) -> bool {
        self.shared
            .as_ref()
            .is_none_or(|shared| matches!(*shared.lock(), State::Taken))
    }

    /// Gives back what nobody took.
    fn put(&mut self, result: Result<T, Errno>) -> Option<Result<T, Errno>> {
        let shared = self.shared.take()?;
        let mut state = shared.lock();
        let State::Empty(waker) = &mut *state else {
            return Some(result);
        };
        let waker = waker.take();
        *state = State::Full(result);
        // A waker runs foreign code, and so does dropping one: not under the lock.
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
        None
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        self.put(Err(Errno::ECANCELED));
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sender")
    }
}

/// The end that waits: a future of the value.
///
/// It resolves to an error if the sender failed it, or to `ECANCELED` if the sender was dropped.
/// It may be dropped at any time. Polled again after it resolved, it gives `ECANCELED`.
#[must_use = "a future does nothing unless it is awaited"]
pub struct Receiver<T> {
    shared: Arc<Shared<T>>,
}

impl<T> Receiver<T> {
    /// The result, if it is there already; what it gives is taken.
    pub fn try_take(&mut self) -> Option<Result<T, Errno>> {
        let mut state = self.shared.lock();
        match core::mem::replace(&mut *state, State::Taken) {
            State::Full(result) => Some(result),
            empty @ State::Empty(_) => {
                *state = empty;
                None
            }
            State::Taken => Some(Err(Errno::ECANCELED)),
        }
    }
}

impl<T> Future for Receiver<T> {
    type Output = Result<T, Errno>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if let Some(result) = self.get_mut().try_take_or_wait(cx) {
            Poll::Ready(result)
        } else {
            Poll::Pending
        }
    }
}

impl<T> Receiver<T> {
    fn try_take_or_wait(&mut self, cx: &mut Context<'_>) -> Option<Result<T, Errno>> {
        // Cloned before the lock is taken: a waker's clone is foreign code.
        let mut next = Some(cx.waker().clone());
        let mut state = self.shared.lock();
        match &mut *state {
            State::Empty(waker) => {
                core::mem::swap(waker, &mut next);
                // The former waker is dropped in `next`, after the lock.
                drop(state);
                None
            }
            State::Full(_) | State::Taken => {
                drop(state);
                self.try_take()
            }
        }
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        // What was there is dropped after the lock: it is foreign code.
        let last = core::mem::replace(&mut *self.shared.lock(), State::Taken);
        drop(last);
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Receiver")
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
    use core::pin::pin;
    use std::rc::Rc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn poll<T>(receiver: &mut Receiver<T>, count: &Arc<Count>) -> Option<Result<T, Errno>> {
        let waker = Waker::from(Arc::clone(count));
        match pin!(receiver).poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(result) => Some(result),
            Poll::Pending => None,
        }
    }

    #[test]
    fn a_value_arrives_once_and_wakes_once() {
        let count = Arc::default();
        let (sender, mut receiver) = oneshot();
        assert_eq!(poll(&mut receiver, &count), None);
        assert_eq!(poll(&mut receiver, &count), None);
        assert!(!sender.is_canceled());
        assert_eq!(sender.send(5), Ok(()));
        assert_eq!(count.0.load(Ordering::SeqCst), 1);
        assert_eq!(poll(&mut receiver, &count), Some(Ok(5)));
        assert_eq!(poll(&mut receiver, &count), Some(Err(Errno::ECANCELED)));
    }

    #[test]
    fn a_dropped_sender_cancels_and_a_failing_one_says_why() {
        let count = Arc::default();
        let (sender, mut receiver) = oneshot::<u8>();
        assert_eq!(poll(&mut receiver, &count), None);
        drop(sender);
        assert_eq!(count.0.load(Ordering::SeqCst), 1);
        assert_eq!(poll(&mut receiver, &count), Some(Err(Errno::ECANCELED)));
        let (sender, mut receiver) = oneshot::<u8>();
        sender.fail(Errno::ENODEV);
        assert_eq!(receiver.try_take(), Some(Err(Errno::ENODEV)));
    }

    // Peer fault: "panic if the receiver has gone".
    #[test]
    fn a_dropped_receiver_gives_the_value_back() {
        let (sender, receiver) = oneshot();
        drop(receiver);
        assert!(sender.is_canceled());
        assert_eq!(sender.send(5), Err(5));
    }

    #[test]
    fn a_value_that_nobody_took_is_dropped_once() {
        let value = Rc::new(());
        let (sender, receiver) = oneshot();
        sender.send(Rc::clone(&value)).unwrap();
        assert_eq!(Rc::strong_count(&value), 2);
        drop(receiver);
        assert_eq!(Rc::strong_count(&value), 1);
    }
}
