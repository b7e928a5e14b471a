//! The process's arena of SPDK memory.

use crate::{
    buf::DmaBuf,
    error::AllocError,
    shared::SharedArena,
    spdk::{self, SpdkBacking},
};

static GLOBAL: SharedArena<SpdkBacking> = SharedArena::new(SpdkBacking::ANY);

/// The arena that [`DmaBuf::new`] and [`DmaBuf::zeroed`] take from: SPDK memory of any NUMA node.
pub fn global() -> &'static SharedArena<SpdkBacking> {
    &GLOBAL
}

/// For who ends SPDK's environment, before `spdk_env_fini`: gives back what is free, and has all
/// allocations of SPDK's memory fail from now on, in whatever arena. What is in use stays good memory.
pub fn end() {
    GLOBAL.trim();
    spdk::end();
}

impl DmaBuf {
    /// Allocates `len` bytes aligned to `align` from [`global`]. They are initialised, but hold anything.
    ///
    /// # Errors
    ///
    /// See [`Reason`](crate::Reason). Where there is no SPDK that runs, memory is exhausted.
    pub fn new(len: usize, align: usize) -> Result<Self, AllocError> {
        GLOBAL.alloc(len, align)
    }

    /// Allocates `len` zero bytes aligned to `align` from [`global`].
    ///
    /// # Errors
    ///
    /// See [`Reason`](crate::Reason). Where there is no SPDK that runs, memory is exhausted.
    pub fn zeroed(len: usize, align: usize) -> Result<Self, AllocError> {
        GLOBAL.alloc_zeroed(len, align)
    }
}
