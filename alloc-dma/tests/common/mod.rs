//! A backing for tests: it keeps books, and refuses when told to.
#![allow(dead_code, reason = "not every test uses all of it")]

use std::{
    collections::HashMap,
    ptr::NonNull,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use barespdk_alloc_dma::{Backing, OsThread, Physical, SystemBacking};

/// Ordinary memory; every clone is the same backing.
#[derive(Clone, Debug)]
pub(crate) struct Ledger(Arc<Books>);

#[derive(Debug)]
struct Books {
    /// Size and alignment by address, of what is reserved now.
    reserved: Mutex<HashMap<usize, (usize, usize)>>,
    /// How many more bytes may be reserved.
    budget: AtomicUsize,
    calls: AtomicUsize,
}

impl Ledger {
    pub(crate) fn new(budget: usize) -> Self {
        Self(Arc::new(Books {
            reserved: Mutex::default(),
            budget: AtomicUsize::new(budget),
            calls: AtomicUsize::new(0),
        }))
    }

    pub(crate) fn reserved_bytes(&self) -> usize {
        self.0
            .reserved
            .lock()
            .unwrap()
            .values()
            .map(|(size, _)| size)
            .sum()
    }

    pub(crate) fn budget(&self) -> usize {
        self.0.budget.load(Ordering::Relaxed)
    }

    pub(crate) fn add_budget(&self, bytes: usize) {
        self.0.budget.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(crate) fn calls(&self) -> usize {
        self.0.calls.load(Ordering::Relaxed)
    }
}

// SAFETY: the system's backing, with books kept.
unsafe impl Backing for Ledger {
    type Context = OsThread;

    fn reserve(&self, size: usize, align: usize) -> Option<NonNull<u8>> {
        self.0.calls.fetch_add(1, Ordering::Relaxed);
        self.0
            .budget
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                left.checked_sub(size)
            })
            .ok()?;
        assert!(align.is_power_of_two() && (64..=2 << 20).contains(&align) && size > 0);
        let ptr = SystemBacking.reserve(size, align)?;
        let before = self
            .0
            .reserved
            .lock()
            .unwrap()
            .insert(ptr.addr().get(), (size, align));
        assert_eq!(before, None);
        Some(ptr)
    }

    unsafe fn release(&self, ptr: NonNull<u8>, size: usize, align: usize) {
        let was = self.0.reserved.lock().unwrap().remove(&ptr.addr().get());
        assert_eq!(
            was,
            Some((size, align)),
            "released as it was reserved, once"
        );
        self.0.budget.fetch_add(size, Ordering::Relaxed);
        // SAFETY: passed on.
        unsafe { SystemBacking.release(ptr, size, align) }
    }

    /// Pretends that pages of 2 MiB lie in reverse order.
    fn translate(&self, ptr: NonNull<u8>, len: usize) -> Option<Physical> {
        let page = 2 << 20;
        let offset = ptr.addr().get() % page;
        let address = (u64::MAX / 2 - ptr.addr().get() as u64) / page as u64 * page as u64;
        let contiguous_bytes = len.min(page - offset);
        Some(Physical {
            address: address + offset as u64,
            contiguous_bytes,
        })
    }
}
