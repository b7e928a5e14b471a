//! The closures that wait to run on one thread.
//!
//! Any thread pushes; one message of SPDK at a time drains. So however many closures are sent, SPDK's
//! message ring and pool carry one entry a receiver: SPDK aborts the process when they are full.
//!
//! ```text
//!            push [1]                          drain [3]
//! sender ---------------> head: newest first -----------> backlog: oldest first ---> run
//!            [2] the one that turns `scheduled` on posts SPDK's message
//! ```
//!
//! `scheduled` is turned on by [`Inbox::push`] and off by [`Inbox::drain`] alone. Whoever turned it on
//! owes one call of `drain`; while it is on, that call is the only one, and it alone touches `backlog`.

use alloc::alloc::{Layout, alloc};
use alloc::boxed::Box;
use core::cell::UnsafeCell;
use core::ptr::{self, NonNull};

#[cfg(not(loom))]
use core::sync::atomic::{AtomicBool, AtomicPtr, Ordering};
#[cfg(loom)]
use loom::sync::atomic::{AtomicBool, AtomicPtr, Ordering};

/// How many closures one drain runs before it lets the thread's pollers have a turn.
const DRAIN_MAX: usize = 32;

/// What an inbox runs once. Closures are jobs; a type of one's own can be got back from an error.
pub(crate) trait Job: Send + 'static {
    fn run(self);
}

impl<F: FnOnce() + Send + 'static> Job for F {
    fn run(self) {
        self();
    }
}

/// What to do with a job whose type only its node knows.
enum Fate {
    Run,
    Drop,
}

struct Header {
    next: *mut Header,
    end: unsafe fn(NonNull<Header>, Fate),
}

/// `repr(C)`: a pointer to the node is a pointer to its header.
#[repr(C)]
struct Node<J> {
    header: Header,
    job: J,
}

/// One boxed job.
struct Message(NonNull<Header>);

impl Message {
    /// Boxes `job`, or gives it back if there is no memory.
    fn new<J: Job>(job: J) -> Result<Self, J> {
        // SAFETY: the layout of a node is not of size 0, since its header is not.
        let node = unsafe { alloc(Layout::new::<Node<J>>()) }.cast::<Node<J>>();
        let Some(node) = NonNull::new(node) else {
            return Err(job);
        };
        // SAFETY: freshly allocated with the layout of a node, and nobody else knows of it.
        unsafe {
            node.write(Node {
                header: Header {
                    next: ptr::null_mut(),
                    end: end::<J>,
                },
                job,
            })
        };
        Ok(Self(node.cast()))
    }

    /// Gives up ownership of the node; [`Message`]'s drop does not run.
    fn into_raw(self) -> NonNull<Header> {
        let header = self.0;
        core::mem::forget(self);
        header
    }

    fn run(self) {
        let header = self.into_raw();
        // SAFETY: `self` owned the node and has been given up, so that `end` is called once.
        unsafe { (header.as_ref().end)(header, Fate::Run) };
    }
}

impl Drop for Message {
    fn drop(&mut self) {
        // SAFETY: `self` owns the node, and this is its end.
        unsafe { (self.0.as_ref().end)(self.0, Fate::Drop) };
    }
}

/// # Safety
/// `header` must be that of a `Node<J>` made by [`Message::new`], owned by the caller, who must not
/// use it afterwards.
unsafe fn end<J: Job>(header: NonNull<Header>, fate: Fate) {
    // SAFETY: by contract a whole node that nobody else uses. It was allocated by the global allocator
    // with the layout of `Node<J>`, which is how `Box` frees it.
    let node = unsafe { Box::from_raw(header.cast::<Node<J>>().as_ptr()) };
    // Out of the box first: a job may run for long, its memory need not stay.
    let job = node.job;
    match fate {
        Fate::Run => job.run(),
        Fate::Drop => drop(job),
    }
}

/// Owned messages in the order in which they run.
struct Chain {
    first: *mut Header,
}

impl Chain {
    const EMPTY: Self = Self {
        first: ptr::null_mut(),
    };

    fn is_empty(&self) -> bool {
        self.first.is_null()
    }

    fn pop(&mut self) -> Option<Message> {
        let first = NonNull::new(self.first)?;
        // SAFETY: the chain owns its nodes, so `first` is alive.
        self.first = unsafe { first.as_ref().next };
        Some(Message(first))
    }
}

impl Drop for Chain {
    fn drop(&mut self) {
        while self.pop().is_some() {}
    }
}

/// A queue of jobs with many senders and one receiver. See the [module](self).
pub(crate) struct Inbox {
    head: AtomicPtr<Header>,
    scheduled: AtomicBool,
    /// What a drain took from `head` and has not run yet. Belongs to whoever drains.
    backlog: UnsafeCell<Chain>,
}

// SAFETY: jobs are `Send`, so another thread may run or drop them. `head` and `scheduled` are atomics;
// `backlog` is touched by `drain`, whose contract makes it the only one, and by `drop`.
unsafe impl Send for Inbox {}
// SAFETY: as above.
unsafe impl Sync for Inbox {}

impl Inbox {
    pub(crate) fn new() -> Self {
        Self {
            head: AtomicPtr::new(ptr::null_mut()),
            scheduled: AtomicBool::new(false),
            backlog: UnsafeCell::new(Chain::EMPTY),
        }
    }

    /// Appends a job. `Ok(true)` obliges the caller to have [`drain`](Self::drain) called once on the
    /// receiver's thread.
    ///
    /// # Errors
    /// Gives the job back if there is no memory.
    pub(crate) fn push<J: Job>(&self, job: J) -> Result<bool, J> {
        let mut node = Message::new(job)?.into_raw();
        let mut head = self.head.load(Ordering::Relaxed);
        loop {
            // SAFETY: the node is ours until the exchange below succeeds.
            unsafe { node.as_mut().next = head };
            // Release: the receiver must see the node's content. [1]
            match self.head.compare_exchange_weak(
                head,
                node.as_ptr(),
                Ordering::Release,
                Ordering::Relaxed,
            ) {
                Ok(_) => break,
                Err(now) => head = now,
            }
        }
        // Pairs with the swap in `drain`: if that one comes later it acquires our push and sees the
        // node; if it came earlier, we turn the flag on. [2]
        Ok(!self.scheduled.swap(true, Ordering::AcqRel))
    }

    /// Whether no job waits and no drain is owed.
    pub(crate) fn is_idle(&self) -> bool {
        !self.scheduled.load(Ordering::Acquire) && self.head.load(Ordering::Acquire).is_null()
    }

    /// Runs jobs, oldest first. `true` obliges the caller to have `drain` called once more.
    ///
    /// # Safety
    /// The call must be owed: to a `push` or a `drain` that returned `true`, and to no other call.
    pub(crate) unsafe fn drain(&self) -> bool {
        // SAFETY: calls are owed one at a time (`scheduled` is on until we turn it off below), so
        // nobody else is in here. The chain is moved out, so that no reference to the cell exists
        // while foreign code runs.
        let mut backlog = unsafe { self.backlog.get().replace(Chain::EMPTY) };
        for _ in 0..DRAIN_MAX {
            if backlog.is_empty() {
                backlog = self.take();
            }
            let Some(message) = backlog.pop() else { break };
            message.run();
        }
        if !backlog.is_empty() {
            // SAFETY: as above.
            unsafe { self.backlog.get().write(backlog) };
            return true;
        }
        self.scheduled.swap(false, Ordering::AcqRel);
        !self.head.load(Ordering::Acquire).is_null() && !self.scheduled.swap(true, Ordering::AcqRel)
    }

    /// All that was pushed, oldest first. [3]
    fn take(&self) -> Chain {
        let mut newest = self.head.swap(ptr::null_mut(), Ordering::Acquire);
        let mut chain = Chain::EMPTY;
        while let Some(mut node) = NonNull::new(newest) {
            // SAFETY: the swap made the nodes ours; Acquire shows us what the senders wrote.
            unsafe { newest = core::mem::replace(&mut node.as_mut().next, chain.first) };
            chain.first = node.as_ptr();
        }
        chain
    }
}

impl Drop for Inbox {
    fn drop(&mut self) {
        drop(self.take());
        // `backlog` drops itself.
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    extern crate std;

    use super::*;
    use std::sync::atomic::AtomicUsize;
    use std::sync::{Arc, Mutex, mpsc};
    use std::vec::Vec;

    #[test]
    fn jobs_run_in_order_and_one_drain_is_owed() {
        let (inbox, log) = (Inbox::new(), Arc::new(Mutex::new(Vec::new())));
        let total = DRAIN_MAX + 3;
        for index in 0..total {
            let log = Arc::clone(&log);
            let owed = inbox
                .push(move || log.lock().unwrap().push(index))
                .ok()
                .unwrap();
            assert_eq!(owed, index == 0);
        }
        assert!(!inbox.is_idle());
        // SAFETY: owed to the first push, then to this drain.
        unsafe {
            assert!(inbox.drain());
            assert_eq!(log.lock().unwrap().len(), DRAIN_MAX);
            assert!(!inbox.drain());
        }
        assert_eq!(*log.lock().unwrap(), (0..total).collect::<Vec<_>>());
        assert!(inbox.is_idle());
    }

    #[test]
    fn jobs_that_never_ran_are_dropped_once() {
        let counted = Arc::new(());
        let inbox = Inbox::new();
        for _ in 0..DRAIN_MAX + 5 {
            let counted = Arc::clone(&counted);
            inbox.push(move || drop(counted)).ok().unwrap();
        }
        // SAFETY: owed to the first push. The rest stays in the backlog.
        assert!(unsafe { inbox.drain() });
        inbox
            .push({
                let counted = Arc::clone(&counted);
                move || drop(counted)
            })
            .ok()
            .unwrap();
        assert_eq!(Arc::strong_count(&counted), 1 + 5 + 1);
        drop(inbox);
        assert_eq!(Arc::strong_count(&counted), 1);
    }

    #[test]
    fn senders_on_other_threads_lose_nothing() {
        const EACH: usize = if cfg!(miri) { 50 } else { 5_000 };
        let inbox = Arc::new(Inbox::new());
        let ran = Arc::new(AtomicUsize::new(0));
        // Stands for SPDK's ring: one entry for each drain that is owed.
        let (owe, owed) = mpsc::channel();
        let senders: Vec<_> = (0..3)
            .map(|_| {
                let (inbox, ran, owe) = (Arc::clone(&inbox), Arc::clone(&ran), owe.clone());
                std::thread::spawn(move || {
                    for _ in 0..EACH {
                        let ran = Arc::clone(&ran);
                        let job = move || {
                            ran.fetch_add(1, Ordering::Relaxed);
                        };
                        if inbox.push(job).ok().unwrap() {
                            owe.send(()).unwrap();
                        }
                    }
                })
            })
            .collect();
        drop(owe);
        while owed.recv().is_ok() {
            // SAFETY: owed to the push that sent the entry, then to the drain before.
            while unsafe { inbox.drain() } {}
        }
        for sender in senders {
            sender.join().unwrap();
        }
        assert_eq!(ran.load(Ordering::Relaxed), 3 * EACH);
        assert!(inbox.is_idle());
    }
}

/// Senders and the receiver in every order. Run as the executor's models are.
#[cfg(all(test, loom))]
mod loom_tests {
    use loom::cell::UnsafeCell;
    use loom::sync::Arc;
    use loom::sync::atomic::AtomicUsize;
    use loom::thread;

    use super::*;

    /// Runs the drains that are owed. `owed` stands for SPDK's ring, which synchronises as it does.
    fn run_owed(inbox: &Inbox, owed: &AtomicUsize) {
        while owed.load(Ordering::Acquire) > 0 {
            owed.fetch_sub(1, Ordering::AcqRel);
            // SAFETY: owed, and taken from the ring by this thread alone.
            if unsafe { inbox.drain() } {
                owed.fetch_add(1, Ordering::AcqRel);
            }
        }
    }

    fn push(inbox: &Inbox, owed: &AtomicUsize, ran: &Arc<UnsafeCell<usize>>) {
        let ran = Arc::clone(ran);
        // Loom's cell notices if two jobs run at once, or unordered.
        // SAFETY: jobs run one after the other.
        let job = move || ran.with_mut(|ran| unsafe { *ran += 1 });
        if inbox.push(Shared(job)).ok().unwrap() {
            owed.fetch_add(1, Ordering::AcqRel);
        }
    }

    /// Loom's cells are not `Send`; here loom itself checks what `Send` promises.
    struct Shared<F>(F);

    // SAFETY: run by the receiver alone; see above.
    unsafe impl<F> Send for Shared<F> {}

    impl<F: FnOnce() + 'static> Job for Shared<F> {
        fn run(self) {
            (self.0)();
        }
    }

    #[test]
    fn no_job_is_lost_or_runs_beside_another() {
        // A model with more pushes or preemptions takes minutes; these show a lost drain.
        let mut model = loom::model::Builder::new();
        model.preemption_bound = Some(2);
        model.check(|| {
            let inbox = Arc::new(Inbox::new());
            let owed = Arc::new(AtomicUsize::new(0));
            let ran = Arc::new(UnsafeCell::new(0));
            let senders = [1, 1].map(|count| {
                let (inbox, owed) = (Arc::clone(&inbox), Arc::clone(&owed));
                let ran = Shared(Arc::clone(&ran));
                thread::spawn(move || {
                    let ran = { ran }.0;
                    for _ in 0..count {
                        push(&inbox, &owed, &ran);
                    }
                })
            });
            run_owed(&inbox, &owed);
            for sender in senders {
                sender.join().unwrap();
            }
            run_owed(&inbox, &owed);
            // SAFETY: all senders have gone.
            ran.with(|ran| assert_eq!(unsafe { *ran }, 2));
            assert!(inbox.is_idle());
        });
    }
}
