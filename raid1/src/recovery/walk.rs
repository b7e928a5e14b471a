//! Which window is copied next, and which region is done.
//!
//! ```text
//!   next ──► Window ──► copied ──► (the last of its region) ──► done: out of the map
//!     │         └─────► failed ──► the rest of the region is left for the next pass
//!     ├─► Wait: all windows of this pass are being copied
//!     ├─► PassOver: none is, and there is something left
//!     └─► Finished: there is nothing left
//! ```

use alloc::vec::Vec;

use super::progress::Shape;
use crate::region_map::RegionMap;

/// Some blocks of one region, to be copied in one go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Window {
    region: usize,
    pub(super) start: u64,
    pub(super) num_blocks: u64,
}

impl Window {
    /// Its blocks, each a window.
    pub(super) fn blocks(self) -> impl Iterator<Item = Self> {
        let starts = self.start..self.start.saturating_add(self.num_blocks);
        starts.map(move |start| Self {
            start,
            num_blocks: 1,
            ..self
        })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    Window(Window),
    Wait,
    PassOver,
    Finished,
}

/// A region of which windows are being copied.
#[derive(Debug)]
struct Open {
    region: usize,
    in_flight: u32,
    /// All its windows were given out.
    is_cut: bool,
    has_failed: bool,
}

/// A walk through the regions of a map, in passes from the first to the last.
#[derive(Debug)]
pub(super) struct Walk {
    shape: Shape,
    window_blocks: u64,
    /// Regions below it had their turn in this pass.
    next_region: usize,
    /// What is left of the region that is being cut: its first block, and how many.
    rest: (u64, u64),
    open: Vec<Open>,
    /// Nothing more is given out in this pass.
    is_pass_over: bool,
}

impl Walk {
    pub(super) fn new(shape: Shape, window_blocks: u64) -> Self {
        Self {
            shape,
            window_blocks: window_blocks.max(1),
            next_region: 0,
            rest: (0, 0),
            open: Vec::new(),
            is_pass_over: false,
        }
    }

    /// The next window of this pass.
    pub(super) fn next(&mut self, regions: &RegionMap) -> Next {
        while self.rest.1 == 0 {
            let region = regions.first_from(self.next_region);
            let Some(region) = region.filter(|_| !self.is_pass_over) else {
                return self.at_the_end(regions);
            };
            self.next_region = region + 1;
            self.rest = self.shape.blocks_of(region);
            if self.rest.1 == 0 {
                // Not a region of this mirror.
                regions.remove(region);
                continue;
            }
            self.open.push(Open {
                region,
                in_flight: 0,
                is_cut: false,
                has_failed: false,
            });
        }
        let (start, left) = self.rest;
        let num_blocks = left.min(self.window_blocks);
        self.rest = (start + num_blocks, left - num_blocks);
        let Some(open) = self.open.last_mut() else {
            return Next::PassOver;
        };
        open.in_flight += 1;
        open.is_cut = left == num_blocks;
        Next::Window(Window {
            region: open.region,
            start,
            num_blocks,
        })
    }

    fn at_the_end(&self, regions: &RegionMap) -> Next {
        if !self.open.is_empty() {
            Next::Wait
        } else if regions.is_empty() {
            Next::Finished
        } else {
            Next::PassOver
        }
    }

    /// A window that was given out was copied, or not. Returns its region, where that is done.
    pub(super) fn end(&mut self, window: Window, is_copied: bool) -> Option<usize> {
        let index = self
            .open
            .iter()
            .position(|open| open.region == window.region)?;
        let is_being_cut = index + 1 == self.open.len();
        let open = self.open.get_mut(index)?;
        open.in_flight = open.in_flight.saturating_sub(1);
        open.has_failed |= !is_copied;
        if open.has_failed && is_being_cut && !open.is_cut {
            open.is_cut = true;
            self.rest = (0, 0);
        }
        if open.in_flight != 0 || !open.is_cut {
            return None;
        }
        // In order: the last is the one that is being cut.
        let open = self.open.remove(index);
        (!open.has_failed).then_some(open.region)
    }

    /// Gives nothing more out in this pass.
    pub(super) fn end_pass(&mut self) {
        self.is_pass_over = true;
        self.rest = (0, 0);
        if let Some(open) = self.open.last_mut().filter(|open| !open.is_cut) {
            open.is_cut = true;
            open.has_failed = true;
            if open.in_flight == 0 {
                self.open.pop();
            }
        }
    }

    /// Begins at the first region again.
    pub(super) fn begin_pass(&mut self) {
        self.is_pass_over = false;
        self.next_region = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SHAPE: Shape = Shape {
        num_blocks: 100,
        region_blocks: 16,
    };

    fn window(walk: &mut Walk, regions: &RegionMap) -> Window {
        match walk.next(regions) {
            Next::Window(window) => window,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_region_is_done_with_its_last_window() {
        let regions = RegionMap::new(7);
        regions.insert(1);
        regions.insert(6);
        let mut walk = Walk::new(SHAPE, 10);
        let [a, b, c] = [(); 3].map(|()| window(&mut walk, &regions));
        assert_eq!((a.start, a.num_blocks), (16, 10));
        assert_eq!((b.start, b.num_blocks), (26, 6));
        assert_eq!((c.start, c.num_blocks), (96, 4), "the mirror ends there");
        assert_eq!(walk.next(&regions), Next::Wait);
        assert_eq!(walk.end(b, true), None);
        assert_eq!(walk.end(c, true), Some(6));
        assert_eq!(walk.end(a, true), Some(1));
        assert_eq!(walk.next(&regions), Next::PassOver);
        regions.clear();
        assert_eq!(walk.next(&regions), Next::Finished);
    }

    #[test]
    fn a_region_that_failed_is_left_for_the_next_pass() {
        let regions = RegionMap::new(7);
        regions.insert_all(0..=1);
        let mut walk = Walk::new(SHAPE, 4);
        let [a, b] = [(); 2].map(|()| window(&mut walk, &regions));
        assert_eq!(walk.end(a, false), None);
        assert_eq!(
            window(&mut walk, &regions).start,
            16,
            "the rest is left out"
        );
        assert_eq!(walk.end(b, true), None, "not done");
        walk.end_pass();
        assert_eq!(walk.next(&regions), Next::Wait);
        assert_eq!(walk.open.len(), 1);
        let rest = Window {
            region: 1,
            start: 16,
            num_blocks: 4,
        };
        assert_eq!(walk.end(rest, true), None, "its pass was ended");
        assert_eq!(walk.next(&regions), Next::PassOver);
        walk.begin_pass();
        assert_eq!(window(&mut walk, &regions).start, 0);
    }

    proptest! {
        /// Whatever fails and in whatever order windows end: all regions are copied, whole, and no region
        /// is done before that.
        #[test]
        fn all_is_copied(
            wanted in prop::collection::btree_set(0..7_usize, 0..7),
            window_blocks in 1..20_u64,
            lanes in 1..9_usize,
            choices in prop::collection::vec((any::<u16>(), 0..8_u8), 2000),
        ) {
            let regions = RegionMap::new(7);
            wanted.iter().for_each(|region| { regions.insert(*region); });
            let mut walk = Walk::new(SHAPE, window_blocks);
            let (mut in_flight, mut done) = (Vec::new(), Vec::new());
            let mut copied = [false; 100];
            let choices = choices.into_iter();
            let mut is_finished = false;
            for (which, fate) in choices {
                if in_flight.len() < lanes {
                    match walk.next(&regions) {
                        Next::Window(window) => {
                            in_flight.push(window);
                            continue;
                        }
                        Next::Wait => prop_assert!(!in_flight.is_empty()),
                        Next::PassOver => {
                            prop_assert!(in_flight.is_empty());
                            walk.begin_pass();
                            continue;
                        }
                        Next::Finished => {
                            prop_assert!(in_flight.is_empty());
                            is_finished = true;
                            break;
                        }
                    }
                }
                let window = in_flight.swap_remove(usize::from(which) % in_flight.len());
                if fate == 0 {
                    walk.end_pass();
                }
                let blocks = window.start as usize..(window.start + window.num_blocks) as usize;
                copied[blocks].fill(fate > 1);
                if let Some(region) = walk.end(window, fate > 1) {
                    let (start, len) = SHAPE.blocks_of(region);
                    prop_assert!(copied[start as usize..(start + len) as usize].iter().all(|copied| *copied));
                    prop_assert!(regions.remove(region));
                    done.push(region);
                }
            }
            if is_finished {
                done.sort_unstable();
                prop_assert_eq!(done, wanted.into_iter().collect::<Vec<_>>());
            }
        }
    }
}
