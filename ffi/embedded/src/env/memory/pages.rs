use std::ptr::null_mut;

/// Unit of what is mapped, and its alignment: a huge page.
pub(super) const PAGE_LEN: usize = 2 << 20;

/// Kinds of memory, the best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Huge,
    Locked,
    Plain,
}

impl Kind {
    const fn next(self) -> Option<Self> {
        match self {
            Self::Huge => Some(Self::Locked),
            Self::Locked => Some(Self::Plain),
            Self::Plain => None,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Huge => "huge pages",
            Self::Locked => "locked memory",
            Self::Plain => "plain memory, which may be swapped out",
        }
    }
}

/// Maps memory of the best kind that there is.
pub(super) struct Pages {
    kind: Kind,
    limit_bytes: Option<u64>,
    mapped_bytes: u64,
    /// What is to be logged once no lock is held.
    messages: Vec<String>,
}

impl Pages {
    pub(super) const fn new() -> Self {
        Self {
            kind: Kind::Plain,
            limit_bytes: None,
            mapped_bytes: 0,
            messages: Vec::new(),
        }
    }

    /// Finds out what kind of memory there is by trying.
    pub(super) fn start(&mut self, huge: bool, limit_bytes: Option<u64>) {
        self.limit_bytes = limit_bytes;
        self.kind = match () {
            // Nothing is gained by better memory in a simulation, and much time lost.
            () if crate::env::clock::is_virtual() => Kind::Plain,
            () if huge => Kind::Huge,
            () => Kind::Locked,
        };
        loop {
            if let Some(address) = map(PAGE_LEN, self.kind) {
                unmap(address, PAGE_LEN);
                break;
            }
            match self.kind.next() {
                Some(kind) => self.kind = kind,
                None => break,
            }
        }
        self.messages
            .push(format!("DMA memory: {}", self.kind.name()));
    }

    /// What happened since the last call that an operator should know.
    pub(super) fn messages(&mut self) -> Vec<String> {
        std::mem::take(&mut self.messages)
    }

    /// Maps zeroed memory: `len` bytes, a multiple of [`PAGE_LEN`], at a multiple of that.
    pub(super) fn map(&mut self, len: usize) -> Option<usize> {
        let mapped_bytes = self.mapped_bytes.checked_add(len as u64)?;
        if self.limit_bytes.is_some_and(|limit| mapped_bytes > limit) {
            return None;
        }
        if let Some(address) = map(len, self.kind) {
            self.mapped_bytes = mapped_bytes;
            return Some(address);
        }
        // A request that is too large for all kinds does not change what smaller ones get.
        let mut kind = self.kind;
        let address = loop {
            kind = kind.next()?;
            if let Some(address) = map(len, kind) {
                break address;
            }
        };
        self.messages.push(format!(
            "DMA memory: no more {} for {} MiB, from now on it is {}",
            self.kind.name(),
            len >> 20,
            kind.name()
        ));
        self.kind = kind;
        self.mapped_bytes = mapped_bytes;
        Some(address)
    }

    /// Gives back what [`Pages::map`] gave.
    pub(super) fn unmap(&mut self, address: usize, len: usize) {
        unmap(address, len);
        self.mapped_bytes -= len as u64;
    }
}

fn map(len: usize, kind: Kind) -> Option<usize> {
    match kind {
        // The kernel aligns huge pages. It reserves them here, so that touching them cannot fail.
        Kind::Huge => map_raw(len, libc::MAP_HUGETLB | libc::MAP_HUGE_2MB),
        Kind::Locked => {
            let address = map_aligned(len)?;
            // SAFETY: a mapping of that length.
            let locked = unsafe { libc::mlock(std::ptr::with_exposed_provenance(address), len) };
            if locked != 0 {
                unmap(address, len);
                return None;
            }
            Some(address)
        }
        Kind::Plain => map_aligned(len),
    }
}

/// Ordinary memory, made so that the kernel may back it with huge pages by itself.
fn map_aligned(len: usize) -> Option<usize> {
    let wide = len.checked_add(PAGE_LEN)?;
    let base = map_raw(wide, 0)?;
    let address = base.next_multiple_of(PAGE_LEN);
    let before = address - base;
    if before > 0 {
        unmap(base, before);
    }
    if before < PAGE_LEN {
        unmap(address + len, PAGE_LEN - before);
    }
    // SAFETY: a mapping of that length; the advice changes nothing but speed, and may fail.
    unsafe {
        let start = std::ptr::with_exposed_provenance_mut(address);
        libc::madvise(start, len, libc::MADV_HUGEPAGE);
    }
    Some(address)
}

fn map_raw(len: usize, flags: libc::c_int) -> Option<usize> {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | flags;
    // SAFETY: a new mapping, of no file, where the kernel likes.
    let start = unsafe {
        libc::mmap(
            null_mut(),
            len,
            libc::PROT_READ | libc::PROT_WRITE,
            flags,
            -1,
            0,
        )
    };
    (start != libc::MAP_FAILED).then(|| start.expose_provenance())
}

fn unmap(address: usize, len: usize) {
    // SAFETY: a mapping of ours, or an end of one, that nobody uses.
    unsafe { libc::munmap(std::ptr::with_exposed_provenance_mut(address), len) };
}
