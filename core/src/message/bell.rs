//! Something has changed: any thread tells all tasks that wait for it.

use alloc::vec::Vec;
use core::fmt;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll, Waker};

use crate::mutex::Mutex;

/// Wakes tasks, of any threads, that wait for something to change; a `static` may hold it.
///
/// [`Bell::wait`] hears each ring after its call, also one before it is first polled. So who makes it
/// first, and looks at what may have changed then, misses nothing:
///
/// ```
/// # use std::sync::atomic::{AtomicBool, Ordering};
/// # use barespdk::message::Bell;
/// async fn until_done(done: &AtomicBool, bell: &Bell) {
///     loop {
///         let changed = bell.wait();
///         if done.load(Ordering::Acquire) {
///             return;
///         }
///         changed.await;
///     }
/// }
/// ```
///
/// Who rings changes what others wait for before.
pub struct Bell {
    state: Mutex<State>,
}

struct State {
    /// How often it rang.
    rings: u64,
    /// The number of the next who waits.
    next: u64,
    /// Those who wait for the next ring, by their number.
    waiting: Vec<Waiting>,
}

struct Waiting {
    number: u64,
    waker: Waker,
}

impl State {
    fn index_of(&self, number: u64) -> Option<usize> {
        self.waiting.iter().position(|one| one.number == number)
    }
}

impl Bell {
    /// A bell that has not rung.
    pub const fn new() -> Self {
        Self {
            state: Mutex::new(State {
                rings: 0,
                next: 0,
                waiting: Vec::new(),
            }),
        }
    }

    /// A future that ends when the bell rings after this call. It may be dropped at any time. Its first
    /// poll may allocate.
    pub fn wait(&self) -> Wait<'_> {
        let mut state = self.state.lock();
        let number = state.next;
        state.next += 1;
        Wait {
            bell: self,
            heard: state.rings,
            number,
            waits: false,
        }
    }

    /// Ends the futures of all [waits](Bell::wait) that began before. On any thread.
    pub fn ring(&self) {
        let waiting = {
            let mut state = self.state.lock();
            state.rings += 1;
            core::mem::take(&mut state.waiting)
        };
        // Foreign code: not under the lock.
        for one in waiting {
            one.waker.wake();
        }
    }
}

impl Default for Bell {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Bell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Bell")
    }
}

/// See [`Bell::wait`].
#[must_use = "a future does nothing unless it is awaited"]
pub struct Wait<'a> {
    bell: &'a Bell,
    /// How often the bell had rung when this began.
    heard: u64,
    number: u64,
    /// Whether it was among those who wait.
    waits: bool,
}

impl Future for Wait<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        // Cloned before the lock is taken: it is foreign code.
        let waker = cx.waker().clone();
        let mut state = self.bell.state.lock();
        let former = if state.rings != self.heard {
            drop(state);
            return Poll::Ready(());
        } else if let Some(index) = state.index_of(self.number) {
            Some(core::mem::replace(&mut state.waiting[index].waker, waker))
        } else {
            let number = self.number;
            state.waiting.push(Waiting { number, waker });
            None
        };
        drop(state);
        // Foreign code, too.
        drop(former);
        self.waits = true;
        Poll::Pending
    }
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        if !self.waits {
            return;
        }
        let mut state = self.bell.state.lock();
        let index = state.index_of(self.number);
        let one = index.map(|index| state.waiting.swap_remove(index));
        drop(state);
        drop(one);
    }
}

impl fmt::Debug for Wait<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Wait")
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
    use alloc::sync::Arc;
    use core::pin::pin;
    use core::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn poll(wait: Pin<&mut Wait<'_>>, count: &Arc<Count>) -> bool {
        let waker = Waker::from(Arc::clone(count));
        wait.poll(&mut Context::from_waker(&waker)).is_ready()
    }

    #[test]
    fn all_who_waited_are_woken_once() {
        let (bell, [one, other]) = (Bell::new(), [Arc::default(), Arc::default()]);
        let (mut first, mut second) = (pin!(bell.wait()), pin!(bell.wait()));
        assert!(!poll(first.as_mut(), &one));
        assert!(!poll(first.as_mut(), &one));
        assert!(!poll(second.as_mut(), &other));
        bell.ring();
        let mut late = pin!(bell.wait());
        assert!(!poll(late.as_mut(), &other));
        assert_eq!(
            [1, 1],
            [&one, &other].map(|count| count.0.load(Ordering::SeqCst))
        );
        assert!(poll(first.as_mut(), &one) && poll(second.as_mut(), &other));
        bell.ring();
        assert_eq!(
            [1, 2],
            [&one, &other].map(|count| count.0.load(Ordering::SeqCst))
        );
        assert!(poll(late.as_mut(), &other));
    }

    #[test]
    fn a_ring_before_the_first_poll_is_heard() {
        let (bell, count) = (Bell::new(), Arc::default());
        bell.ring();
        let mut wait = pin!(bell.wait());
        bell.ring();
        assert!(poll(wait.as_mut(), &count));
        assert_eq!(count.0.load(Ordering::SeqCst), 0);
    }

    #[test]
    fn the_last_waker_counts_and_none_is_kept() {
        let (bell, [one, other]) = (Bell::new(), [Arc::default(), Arc::default()]);
        let mut wait = alloc::boxed::Box::pin(bell.wait());
        assert!(!poll(wait.as_mut(), &one));
        assert!(!poll(wait.as_mut(), &other));
        assert_eq!(Arc::strong_count(&one), 1);
        assert_eq!(Arc::strong_count(&other), 2);
        drop(wait);
        assert_eq!(Arc::strong_count(&other), 1);
        bell.ring();
        assert_eq!(other.0.load(Ordering::SeqCst), 0);
    }

    // A lost wake would leave a thread parked for ever.
    #[test]
    fn nobody_sleeps_through() {
        struct Thread(std::thread::Thread);
        impl Wake for Thread {
            fn wake(self: Arc<Self>) {
                self.0.unpark();
            }
        }
        let rounds = if cfg!(miri) { 20 } else { 20_000 };
        let (bell, done) = (Bell::new(), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    let waker = Waker::from(Arc::new(Thread(std::thread::current())));
                    let mut cx = Context::from_waker(&waker);
                    while done.load(Ordering::SeqCst) < rounds {
                        let mut wait = pin!(bell.wait());
                        if done.load(Ordering::SeqCst) >= rounds {
                            break;
                        }
                        while wait.as_mut().poll(&mut cx).is_pending() {
                            std::thread::park();
                        }
                    }
                });
            }
            for _ in 0..rounds {
                done.fetch_add(1, Ordering::SeqCst);
                bell.ring();
            }
        });
    }
}
