//! A walk over the channels of a device, from thread to thread.
//!
//! Not `spdk_for_each_channel`: it never calls back if it has no memory, and when the last channel goes
//! in the middle of it, it reads the device after it told the caller that it has finished, so that an
//! unregister at that moment is a use after free (`spdk_for_each_channel_continue`).

use alloc::sync::Arc;

use super::{Device, Shared};
use crate::errno::Errno;
use crate::message::{Job, Receiver, Sender, oneshot};
use crate::thread::{Origin, SendError};

/// A walk on its way to the thread `at`.
struct Walk<D: Device, F> {
    shared: Arc<Shared<D>>,
    visit: F,
    done: Sender<F>,
    /// The id of the thread that is visited now; 0 before the first.
    at: u64,
}

pub(super) fn start<D, F>(shared: &Arc<Shared<D>>, visit: F) -> Receiver<F>
where
    D: Device,
    F: FnMut(&D::Channel) + Send + 'static,
{
    let (done, receiver) = oneshot();
    Walk {
        shared: Arc::clone(shared),
        visit,
        done,
        at: 0,
    }
    .go_on();
    receiver
}

impl<D, F> Walk<D, F>
where
    D: Device,
    F: FnMut(&D::Channel) + Send + 'static,
{
    /// To the next thread, or to the end.
    fn go_on(mut self) {
        loop {
            let next = {
                let channels = self.shared.channels.lock();
                let index = channels.partition_point(|entry| entry.record.id() <= self.at);
                channels.get(index).map(|entry| Arc::clone(&entry.record))
            };
            let Some(record) = next else {
                // Nobody may wait for it any more; then it is dropped here.
                drop(self.done.send(self.visit));
                return;
            };
            self.at = record.id();
            match record.send(Origin::Runtime, self) {
                Ok(()) => return,
                Err(SendError {
                    errno: Errno::ENOMEM,
                    closure,
                }) => {
                    return closure.done.fail(Errno::ENOMEM);
                }
                // The thread was ended with its channel in use. What is there cannot be reached.
                Err(SendError { closure, .. }) => self = closure,
            }
        }
    }
}

impl<D, F> Job for Walk<D, F>
where
    D: Device,
    F: FnMut(&D::Channel) + Send + 'static,
{
    fn run(mut self) {
        self.shared.visit(&mut self.visit);
        self.go_on();
    }
}
