//! What is to be done by a mirror's keeper: put there by any thread, taken by the keeper alone.

use alloc::collections::VecDeque;
use core::future::poll_fn;
use core::mem;
use core::ops::RangeInclusive;
use core::task::{Poll, Waker};

use barespdk::errno::Errno;
use barespdk::message::{Receiver, Sender, oneshot};
use barespdk::mutex::Mutex;

use super::arrival::Arrival;
use crate::legs::{Slot, TakeOut};

/// Why a leg goes.
pub(crate) type Reason = &'static str;

/// Something to do for the keeper, and who waits for the end of it.
pub(crate) enum Job {
    /// These regions are about to be written. `false`: no leg can record that.
    Mark(RangeInclusive<usize>, Sender<bool>),
    /// A leg lacks what others have, or is to go.
    Eject(Slot, Reason, Sender<Result<TakeOut, Errno>>),
    /// A leg may have lost what it had, says a flush that began when there were so many
    /// [copies](crate::mirror::Mirror::copies). `false`: the others cannot stand in for it.
    Demote(Slot, Reason, u32, Sender<bool>),
    /// Legs may have regions differently: a request that changes these has failed. `None`: a flush has, and
    /// all that are dirty may be.
    Suspect(Option<RangeInclusive<usize>>, Sender<()>),
    /// All threads hold what they write, and nothing is in flight that was written before. `false`: it
    /// cannot be seen to.
    Ordered(bool),
    /// A bdev becomes a leg.
    Add(Arrival, Sender<Result<Slot, Refusal>>),
    /// A leg has another size.
    Resized,
    /// A leg that was rebuilt has all that the others have. The number tells one rebuild from the next.
    Rebuilt(Slot, u64),
    /// All that legs had differently is equal, says this resync.
    Resynced(u64),
    /// The mirror ends: nothing is in flight any more.
    End(Ending, Sender<()>),
}

/// Why a bdev does not become a leg.
pub(crate) type Refusal = (Errno, alloc::string::String);

/// What is left of a mirror on its legs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// It can be assembled again.
    Keep,
    /// Nothing.
    Wipe,
}

#[derive(Default)]
struct Content {
    jobs: VecDeque<Job>,
    keeper: Option<Waker>,
    closed: bool,
}

/// The jobs that wait.
#[derive(Default)]
pub(crate) struct Desk(Mutex<Content>);

impl Desk {
    /// Puts a job there. Where the keeper is gone it is dropped: who waits for it learns that.
    pub(crate) fn put(&self, job: Job) {
        let mut content = self.0.lock();
        if content.closed {
            drop(content);
            drop(job);
            return;
        }
        content.jobs.push_back(job);
        let keeper = content.keeper.take();
        drop(content);
        if let Some(keeper) = keeper {
            keeper.wake();
        }
    }

    /// Puts a job there that ends with an answer.
    pub(crate) fn ask<T>(&self, job: impl FnOnce(Sender<T>) -> Job) -> Receiver<T> {
        let (sender, receiver) = oneshot();
        self.put(job(sender));
        receiver
    }

    /// All jobs, when there is one. For the keeper.
    pub(super) async fn take(&self) -> VecDeque<Job> {
        poll_fn(|cx| {
            let mut content = self.0.lock();
            if content.jobs.is_empty() {
                content.keeper = Some(cx.waker().clone());
                return Poll::Pending;
            }
            Poll::Ready(mem::take(&mut content.jobs))
        })
        .await
    }

    /// Takes no more jobs, and drops those that wait.
    pub(crate) fn close(&self) {
        let dropped = {
            let mut content = self.0.lock();
            content.closed = true;
            mem::take(&mut content.jobs)
        };
        drop(dropped);
    }
}
