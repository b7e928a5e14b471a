//! The pool: free lists, chunks and figures of one arena, without any thought of threads.

use core::ptr::NonNull;

use crate::{
    chunk::{Chunk, ChunkTable},
    class::{BLOCK_BYTES_MAX, Class},
    error::CheckError,
    list::FreeList,
    stats::Stats,
};

/// A chunk is at most this long: 32 MiB.
const CHUNK_BYTES_MAX: usize = 16 * BLOCK_BYTES_MAX;

/// Blocks in free lists by class. A larger block is split in halves ("buddies") when a smaller class is
/// empty; buddies are joined again only when memory runs out, so that the usual free is a push.
///
/// Invariants, as far as [`check`](Self::check) can see them: each free block is aligned to its size
/// and lies in a chunk; free blocks and blocks in use do not overlap and make up the chunks.
#[derive(Debug)]
pub(crate) struct Pool {
    lists: [FreeList; Class::COUNT],
    /// Bytes in blocks of the lists that are in use.
    used_bytes: usize,
    /// Bytes reserved for single buffers beyond the largest class.
    large_bytes: usize,
    peak_bytes: usize,
    alloc_count: u64,
    free_count: u64,
    failure_count: u64,
    /// `free_count` when buddies were last joined: joining again sooner would find nothing new.
    joined_at: u64,
    chunks: ChunkTable,
    chunk_bytes: usize,
    /// The arena's own records in the backing's memory, besides the chunk table.
    own_bytes: usize,
    limit_bytes: usize,
    next_chunk_bytes: usize,
}

// SAFETY: the pool owns the memory that its pointers lead to: chunks, their table, free blocks. All of
// that may be used from any thread, as the contract of `Backing` says, and is used by whoever has the
// pool, one at a time.
unsafe impl Send for Pool {}

/// What must be reserved so that the pool can grow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Growth {
    /// A page of the chunk table first.
    pub(crate) needs_page: bool,
    /// The chunk's size, in bytes.
    pub(crate) bytes: usize,
}

impl Pool {
    /// An empty pool that may reserve `limit_bytes` at most, `own_bytes` of which are taken already.
    pub(crate) const fn new(limit_bytes: usize, own_bytes: usize) -> Self {
        const EMPTY: FreeList = FreeList::new();
        Self {
            lists: [EMPTY; Class::COUNT],
            used_bytes: 0,
            large_bytes: 0,
            peak_bytes: 0,
            alloc_count: 0,
            free_count: 0,
            failure_count: 0,
            joined_at: 0,
            chunks: ChunkTable::new(),
            chunk_bytes: 0,
            own_bytes,
            limit_bytes,
            next_chunk_bytes: BLOCK_BYTES_MAX,
        }
    }

    /// Takes a block of `class` if one is free.
    #[inline(always)]
    pub(crate) fn take(&mut self, class: Class) -> Option<NonNull<u8>> {
        let block = self.lists[class.index()].pop()?;
        self.alloc_count += 1;
        self.used_bytes += class.size();
        let in_use = self.used_bytes + self.large_bytes;
        if in_use > self.peak_bytes {
            self.peak_bytes = in_use;
        }
        Some(block)
    }

    /// Takes a block of `class`, splitting a larger one if need be.
    pub(crate) fn take_or_split(&mut self, class: Class) -> Option<NonNull<u8>> {
        self.split_for(class);
        self.take(class)
    }

    /// Gives back a block.
    ///
    /// # Safety
    ///
    /// `block` was taken from this pool as one of `class`, was not given back since, and no one uses it
    /// any more.
    #[inline(always)]
    pub(crate) unsafe fn give(&mut self, class: Class, block: NonNull<u8>) {
        self.free_count += 1;
        self.used_bytes -= class.size();
        // SAFETY: the caller gives up the block, which is one of ours: 64 bytes or more, in a chunk,
        // which stays until all its blocks are free. Its bytes are initialised as the backing zeroes
        // chunks, and nobody can make bytes uninitialised through a `DmaBuf`.
        unsafe { self.lists[class.index()].push(block) };
    }

    /// Sees to it that `class` has a free block, if a larger one can be split.
    fn split_for(&mut self, class: Class) {
        let Some(larger) = Class::all()
            .skip(class.index())
            .find(|c| !self.lists[c.index()].is_empty())
        else {
            return;
        };
        for index in (class.index()..larger.index()).rev() {
            let (Some(half), Some(block)) = (Class::from_index(index), self.lists[index + 1].pop())
            else {
                return;
            };
            // SAFETY: the block was free and twice the size of `half`; both halves are ours, within
            // the same chunk, and aligned to their size as the block was to twice that.
            unsafe {
                self.lists[index].push(block.add(half.size()));
                self.lists[index].push(block);
            }
        }
    }

    /// Joins free buddies to larger blocks, if any block was freed since the last time.
    ///
    /// Takes time in proportion to n log n of the free blocks: for when memory has run out.
    pub(crate) fn join(&mut self) {
        if self.joined_at == self.free_count {
            return;
        }
        self.joined_at = self.free_count;
        for index in 0..Class::COUNT - 1 {
            let Some(class) = Class::from_index(index) else {
                return;
            };
            let mut rest = core::mem::replace(&mut self.lists[index], FreeList::new());
            rest.sort();
            // Popping in rising order and pushing leaves the list in falling order, which is as good.
            let mut low = rest.pop();
            while let Some(block) = low {
                low = rest.pop();
                let is_lower_half = block.addr().get() & class.size() == 0;
                let buddy = block.addr().get() + class.size();
                // Buddies lie in the same aligned 2 MiB, so in the same chunk: what is joined here was
                // split before, and the lower one's pointer is good for both.
                if is_lower_half && low.is_some_and(|next| next.addr().get() == buddy) {
                    low = rest.pop();
                    // SAFETY: both halves were free, and are now one free block of the next class.
                    unsafe { self.lists[index + 1].push(block) };
                } else {
                    // SAFETY: just popped, so it is ours.
                    unsafe { self.lists[index].push(block) };
                }
            }
        }
    }

    /// How the pool can grow, if its limit allows. A request that failed may be tried with the smallest
    /// chunk before giving up.
    pub(crate) fn growth(&self) -> Option<Growth> {
        let needs_page = !self.chunks.has_room();
        let page_bytes = if needs_page {
            crate::chunk::PAGE_BYTES
        } else {
            0
        };
        let room = self.room_bytes().checked_sub(page_bytes)? & !(BLOCK_BYTES_MAX - 1);
        if room == 0 {
            return None;
        }
        Some(Growth {
            needs_page,
            bytes: self.next_chunk_bytes.min(room),
        })
    }

    /// Adds a page to the chunk table.
    ///
    /// # Safety
    ///
    /// As [`ChunkTable::add_page`].
    pub(crate) unsafe fn add_page(&mut self, page: NonNull<u8>) {
        // SAFETY: passed on to the caller.
        unsafe { self.chunks.add_page(page) }
    }

    /// Adds a chunk; false, and nothing is changed, if the chunk table is full.
    ///
    /// # Safety
    ///
    /// `base` starts `bytes` of initialised memory, a multiple of 2 MiB aligned to 2 MiB, given to the
    /// pool until [`remove_chunk`](Self::remove_chunk) or [`remove_free_chunk`](Self::remove_free_chunk)
    /// returns it.
    pub(crate) unsafe fn add_chunk(&mut self, base: NonNull<u8>, bytes: usize) -> bool {
        if !self.chunks.add(Chunk { base, bytes }) {
            return false;
        }
        self.chunk_bytes += bytes;
        // Chunks double: a program that needs much asks its backing seldom. It matters with DPDK, which
        // loses up to 2 MiB with each reservation that is aligned so.
        self.next_chunk_bytes = (2 * self.next_chunk_bytes).min(CHUNK_BYTES_MAX);
        for offset in (0..bytes).step_by(BLOCK_BYTES_MAX).rev() {
            // SAFETY: within the chunk, which is ours now, and aligned as it is.
            unsafe { self.lists[Class::MAX.index()].push(base.add(offset)) };
        }
        true
    }

    /// Takes out a chunk none of whose blocks is in use. Call [`join`](Self::join) first.
    pub(crate) fn remove_free_chunk(&mut self) -> Option<Chunk> {
        let whole = &mut self.lists[Class::MAX.index()];
        let chunk = self.chunks.remove_if(|chunk| {
            let free = whole.iter().filter(|block| chunk.contains(*block)).count();
            free * BLOCK_BYTES_MAX == chunk.bytes
        })?;
        whole.remove_if(|block| chunk.contains(block));
        self.chunk_bytes -= chunk.bytes;
        self.next_chunk_bytes = BLOCK_BYTES_MAX;
        Some(chunk)
    }

    /// Takes out any chunk, whether or not its blocks are in use or in the lists.
    pub(crate) fn remove_chunk(&mut self) -> Option<Chunk> {
        self.chunks.remove_if(|_| true)
    }

    /// Takes out a page of the chunk table, if there are no chunks.
    pub(crate) fn remove_empty_page(&mut self) -> Option<NonNull<u8>> {
        if self.chunk_bytes > 0 {
            return None;
        }
        self.chunks.remove_page()
    }

    /// Takes out a page of the chunk table. All chunks must have been taken out.
    pub(crate) fn remove_page(&mut self) -> Option<NonNull<u8>> {
        self.chunks.remove_page()
    }

    /// How much more may be reserved, in bytes.
    pub(crate) const fn room_bytes(&self) -> usize {
        self.limit_bytes.saturating_sub(self.reserved_bytes())
    }

    const fn reserved_bytes(&self) -> usize {
        self.chunk_bytes + self.large_bytes + self.chunks.page_bytes() + self.own_bytes
    }

    /// Accounts for a single buffer reserved from the backing; false if the limit forbids it.
    pub(crate) fn add_large(&mut self, bytes: usize) -> bool {
        if bytes > self.room_bytes() {
            return false;
        }
        self.alloc_count += 1;
        self.large_bytes += bytes;
        self.peak_bytes = self.peak_bytes.max(self.used_bytes + self.large_bytes);
        true
    }

    /// Accounts for a single buffer that went back to the backing.
    pub(crate) fn remove_large(&mut self, bytes: usize) {
        self.free_count += 1;
        self.large_bytes -= bytes;
    }

    /// Accounts for single buffers that others gave back, and who count their number themselves.
    pub(crate) fn forget_large(&mut self, bytes: usize) {
        self.large_bytes -= bytes;
    }

    /// Counts a request that could not be served.
    pub(crate) fn note_failure(&mut self) {
        self.failure_count += 1;
    }

    /// Blocks and buffers handed out and not given back here.
    pub(crate) const fn live_count(&self) -> u64 {
        self.alloc_count - self.free_count
    }

    pub(crate) const fn stats(&self) -> Stats {
        Stats {
            reserved_bytes: self.reserved_bytes(),
            in_use_bytes: self.used_bytes + self.large_bytes,
            peak_bytes: self.peak_bytes,
            live_count: self.live_count(),
            failure_count: self.failure_count,
        }
    }

    /// Calls `f` with each free block and its size, in bytes.
    pub(crate) fn for_each_free(&self, mut f: impl FnMut(NonNull<u8>, usize)) {
        for class in Class::all() {
            self.lists[class.index()]
                .iter()
                .for_each(|block| f(block, class.size()));
        }
    }

    /// Looks for contradictions. Takes time in proportion to the free blocks times the chunks.
    pub(crate) fn check(&self) -> Result<(), CheckError> {
        let mut free = 0;
        for class in Class::all() {
            let size = class.size();
            for block in self.lists[class.index()].iter() {
                let address = block.addr().get();
                if address % size != 0 || !self.chunks.contains(block) {
                    return Err(CheckError::StrayBlock { address, size });
                }
                free += size;
                if free > self.chunk_bytes {
                    return Err(CheckError::Cycle { size });
                }
            }
        }
        if free + self.used_bytes != self.chunk_bytes {
            let (used, chunks) = (self.used_bytes, self.chunk_bytes);
            return Err(CheckError::Sum { free, used, chunks });
        }
        Ok(())
    }
}
