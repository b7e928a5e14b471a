//! The table of the chunks that an arena has taken from its backing.

use core::{mem::MaybeUninit, ptr::NonNull};

use crate::class::BLOCK_BYTES_MAX;

/// A piece of the backing's memory: whole 2 MiB blocks, aligned to 2 MiB.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Chunk {
    pub(crate) base: NonNull<u8>,
    pub(crate) bytes: usize,
}

impl Chunk {
    pub(crate) fn contains(&self, block: NonNull<u8>) -> bool {
        let base = self.base.addr().get();
        (base..base + self.bytes).contains(&block.addr().get())
    }
}

/// How many chunks a page of the table records.
const PAGE_CHUNKS: usize = 254;

/// A page of the table. Pages come from the backing too, as nothing here uses the heap.
struct Page {
    next: Option<NonNull<Page>>,
    used: usize,
    chunks: [MaybeUninit<Chunk>; PAGE_CHUNKS],
}

/// The size of a page, in bytes.
pub(crate) const PAGE_BYTES: usize = size_of::<Page>();
/// The alignment of a page, in bytes.
pub(crate) const PAGE_ALIGN: usize = 64;

static_assertions::const_assert!(PAGE_BYTES <= 4096);

/// The table: a chain of pages.
#[derive(Debug)]
pub(crate) struct ChunkTable {
    head: Option<NonNull<Page>>,
    pages: usize,
}

impl ChunkTable {
    pub(crate) const fn new() -> Self {
        Self {
            head: None,
            pages: 0,
        }
    }

    /// Bytes in pages of the table.
    pub(crate) const fn page_bytes(&self) -> usize {
        self.pages * PAGE_BYTES
    }

    /// Whether [`add`](Self::add) would succeed.
    pub(crate) fn has_room(&self) -> bool {
        // SAFETY: pages in the chain are ours, see `add_page`.
        self.head
            .is_some_and(|page| unsafe { page.as_ref() }.used < PAGE_CHUNKS)
    }

    /// Adds a page for more records.
    ///
    /// # Safety
    ///
    /// `memory` is [`PAGE_BYTES`] long, aligned to [`PAGE_ALIGN`], and given to the table until
    /// [`remove_page`](Self::remove_page) returns it.
    pub(crate) unsafe fn add_page(&mut self, memory: NonNull<u8>) {
        let page = memory.cast::<Page>();
        let chunks = [MaybeUninit::uninit(); PAGE_CHUNKS];
        // SAFETY: the caller gives us memory of the right size and alignment.
        unsafe {
            page.write(Page {
                next: self.head,
                used: 0,
                chunks,
            })
        };
        self.head = Some(page);
        self.pages += 1;
    }

    /// Records a chunk; false if there is no room.
    pub(crate) fn add(&mut self, chunk: Chunk) -> bool {
        let Some(mut page) = self.head else {
            return false;
        };
        // SAFETY: pages in the chain are ours, and we are borrowed mutably.
        let page = unsafe { page.as_mut() };
        let Some(slot) = page.chunks.get_mut(page.used) else {
            return false;
        };
        slot.write(chunk);
        page.used += 1;
        true
    }

    /// The chunks recorded.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Chunk> {
        let mut page = self.head;
        let mut index = 0;
        core::iter::from_fn(move || {
            loop {
                // SAFETY: pages in the chain are ours, and the iterator borrows the table.
                let current = unsafe { page?.as_ref() };
                if index < current.used
                    && let Some(slot) = current.chunks.get(index)
                {
                    index += 1;
                    // SAFETY: `add` wrote every slot below `used`.
                    return Some(unsafe { slot.assume_init() });
                }
                page = current.next;
                index = 0;
            }
        })
    }

    /// Whether a block lies in a chunk that is recorded.
    pub(crate) fn contains(&self, block: NonNull<u8>) -> bool {
        self.iter().any(|chunk| chunk.contains(block))
    }

    /// Removes one chunk for which `wanted` is true.
    pub(crate) fn remove_if(&mut self, mut wanted: impl FnMut(&Chunk) -> bool) -> Option<Chunk> {
        let mut next = self.head;
        while let Some(mut page) = next {
            // SAFETY: pages in the chain are ours, and we are borrowed mutably.
            let page = unsafe { page.as_mut() };
            let used = page.chunks.get_mut(..page.used)?;
            for index in 0..used.len() {
                // SAFETY: `add` wrote every slot below `used`.
                let chunk = unsafe { used[index].assume_init() };
                if wanted(&chunk) {
                    let last = used.len() - 1;
                    used.swap(index, last);
                    page.used = last;
                    return Some(chunk);
                }
            }
            next = page.next;
        }
        None
    }

    /// Takes the first page out of the chain, with the records that are still on it.
    pub(crate) fn remove_page(&mut self) -> Option<NonNull<u8>> {
        let page = self.head?;
        // SAFETY: pages in the chain are ours.
        self.head = unsafe { page.as_ref() }.next;
        self.pages -= 1;
        Some(page.cast())
    }
}

// A whole number of the largest blocks fits a chunk, and each is aligned within it.
static_assertions::const_assert!(BLOCK_BYTES_MAX.is_power_of_two());
