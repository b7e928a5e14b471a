//! Which requests have news, told by wakers.

use alloc::sync::Arc;
use alloc::task::Wake;
use core::sync::atomic::{AtomicU64, Ordering};
use core::task::Waker;

use super::slot::SLOTS_MAX;

const WORDS: usize = SLOTS_MAX / u64::BITS as usize;

/// Which slots have news: a bit for each, so that nobody looks at the others.
#[derive(Debug, Default)]
pub(crate) struct News {
    words: [AtomicU64; WORDS],
}

impl News {
    /// The waker of a slot.
    pub(crate) fn waker(news: &Arc<Self>, index: usize) -> Waker {
        Waker::from(Arc::new(Bell {
            news: Arc::clone(news),
            index,
        }))
    }

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

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    #[test]
    fn news_are_told_once_and_in_order() {
        let news = Arc::new(News::default());
        assert!(!news.any());
        for index in [255, 3, 64, 3] {
            News::waker(&news, index).wake();
        }
        assert!(news.any());
        let mut told = Vec::new();
        news.drain(|index| told.push(index));
        assert_eq!(told, [3, 64, 255]);
        assert!(!news.any());
    }

    #[test]
    fn a_waker_may_be_called_again_and_cloned() {
        let news = Arc::new(News::default());
        let waker = News::waker(&news, 7);
        let clone = waker.clone();
        waker.wake();
        news.drain(|index| assert_eq!(index, 7));
        assert!(!news.any());
        clone.wake_by_ref();
        assert!(news.any());
    }
}
