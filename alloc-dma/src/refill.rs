//! The slow path, the same for both arenas: what to do when a free list is empty.

use core::ptr::NonNull;

use crate::{
    backing::Backing,
    chunk::{PAGE_ALIGN, PAGE_BYTES},
    class::{BLOCK_BYTES_MAX, Class},
    pool::Pool,
};

/// Access to an arena's pool, held no longer than a call: the backing is called without it.
pub(crate) trait PoolCell {
    fn with<R>(&self, f: impl FnOnce(&mut Pool) -> R) -> R;
}

/// Takes a block of `class`, from larger blocks, from the backing, or from what joining yields.
///
/// At most one thread may be in here for one arena at a time; others may take and give blocks meanwhile.
pub(crate) fn take(
    cell: &impl PoolCell,
    backing: &impl Backing,
    class: Class,
) -> Option<NonNull<u8>> {
    if let Some(block) = cell.with(|pool| pool.take_or_split(class)) {
        return Some(block);
    }
    if let Some(block) = grow(cell, backing, |pool| pool.take_or_split(class)) {
        return block;
    }
    cell.with(|pool| {
        pool.join();
        pool.take_or_split(class)
    })
}

/// Reserves chunks until `bytes` are free or in use beyond what there was; false if that failed.
pub(crate) fn reserve(cell: &impl PoolCell, backing: &impl Backing, bytes: usize) -> bool {
    let mut reserved = 0_usize;
    while reserved < bytes {
        let before = cell.with(|pool| pool.stats().reserved_bytes);
        let Some(after) = grow(cell, backing, |pool| pool.stats().reserved_bytes) else {
            return false;
        };
        reserved += after - before;
    }
    true
}

/// Adds a chunk and returns what `then` makes of the pool before anyone else sees it.
fn grow<R>(
    cell: &impl PoolCell,
    backing: &impl Backing,
    then: impl FnOnce(&mut Pool) -> R,
) -> Option<R> {
    let growth = cell.with(|pool| pool.growth())?;
    if growth.needs_page {
        let page = backing.reserve(PAGE_BYTES, PAGE_ALIGN)?;
        // SAFETY: fresh from the backing, as long and aligned as asked for, and given to the pool.
        cell.with(|pool| unsafe { pool.add_page(page) });
    }
    let mut bytes = growth.bytes;
    let base = backing.reserve(bytes, BLOCK_BYTES_MAX).or_else(|| {
        // Memory that is nearly used up, or in fragments, may still have a little.
        if bytes == BLOCK_BYTES_MAX {
            return None;
        }
        bytes = BLOCK_BYTES_MAX;
        backing.reserve(bytes, BLOCK_BYTES_MAX)
    })?;
    cell.with(|pool| {
        // SAFETY: fresh from the backing, zeroed, a multiple of 2 MiB and aligned so.
        let added = unsafe { pool.add_chunk(base, bytes) };
        // There was room for its record, or a page was added, and no one else adds chunks meanwhile.
        debug_assert!(added);
        Some(then(pool))
    })
}

/// Reserves a single buffer, if the limit and the backing allow, giving free chunks back for it if not.
pub(crate) fn take_large(
    cell: &impl PoolCell,
    backing: &impl Backing,
    size: usize,
    align: usize,
) -> Option<NonNull<u8>> {
    let block = try_large(cell, backing, size, align);
    if block.is_none() && trim(cell, backing) > 0 {
        return try_large(cell, backing, size, align);
    }
    block
}

fn try_large(
    cell: &impl PoolCell,
    backing: &impl Backing,
    size: usize,
    align: usize,
) -> Option<NonNull<u8>> {
    if cell.with(|pool| pool.room_bytes()) < size {
        return None;
    }
    let block = backing.reserve(size, align)?;
    if !cell.with(|pool| pool.add_large(size)) {
        // Another thread has used up the limit meanwhile.
        // SAFETY: reserved just now, with this size and alignment, and given to no one.
        unsafe { backing.release(block, size, align) };
        return None;
    }
    Some(block)
}

/// Gives chunks back none of whose blocks is in use, and with the last one their table; returns how many
/// bytes.
///
/// As with [`take`], one thread at a time.
pub(crate) fn trim(cell: &impl PoolCell, backing: &impl Backing) -> usize {
    cell.with(Pool::join);
    let mut released = 0;
    while let Some(chunk) = cell.with(Pool::remove_free_chunk) {
        // SAFETY: reserved by `grow` with this size and alignment, and all its blocks were free and
        // have left the lists with it.
        unsafe { backing.release(chunk.base, chunk.bytes, BLOCK_BYTES_MAX) };
        released += chunk.bytes;
    }
    while let Some(page) = cell.with(Pool::remove_empty_page) {
        // SAFETY: reserved by `grow` with this size and alignment, and there is nothing to record.
        unsafe { backing.release(page, PAGE_BYTES, PAGE_ALIGN) };
        released += PAGE_BYTES;
    }
    released
}

/// Gives back everything that a pool holds.
///
/// # Safety
///
/// No block of the pool is in use, nor will one be taken from it again.
pub(crate) unsafe fn release_all(pool: &mut Pool, backing: &impl Backing) {
    while let Some(chunk) = pool.remove_chunk() {
        // SAFETY: reserved by `grow` with this size and alignment; no block of it is in use.
        unsafe { backing.release(chunk.base, chunk.bytes, BLOCK_BYTES_MAX) };
    }
    while let Some(page) = pool.remove_page() {
        // SAFETY: reserved by `grow` with this size and alignment; its records have been taken out.
        unsafe { backing.release(page, PAGE_BYTES, PAGE_ALIGN) };
    }
}
