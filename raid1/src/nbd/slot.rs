//! A request in flight, and how its end becomes known.

use alloc::sync::Arc;
use alloc::task::Wake;
use core::sync::atomic::{AtomicU64, Ordering};
use core::task::Waker;

use barespdk::bdev::{BufIo, Io};
use barespdk::dma::DmaBuf;

use super::protocol::{REPLY_BYTES, Span};

/// How many requests of one connection are in flight at a time. Further ones wait in the socket.
pub(crate) const SLOTS_MAX: usize = 256;

const WORDS: usize = SLOTS_MAX / u64::BITS as usize;

/// Which slots have news: a bit for each, so that nobody looks at the others.
#[derive(Debug, Default)]
pub(crate) struct News {
    words: [AtomicU64; WORDS],
}

impl News {
    /// Whether there are any.
    #[inline]
    pub(crate) fn any(&self) -> bool {
        self.words
            .iter()
            .any(|word| word.load(Ordering::Relaxed) != 0)
    }

    /// Takes those of 64 slots: a bit for each.
    #[inline]
    fn take(&self, word: usize) -> u64 {
        match self.words.get(word) {
            Some(word) if word.load(Ordering::Relaxed) != 0 => word.swap(0, Ordering::Acquire),
            _ => 0,
        }
    }

    /// Takes all, in the order of the slots.
    #[inline]
    pub(crate) fn drain(&self, mut each: impl FnMut(usize)) {
        for word in 0..WORDS {
            let mut bits = self.take(word);
            while bits != 0 {
                each(word * u64::BITS as usize + bits.trailing_zeros() as usize);
                bits &= bits - 1;
            }
        }
    }
}

/// What a slot's waker does: it notes that there are news.
struct Bell {
    news: Arc<News>,
    index: usize,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let bit = 1 << (self.index % u64::BITS as usize);
        if let Some(word) = self.news.words.get(self.index / u64::BITS as usize) {
            word.fetch_or(bit, Ordering::Release);
        }
    }
}

/// What is under way for a request.
#[derive(Debug)]
pub(crate) enum Work {
    Nothing,
    Transfer(BufIo),
    Plain(Io),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Read,
    Write,
    Other,
}

/// A request from its arrival until the last byte of its reply is sent.
///
/// ```text
///   free ──► filling (of a write) ──► working ──► flushing (FUA) ──► replying ──► free
/// ```
#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) work: Work,
    pub(crate) buffer: Option<DmaBuf>,
    /// How many bytes of memory were lent for it.
    pub(crate) bytes: usize,
    pub(crate) cookie: u64,
    pub(crate) kind: Kind,
    /// What is to be written, once its data is there.
    pub(crate) span: Span,
    /// Whether `span` is to be flushed before the reply.
    pub(crate) flush: bool,
    pub(crate) reply: [u8; REPLY_BYTES],
    pub(crate) waker: Waker,
}

impl Slot {
    pub(crate) fn new(news: &Arc<News>, index: usize) -> Self {
        Self {
            work: Work::Nothing,
            buffer: None,
            bytes: 0,
            cookie: 0,
            kind: Kind::Other,
            span: Span {
                offset_blocks: 0,
                num_blocks: 0,
            },
            flush: false,
            reply: [0; REPLY_BYTES],
            waker: Waker::from(Arc::new(Bell {
                news: Arc::clone(news),
                index,
            })),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    #[test]
    fn news_are_told_once_and_in_order() {
        let news = Arc::new(News::default());
        let slots: Vec<Slot> = (0..SLOTS_MAX)
            .map(|index| Slot::new(&news, index))
            .collect();
        assert!(!news.any());
        for index in [255, 3, 64, 3] {
            slots[index].waker.wake_by_ref();
        }
        assert!(news.any());
        let mut told = Vec::new();
        news.drain(|index| told.push(index));
        assert_eq!(told, [3, 64, 255]);
        assert!(!news.any());
    }

    #[test]
    fn a_waker_may_outlive_its_slot() {
        let news = Arc::new(News::default());
        let waker = Slot::new(&news, 7).waker;
        waker.wake();
        assert!(news.any());
    }
}
