//! I/O of a connection that has gone.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::future::Future as _;
use core::pin::Pin;
use core::task::Context;

use super::news::News;
use super::slot::{Slot, Work};

/// Requests that were in flight when their connection went. Nobody is told of their end, but their
/// memory is in use until then.
#[derive(Debug)]
pub(crate) struct Orphans {
    news: Arc<News>,
    slots: Vec<Slot>,
    /// How many bytes they hold.
    bytes: usize,
}

impl Orphans {
    /// Those among all slots of a connection.
    pub(crate) fn of(news: Arc<News>, mut slots: Vec<Slot>) -> Self {
        let mut bytes = 0;
        for slot in &mut slots {
            match slot.work {
                Work::Transfer(_) => bytes += slot.bytes,
                _ => slot.bytes = 0,
            }
        }
        Self { news, slots, bytes }
    }

    /// How many bytes they hold.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn are_gone(&self) -> bool {
        self.bytes == 0
    }

    /// Lets go of what has ended: so many bytes.
    pub(crate) fn reap(&mut self) -> usize {
        let Self { news, slots, .. } = self;
        let mut returned = 0;
        if news.any() {
            news.drain(|index| {
                if let Some(slot) = slots.get_mut(index)
                    && let Work::Transfer(io) = &mut slot.work
                    && Pin::new(io)
                        .poll(&mut Context::from_waker(&slot.waker))
                        .is_ready()
                {
                    slot.work = Work::Nothing;
                    returned += core::mem::take(&mut slot.bytes);
                }
            });
        }
        self.bytes -= returned;
        returned
    }
}
