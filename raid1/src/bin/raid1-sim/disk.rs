//! A disk with a volatile write cache, in memory.
//!
//! What was written is read back at once, and survives a crash for certain only after a flush. In a
//! crash each block that is newer in the cache is kept or lost, for itself: a large write may be torn.
//! What a flush fails to make durable is still read for a while, no later flush makes it durable, and
//! then it is gone: so do files in Linux, whose pages are clean after a failed fsync, and are evicted.

use fastrand::Rng;

use crate::plan::{BLOCK_SIZE, NUM_BLOCKS};

const BLOCK: usize = BLOCK_SIZE as usize;

/// One disk.
pub(crate) struct Disk {
    /// What is read.
    cached: Vec<u8>,
    /// What survives.
    durable: Vec<u8>,
    is_newer: Vec<bool>,
    newer: Vec<usize>,
    /// Newer once, before a flush that failed.
    is_lost: Vec<bool>,
}

impl Disk {
    /// Full of zeroes.
    pub(crate) fn new() -> Self {
        let bytes = NUM_BLOCKS as usize * BLOCK;
        Self {
            cached: vec![0; bytes],
            durable: vec![0; bytes],
            is_newer: vec![false; NUM_BLOCKS as usize],
            newer: Vec::new(),
            is_lost: vec![false; NUM_BLOCKS as usize],
        }
    }

    /// Some blocks, as they are read.
    pub(crate) fn blocks(&self, offset: u64, count: u64) -> &[u8] {
        &self.cached[offset as usize * BLOCK..(offset + count) as usize * BLOCK]
    }

    /// Some blocks, to be changed.
    pub(crate) fn change(&mut self, offset: u64, count: u64) -> &mut [u8] {
        let blocks = offset as usize..(offset + count) as usize;
        self.is_lost[blocks.clone()].fill(false);
        for block in blocks.clone() {
            if !self.is_newer[block] {
                self.is_newer[block] = true;
                self.newer.push(block);
            }
        }
        &mut self.cached[blocks.start * BLOCK..blocks.end * BLOCK]
    }

    pub(crate) fn flush(&mut self) {
        self.settle(|_| true);
    }

    /// Fails to flush.
    pub(crate) fn fail_flush(&mut self) {
        for block in self.newer.drain(..) {
            self.is_newer[block] = false;
            self.is_lost[block] = true;
        }
    }

    /// Forgets what failed flushes lost.
    pub(crate) fn evict(&mut self) {
        for block in (0..self.is_lost.len()).filter(|block| self.is_lost[*block]) {
            let bytes = block * BLOCK..(block + 1) * BLOCK;
            self.cached[bytes.clone()].copy_from_slice(&self.durable[bytes]);
        }
        self.is_lost.fill(false);
    }

    /// What the disk holds after a crash.
    pub(crate) fn crash(&mut self, rng: &mut Rng) -> &[u8] {
        self.settle(|_| rng.bool());
        &self.durable
    }

    fn settle(&mut self, mut keeps: impl FnMut(usize) -> bool) {
        for block in self.newer.drain(..) {
            self.is_newer[block] = false;
            if keeps(block) {
                let bytes = block * BLOCK..(block + 1) * BLOCK;
                self.durable[bytes.clone()].copy_from_slice(&self.cached[bytes]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_flush_failed_to_keep_is_lost_later() {
        let mut disk = Disk::new();
        disk.change(0, 2).fill(1);
        disk.fail_flush();
        disk.change(1, 1).fill(2);
        disk.flush();
        assert_eq!([disk.blocks(0, 1)[0], disk.blocks(1, 1)[0]], [1, 2]);
        disk.evict();
        assert_eq!([disk.blocks(0, 1)[0], disk.blocks(1, 1)[0]], [0, 2]);
    }

    #[test]
    fn what_was_flushed_survives_and_the_rest_may() {
        let mut rng = Rng::with_seed(1);
        let mut disk = Disk::new();
        disk.change(0, 4).fill(1);
        disk.flush();
        disk.change(0, NUM_BLOCKS).fill(2);
        assert!(disk.blocks(0, NUM_BLOCKS).iter().all(|byte| *byte == 2));
        let survived = disk.crash(&mut rng);
        assert!(survived[..4 * BLOCK].iter().all(|byte| *byte != 0));
        let blocks = || survived.chunks(BLOCK).map(|block| block[0]);
        assert!(blocks().any(|byte| byte == 2) && blocks().any(|byte| byte == 0));
    }
}
