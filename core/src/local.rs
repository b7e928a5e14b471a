//! Storage of which each SPDK thread has its own.
//!
//! ```no_run
//! # use core::cell::Cell;
//! # use barespdk::local::LocalKey;
//! static REQUESTS: LocalKey<Cell<u64>> = LocalKey::new(|| Cell::new(0));
//!
//! REQUESTS.with(|count| count.set(count.get() + 1))?;
//! # Ok::<(), barespdk::errno::Errno>(())
//! ```
//!
//! A value is made when a thread first asks for it, and dropped on that thread when it exits, after the
//! thread's tasks; in which order values are dropped is not specified.

use alloc::rc::Rc;
use alloc::vec::Vec;
use core::any::Any;
use core::cell::{Cell, RefCell};
use core::fmt;
use core::sync::atomic::{AtomicUsize, Ordering};

use crate::errno::Errno;
use crate::thread::anchor;

/// The key of a value that each SPDK thread has for itself.
///
/// Put it into a `static`. Each key has a number of its own, and the value is found by that number and
/// checked for its type, so two keys never meet.
pub struct LocalKey<T: 'static> {
    /// 0 until the key is first used. Not to be copied: a key is not `Clone`.
    id: AtomicUsize,
    init: fn() -> T,
}

/// The next number to give to a key. Numbers are never reused; there are as many as `static`s.
static NEXT_ID: AtomicUsize = AtomicUsize::new(1);

impl<T: 'static> LocalKey<T> {
    /// A key whose values are made by `init`.
    pub const fn new(init: fn() -> T) -> Self {
        Self {
            id: AtomicUsize::new(0),
            init,
        }
    }

    /// Calls `f` with the current thread's value, which is made if need be.
    ///
    /// `f` may use this and other keys. The value stays alive during the call whatever happens.
    ///
    /// # Errors
    /// `EPERM` outside SPDK threads; `ESHUTDOWN` on a thread that exits; `EDEADLK` if the value is
    /// being made further up the stack; `ENOMEM`.
    pub fn with<R>(&'static self, f: impl FnOnce(&T) -> R) -> Result<R, Errno> {
        let id = self.id();
        let value = match anchor::with(|anchor| anchor.locals().start(id))?? {
            Some(value) => value,
            // Outside of `anchor::with`: `init` is foreign code.
            None => {
                let value: Rc<dyn Any> = Rc::new((self.init)());
                anchor::with(|anchor| anchor.locals().finish(id, &value))??;
                value
            }
        };
        // Never fails: the entry of `id` is made by this key alone.
        let value = value.downcast_ref::<T>().ok_or(Errno::EINVAL)?;
        Ok(f(value))
    }

    fn id(&self) -> usize {
        match self.id.load(Ordering::Relaxed) {
            0 => {
                let new = NEXT_ID.fetch_add(1, Ordering::Relaxed);
                // If another thread was faster, its number holds and ours is lost.
                match self
                    .id
                    .compare_exchange(0, new, Ordering::Relaxed, Ordering::Relaxed)
                {
                    Ok(_) => new,
                    Err(theirs) => theirs,
                }
            }
            id => id,
        }
    }
}

impl<T: 'static> fmt::Debug for LocalKey<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LocalKey")
    }
}

enum Entry {
    Empty,
    /// `init` runs further up the stack.
    Starting,
    Ready(Rc<dyn Any>),
}

/// The values of one thread; part of its anchor.
pub(crate) struct Table {
    /// By the number of the key.
    entries: RefCell<Vec<Entry>>,
    /// The thread exits: there are no values any more.
    gone: Cell<bool>,
}

impl Table {
    pub(crate) const fn new() -> Self {
        Self {
            entries: RefCell::new(Vec::new()),
            gone: Cell::new(false),
        }
    }

    /// The value of a key, or `None`, after which the caller makes it and calls `finish`.
    fn start(&self, id: usize) -> Result<Option<Rc<dyn Any>>, Errno> {
        if self.gone.get() {
            return Err(Errno::ESHUTDOWN);
        }
        let mut entries = self.entries.borrow_mut();
        if entries.len() <= id {
            let missing = id + 1 - entries.len();
            entries.try_reserve(missing).map_err(|_| Errno::ENOMEM)?;
            entries.resize_with(id + 1, || Entry::Empty);
        }
        match &mut entries[id] {
            Entry::Ready(value) => Ok(Some(Rc::clone(value))),
            Entry::Starting => Err(Errno::EDEADLK),
            empty @ Entry::Empty => {
                *empty = Entry::Starting;
                Ok(None)
            }
        }
    }

    fn finish(&self, id: usize, value: &Rc<dyn Any>) -> Result<(), Errno> {
        if self.gone.get() {
            return Err(Errno::ESHUTDOWN);
        }
        let mut entries = self.entries.borrow_mut();
        let entry = entries.get_mut(id).ok_or(Errno::EINVAL)?;
        *entry = Entry::Ready(Rc::clone(value));
        Ok(())
    }

    /// Drops all values. From now on there are none.
    pub(crate) fn clear(&self) {
        self.gone.set(true);
        // Out of the cell first: destructors may use keys, and find them gone.
        let mut entries = self.entries.take();
        while entries.pop().is_some() {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_have_numbers_of_their_own() {
        static A: LocalKey<u8> = LocalKey::new(|| 1);
        static B: LocalKey<u8> = LocalKey::new(|| 1);
        assert_ne!(A.id(), B.id());
        assert_eq!(A.id(), A.id());
    }

    // Peer fault: "thread-local keys with the same slot and different types confuse types; `get` then
    // `set` dangles".
    #[test]
    fn a_value_survives_the_growth_of_the_table() {
        let table = Table::new();
        assert!(matches!(table.start(1), Ok(None)));
        let one: Rc<dyn Any> = Rc::new(1_u32);
        table.finish(1, &one).unwrap();
        drop(one);
        let held = table.start(1).unwrap().unwrap();
        for id in 2..100 {
            assert!(matches!(table.start(id), Ok(None)));
            let value: Rc<dyn Any> = Rc::new(alloc::vec![id]);
            table.finish(id, &value).unwrap();
        }
        assert_eq!(held.downcast_ref(), Some(&1_u32));
        assert!(held.downcast_ref::<i32>().is_none());
    }

    #[test]
    fn a_value_cannot_be_made_while_it_is_being_made() {
        let table = Table::new();
        assert!(matches!(table.start(3), Ok(None)));
        assert!(matches!(table.start(3), Err(Errno::EDEADLK)));
    }

    #[test]
    fn after_clear_there_is_nothing() {
        let table = Table::new();
        let value: Rc<dyn Any> = Rc::new(());
        assert!(matches!(table.start(2), Ok(None)));
        table.finish(2, &value).unwrap();
        table.clear();
        assert_eq!(Rc::strong_count(&value), 1);
        assert!(matches!(table.start(2), Err(Errno::ESHUTDOWN)));
        assert_eq!(table.finish(2, &value), Err(Errno::ESHUTDOWN));
    }
}
