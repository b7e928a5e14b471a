//! The free list: blocks of one size, chained through their own memory.

use core::ptr::NonNull;

/// What stands at the start of a free block.
struct Node {
    next: Option<NonNull<Node>>,
}

/// A stack of free blocks of one size.
///
/// The list owns its blocks: nobody else reads or writes them. The unsafe is confined to [`push`]
/// (whose caller gives up the block) and to what follows from it here.
///
/// [`push`]: Self::push
#[derive(Debug)]
pub(crate) struct FreeList {
    head: Option<NonNull<Node>>,
}

impl FreeList {
    pub(crate) const fn new() -> Self {
        Self { head: None }
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.head.is_none()
    }

    /// Adds a block.
    ///
    /// # Safety
    ///
    /// `block` is at least 16 bytes of initialised memory, aligned to 64, readable and writable through
    /// this pointer, and the caller has it to itself and gives it to the list. It stays valid for as
    /// long as it is in a list.
    #[inline(always)]
    pub(crate) unsafe fn push(&mut self, block: NonNull<u8>) {
        let node = block.cast::<Node>();
        // SAFETY: the caller gives us the block, which is large and aligned enough for a node.
        unsafe { node.write(Node { next: self.head }) };
        self.head = Some(node);
    }

    /// Takes the block that was added last; it is the caller's alone from here on.
    #[inline(always)]
    pub(crate) fn pop(&mut self) -> Option<NonNull<u8>> {
        let node = self.head?;
        // SAFETY: a node of the list was written by `push` and has been ours alone since.
        self.head = unsafe { node.as_ref() }.next;
        Some(node.cast())
    }

    /// The blocks, from the one that is popped first. A block is not looked into before the next one is
    /// asked for, so that who doubts it can stop.
    pub(crate) fn iter(&self) -> impl Iterator<Item = NonNull<u8>> {
        let mut next = self.head;
        let mut last: Option<NonNull<Node>> = None;
        core::iter::from_fn(move || {
            if let Some(last) = last {
                // SAFETY: as in `pop`; the iterator borrows the list, so no block leaves meanwhile.
                next = unsafe { last.as_ref() }.next;
            }
            last = next;
            Some(next?.cast())
        })
    }

    /// Takes out every block for which `remove` is true, keeping the order of the others.
    pub(crate) fn remove_if(&mut self, mut remove: impl FnMut(NonNull<u8>) -> bool) {
        let mut rest = core::mem::replace(self, Self::new());
        let mut kept = Tail::new();
        while let Some(block) = rest.pop() {
            if !remove(block) {
                // SAFETY: just popped, so it is ours.
                unsafe { kept.append(block) };
            }
        }
        *self = kept.list;
    }

    /// Sorts by address, lowest first: a merge sort that needs no memory but the blocks.
    ///
    /// `bins[i]` holds a sorted list of 2^i blocks or none, like the digits of a binary counter.
    pub(crate) fn sort(&mut self) {
        const EMPTY: FreeList = FreeList::new();
        let mut bins = [EMPTY; usize::BITS as usize];
        while let Some(block) = self.pop() {
            let mut run = Self::new();
            // SAFETY: just popped, so it is ours.
            unsafe { run.push(block) };
            for bin in &mut bins {
                if bin.is_empty() {
                    *bin = run;
                    break;
                }
                run = Self::merge(core::mem::replace(bin, Self::new()), run);
            }
        }
        for bin in bins {
            *self = Self::merge(bin, core::mem::replace(self, Self::new()));
        }
    }

    /// Merges two sorted lists.
    fn merge(mut a: Self, mut b: Self) -> Self {
        let mut merged = Tail::new();
        loop {
            let from = match (a.head, b.head) {
                (Some(x), Some(y)) if x <= y => &mut a,
                (_, Some(_)) => &mut b,
                (Some(_), None) => &mut a,
                (None, None) => return merged.list,
            };
            if let Some(block) = from.pop() {
                // SAFETY: just popped, so it is ours.
                unsafe { merged.append(block) };
            }
        }
    }
}

/// A list that grows at its end.
struct Tail {
    list: FreeList,
    last: Option<NonNull<Node>>,
}

impl Tail {
    const fn new() -> Self {
        Self {
            list: FreeList::new(),
            last: None,
        }
    }

    /// Adds a block after the others.
    ///
    /// # Safety
    ///
    /// As [`FreeList::push`].
    unsafe fn append(&mut self, block: NonNull<u8>) {
        let node = block.cast::<Node>();
        // SAFETY: the caller gives us the block, which is large and aligned enough for a node.
        unsafe { node.write(Node { next: None }) };
        match self.last {
            // SAFETY: the last block was appended here and is in our list, so it is ours.
            Some(mut last) => unsafe { last.as_mut() }.next = Some(node),
            None => self.list.head = Some(node),
        }
        self.last = Some(node);
    }
}
