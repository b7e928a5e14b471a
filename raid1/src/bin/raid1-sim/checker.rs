//! What each block may hold, as the mirror's users can tell.
//!
//! Each write has a number of its own, and fills its blocks with it. A block's history is a short list
//! of values that a read may still return, each with when it came to be possible and when that ended:
//!
//! ```text
//!   write 7  start ├──────────┤ acknowledged         write 8 starts after 7 has ended:
//!   write 8                        ├───────┤         when 8 is acknowledged, 7 is over
//!   value 7        ├───────────────────────┤
//!   value 8                        ├──────────────────────────── ..
//!   a read may return 7 or 8         ├──┤
//!   and only 8                                ├──┤
//! ```
//!
//! A write that failed may have been done or not: its value is possible until a later write ends it.

use std::fmt;

/// What a block holds: the number of the write that filled it, 0 for zeroes.
pub(crate) type Value = u64;

/// A point in the order of starts and ends of requests.
type Instant = u64;

const NEVER: Instant = Instant::MAX;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Possible {
    value: Value,
    /// When the write that makes it started.
    from: Instant,
    /// When that write ended; [`NEVER`] while it is in flight.
    ended: Instant,
    /// When a later write put an end to it.
    until: Instant,
}

/// A request under way: when it started.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Started(Instant);

/// A block holds what it may not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Violation {
    pub(crate) block: u64,
    pub(crate) found: String,
    pub(crate) possible: Vec<Value>,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            block,
            found,
            possible,
        } = self;
        write!(f, "block {block} holds {found}, possible are {possible:?}")
    }
}

/// The histories of all blocks.
pub(crate) struct Checker {
    now: Instant,
    blocks: Vec<Vec<Possible>>,
    /// When the reads in flight started, in order.
    reads: Vec<Instant>,
    /// When the last flush that was acknowledged started.
    flushed: Instant,
}

impl Checker {
    /// All blocks hold zeroes.
    pub(crate) fn new(num_blocks: u64) -> Self {
        let zeroes = Possible {
            value: 0,
            from: 0,
            ended: 0,
            until: NEVER,
        };
        Self {
            now: 0,
            blocks: (0..num_blocks).map(|_| vec![zeroes]).collect(),
            reads: Vec::new(),
            flushed: 0,
        }
    }

    fn tick(&mut self) -> Instant {
        self.now += 1;
        self.now
    }

    fn range(&mut self, offset: u64, blocks: u64) -> &mut [Vec<Possible>] {
        &mut self.blocks[offset as usize..(offset + blocks) as usize]
    }

    pub(crate) fn write_starts(&mut self, value: Value, offset: u64, blocks: u64) -> Started {
        let from = self.tick();
        for history in self.range(offset, blocks) {
            history.push(Possible {
                value,
                from,
                ended: NEVER,
                until: NEVER,
            });
        }
        Started(from)
    }

    /// A write is acknowledged, or has failed.
    pub(crate) fn write_ends(
        &mut self,
        started: Started,
        offset: u64,
        blocks: u64,
        acknowledged: bool,
    ) {
        let Started(from) = started;
        let now = self.tick();
        let of_interest = self
            .reads
            .first()
            .map_or(self.flushed, |read| self.flushed.min(*read));
        for history in self.range(offset, blocks) {
            for possible in history.iter_mut() {
                if possible.from == from {
                    possible.ended = now;
                } else if acknowledged && possible.ended < from && possible.until == NEVER {
                    possible.until = now;
                }
            }
            // No read, and no crash, brings back what ended before.
            history.retain(|possible| possible.until > of_interest);
        }
    }

    pub(crate) fn read_starts(&mut self) -> Started {
        let from = self.tick();
        self.reads.push(from);
        Started(from)
    }

    /// A read has ended: `found` says what its blocks hold, or why that is no value at all. Not
    /// called with `found` for a read that failed.
    pub(crate) fn read_ends(
        &mut self,
        started: Started,
        offset: u64,
        found: Option<&[Result<Value, String>]>,
    ) -> Result<(), Violation> {
        let Started(from) = started;
        if let Ok(index) = self.reads.binary_search(&from) {
            self.reads.remove(index);
        }
        for (block, found) in (offset..).zip(found.unwrap_or_default()) {
            self.check(block, found, from)?;
        }
        Ok(())
    }

    pub(crate) fn flush_starts(&mut self) -> Started {
        Started(self.tick())
    }

    /// A flush is acknowledged: what was before it started does not come back.
    pub(crate) fn flush_ends(&mut self, started: Started) {
        let Started(from) = started;
        self.flushed = self.flushed.max(from);
    }

    /// What a block of a leg may hold after a crash.
    pub(crate) fn check_after_crash(
        &self,
        block: u64,
        found: &Result<Value, String>,
    ) -> Result<(), Violation> {
        self.check(block, found, self.flushed)
    }

    /// What a block may hold now, with nothing in flight.
    pub(crate) fn check_now(
        &self,
        block: u64,
        found: &Result<Value, String>,
    ) -> Result<(), Violation> {
        self.check(block, found, self.now)
    }

    fn check(
        &self,
        block: u64,
        found: &Result<Value, String>,
        since: Instant,
    ) -> Result<(), Violation> {
        let history = &self.blocks[block as usize];
        let possible = || history.iter().filter(|possible| possible.until > since);
        match found {
            Ok(value) if possible().any(|possible| possible.value == *value) => Ok(()),
            other => Err(Violation {
                block,
                found: match other {
                    Ok(value) => value.to_string(),
                    Err(what) => what.clone(),
                },
                possible: possible().map(|possible| possible.value).collect(),
            }),
        }
    }

    /// Whether a block may hold one value only: no write to it failed, none is in flight.
    pub(crate) fn is_settled(&self, block: u64) -> bool {
        let history = &self.blocks[block as usize];
        history
            .iter()
            .filter(|possible| possible.until == NEVER)
            .count()
            == 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(checker: &mut Checker, started: Started, value: Value) -> bool {
        checker.read_ends(started, 0, Some(&[Ok(value)])).is_ok()
    }

    #[test]
    fn an_acknowledged_write_is_all_that_is_read() {
        let mut checker = Checker::new(1);
        let write = checker.write_starts(7, 0, 1);
        let during = [checker.read_starts(), checker.read_starts()];
        assert!(read(&mut checker, during[0], 0));
        checker.write_ends(write, 0, 1, true);
        // It began when the write was under way.
        assert!(read(&mut checker, during[1], 0));
        let after = [checker.read_starts(), checker.read_starts()];
        assert!(read(&mut checker, after[0], 7));
        assert!(!read(&mut checker, after[1], 0), "older data");
    }

    #[test]
    fn a_failed_write_may_have_been_done() {
        let mut checker = Checker::new(1);
        let write = checker.write_starts(7, 0, 1);
        checker.write_ends(write, 0, 1, false);
        assert!(!checker.is_settled(0));
        for value in [0, 7] {
            let started = checker.read_starts();
            assert!(read(&mut checker, started, value));
        }
        let write = checker.write_starts(8, 0, 1);
        checker.write_ends(write, 0, 1, true);
        let started = checker.read_starts();
        assert!(!read(&mut checker, started, 7));
        assert!(checker.is_settled(0));
    }

    #[test]
    fn of_writes_at_once_either_may_be_the_last() {
        let mut checker = Checker::new(1);
        let first = checker.write_starts(7, 0, 1);
        let second = checker.write_starts(8, 0, 1);
        checker.write_ends(second, 0, 1, true);
        checker.write_ends(first, 0, 1, true);
        for value in [7, 8] {
            let started = checker.read_starts();
            assert!(read(&mut checker, started, value));
        }
        let started = checker.read_starts();
        assert!(!read(&mut checker, started, 0));
    }

    #[test]
    fn what_was_before_a_flush_does_not_survive_a_crash() {
        let mut checker = Checker::new(1);
        for value in [7, 8] {
            let write = checker.write_starts(value, 0, 1);
            checker.write_ends(write, 0, 1, true);
            if value == 7 {
                let flush = checker.flush_starts();
                checker.flush_ends(flush);
            }
        }
        let survives = |value| checker.check_after_crash(0, &Ok(value)).is_ok();
        assert!(survives(7) && survives(8));
        assert!(!survives(0));
    }

    #[test]
    fn garbage_is_never_possible() {
        let mut checker = Checker::new(2);
        let started = checker.read_starts();
        let found = [Ok(0), Err("two values".to_owned())];
        let violation = checker.read_ends(started, 0, Some(&found)).unwrap_err();
        assert_eq!(
            violation.to_string(),
            "block 1 holds two values, possible are [0]"
        );
    }
}
