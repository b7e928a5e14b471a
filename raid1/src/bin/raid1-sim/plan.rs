//! What a run does: a list of steps that follows from the seed alone.
//!
//! Each seed has weights of its own, so that some runs write only, some fail often and some never:
//! a mix of everything would seldom go deep into anything. Most seeds have a mirror with metadata, which
//! has several [lives](crate::lives).

use fastrand::Rng;

use crate::lives::{Death, Metadata};
use crate::lull::Lull;

/// Blocks of the mirror.
pub(crate) const NUM_BLOCKS: u64 = 512;

/// Bytes of a block.
pub(crate) const BLOCK_SIZE: u32 = 512;

/// Most blocks of a request.
const REQUEST_BLOCKS_MAX: u64 = 16;

/// One step, taken by a client on one of the threads; or what a life comes with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    /// Its place in the plan, from 1 on: what its write fills blocks with.
    pub(crate) number: u64,
    /// The life that it is of: the first is 0.
    pub(crate) life: usize,
    pub(crate) thread: usize,
    pub(crate) act: Act,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    Io {
        kind: Kind,
        blocks: Blocks,
    },
    Reset,
    /// The next requests of a kind fail on a leg.
    Fail {
        leg: usize,
        fault: Fault,
        times: u32,
    },
    /// The bdev of a leg goes away.
    Vanish {
        leg: usize,
    },
    /// The bdev of a leg goes away, and comes back after a while.
    Replug {
        leg: usize,
        us: u64,
    },
    /// A client does nothing for a while.
    Pause {
        us: u64,
    },
    /// The machine loses power. The run ends.
    Crash,
    /// The life ends.
    Die(Death),
    /// The life comes with this.
    Fate(Fate),
}

/// What a life comes with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It ends at this request of the legs, counting all or those for metadata alone.
    Doom {
        death: Death,
        request: u64,
        metadata_only: bool,
        since: Since,
    },
    /// A leg is not there.
    Absent { leg: usize },
    /// Only legs are there that are not in sync, if there are any.
    StaleAlone,
    /// When its clients have ended, the mirror is stopped by RPC, and started.
    Restart,
    /// When its clients have ended, the mirror is given back to `bdev_raid`.
    Export,
    /// Clients come and go around the time when regions are looked at that may be clean, and then the life
    /// ends.
    Lull(Lull),
}

/// From when on requests of the legs are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Since {
    /// The life began.
    Start,
    /// The clients began.
    Clients,
    /// A leg has failed something then, or gone.
    Failure,
    /// Regions are about to be looked at that may be clean.
    Look,
    /// The clients have ended.
    Quiet,
    /// The mirror is stopped in order.
    Stop,
}

/// A range of blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Blocks {
    pub(crate) offset: u64,
    pub(crate) count: u64,
}

impl Blocks {
    pub(crate) fn overlaps(self, other: Self) -> bool {
        self.offset < other.offset + other.count && other.offset < self.offset + self.count
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Read,
    Write,
    WriteZeroes,
    Unmap,
    Flush,
}

/// What a leg does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It fails reads.
    Reads,
    /// It fails what changes it.
    Writes,
    /// It has no memory for any request, for now.
    NoMemory,
    /// It fails flushes.
    Flushes,
}

/// A run: how many threads and legs, and what is done.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    pub(crate) cores: u32,
    pub(crate) threads: usize,
    pub(crate) legs: usize,
    /// Clients on each thread: how many requests it has in flight.
    pub(crate) depth: usize,
    /// How many requests the bdev layer has memory for, beyond one for each client; none if it has
    /// plenty.
    pub(crate) spare_requests: Option<u64>,
    /// Longest time that a leg takes for half of a request, in microseconds.
    pub(crate) latency_us_max: u64,
    /// So much longer a leg takes for a write of data now and then.
    pub(crate) stall_us_max: u64,
    /// The same for a write of metadata.
    pub(crate) metadata_stall_us_max: u64,
    /// Of a mirror with metadata.
    pub(crate) metadata: Option<Metadata>,
    pub(crate) steps: Vec<Step>,
}

impl Plan {
    /// The plan of a seed, with `ops` steps.
    pub(crate) fn of(seed: u64, ops: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let legs = rng.usize(2..=4);
        let threads = rng.usize(1..=3);
        let metadata = (!seed.is_multiple_of(3)).then(|| Metadata::of(&mut rng, legs, ops));
        let mut weights = Weights::random(&mut rng, metadata.is_some());
        if metadata.is_some() && rng.u8(0..4) == 0 {
            weights.faults = rng.u32(0..20_000);
            weights.fault = rng.choice([Fault::Reads, Fault::Reads, Fault::Writes, Fault::Flushes]);
            weights.times = 2;
        }
        if metadata.is_some() && rng.u8(0..6) == 0 {
            // So long that regions become clean while others are written to.
            weights.pauses = 30_000;
            weights.pause_us = 200_000;
        }
        let mut plan = Self {
            seed,
            cores: rng.u32(1..=3),
            threads,
            legs,
            depth: 1 << rng.usize(0..=5),
            // A request that is given back lets those of its own thread go on that wait for one. So
            // with several threads, as on SPDK, one that has none to give back may wait for ever.
            spare_requests: (threads == 1 && metadata.is_none()).then(|| rng.u64(8..=40)),
            latency_us_max: 1 << rng.u64(0..=10),
            stall_us_max: 0,
            metadata_stall_us_max: 0,
            metadata,
            steps: Vec::with_capacity(ops as usize),
        };
        let crash = (plan.metadata.is_none() && rng.u8(0..4) == 0).then(|| rng.u64(ops / 2..=ops));
        // One leg neither fails for good nor goes, so that there is always a mirror.
        let faithful = rng.usize(0..legs);
        let mut fates = Vec::new();
        let mut life = None;
        for number in 1..=ops {
            let now = plan.life_of(number, ops);
            if let Some(metadata) = &plan.metadata
                && life != Some(now)
            {
                life = Some(now);
                fates = metadata.fates(&mut rng, now, legs, ops);
            }
            let mut victim = rng.usize(0..legs);
            if victim == faithful {
                victim = (victim + 1) % legs;
            }
            let thread = rng.usize(0..threads);
            let act = match weights.act(&mut rng, victim, ops) {
                _ if crash == Some(number) => Act::Crash,
                act => fates.pop().map_or(act, Act::Fate),
            };
            plan.steps.push(Step {
                number,
                life: now,
                thread,
                act,
            });
        }
        plan.die_at_steps(&mut rng);
        plan
    }

    /// How many lives the run has.
    pub(crate) fn lives(&self) -> usize {
        self.metadata.as_ref().map_or(1, |metadata| metadata.lives)
    }

    /// Which life a step is of.
    fn life_of(&self, number: u64, ops: u64) -> usize {
        ((number - 1) * self.lives() as u64 / ops) as usize
    }

    /// Has some of the lives but the last end at one of their steps.
    fn die_at_steps(&mut self, rng: &mut Rng) {
        let last = self.lives() - 1;
        for life in 0..last {
            let index = rng.usize(0..self.steps.len());
            let death = Death::random(rng);
            let step = &mut self.steps[index];
            if step.life == life && matches!(step.act, Act::Io { .. }) {
                step.act = Act::Die(death);
            }
        }
    }
}

const FAULTS: [Fault; 4] = [Fault::Reads, Fault::Writes, Fault::NoMemory, Fault::Flushes];

struct Weights {
    io: [u32; 5],
    /// Of a hundred thousand steps.
    resets: u32,
    faults: u32,
    /// What legs do wrong, if it is one thing alone.
    fault: Option<Fault>,
    pauses: u32,
    pause_us: u64,
    vanishes: bool,
    replugs: u32,
    /// Most requests that a leg fails in a row.
    times: u32,
    /// Which blocks are used, from the first on: few, in some runs, so that requests meet.
    blocks: u64,
}

impl Weights {
    fn random(rng: &mut Rng, has_metadata: bool) -> Self {
        let mut often = |most: u32| if rng.bool() { rng.u32(0..=most) } else { 0 };
        let io = [1 + often(20), 1 + often(20), often(5), often(5), often(5)];
        Self {
            io,
            resets: often(1000),
            faults: often(2000),
            fault: None,
            pauses: often(5000),
            pause_us: 2000,
            vanishes: often(1) == 1,
            replugs: if has_metadata { often(300) } else { 0 },
            times: if has_metadata { 16 } else { 4 },
            blocks: REQUEST_BLOCKS_MAX << rng.u32(0..=5),
        }
    }

    fn act(&self, rng: &mut Rng, victim: usize, ops: u64) -> Act {
        let draw = rng.u32(0..100_000);
        if draw < self.resets {
            return Act::Reset;
        }
        if draw < self.resets + self.faults {
            let fault = self.fault.unwrap_or(FAULTS[rng.usize(0..FAULTS.len())]);
            let times = rng.u32(1..=self.times);
            let leg = victim;
            return Act::Fail { leg, fault, times };
        }
        if draw < self.resets + self.faults + self.pauses {
            return Act::Pause {
                us: rng.u64(0..self.pause_us),
            };
        }
        if draw > 100_000 - self.replugs {
            return Act::Replug {
                leg: victim,
                us: 1 << rng.u64(0..14),
            };
        }
        if self.vanishes && rng.u64(0..ops) == 0 {
            return Act::Vanish { leg: victim };
        }
        let count = if rng.bool() {
            1
        } else {
            rng.u64(1..=REQUEST_BLOCKS_MAX)
        };
        let offset = rng.u64(0..=self.blocks - count);
        let blocks = Blocks { offset, count };
        let kind = self.kind(rng);
        Act::Io { kind, blocks }
    }

    fn kind(&self, rng: &mut Rng) -> Kind {
        let kinds = [
            Kind::Read,
            Kind::Write,
            Kind::WriteZeroes,
            Kind::Unmap,
            Kind::Flush,
        ];
        let mut draw = rng.u32(0..self.io.iter().sum());
        for (kind, weight) in kinds.into_iter().zip(self.io) {
            if draw < weight {
                return kind;
            }
            draw -= weight;
        }
        Kind::Read
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_is_a_plan() {
        let plan = Plan::of(7, 1000);
        assert_eq!(plan.steps, Plan::of(7, 1000).steps);
        assert_ne!(plan.steps, Plan::of(8, 1000).steps);
        for step in &plan.steps {
            assert!(step.thread < plan.threads);
            assert!(step.life < plan.lives());
            if let Act::Io { blocks, .. } = step.act {
                assert!(blocks.count > 0 && blocks.offset + blocks.count <= NUM_BLOCKS);
            }
        }
    }

    #[test]
    fn one_leg_is_faithful() {
        for seed in 0..200 {
            let plan = Plan::of(seed, 2000);
            let mut blamed = vec![false; plan.legs];
            for step in &plan.steps {
                match step.act {
                    Act::Fail { leg, .. } | Act::Vanish { leg } | Act::Replug { leg, .. } => {
                        blamed[leg] = true;
                    }
                    _ => {}
                }
            }
            assert!(blamed.contains(&false), "seed {seed}");
        }
    }

    #[test]
    fn some_seeds_have_metadata_and_lives() {
        let plans: Vec<_> = (0..300).map(|seed| Plan::of(seed, 400)).collect();
        let having = |lives| plans.iter().filter(|plan| plan.lives() == lives).count();
        let without = plans.iter().filter(|plan| plan.metadata.is_none());
        assert_eq!(without.count(), 100);
        for lives in 2..=4 {
            assert!(having(lives) > 20, "{lives} lives");
        }
        for plan in &plans {
            let last = plan.lives() - 1;
            let ends = |step: &Step| {
                use Fate::{Doom, Lull};
                matches!(step.act, Act::Die(_) | Act::Fate(Doom { .. } | Lull(_)))
            };
            let of_last = plan.steps.iter().filter(|step| step.life == last);
            assert!(!of_last.into_iter().any(ends), "the last life ends well");
        }
    }
}
