//! Split brain: legs that are started alone in turn, each without the others, and then meet.
//!
//! ```text
//!  life n      one side comes, and is written to ───┐ each has its own checker: what was written to the
//!  life n + 1  the other side does ─────────────────┤ other is not on it
//!  life n + 2  all come                             ▼
//!              one side is online, or none: nobody writes to the other before somebody has chosen
//! ```

use std::io;
use std::time::Duration;

use barespdk::runtime;
use fastrand::Rng;
use serde_json::{Value, json};

use crate::checker::Checker;
use crate::passed::{Reader, Writer};
use crate::run::{MIRROR, expect_progress};
use crate::world::World;
use crate::{leg, life, rpc, verdict};

/// Legs that go apart.
pub(crate) struct Apart {
    /// Legs in sync, of either side.
    pub(crate) sides: [Vec<usize>; 2],
    /// What may be read of the side whose checker is not that of the life.
    pub(crate) other: Checker,
}

/// What a life has to do with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    Alone(usize),
    Meeting,
}

impl Stage {
    /// Of a life, if legs go apart in life `first`.
    pub(crate) fn of(life: usize, first: Option<usize>) -> Option<Self> {
        match life.checked_sub(first?)? {
            side @ (0 | 1) => Some(Self::Alone(side)),
            2 => Some(Self::Meeting),
            _ => None,
        }
    }
}

impl Apart {
    /// Has legs in sync go apart, if there are several.
    pub(crate) fn of(rng: &mut Rng, in_sync: &[usize], checker: &Checker) -> Option<Self> {
        let mut one = in_sync.to_vec();
        if one.len() < 2 {
            return None;
        }
        rng.shuffle(&mut one);
        let other = one.split_off(rng.usize(1..one.len()));
        let mut checker = checker.clone();
        checker.doubt();
        Some(Self {
            sides: [one, other],
            other: checker,
        })
    }

    pub(crate) fn save(&self, to: &mut Writer) {
        for side in &self.sides {
            to.number(side.len() as u64);
            side.iter().for_each(|leg| to.number(*leg as u64));
        }
        self.other.save(to);
    }

    pub(crate) fn load(from: &mut Reader<'_>) -> io::Result<Self> {
        let mut sides = [Vec::new(), Vec::new()];
        for side in &mut sides {
            for _ in 0..from.number()? {
                side.push(from.number()? as usize);
            }
        }
        let other = Checker::load(from)?;
        Ok(Self { sides, other })
    }
}

/// For so long nobody chooses. Longer than a mirror waits for legs.
const UNDECIDED: Duration = Duration::from_secs(5);

/// All legs have come. Chooses one of the sides, on whose legs `before` was. A leg of it.
pub(crate) async fn meet(apart: Apart, before: &[Vec<u8>]) -> usize {
    expect_progress();
    let _ = runtime::sleep(UNDECIDED).await;
    expect_progress();
    let Apart { sides, other } = apart;
    let online = side_online(&sides).await;
    verdict::trace(|| format!("legs {sides:?} went apart, online is side {online:?}"));
    let losers = || (0..2).filter(|side| Some(*side) != online);
    let untouched = || {
        let changed = |leg: &&usize| leg::get(**leg).is_some_and(|it| it.all() != before[**leg]);
        if let Some(leg) = losers().flat_map(|side| &sides[side]).find(changed) {
            verdict::failed(&format!("leg {leg} went on alone, and is written to"));
        }
    };
    untouched();
    // Neither the absence of a choice nor the wrong one changes anything.
    let refused = match online {
        None => json!({ "name": MIRROR }),
        Some(side) => json!({ "name": MIRROR, "source": leg::name(sides[1 - side][0]) }),
    };
    if let Ok(answer) = rpc::call("raid1_start", refused).await {
        verdict::failed(&format!("a split brain is started: {answer}"));
    }
    untouched();
    let side = online.unwrap_or_else(|| usize::from(life::random_us(1) > Duration::ZERO));
    let source = sides[side][0];
    let chosen = json!({ "name": MIRROR, "source": leg::name(source) });
    let outcome = rpc::call("raid1_start", chosen).await;
    if outcome != Ok(Value::Bool(true)) {
        verdict::failed(&format!("leg {source} is not the source: {outcome:?}"));
    }
    World::with(|world| {
        // The other side came last.
        if side == 0 {
            world.checker = other;
        }
        world.checker.doubt();
    });
    expect_progress();
    source
}

/// Which side the mirror is of, if it is there.
async fn side_online(sides: &[Vec<usize>; 2]) -> Option<usize> {
    let mirrors = rpc::call("raid1_get_bdevs", json!({ "category": "online" })).await;
    let mirrors = mirrors.unwrap_or_default();
    let legs = mirrors[0]["base_bdevs_list"].as_array()?;
    let is_in_it = |leg: &usize| {
        let name = leg::name(*leg);
        let is_it = |entry: &Value| entry["state"] == "in_sync" && entry["name"] == name.as_str();
        legs.iter().any(is_it)
    };
    let in_it: Vec<_> = (0..2)
        .filter(|side| sides[*side].iter().any(is_in_it))
        .collect();
    match in_it.as_slice() {
        [side] => Some(*side),
        _ => verdict::failed(&format!("legs that went apart are in sync: {legs:?}")),
    }
}
