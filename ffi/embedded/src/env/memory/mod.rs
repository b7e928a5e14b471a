//! DMA memory: `spdk_zmalloc` and its family.
//!
//! ```text
//!   request ≤ 512 KiB: a block of the next power of two, out of a 2 MiB slab of such blocks
//!   larger:            a region of its own, whole pages of 2 MiB
//!   both from:         huge pages │ else locked memory │ else plain memory
//! ```
//!
//! Which of the three is found out at the start and logged; when the better kind runs out, the next
//! is used and that is logged once too. One lock guards all of it: it is not on the path of an I/O,
//! whose buffers come from arenas above this.

mod pages;
mod slab;

use std::collections::BTreeMap;
use std::ffi::{c_int, c_void};
use std::ptr::null_mut;
use std::sync::{Mutex, MutexGuard};

use barespdk_sys::SPDK_VTOPHYS_ERROR;

use self::pages::{PAGE_LEN, Pages};
use self::slab::Slab;

/// The longest request that comes from a slab.
const BLOCK_LEN_MAX: usize = 512 << 10;
/// The shortest block: a cache line.
const BLOCK_LEN_MIN: usize = 64;
/// Number of powers of two from the shortest to the longest block.
const CLASSES: usize = (BLOCK_LEN_MAX / BLOCK_LEN_MIN).ilog2() as usize + 1;

/// What stands at an address.
enum Region {
    /// Blocks of one length.
    Slab(Slab),
    /// One allocation: bytes mapped.
    Whole(usize),
}

struct Memory {
    open: bool,
    pages: Pages,
    /// By address.
    regions: BTreeMap<usize, Region>,
    /// Of each class, the addresses of slabs with free blocks.
    with_room: [Vec<usize>; CLASSES],
    /// Bytes handed out, without what rounding adds.
    blocks_in_use: usize,
}

static MEMORY: Mutex<Memory> = Mutex::new(Memory {
    open: false,
    pages: Pages::new(),
    regions: BTreeMap::new(),
    with_room: [const { Vec::new() }; CLASSES],
    blocks_in_use: 0,
});

fn memory() -> MutexGuard<'static, Memory> {
    MEMORY
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// Finds out what memory there is, and hands it out from now on, up to a limit in bytes.
pub(super) fn start(huge: bool, limit_bytes: Option<u64>) {
    let mut memory = memory();
    memory.pages.start(huge, limit_bytes);
    memory.open = true;
    let messages = memory.pages.messages();
    drop(memory);
    messages
        .into_iter()
        .for_each(|text| notice_log!("{text}\n"));
}

/// Hands memory out again, after [`stop`].
pub(super) fn open() {
    memory().open = true;
}

/// Hands no more memory out, and gives back what is free. What is in use stays.
pub(super) fn stop() {
    let mut memory = memory();
    memory.open = false;
    let empty: Vec<usize> = memory
        .regions
        .iter()
        .filter(|(_, region)| matches!(region, Region::Slab(slab) if slab.is_empty()))
        .map(|(address, _)| *address)
        .collect();
    for address in empty {
        memory.regions.remove(&address);
        memory
            .with_room
            .iter_mut()
            .for_each(|slabs| slabs.retain(|slab| *slab != address));
        memory.pages.unmap(address, PAGE_LEN);
    }
    if memory.blocks_in_use > 0 {
        let count = memory.blocks_in_use;
        drop(memory);
        info_log!("{count} blocks of DMA memory are still in use at the end\n");
    }
}

/// Number of allocations that have not been freed.
pub(crate) fn in_use() -> usize {
    memory().blocks_in_use
}

impl Memory {
    /// An address and whether what is there is known to be zero.
    fn allocate(&mut self, size: usize, align: usize) -> Option<(usize, bool)> {
        if !self.open || size == 0 || !(align == 0 || align.is_power_of_two()) {
            return None;
        }
        let len = size.max(align).max(BLOCK_LEN_MIN);
        let found = if len <= BLOCK_LEN_MAX {
            self.block(len.next_power_of_two())
        } else if align <= PAGE_LEN {
            let mapped = size.checked_next_multiple_of(PAGE_LEN)?;
            let address = self.pages.map(mapped)?;
            self.regions.insert(address, Region::Whole(mapped));
            Some((address, true))
        } else {
            None
        };
        self.blocks_in_use += usize::from(found.is_some());
        found
    }

    fn block(&mut self, len: usize) -> Option<(usize, bool)> {
        let class = (len / BLOCK_LEN_MIN).ilog2() as usize;
        let slabs = self.with_room.get_mut(class)?;
        let address = match slabs.last() {
            Some(address) => *address,
            None => {
                let address = self.pages.map(PAGE_LEN)?;
                self.regions.insert(address, Region::Slab(Slab::new(len)));
                slabs.push(address);
                address
            }
        };
        let Some(Region::Slab(slab)) = self.regions.get_mut(&address) else {
            return None;
        };
        let (offset, zeroed) = slab.take()?;
        if slab.is_full() {
            slabs.pop();
        }
        Some((address + offset, zeroed))
    }

    /// Whether the address was one that is in use.
    fn free(&mut self, address: usize) -> bool {
        let Some((&base, region)) = self.regions.range_mut(..=address).next_back() else {
            return false;
        };
        match region {
            Region::Whole(len) => {
                if base != address {
                    return false;
                }
                let len = *len;
                self.regions.remove(&base);
                self.pages.unmap(base, len);
            }
            Region::Slab(slab) => {
                let was_full = slab.is_full();
                if !slab.give_back(address - base) {
                    return false;
                }
                let class = (slab.block_len() / BLOCK_LEN_MIN).ilog2() as usize;
                let Some(slabs) = self.with_room.get_mut(class) else {
                    return false;
                };
                if was_full {
                    slabs.push(base);
                } else if slab.is_empty() && slabs.len() > 1 {
                    // One empty slab of a class is kept, so that a lone block does not map and unmap.
                    slabs.retain(|slab| *slab != base);
                    self.regions.remove(&base);
                    self.pages.unmap(base, PAGE_LEN);
                }
            }
        }
        self.blocks_in_use -= 1;
        true
    }

    /// How many bytes from `address` on are memory of ours without a break.
    fn reach(&self, address: usize) -> Option<usize> {
        let (base, region) = self.regions.range(..=address).next_back()?;
        let len = match region {
            Region::Slab(_) => PAGE_LEN,
            Region::Whole(len) => *len,
        };
        (base + len).checked_sub(address).filter(|left| *left > 0)
    }
}

fn allocate(size: usize, align: usize, zero: bool) -> *mut c_void {
    let mut memory = memory();
    let found = memory.allocate(size, align);
    let messages = memory.pages.messages();
    drop(memory);
    messages
        .into_iter()
        .for_each(|text| notice_log!("{text}\n"));
    let Some((address, zeroed)) = found else {
        return null_mut();
    };
    let block: *mut c_void = std::ptr::with_exposed_provenance_mut(address);
    if zero && !zeroed {
        // SAFETY: a block of at least that size, handed out to nobody else.
        unsafe { block.write_bytes(0, size) };
    }
    block
}

fn free(buf: *mut c_void) {
    if !buf.is_null() && !memory().free(buf.addr()) {
        error_log!("{buf:p} is no DMA memory in use: freed twice, or never allocated\n");
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn spdk_zmalloc(
    size: usize,
    align: usize,
    unused: *mut u64,
    _numa_id: c_int,
    flags: u32,
) -> *mut c_void {
    if flags == 0 || !unused.is_null() {
        return null_mut();
    }
    allocate(size, align, true)
}

#[unsafe(no_mangle)]
unsafe extern "C" fn spdk_free(buf: *mut c_void) {
    free(buf);
}

#[unsafe(no_mangle)]
unsafe extern "C" fn spdk_dma_malloc(size: usize, align: usize, unused: *mut u64) -> *mut c_void {
    if !unused.is_null() {
        return null_mut();
    }
    allocate(size, align, false)
}

#[unsafe(no_mangle)]
unsafe extern "C" fn spdk_dma_free(buf: *mut c_void) {
    free(buf);
}

/// No device reads this memory, so that an address that stays the same for as long as the memory lives
/// is as good as a physical one: the virtual address.
#[unsafe(no_mangle)]
unsafe extern "C" fn spdk_vtophys(buf: *const c_void, size: *mut u64) -> u64 {
    let Some(reach) = memory().reach(buf.addr()) else {
        return SPDK_VTOPHYS_ERROR;
    };
    if !size.is_null() {
        // SAFETY: the caller's place.
        unsafe { *size = (*size).min(reach as u64) };
    }
    buf.addr() as u64
}

same_as_declared!(
    spdk_zmalloc,
    spdk_free,
    spdk_dma_malloc,
    spdk_dma_free,
    spdk_vtophys
);

#[cfg(test)]
mod tests {
    use super::*;

    fn fresh(limit_bytes: Option<u64>) -> Memory {
        let mut memory = Memory {
            open: true,
            pages: Pages::new(),
            regions: BTreeMap::new(),
            with_room: [const { Vec::new() }; CLASSES],
            blocks_in_use: 0,
        };
        memory.pages.start(false, limit_bytes);
        memory
    }

    #[test]
    fn blocks_are_aligned_apart_and_come_back() {
        let mut memory = fresh(None);
        let mut all: Vec<(usize, usize)> = Vec::new();
        for index in 0..3000_usize {
            let size = 1 + index * 37 % 9000;
            let align = 1 << (index % 13);
            let Some((address, _)) = memory.allocate(size, align) else {
                panic!("no memory for {size}");
            };
            assert_eq!(address % align, 0);
            all.push((address, size));
        }
        all.sort_unstable();
        assert!(
            all.windows(2)
                .all(|pair| pair[0].0 + pair[0].1 <= pair[1].0)
        );
        for (address, size) in &all {
            assert!(memory.reach(*address) >= Some(*size));
        }
        for (address, _) in &all {
            assert!(memory.free(*address));
            assert!(!memory.free(*address), "freed twice");
        }
        assert_eq!(memory.blocks_in_use, 0);
        assert!(memory.regions.len() <= CLASSES);
    }

    #[test]
    fn large_ones_and_the_limit() {
        let mut memory = fresh(Some(16 << 20));
        let Some((large, zeroed)) = memory.allocate(9 << 20, 4096) else {
            panic!("no memory");
        };
        assert!(zeroed);
        assert_eq!(large % PAGE_LEN, 0);
        assert!(memory.allocate(9 << 20, 0).is_none());
        assert!(!memory.free(large + 4096), "not its start");
        assert!(memory.free(large));
        assert_eq!(memory.reach(large), None);
        assert!(memory.allocate(9 << 20, 2 << 20).is_some());
        assert!(memory.allocate(usize::MAX, 0).is_none());
        assert!(memory.allocate(0, 0).is_none());
        assert!(memory.allocate(64, 3).is_none());
    }
}
