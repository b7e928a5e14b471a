//! Who may send to a thread that may be going away.

#[cfg(not(loom))]
use core::sync::atomic::{AtomicUsize, Ordering};
#[cfg(loom)]
use loom::sync::atomic::{AtomicUsize, Ordering};

/// The thread is going away: users' messages are refused, those of the runtime still pass.
const CLOSING: usize = 1;
/// Nothing is sent to the thread any more.
const CLOSED: usize = 2;
/// One sender is between its look at the flags and the end of its call into SPDK.
const SENDER: usize = 4;

/// Counts the senders that are inside, and lets none in once it is closed.
///
/// ```text
/// [1] enter: + SENDER; flags seen in the same operation decide
/// [2] leave: - SENDER
/// [3] close: | CLOSING, later | CLOSED
/// [4] after CLOSED, without a SENDER: nobody is inside, nobody will be
/// ```
pub(super) struct Gate(AtomicUsize);

/// Who sends: the runtime still may while a thread is closing.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    User,
    Runtime,
}

/// Somebody is inside, as long as this exists.
pub(super) struct Entered<'a>(&'a Gate);

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        // Release: what was done inside happens before the closer sees us gone. [2]
        self.0.0.fetch_sub(SENDER, Ordering::Release);
    }
}

impl Gate {
    /// An open gate.
    pub(super) fn new() -> Self {
        Self(AtomicUsize::new(0))
    }

    /// Goes in, unless the gate is closed to `origin`. [1]
    pub(super) fn enter(&self, origin: Origin) -> Option<Entered<'_>> {
        let refused = match origin {
            Origin::User => CLOSING | CLOSED,
            Origin::Runtime => CLOSED,
        };
        // One operation: either the closer counts us, or we see what it set.
        let gate = self.0.fetch_add(SENDER, Ordering::Acquire);
        let entered = Entered(self);
        (gate & refused == 0).then_some(entered)
    }

    /// Refuses users from now on. [3]
    pub(super) fn begin_close(&self) {
        self.0.fetch_or(CLOSING, Ordering::AcqRel);
    }

    /// Refuses everybody from now on. [3]
    pub(super) fn close(&self) {
        self.0.fetch_or(CLOSING | CLOSED, Ordering::AcqRel);
    }

    /// Whether users may enter at this moment.
    pub(super) fn is_open(&self) -> bool {
        self.0.load(Ordering::Acquire) & (CLOSING | CLOSED) == 0
    }

    /// Whether nobody may enter.
    pub(super) fn is_closed(&self) -> bool {
        self.0.load(Ordering::Acquire) & CLOSED != 0
    }

    /// Whether nobody is inside. If the gate is closed it stays so. [4]
    pub(super) fn is_empty(&self) -> bool {
        // Acquire: pairs with the leaves.
        self.0.load(Ordering::Acquire) / SENDER == 0
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn closes_in_two_steps() {
        let gate = Gate::new();
        let inside = gate.enter(Origin::User);
        assert!(inside.is_some() && gate.is_open() && !gate.is_empty());
        gate.begin_close();
        assert!(!gate.is_open() && !gate.is_closed());
        assert!(gate.enter(Origin::User).is_none());
        assert!(gate.enter(Origin::Runtime).is_some());
        gate.close();
        assert!(gate.is_closed());
        assert!(gate.enter(Origin::Runtime).is_none());
        assert!(!gate.is_empty());
        drop(inside);
        assert!(gate.is_empty());
    }
}

/// Run as the executor's models are.
#[cfg(all(test, loom))]
mod loom_tests {
    use loom::cell::UnsafeCell;
    use loom::sync::Arc;
    use loom::thread;

    use super::*;

    /// A thread of SPDK's, as far as it matters here: to be used inside the gate alone.
    struct Target {
        gate: Gate,
        alive: UnsafeCell<bool>,
    }

    // SAFETY: loom checks what this promises.
    unsafe impl Sync for Target {}
    // SAFETY: as above.
    unsafe impl Send for Target {}

    #[test]
    fn nobody_uses_what_is_gone() {
        let mut model = loom::model::Builder::new();
        model.preemption_bound = Some(2);
        model.check(|| {
            let target = Arc::new(Target {
                gate: Gate::new(),
                alive: UnsafeCell::new(true),
            });
            let senders = [Origin::User, Origin::Runtime].map(|origin| {
                let target = Arc::clone(&target);
                thread::spawn(move || {
                    if let Some(_entered) = target.gate.enter(origin) {
                        // SAFETY: what this test is about; loom reports a race.
                        target.alive.with(|alive| assert!(unsafe { *alive }));
                    }
                })
            });
            target.gate.begin_close();
            target.gate.close();
            while !target.gate.is_empty() {
                thread::yield_now();
            }
            // SAFETY: as above: the end of the thread.
            target.alive.with_mut(|alive| unsafe { *alive = false });
            for sender in senders {
                sender.join().unwrap();
            }
        });
    }
}
