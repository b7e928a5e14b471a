use super::Reactor;
use crate::thread::Node;

/// What a reactor is to run outside of all SPDK threads.
pub(super) type Event = Box<dyn FnOnce(&'static Reactor) + Send>;

impl Reactor {
    /// Has the reactor run an event. Any OS thread.
    pub(super) fn send(&'static self, event: Event) {
        self.events.push(Node::new(event));
        self.wake();
    }

    /// Runs the events that wait, and says whether there were any.
    pub(super) fn run_events(&'static self) -> bool {
        self.events.take_into(&mut self.pending.borrow_mut());
        let mut ran = false;
        loop {
            let event = self.pending.borrow_mut().pop();
            let Some(event) = event else {
                return ran;
            };
            (event.value)(self);
            ran = true;
        }
    }
}
