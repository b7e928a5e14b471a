//! A disk with a volatile write cache, in memory.
//!
//! What was written is read back at once, and survives a crash for certain only after a flush. In a
//! crash each block that is newer in the cache is kept or lost, for itself: a large write may be torn.
//! What a flush fails to make durable is still read for a while, no later flush makes it durable, and
//! then it is gone: so do files in Linux, whose pages are clean after a failed fsync, and are evicted.

use std::io;

use fastrand::Rng;

use crate::passed::{Reader, Writer};
use crate::plan::BLOCK_SIZE;

const BLOCK: usize = BLOCK_SIZE as usize;

/// One disk.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Disk {
    /// Without a cache: all that it does is durable at once.
    writes_through: bool,
    /// What is read.
    cached: Vec<u8>,
    /// What survives.
    durable: Vec<u8>,
    is_newer: Vec<bool>,
    newer: Vec<usize>,
    /// Newer once, before a flush that failed.
    is_lost: Vec<bool>,
    /// Changed ever: all others hold zeroes.
    is_used: Vec<bool>,
}

impl Disk {
    /// Full of zeroes.
    pub(crate) fn new(num_blocks: u64) -> Self {
        let blocks = num_blocks as usize;
        Self {
            writes_through: false,
            cached: vec![0; blocks * BLOCK],
            durable: vec![0; blocks * BLOCK],
            is_newer: vec![false; blocks],
            newer: Vec::new(),
            is_lost: vec![false; blocks],
            is_used: vec![false; blocks],
        }
    }

    /// Without a cache from now on.
    pub(crate) fn write_through(&mut self) {
        self.flush();
        self.writes_through = true;
    }

    /// Whether there is a cache.
    pub(crate) fn has_cache(&self) -> bool {
        !self.writes_through
    }

    /// Whether it has so many blocks.
    pub(crate) fn has_room(&self, num_blocks: u64) -> bool {
        self.is_used.len() as u64 >= num_blocks
    }

    /// Some blocks, as they are read.
    pub(crate) fn blocks(&self, offset: u64, count: u64) -> &[u8] {
        &self.cached[offset as usize * BLOCK..(offset + count) as usize * BLOCK]
    }

    /// All blocks, as they are read.
    pub(crate) fn all(&self) -> Vec<u8> {
        self.cached.clone()
    }

    /// Changes some blocks.
    pub(crate) fn change<R>(
        &mut self,
        offset: u64,
        count: u64,
        change: impl FnOnce(&mut [u8]) -> R,
    ) -> R {
        let blocks = offset as usize..(offset + count) as usize;
        self.is_lost[blocks.clone()].fill(false);
        self.is_used[blocks.clone()].fill(true);
        for block in blocks.clone() {
            if !self.is_newer[block] {
                self.is_newer[block] = true;
                self.newer.push(block);
            }
        }
        let outcome = change(&mut self.cached[blocks.start * BLOCK..blocks.end * BLOCK]);
        if self.writes_through {
            self.flush();
        }
        outcome
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
        for block in 0..self.is_lost.len() {
            if self.is_lost[block] {
                self.restore(block);
            }
        }
        self.is_lost.fill(false);
    }

    /// The power goes. What survives is what is read from now on.
    pub(crate) fn crash(&mut self, rng: &mut Rng) {
        let newer = self.newer.clone();
        self.settle(|_| rng.bool());
        newer.into_iter().for_each(|block| self.restore(block));
        self.evict();
    }

    /// Brings back what is durable.
    fn restore(&mut self, block: usize) {
        let bytes = block * BLOCK..(block + 1) * BLOCK;
        self.cached[bytes.clone()].copy_from_slice(&self.durable[bytes]);
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

    /// Writes all that it holds, for the next life.
    pub(crate) fn save(&self, to: &mut Writer) {
        to.number(self.is_used.len() as u64);
        to.flag(self.writes_through);
        let used: Vec<_> = (0..self.is_used.len())
            .filter(|block| self.is_used[*block])
            .collect();
        to.number(used.len() as u64);
        for block in used {
            let bytes = block * BLOCK..(block + 1) * BLOCK;
            let differs = self.cached[bytes.clone()] != self.durable[bytes.clone()];
            to.number(block as u64);
            to.flag(self.is_newer[block]);
            to.flag(self.is_lost[block]);
            to.flag(differs);
            to.bytes(&self.cached[bytes.clone()]);
            if differs {
                to.bytes(&self.durable[bytes]);
            }
        }
    }

    /// Reads what [`Disk::save`] wrote.
    pub(crate) fn load(from: &mut Reader<'_>) -> io::Result<Self> {
        let mut disk = Self::new(from.number()?);
        disk.writes_through = from.flag()?;
        for _ in 0..from.number()? {
            let block = from.number()? as usize;
            disk.is_used[block] = true;
            disk.is_newer[block] = from.flag()?;
            disk.is_lost[block] = from.flag()?;
            let differs = from.flag()?;
            let bytes = block * BLOCK..(block + 1) * BLOCK;
            let cached = from.bytes(BLOCK)?;
            let durable = if differs { from.bytes(BLOCK)? } else { cached };
            disk.cached[bytes.clone()].copy_from_slice(cached);
            disk.durable[bytes].copy_from_slice(durable);
            if disk.is_newer[block] {
                disk.newer.push(block);
            }
        }
        Ok(disk)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BLOCKS: u64 = 64;

    fn fill(disk: &mut Disk, offset: u64, count: u64, byte: u8) {
        disk.change(offset, count, |bytes| bytes.fill(byte));
    }

    #[test]
    fn what_a_flush_failed_to_keep_is_lost_later() {
        let mut disk = Disk::new(BLOCKS);
        fill(&mut disk, 0, 2, 1);
        disk.fail_flush();
        fill(&mut disk, 1, 1, 2);
        disk.flush();
        assert_eq!([disk.blocks(0, 1)[0], disk.blocks(1, 1)[0]], [1, 2]);
        disk.evict();
        assert_eq!([disk.blocks(0, 1)[0], disk.blocks(1, 1)[0]], [0, 2]);
    }

    #[test]
    fn what_was_flushed_survives_and_the_rest_may() {
        let mut disk = Disk::new(BLOCKS);
        fill(&mut disk, 0, 4, 1);
        disk.flush();
        fill(&mut disk, 0, BLOCKS, 2);
        assert!(disk.blocks(0, BLOCKS).iter().all(|byte| *byte == 2));
        disk.crash(&mut Rng::with_seed(1));
        let survived = disk.blocks(0, BLOCKS);
        assert!(survived[..4 * BLOCK].iter().all(|byte| *byte != 0));
        let blocks = || survived.chunks(BLOCK).map(|block| block[0]);
        assert!(blocks().any(|byte| byte == 2) && blocks().any(|byte| byte == 0));
    }

    #[test]
    fn without_a_cache_nothing_is_lost() {
        let mut disk = Disk::new(BLOCKS);
        disk.write_through();
        fill(&mut disk, 0, BLOCKS, 2);
        disk.crash(&mut Rng::with_seed(1));
        assert!(disk.blocks(0, BLOCKS).iter().all(|byte| *byte == 2));
    }

    #[test]
    fn a_disk_goes_on_in_the_next_life() {
        let mut disk = Disk::new(BLOCKS);
        fill(&mut disk, 3, 2, 1);
        disk.flush();
        fill(&mut disk, 4, 2, 2);
        disk.fail_flush();
        fill(&mut disk, 9, 1, 3);
        let mut saved = Writer::default();
        disk.save(&mut saved);
        let saved = saved.into_bytes();
        assert_eq!(Disk::load(&mut Reader::new(&saved)).unwrap(), disk);
        assert!(Disk::load(&mut Reader::new(&saved[..saved.len() - 1])).is_err());
    }
}
