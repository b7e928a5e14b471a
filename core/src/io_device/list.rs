//! Which threads have a channel of a device, and a walk over them, from thread to thread.
//!
//! Not `spdk_for_each_channel`: it never calls back if it has no memory, and when the last channel goes
//! in the middle of it, it reads the device after it told the caller that it has finished, so that an
//! unregister at that moment is a use after free (`spdk_for_each_channel_continue`).
//!
//! A channel is in the list from before its state is made, so none is missed: one that is made while a
//! walk is under way either sees what was changed before the walk, or is visited.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ptr::NonNull;

use crate::errno::Errno;
use crate::message::{Job, Receiver, Sender, oneshot};
use crate::mutex::Mutex;
use crate::thread::record::Record;
use crate::thread::{self, Origin, SendError};

/// Where the channels of a device are, whose state is a `C`.
pub(crate) struct ChannelList<C> {
    /// One for each thread with a channel, by ascending id.
    entries: Mutex<Vec<Entry<C>>>,
}

struct Entry<C> {
    record: Arc<Record>,
    channel: NonNull<C>,
}

// SAFETY: `channel` is followed on the thread of `record` alone ([`ChannelList::visit`]).
unsafe impl<C> Send for Entry<C> {}

impl<C> ChannelList<C> {
    pub(crate) const fn new() -> Self {
        Self {
            entries: Mutex::new(Vec::new()),
        }
    }

    /// Adds the channel of the current thread, whose record this is.
    ///
    /// # Safety
    /// When the thread takes its next message there is a `C` at `channel`, or it was
    /// [removed](Self::remove); it stays until it is removed.
    pub(crate) unsafe fn insert(
        &self,
        record: &Arc<Record>,
        channel: NonNull<C>,
    ) -> Result<(), Errno> {
        let mut entries = self.entries.lock();
        entries.try_reserve(1).map_err(|_| Errno::ENOMEM)?;
        let index = entries.partition_point(|entry| entry.record.id() < record.id());
        let record = Arc::clone(record);
        entries.insert(index, Entry { record, channel });
        drop(entries);
        Ok(())
    }

    /// Takes the channel of a thread out. On that thread.
    pub(crate) fn remove(&self, record: &Record) {
        let mut entries = self.entries.lock();
        let found = entries.binary_search_by_key(&record.id(), |entry| entry.record.id());
        let entry = found.ok().map(|index| entries.remove(index));
        // What ends with an entry is foreign code: not under the lock.
        drop(entries);
        drop(entry);
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.lock().len()
    }

    /// Calls `visit` with the current thread's channel, if it has one. From a message.
    fn visit(&self, visit: impl FnOnce(&C)) {
        let Some(id) = thread::current_id() else {
            return;
        };
        let channel = {
            let entries = self.entries.lock();
            let found = entries.binary_search_by_key(&id, |entry| entry.record.id());
            found.ok().map(|index| entries[index].channel)
        };
        if let Some(channel) = channel {
            // SAFETY: in the list, so there, by the word of who inserted it on this thread. It is
            // removed by a message of SPDK, hence not while this call lasts, even if `visit` drops the
            // last reference to the channel.
            visit(unsafe { channel.as_ref() });
        }
    }

    /// The thread with the lowest id above `id`.
    fn next(&self, id: u64) -> Option<Arc<Record>> {
        let entries = self.entries.lock();
        let index = entries.partition_point(|entry| entry.record.id() <= id);
        entries.get(index).map(|entry| Arc::clone(&entry.record))
    }
}

/// What owns a [`ChannelList`].
pub(crate) trait HasChannels: Send + Sync + 'static {
    /// What is at a channel's place.
    type Channel;
    /// What of it is shown to who visits it.
    type State;

    fn channels(&self) -> &ChannelList<Self::Channel>;

    fn state(channel: &Self::Channel) -> &Self::State;
}

/// A walk on its way to the thread `at`.
struct Walk<O, F> {
    owner: Arc<O>,
    visit: F,
    done: Sender<F>,
    /// The id of the thread that is visited now; 0 before the first.
    at: u64,
}

/// Calls `visit` with each channel, on its thread, one after the other, and gives it back at the end;
/// `ENOMEM` where there was none for a message. Begins at once.
pub(crate) fn for_each<O, F>(owner: &Arc<O>, visit: F) -> Receiver<F>
where
    O: HasChannels,
    F: FnMut(&O::State) + Send + 'static,
{
    let (done, receiver) = oneshot();
    Walk {
        owner: Arc::clone(owner),
        visit,
        done,
        at: 0,
    }
    .go_on();
    receiver
}

impl<O, F> Walk<O, F>
where
    O: HasChannels,
    F: FnMut(&O::State) + Send + 'static,
{
    /// To the next thread, or to the end.
    fn go_on(mut self) {
        loop {
            let Some(record) = self.owner.channels().next(self.at) else {
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

impl<O, F> Job for Walk<O, F>
where
    O: HasChannels,
    F: FnMut(&O::State) + Send + 'static,
{
    fn run(mut self) {
        self.owner
            .channels()
            .visit(|channel| (self.visit)(O::state(channel)));
        self.go_on();
    }
}
