//! A value that arrives once, later, on the same thread: how a callback of C becomes a future.

use alloc::rc::Rc;
use core::cell::Cell;
use core::ffi::c_void;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll, Waker};

struct Shared<T> {
    value: Cell<Option<T>>,
    waker: Cell<Option<Waker>>,
    sender_gone: Cell<bool>,
}

/// The end that gives the value.
pub struct Sender<T> {
    shared: Rc<Shared<T>>,
}

/// The end that waits for the value. It may be dropped at any time.
#[must_use = "a future does nothing unless it is awaited"]
pub struct Completion<T> {
    shared: Rc<Shared<T>>,
}

/// A sender, and the future of what it sends. Of one thread.
pub fn completion<T>() -> (Sender<T>, Completion<T>) {
    let shared = Rc::new(Shared {
        value: Cell::new(None),
        waker: Cell::new(None),
        sender_gone: Cell::new(false),
    });
    (
        Sender {
            shared: Rc::clone(&shared),
        },
        Completion { shared },
    )
}

impl<T> Sender<T> {
    /// Gives the value, and wakes who waits for it; nothing happens where nobody does.
    pub fn send(self, value: T) {
        self.shared.value.set(Some(value));
    }

    /// A pointer for the context argument of a C callback.
    pub(crate) fn into_context(self) -> *mut c_void {
        alloc::boxed::Box::into_raw(alloc::boxed::Box::new(self)).cast()
    }

    /// The sender of a context.
    ///
    /// # Safety
    /// The context came from [`Sender::into_context`] of this type, on this thread, and is used for
    /// the last time.
    pub(crate) unsafe fn from_context(context: *mut c_void) -> Self {
        // SAFETY: the caller's word.
        *unsafe { alloc::boxed::Box::from_raw(context.cast()) }
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        self.shared.sender_gone.set(true);
        if let Some(waker) = self.shared.waker.take() {
            waker.wake();
        }
    }
}

impl<T> Future for Completion<T> {
    /// The value; `None` where the sender was dropped without one, or the value was taken before.
    type Output = Option<T>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        if self.shared.sender_gone.get() {
            return Poll::Ready(self.shared.value.take());
        }
        self.shared.waker.set(Some(cx.waker().clone()));
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::pin::pin;

    fn poll_once<T>(completion: Pin<&mut Completion<T>>) -> Poll<Option<T>> {
        completion.poll(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn a_value_is_taken_once() {
        let (sender, completion) = completion();
        let mut completion = pin!(completion);
        assert_eq!(poll_once(completion.as_mut()), Poll::Pending);
        sender.send(7);
        assert_eq!(poll_once(completion.as_mut()), Poll::Ready(Some(7)));
        assert_eq!(poll_once(completion.as_mut()), Poll::Ready(None));
    }

    #[test]
    fn a_dropped_sender_is_no_value() {
        let (sender, completion) = completion::<u8>();
        drop(sender);
        assert_eq!(poll_once(pin!(completion)), Poll::Ready(None));
    }

    #[test]
    fn a_dropped_receiver_is_no_harm() {
        let (sender, completion) = completion();
        drop(completion);
        sender.send(7);
    }
}
