//! The lives of a mirror with metadata: what it is made with, and how they begin and end.
//!
//! ```text
//!  life 0: raid1_create ── steps ── ends ─┐ by a clean stop, the end of the process, or of the power
//!                                         │ at any request of the legs, or at a step
//!     disks, and what may be read of them ▼
//!  life 1: legs come ── the mirror is assembled ── steps ── ends ─ ..
//!     (or it is not, and nobody may see it)
//!  the last one: all legs are brought back, and are in sync and equal, or the run has failed
//! ```

use fastrand::Rng;

use crate::lull::Lull;
use crate::plan::{Fate, Since};

/// How a life ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Death {
    /// The process is ended by force: disks lose nothing that they have.
    Killed,
    /// The power of the machine goes: disks lose what they have not made durable.
    PowerLoss,
}

impl Death {
    pub(crate) fn random(rng: &mut Rng) -> Self {
        if rng.bool() {
            Self::Killed
        } else {
            Self::PowerLoss
        }
    }
}

/// About how many requests for metadata each leg gets when a mirror is made.
const CREATION: u64 = 77;

/// The same for one that is stopped, and given back.
const EXPORT: u64 = 16;

/// A mirror with metadata.
#[derive(Clone, Debug)]
pub(crate) struct Metadata {
    pub(crate) lives: usize,
    /// The first of three lives in which legs go [apart](crate::apart), and meet.
    pub(crate) apart: Option<usize>,
    /// It is made of an array of `bdev_raid`, and may be given back.
    pub(crate) imports: bool,
    pub(crate) region_size_kib: u64,
    /// Legs begin with something on them that differs, which an initial sync makes equal.
    pub(crate) syncs: bool,
    /// Writes in flight may overlap.
    pub(crate) overlaps: bool,
    /// Which legs have a volatile cache.
    pub(crate) caches: Vec<bool>,
}

impl Metadata {
    pub(crate) fn of(rng: &mut Rng, legs: usize, ops: u64) -> Self {
        let most = (ops / 8).clamp(1, 4) as usize;
        let lives = rng.usize(1..=4).min(most);
        let imports = rng.u8(0..5) == 0;
        Self {
            lives,
            apart: (lives == 4 && !imports && rng.bool()).then_some(1),
            imports,
            region_size_kib: 4 << rng.u64(0..=5),
            syncs: rng.bool(),
            overlaps: rng.bool(),
            caches: (0..legs).map(|_| rng.u8(0..4) != 0).collect(),
        }
    }

    /// What a life comes with.
    pub(crate) fn fates(&self, rng: &mut Rng, life: usize, legs: usize, ops: u64) -> Vec<Fate> {
        let mut fates = Vec::new();
        let is_last = life + 1 == self.lives;
        if self.imports && !is_last && rng.bool() {
            fates.push(Fate::Export);
            if rng.bool() {
                fates.push(Fate::Doom {
                    death: Death::random(rng),
                    request: rng.u64(1..=EXPORT * legs as u64),
                    metadata_only: true,
                    since: Since::Stop,
                });
            }
        } else if !is_last && rng.u8(0..3) == 0 {
            let lull = Lull::random(rng);
            fates.push(Fate::Lull(lull));
            if lull.ends_early(rng) {
                fates.push(Fate::Doom {
                    death: lull.death,
                    request: rng.u64(1..=3 * legs as u64),
                    metadata_only: true,
                    since: Since::Look,
                });
            }
        } else if !is_last && life == 0 && rng.u8(0..4) == 0 {
            fates.push(Fate::Doom {
                death: Death::random(rng),
                request: CREATION * legs as u64 - rather_few(rng, 7),
                metadata_only: true,
                since: Since::Start,
            });
        } else if !is_last && rng.u8(0..4) == 0 {
            fates.push(Fate::Doom {
                death: Death::random(rng),
                request: rather_few(rng, 6),
                metadata_only: true,
                since: Since::Stop,
            });
        } else if !is_last && rng.u8(0..3) == 0 {
            fates.push(Fate::Doom {
                death: Death::random(rng),
                request: rather_few(rng, 5),
                metadata_only: true,
                since: Since::Failure,
            });
        } else if !is_last && rng.u8(0..4) != 0 {
            let metadata_only = rng.bool();
            let since = [Since::Start, Since::Clients, Since::Failure, Since::Quiet];
            let since = since[rng.usize(0..since.len())];
            let is_long = since <= Since::Clients && !metadata_only;
            let most = match !is_long || rng.bool() {
                true => 64,
                false => 2 * ops * legs as u64,
            };
            fates.push(Fate::Doom {
                death: Death::random(rng),
                request: rather_few(rng, most.ilog2()),
                metadata_only,
                since,
            });
        }
        if rng.u8(0..4) == 0 {
            fates.push(Fate::Restart);
        }
        if life > 0 {
            for leg in 0..legs {
                if rng.u8(0..4) == 0 {
                    fates.push(Fate::Absent { leg });
                }
            }
            if !is_last && rng.u8(0..8) == 0 {
                fates.push(Fate::StaleAlone);
            }
        }
        fates.truncate(8);
        fates
    }
}

/// From 1 to `1 << bits_max`, seldom many.
fn rather_few(rng: &mut Rng, bits_max: u32) -> u64 {
    let bits = rng.u32(1..=bits_max);
    rng.u64(1..=1 << bits)
}
