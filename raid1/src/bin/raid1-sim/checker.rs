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
//!
//! A run may have several lives. Where one ends, the requests in flight have failed. If the power goes,
//! what was written since the last flush may be lost; if only the process ends, nothing is. In the life
//! that follows a block may so have one of several values, but has only one: what is read once is read
//! again, unless the leg that it was read from is lost meanwhile, as nobody was promised any of them.

use std::{fmt, io};

use crate::passed::{Reader, Writer};

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
    /// Another value that was possible when this life began was read since.
    is_denied: bool,
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
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Checker {
    now: Instant,
    blocks: Vec<Vec<Possible>>,
    /// When the reads in flight started, in order.
    reads: Vec<Instant>,
    /// When the last flush that was acknowledged started.
    flushed: Instant,
    /// When this life began.
    born: Instant,
    /// Whether what is read of what was before this life is read again.
    pub(crate) is_steady: bool,
}

impl Checker {
    /// All blocks hold zeroes.
    pub(crate) fn new(num_blocks: u64) -> Self {
        Self::of_any(num_blocks, &[0])
    }

    /// Each block holds one of these.
    pub(crate) fn of_any(num_blocks: u64, values: &[Value]) -> Self {
        let possible = |value: &Value| Possible {
            value: *value,
            from: 0,
            ended: 0,
            until: NEVER,
            is_denied: false,
        };
        let history: Vec<_> = values.iter().map(possible).collect();
        Self {
            now: 0,
            blocks: (0..num_blocks).map(|_| history.clone()).collect(),
            reads: Vec::new(),
            flushed: 0,
            born: 0,
            is_steady: false,
        }
    }

    /// A life has ended, with the power of the disks or without. `is_steady` says whether the next one
    /// has the same legs, all of them.
    pub(crate) fn life_ends(&mut self, power_is_lost: bool, is_steady: bool) {
        let now = self.tick();
        let flushed = self.flushed;
        for history in &mut self.blocks {
            for possible in history.iter_mut() {
                possible.ended = possible.ended.min(now);
                if power_is_lost && possible.until > flushed {
                    possible.until = NEVER;
                }
            }
            if power_is_lost {
                history.retain(|possible| possible.until == NEVER);
            }
        }
        if power_is_lost {
            // What is there is durable.
            self.flushed = now;
        }
        self.reads.clear();
        self.born = now;
        self.is_steady = is_steady;
        if power_is_lost || !is_steady {
            self.allow_again();
        }
    }

    /// A leg may be lost: then what was read may be what it alone had.
    pub(crate) fn doubt(&mut self) {
        self.is_steady = false;
        self.allow_again();
    }

    fn allow_again(&mut self) {
        let all = self.blocks.iter_mut().flatten();
        all.for_each(|possible| possible.is_denied = false);
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
                is_denied: false,
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
            self.check(block, found, from, true)?;
            if let Ok(value) = found {
                self.note(block, *value);
            }
        }
        Ok(())
    }

    /// A value was read. If it is of a former life, there was no other.
    fn note(&mut self, block: u64, value: Value) {
        let born = self.born;
        let history = &mut self.blocks[block as usize];
        if !self.is_steady || history.iter().any(|possible| possible.from > born) {
            return;
        }
        for possible in history {
            possible.is_denied |= possible.value != value;
        }
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
        self.check(block, found, self.flushed, false)
    }

    /// What a block of a leg may hold now.
    pub(crate) fn check_leg(
        &self,
        block: u64,
        found: &Result<Value, String>,
    ) -> Result<(), Violation> {
        self.check(block, found, self.now, false)
    }

    /// What a block may hold now, with nothing in flight.
    pub(crate) fn check_now(
        &self,
        block: u64,
        found: &Result<Value, String>,
    ) -> Result<(), Violation> {
        self.check(block, found, self.now, true)
    }

    fn check(
        &self,
        block: u64,
        found: &Result<Value, String>,
        since: Instant,
        denies: bool,
    ) -> Result<(), Violation> {
        let history = &self.blocks[block as usize];
        let allowed =
            |possible: &&Possible| possible.until > since && !(denies && possible.is_denied);
        let possible = || history.iter().filter(allowed);
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

    /// Writes all of it, for the next life.
    pub(crate) fn save(&self, to: &mut Writer) {
        let Self {
            now,
            blocks,
            reads: _,
            flushed,
            born,
            is_steady,
        } = self;
        for number in [now, flushed, born] {
            to.number(*number);
        }
        to.flag(*is_steady);
        to.number(blocks.len() as u64);
        for history in blocks {
            to.number(history.len() as u64);
            for possible in history {
                let Possible {
                    value,
                    from,
                    ended,
                    until,
                    is_denied,
                } = possible;
                for number in [value, from, ended, until] {
                    to.number(*number);
                }
                to.flag(*is_denied);
            }
        }
    }

    /// Reads what [`Checker::save`] wrote.
    pub(crate) fn load(from: &mut Reader<'_>) -> io::Result<Self> {
        let (now, flushed, born) = (from.number()?, from.number()?, from.number()?);
        let is_steady = from.flag()?;
        let mut blocks = Vec::new();
        for _ in 0..from.number()? {
            let mut history = Vec::new();
            for _ in 0..from.number()? {
                history.push(Possible {
                    value: from.number()?,
                    from: from.number()?,
                    ended: from.number()?,
                    until: from.number()?,
                    is_denied: from.flag()?,
                });
            }
            blocks.push(history);
        }
        Ok(Self {
            now,
            blocks,
            reads: Vec::new(),
            flushed,
            born,
            is_steady,
        })
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

    /// One block, of which 7 is flushed, 8 acknowledged, and 9 in flight.
    fn three_writes() -> Checker {
        let mut checker = Checker::new(1);
        for value in [7, 8] {
            let write = checker.write_starts(value, 0, 1);
            checker.write_ends(write, 0, 1, true);
            if value == 7 {
                let flush = checker.flush_starts();
                checker.flush_ends(flush);
            }
        }
        checker.write_starts(9, 0, 1);
        checker
    }

    fn readable(checker: &mut Checker) -> Vec<Value> {
        let values = 0..10;
        values
            .filter(|value| checker.check_now(0, &Ok(*value)).is_ok())
            .collect()
    }

    #[test]
    fn a_process_that_ends_loses_nothing_that_was_acknowledged() {
        let mut checker = three_writes();
        checker.life_ends(false, true);
        assert_eq!(readable(&mut checker), [8, 9]);
        // Not flushed yet.
        checker.life_ends(true, true);
        assert_eq!(readable(&mut checker), [7, 8, 9]);
    }

    #[test]
    fn power_that_goes_loses_what_was_not_flushed() {
        let mut checker = three_writes();
        checker.life_ends(true, true);
        assert_eq!(readable(&mut checker), [7, 8, 9]);
        let started = checker.read_starts();
        assert!(read(&mut checker, started, 7));
        assert_eq!(readable(&mut checker), [7], "what was read once stays");
        assert!(checker.check_leg(0, &Ok(8)).is_ok(), "a leg may differ yet");
        checker.doubt();
        assert_eq!(readable(&mut checker), [7, 8, 9]);
        checker.life_ends(true, true);
        let write = checker.write_starts(5, 0, 1);
        checker.write_ends(write, 0, 1, true);
        assert_eq!(readable(&mut checker), [5]);
    }

    #[test]
    fn a_failed_write_of_this_life_may_come_and_go() {
        let mut checker = Checker::new(1);
        checker.life_ends(false, true);
        let write = checker.write_starts(7, 0, 1);
        checker.write_ends(write, 0, 1, false);
        let started = checker.read_starts();
        assert!(read(&mut checker, started, 7));
        assert_eq!(readable(&mut checker), [0, 7]);
    }

    #[test]
    fn the_next_life_knows_all_of_it() {
        let mut checker = three_writes();
        checker.life_ends(true, true);
        let started = checker.read_starts();
        assert!(read(&mut checker, started, 8));
        let mut saved = Writer::default();
        checker.save(&mut saved);
        let saved = saved.into_bytes();
        let loaded = Checker::load(&mut Reader::new(&saved)).unwrap();
        assert_eq!(loaded, checker);
    }
}
