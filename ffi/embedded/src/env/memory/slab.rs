use super::pages::PAGE_LEN;

/// Blocks of one length that fill 2 MiB. What is in use is noted here and not in the blocks, so that a
/// write behind the end of one cannot break the books.
pub(super) struct Slab {
    block_len: usize,
    /// One bit a block, set while it is free.
    free: Box<[u64]>,
    free_count: usize,
    count: usize,
    /// Words before this one have no free block.
    search_from: usize,
    /// Blocks from this one on were never handed out, so that they are still zero.
    untouched_from: usize,
}

impl Slab {
    /// All blocks free, and zero.
    pub(super) fn new(block_len: usize) -> Self {
        let count = PAGE_LEN / block_len;
        let mut free = vec![u64::MAX; count.div_ceil(64)].into_boxed_slice();
        if let Some(last) = free.last_mut().filter(|_| !count.is_multiple_of(64)) {
            *last = (1 << (count % 64)) - 1;
        }
        Self {
            block_len,
            free,
            free_count: count,
            count,
            search_from: 0,
            untouched_from: 0,
        }
    }

    pub(super) fn block_len(&self) -> usize {
        self.block_len
    }

    pub(super) fn is_full(&self) -> bool {
        self.free_count == 0
    }

    pub(super) fn is_empty(&self) -> bool {
        self.free_count == self.count
    }

    /// The offset of a block that is now in use, and whether it is zero.
    pub(super) fn take(&mut self) -> Option<(usize, bool)> {
        let words = self.free.iter_mut().enumerate().skip(self.search_from);
        let (word_index, word) = words.into_iter().find(|(_, word)| **word != 0)?;
        let bit = word.trailing_zeros() as usize;
        *word &= *word - 1;
        self.search_from = word_index;
        self.free_count -= 1;
        let index = word_index * 64 + bit;
        let zeroed = index >= self.untouched_from;
        self.untouched_from = self.untouched_from.max(index + 1);
        Some((index * self.block_len, zeroed))
    }

    /// Takes a block back; false unless the offset is that of one in use.
    pub(super) fn give_back(&mut self, offset: usize) -> bool {
        let index = offset / self.block_len;
        let Some(word) = self.free.get_mut(index / 64) else {
            return false;
        };
        let bit = 1 << (index % 64);
        if !offset.is_multiple_of(self.block_len) || *word & bit != 0 {
            return false;
        }
        *word |= bit;
        self.free_count += 1;
        self.search_from = self.search_from.min(index / 64);
        true
    }
}
