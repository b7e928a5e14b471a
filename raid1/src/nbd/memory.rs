//! The DMA memory of one thread's requests.

use core::cell::Cell;

use barespdk::dma::{AllocError, DmaBuf, LocalArena, SpdkBacking};

/// The most that the requests of one thread hold, in bytes. Who needs more waits.
const LIMIT_BYTES: usize = 96 << 20;

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
}

impl Memory {
    pub(crate) fn new() -> Result<Self, AllocError> {
        Ok(Self {
            arena: LocalArena::with_limit(SpdkBacking::ANY, LIMIT_BYTES)?,
            lent_bytes: Cell::new(0),
        })
    }

    /// Takes a buffer. [`Memory::returned`] is to be told when it is given back.
    #[inline]
    pub(crate) fn lend(&self, len: usize, align: usize) -> Lent {
        match self.arena.alloc(len, align) {
            Ok(buffer) => {
                self.lent_bytes.set(self.lent_bytes.get() + len);
                Lent::Buffer(buffer)
            }
            Err(_) if self.lent_bytes.get() > 0 => Lent::Later,
            Err(_) => Lent::Never,
        }
    }

    /// So many bytes are out no more.
    #[inline]
    pub(crate) fn returned(&self, len: usize) {
        self.lent_bytes
            .set(self.lent_bytes.get().saturating_sub(len));
    }
}
