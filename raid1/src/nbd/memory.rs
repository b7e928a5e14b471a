//! The DMA memory of one thread's requests.

use alloc::vec::Vec;
use core::cell::{Cell, RefCell};

use super::orphans::Orphans;
use barespdk::dma::{AllocError, DmaBuf, LocalArena, SpdkBacking};

/// The most that is taken from SPDK for the requests of one thread, in bytes.
const LIMIT_BYTES: usize = 128 << 20;

/// The most that the requests of one thread hold, in bytes, but for what each connection may have. Who
/// needs more waits.
const SHARED_BYTES: usize = 64 << 20;

/// What a connection may have that holds nothing, in bytes, however much the others do: clients that
/// take no replies cannot starve those that do.
const FIRST_BYTES: usize = 128 << 10;

/// What a request for memory comes to.
#[derive(Debug)]
pub(crate) enum Lent {
    Buffer(DmaBuf),
    /// There will be some when others have given theirs back.
    Later,
    /// Nobody has any, and there is too little all the same.
    Never,
}

/// The memory, and how much of it is out.
#[derive(Debug)]
pub(crate) struct Memory {
    arena: LocalArena<SpdkBacking>,
    lent_bytes: Cell<usize>,
    is_short: Cell<bool>,
    /// What is in flight for connections that have gone.
    orphans: RefCell<Vec<Orphans>>,
}

impl Memory {
    pub(crate) fn new() -> Result<Self, AllocError> {
        Ok(Self {
            arena: LocalArena::with_limit(SpdkBacking::ANY, LIMIT_BYTES)?,
            lent_bytes: Cell::new(0),
            is_short: Cell::new(false),
            orphans: RefCell::default(),
        })
    }

    /// Takes a buffer, the first one of a connection or a further one. [`Memory::returned`] is to be
    /// told when it is given back.
    #[inline]
    pub(crate) fn lend(&self, len: usize, align: usize, is_first: bool) -> Lent {
        let is_granted = is_first && len <= FIRST_BYTES;
        if !is_granted && self.lent_bytes.get() + len > SHARED_BYTES {
            self.is_short.set(true);
            return Lent::Later;
        }
        match self.arena.alloc(len, align) {
            Ok(buffer) => {
                self.lent_bytes.set(self.lent_bytes.get() + len);
                Lent::Buffer(buffer)
            }
            Err(_) if self.lent_bytes.get() > 0 => {
                self.is_short.set(true);
                Lent::Later
            }
            Err(_) => Lent::Never,
        }
    }

    /// Whether anybody had to wait for memory since this was last asked.
    pub(crate) fn was_short(&self) -> bool {
        self.is_short.take()
    }

    /// So many bytes are out no more.
    #[inline]
    pub(crate) fn returned(&self, len: usize) {
        self.lent_bytes
            .set(self.lent_bytes.get().saturating_sub(len));
    }

    /// Takes over what is in flight for a connection that has gone: its memory is out for as long.
    pub(crate) fn adopt(&self, orphans: Orphans) {
        if !orphans.are_gone() {
            self.orphans.borrow_mut().push(orphans);
        }
    }

    /// Looks after those that have been adopted; whether any memory came back.
    #[inline]
    pub(crate) fn reap(&self) -> bool {
        let mut orphans = self.orphans.borrow_mut();
        if orphans.is_empty() {
            return false;
        }
        let mut returned = 0;
        orphans.retain_mut(|orphans| {
            returned += orphans.reap();
            !orphans.are_gone()
        });
        self.returned(returned);
        returned > 0
    }
}
