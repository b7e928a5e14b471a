//! Figures of an arena.

/// What an arena holds and has handed out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Bytes taken from the backing now, those for the arena's own records included.
    pub reserved_bytes: usize,
    /// Bytes in blocks that are in use now: the blocks' sizes, not the lengths asked for.
    pub in_use_bytes: usize,
    /// The most that [`in_use_bytes`](Self::in_use_bytes) has been. A block that another thread than a
    /// local arena's own has freed counts as used until the arena next looks.
    pub peak_bytes: usize,
    /// Blocks in use now.
    pub live_count: u64,
    /// Well-formed requests that found no memory. Those with a bad length or alignment do not count.
    pub failure_count: u64,
}
