//! How a life begins and ends: see [`crate::lives`].

use std::cell::RefCell;
use std::ops::Range;
use std::time::Duration;

use barespdk::bdev::{Access, Desc};
use barespdk::runtime;
use fastrand::Rng;
use serde_json::{Value, json};

use crate::apart::{self, Apart, Stage};
use crate::checker::Checker;
use crate::disk::Disk;
use crate::lives::Death;
use crate::lull::Lull;
use crate::media::{self, Media, RESERVED_BYTES, blocks};
use crate::passed::Passed;
use crate::plan::{Act, Fate, Plan, Since};
use crate::run::{MIRROR, expect_progress};
use crate::world::World;
use crate::{ending, leg, making, rpc, verdict};

/// Longest time that a mirror waits for legs, in seconds.
const TIMEOUT_S_MAX: u64 = 3;

/// Within so much virtual time a mirror must be there, when some leg of it is missing.
const ASSEMBLY_MAX: Duration = Duration::from_secs(TIMEOUT_S_MAX + 5);

/// For so long a mirror must not be there that has only legs which are out of date.
const STALE_ALONE: Duration = Duration::from_secs(3);

/// Longer than it takes until regions are clean again that nobody writes to.
const QUIET_MS_MAX: u64 = 13_000;

/// How this life begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Start {
    /// The mirror is made.
    Create,
    /// It is there once its legs are.
    Assemble,
    /// As above, if the last life came so far that it can be. Else it is made, perhaps.
    TryToAssemble,
    /// It must not be there.
    StaleAlone,
    /// Of its legs those that are in sync went on alone, each side without the other.
    Meet,
}

struct Doom {
    death: Death,
    requests_left: u64,
    metadata_only: bool,
    since: Since,
    /// The request is done first, and then it happens.
    is_after: bool,
}

struct Life {
    number: usize,
    is_last: bool,
    asked: String,
    requests_before: u64,
    is_created: bool,
    start: Start,
    doom: Option<Doom>,
    now: Since,
    lull: Option<Lull>,
    /// When the mirror was there, in microseconds.
    online_us: u64,
    /// One leg neither fails nor goes.
    faithful: Option<usize>,
    /// Legs that are not to be seen.
    hidden: Vec<usize>,
    apart: Option<Apart>,
    /// What legs hold that meet.
    before: Vec<Vec<u8>>,
    /// The legs that come, in this order, unless they are there from the start.
    coming: Vec<usize>,
    /// Whether somebody has the mirror start.
    is_asked: bool,
    restarts: u32,
    exports: bool,
    rng: Rng,
}

thread_local! {
    static LIFE: RefCell<Option<Life>> = const { RefCell::new(None) };
}

fn with<R>(look: impl FnOnce(&mut Life) -> R) -> R {
    LIFE.with_borrow_mut(|life| look(life.as_mut().expect("a life has begun")))
}

/// Begins a life. The RPCs to begin it with.
pub(crate) fn begin(mut plan: Plan, mut passed: Passed) -> Vec<Value> {
    let number = passed.life;
    let mut rng = Rng::with_seed(plan.seed ^ (number as u64 + 1) << 32);
    let fates: Vec<_> = (plan.steps.iter())
        .filter(|step| step.life == number)
        .filter_map(|step| match step.act {
            Act::Fate(fate) => Some(fate),
            _ => None,
        })
        .collect();
    let mut start = match number {
        0 => Start::Create,
        _ if passed.is_created => Start::Assemble,
        _ => Start::TryToAssemble,
    };
    let all = 0..plan.legs;
    let stage = plan
        .metadata
        .as_ref()
        .and_then(|metadata| Stage::of(number, metadata.apart));
    let hidden = goes_apart(stage, &mut rng, &mut passed, all.clone());
    if stage == Some(Stage::Meeting) && passed.apart.is_some() {
        start = Start::Meet;
    }
    let media = match &passed.apart {
        // As if this side were the right one.
        Some(apart) if start == Start::Meet => {
            read(&passed.disks, |leg| !apart.sides[0].contains(&leg))
        }
        _ => read(&passed.disks, |leg| hidden.contains(&leg)),
    };
    let in_sync: Vec<_> = match start {
        Start::Create => all.clone().collect(),
        _ => all.clone().filter(|leg| media.is_in_sync(*leg)).collect(),
    };
    // Where legs may differ, one is right.
    let source = media
        .source()
        .filter(|_| rng.bool() && start != Start::Create);
    let faithful = (plan.metadata.as_ref())
        .and_then(|_| source.or_else(|| rng.choice(in_sync.iter().copied())));
    let mut coming: Vec<_> = all.clone().collect();
    if start != Start::Create {
        let is_absent = |leg: usize| Some(leg) != faithful && fates.contains(&Fate::Absent { leg });
        match passed.apart {
            None => coming.retain(|leg| !is_absent(*leg)),
            Some(_) => coming.retain(|leg| !hidden.contains(leg)),
        }
        rng.shuffle(&mut coming);
        let stale = || coming.iter().copied().filter(|leg| !in_sync.contains(leg));
        let is_stale = fates.contains(&Fate::StaleAlone) && stale().count() > 0;
        if start == Start::Assemble && passed.apart.is_none() && is_stale {
            coming = stale().collect();
            start = Start::StaleAlone;
        }
    }
    verdict::trace(|| {
        format!(
            "life {number}: {start:?}, in sync {in_sync:?}, coming {coming:?}, faithful {faithful:?}, \
             generation {:?}",
            media.newest().map(|newest| newest.generation)
        )
    });
    passed.checker.is_steady = plan.metadata.is_some();
    if start != Start::Create && (coming.len(), in_sync.len()) != (plan.legs, plan.legs) {
        passed.checker.doubt();
    }
    let doom = fates.iter().find_map(|fate| match *fate {
        Fate::Doom {
            death,
            request,
            metadata_only,
            since,
        } => Some(Doom {
            death,
            requests_left: request,
            metadata_only,
            since,
            is_after: rng.bool(),
        }),
        _ => None,
    });
    // Sides are online before they are cut short.
    let doom = doom.filter(|doom| passed.apart.is_none() || doom.since > Since::Start);
    let lull = fates.iter().find_map(|fate| match *fate {
        Fate::Lull(lull) => Some(lull),
        _ => None,
    });
    if doom
        .as_ref()
        .is_some_and(|doom| doom.since == Since::Failure)
    {
        // A departure takes long, and clients go on meanwhile.
        plan.metadata_stall_us_max = plan.latency_us_max << rng.u32(0..=5);
    }
    if let Some(lull) = lull {
        plan.latency_us_max = lull.latency_us_max;
        plan.stall_us_max = lull.stall_us_max;
    }
    let at_start = match start {
        Start::Create => std::mem::take(&mut coming),
        _ => Vec::new(),
    };
    let before = match start {
        Start::Meet => passed.disks.iter().map(Disk::all).collect(),
        _ => Vec::new(),
    };
    leg::prepare(&plan, number, passed.disks, at_start);
    // 0 is for ever: then it is an operator who has the mirror start.
    let timeout_s = match start {
        Start::StaleAlone => 0,
        _ => rng.u64(0..=TIMEOUT_S_MAX),
    };
    let calls = match start {
        Start::Create => {
            let mut legs: Vec<_> = all.collect();
            legs.rotate_left(faithful.unwrap_or(0));
            let (method, params) = making::call(&plan, &legs, false);
            vec![json!({ "method": method, "params": params })]
        }
        _ => vec![json!({
            "method": "raid1_set_options",
            "params": { "assemble_timeout_s": timeout_s },
        })],
    };
    LIFE.set(Some(Life {
        number,
        is_last: number + 1 >= plan.lives(),
        asked: passed.asked,
        requests_before: passed.requests,
        is_created: passed.is_created,
        start,
        doom,
        now: Since::Start,
        lull,
        online_us: 0,
        faithful,
        coming,
        hidden,
        apart: passed.apart,
        before,
        is_asked: start != Start::StaleAlone && timeout_s == 0,
        exports: fates.contains(&Fate::Export),
        restarts: if fates.contains(&Fate::Restart) {
            rng.u32(1..=2)
        } else {
            0
        },
        rng,
    }));
    // A new mirror copies its first leg to the others.
    let copies = match media.newest() {
        Some(newest) => !newest.is_clean,
        None => plan.metadata.is_some(),
    };
    World::begin(plan, number, passed.checker);
    World::with(|world| world.copies = copies);
    calls
}

/// Has legs go apart, if that is what the life comes with. Those that do not come.
fn goes_apart(
    stage: Option<Stage>,
    rng: &mut Rng,
    passed: &mut Passed,
    all: Range<usize>,
) -> Vec<usize> {
    let Some(Stage::Alone(side)) = stage else {
        return Vec::new();
    };
    if side == 0 && passed.is_created {
        let media = read(&passed.disks, |_| false);
        let in_sync: Vec<_> = all.clone().filter(|leg| media.is_in_sync(*leg)).collect();
        passed.apart = Apart::of(rng, &in_sync, &passed.checker);
    }
    let Some(apart) = &mut passed.apart else {
        return Vec::new();
    };
    if side == 1 {
        std::mem::swap(&mut passed.checker, &mut apart.other);
    }
    all.filter(|leg| !apart.sides[side].contains(leg)).collect()
}

/// Whether a leg is not to be seen in this life.
pub(crate) fn is_hidden(leg: usize) -> bool {
    with(|life| life.hidden.contains(&leg))
}

/// The metadata of some disks, but for those that are hidden.
pub(crate) fn read(disks: &[Disk], is_hidden: impl Fn(usize) -> bool) -> Media {
    let own = |(index, disk): (usize, &Disk)| {
        let is_seen = disk.has_room(blocks(RESERVED_BYTES)) && !is_hidden(index);
        media::own(is_seen.then(|| disk.blocks(0, blocks(RESERVED_BYTES)))?)
    };
    Media::of((0..).zip(disks).map(own))
}

/// Has the legs come, and waits for the mirror. None if there is none in this life.
pub(crate) async fn mirror() -> Option<Desc> {
    let start = with(|life| life.start);
    for leg in with(|life| std::mem::take(&mut life.coming)) {
        let us = with(|life| {
            // Legs that meet are to do so before one side is online.
            let bits = life.rng.u32(1..if start == Start::Meet { 3 } else { 16 });
            life.rng.u64(0..1 << bits)
        });
        let _ = runtime::sleep(Duration::from_micros(us)).await;
        verdict::trace(|| format!("leg {leg} comes"));
        if let Err(errno) = leg::register(leg) {
            verdict::failed(&format!("leg {leg} does not come: {errno}"));
        }
    }
    if let Some(apart) = with(|life| life.apart.take_if(|_| start == Start::Meet)) {
        let before = with(|life| std::mem::take(&mut life.before));
        let source = apart::meet(apart, &before).await;
        with(|life| life.faithful = Some(source));
    }
    let patience = match start {
        Start::StaleAlone => STALE_ALONE,
        _ => ASSEMBLY_MAX,
    };
    let mut waited = Duration::ZERO;
    let is_asked = with(|life| life.is_asked);
    loop {
        if let Ok(desc) = Desc::open(MIRROR, Access::Write, |_| {}) {
            if start == Start::StaleAlone {
                verdict::failed("the mirror is there, of legs that are out of date alone");
            }
            verdict::trace(|| "the mirror is there".to_owned());
            with(|life| {
                life.is_created = true;
                life.online_us = barespdk_embedded::sim::now_us();
            });
            return Some(desc);
        }
        match start {
            _ if waited < patience => {}
            Start::TryToAssemble if with(|life| life.is_last || life.rng.bool()) => {
                let first = making::again().await;
                with(|life| life.faithful = Some(first));
                waited = Duration::ZERO;
            }
            Start::StaleAlone | Start::TryToAssemble => return None,
            Start::Create | Start::Assemble | Start::Meet => {
                verdict::failed(&format!("there is no mirror after {patience:?}"));
            }
        }
        expect_progress();
        if is_asked && waited > Duration::from_millis(100) {
            // It may have started, or not know all yet.
            let _ = rpc::call("raid1_start", json!({ "name": MIRROR })).await;
        }
        // When regions are looked at counts from when it is there.
        let pause_max = match with(|life| life.lull) {
            Some(_) => Duration::from_millis(1),
            None => Duration::from_secs(1),
        };
        let pause = (Duration::from_millis(1) + waited / 16).min(pause_max);
        let _ = runtime::sleep(pause).await;
        waited += pause;
    }
}

/// The leg that a step is about, when the plan says this one.
pub(crate) fn victim(leg: usize) -> usize {
    let legs = World::with(|world| world.plan.legs);
    match with(|life| life.faithful) {
        Some(faithful) if faithful == leg => (leg + 1) % legs,
        _ => leg,
    }
}

/// Requests that the legs had in former lives.
pub(crate) fn requests_before() -> u64 {
    LIFE.with_borrow(|life| life.as_ref().map_or(0, |life| life.requests_before))
}

/// Whether this is the last life.
pub(crate) fn is_last() -> bool {
    with(|life| life.is_last)
}

/// Waits before a step of a client that has taken so many, if clients are to. Whether they are to go on.
pub(crate) async fn before_step(taken: u64) -> bool {
    let Some(lull) = with(|life| life.lull) else {
        return true;
    };
    let steps_each = World::with(|world| world.steps_each);
    if lull.is_early(taken, steps_each) {
        return true;
    }
    lull.until_begin(since_online_us).await;
    let pause = with(|life| lull.pause(&mut life.rng, steps_each));
    let _ = runtime::sleep(pause).await;
    !lull.is_over(since_online_us())
}

/// Whether the life ends at its own time.
pub(crate) fn has_lull() -> bool {
    with(|life| life.lull.is_some())
}

/// How long the mirror has been there, in microseconds.
fn since_online_us() -> u64 {
    barespdk_embedded::sim::now_us() - with(|life| life.online_us)
}

/// How long a client waits before it looks again whether it may begin.
pub(crate) fn start_pause() -> Duration {
    match has_lull() {
        false => Duration::from_micros(20),
        true => Duration::from_millis(20),
    }
}

/// The clients begin.
pub(crate) fn clients_begin() {
    if let Some(lull) = with(|life| life.lull) {
        let end = async move {
            lull.until_look(since_online_us).await;
            with(|life| life.now = Since::Look);
            lull.until_end(since_online_us).await;
            ending::ends(Some(lull.death));
        };
        if let Err(errno) = runtime::spawn_local(end) {
            verdict::failed(&format!("no task: {errno}"));
        }
    }
    with(|life| life.now = Since::Clients);
}

/// The clients have ended. If this life ends when all is quiet, it does so after a while, at the latest.
pub(crate) async fn clients_end() {
    while has_lull() {
        // Meanwhile the life ends.
        expect_progress();
        let _ = runtime::sleep(Duration::from_secs(1)).await;
    }
    let (death, ms) = with(|life| {
        life.now = Since::Quiet;
        let doom = life.doom.as_ref().filter(|doom| doom.since == Since::Quiet);
        (doom.map(|doom| doom.death), life.rng.u64(0..QUIET_MS_MAX))
    });
    if death.is_none() {
        return;
    }
    for _ in 0..ms / 1000 {
        expect_progress();
        let _ = runtime::sleep(Duration::from_secs(1)).await;
    }
    let _ = runtime::sleep(Duration::from_millis(ms % 1000)).await;
    ending::ends(death);
}

/// A leg has failed to do what changes it, or goes.
pub(crate) fn leg_fails() {
    with(|life| {
        if life.now == Since::Clients {
            life.now = Since::Failure;
        }
    });
}

/// A leg is about to do something.
pub(crate) fn request_begins(is_metadata: bool) {
    let death = with(|life| {
        let doom = life.doom.as_mut().filter(|doom| doom.since <= life.now)?;
        if is_metadata || !doom.metadata_only {
            doom.requests_left = doom.requests_left.saturating_sub(1);
        }
        (doom.requests_left == 0 && !doom.is_after).then_some(doom.death)
    });
    if death.is_some() {
        ending::ends(death);
    }
}

/// It has done it.
pub(crate) fn request_ends() {
    let death = with(|life| {
        let doom = life.doom.as_ref()?;
        (doom.requests_left == 0).then_some(doom.death)
    });
    if death.is_some() {
        ending::ends(death);
    }
}

/// What this life leaves to the next, but for what [`crate::ending`] finds.
pub(crate) fn leaves(requests: u64, disks: Vec<Disk>, checker: Checker) -> Passed {
    with(|life| Passed {
        life: life.number + 1,
        asked: std::mem::take(&mut life.asked),
        requests,
        is_created: life.is_created,
        disks,
        checker,
        apart: life.apart.take(),
    })
}

/// The mirror is about to be stopped in order.
pub(crate) fn stop_begins() {
    with(|life| life.now = Since::Stop);
}

/// How often the mirror is stopped and started by RPC, before it is stopped for good.
pub(crate) fn restarts() -> u32 {
    with(|life| life.restarts)
}

/// Whether all legs are to be in the mirror when the life ends, as it may be given back then.
pub(crate) fn may_export() -> bool {
    with(|life| life.exports)
}

/// Whether the mirror is given back to `bdev_raid`, all its legs being in it. Then it is one no more.
pub(crate) fn exports(all_are_in_it: bool) -> bool {
    with(|life| {
        let exports = life.exports && all_are_in_it;
        life.is_created &= !exports;
        exports
    })
}

/// A random time.
pub(crate) fn random_us(max: u64) -> Duration {
    Duration::from_micros(with(|life| life.rng.u64(0..=max)))
}
