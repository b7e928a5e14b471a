//! One run: the application, its mirror, its clients, and how it ends.

use std::time::Duration;

use barespdk::app::{self, App};
use barespdk::bdev::{Access, Desc};
use barespdk::runtime;
use barespdk::thread::Thread;
use serde_json::{Value, json};

use crate::passed::Passed;
use crate::plan::Plan;
use crate::world::World;
use crate::{client, ending, leg, life, making, restart, settle, verdict};

/// The mirror's bdev.
pub(crate) const MIRROR: &str = "mirror";

/// In so much virtual time some step must end, in microseconds: a write that a reset aborts is tried for
/// five seconds.
const PATIENCE_US: u64 = 10_000_000;

/// In so much real time a life must end: one that turns in a circle takes no virtual time.
const REAL_PATIENCE: Duration = Duration::from_secs(60);

/// Has a life that turns in a circle end.
fn watch() {
    std::thread::spawn(|| {
        std::thread::sleep(REAL_PATIENCE);
        verdict::failed("something turns in a circle for ever");
    });
}

/// Expects something to end soon.
pub(crate) fn expect_progress() {
    barespdk_embedded::sim::limit_us(PATIENCE_US, || {
        let (clients, ended) = World::with(|world| (world.clients, world.ended));
        verdict::failed(&match clients {
            0 => "the mirror, its legs or their threads do not come to their end".to_owned(),
            _ => format!("a request is lost: after {ended} steps no more end"),
        });
    });
}

/// Runs a life of a plan, to the end of the process.
pub(crate) fn run(plan: Plan, passed: Passed) -> ! {
    watch();
    let seed = plan.seed.wrapping_add((passed.life as u64) << 32);
    barespdk_embedded::sim::install(seed);
    let mask = format!("{:#x}", (1_u32 << plan.cores) - 1);
    if let Err(errno) = leg::MODULE.add() {
        verdict::failed(&format!("no module: {errno}"));
    }
    let has_metadata = plan.metadata.is_some();
    let mut calls: Vec<_> = options(&plan).into_iter().collect();
    calls.extend(life::begin(plan, passed));
    let config = json!({ "subsystems": [{ "subsystem": "bdev", "config": calls }] });
    expect_progress();
    let ended = App::new("raid1-sim")
        .reactor_mask(&mask)
        .json_config_data(config.to_string().into_bytes())
        .run(["raid1-sim"], || {
            if let Err(errno) = runtime::spawn_local(conduct()) {
                verdict::failed(&format!("no task: {errno}"));
            }
        });
    match ended {
        Ok(0) => {}
        Ok(code) => verdict::failed(&format!("the application ended with {code}")),
        Err(error) => verdict::failed(&error.to_string()),
    }
    let leaked = leg::leaked();
    if !leaked.is_empty() {
        verdict::failed(&format!("something holds legs {leaked:?} at the end"));
    }
    if !life::is_last() {
        ending::ends(None);
    }
    if has_metadata {
        settle::stopped();
    }
    verdict::passed(leg::requests())
}

/// The call that makes requests scarce.
fn options(plan: &Plan) -> Option<Value> {
    let spare = plan.spare_requests?;
    let clients = (plan.threads * plan.depth) as u64;
    Some(json!({
        "method": "bdev_set_options",
        "params": { "bdev_io_pool_size": clients + spare, "bdev_io_cache_size": 1 },
    }))
}

fn open() -> Desc {
    match Desc::open(MIRROR, Access::Write, |_| {}) {
        Ok(desc) => desc,
        Err(errno) => verdict::failed(&format!("the mirror cannot be opened: {errno}")),
    }
}

/// The whole run, on the app thread.
async fn conduct() {
    let (threads, depth) = World::with(|world| (world.plan.threads, world.plan.depth));
    let has_metadata = World::with(|world| world.plan.metadata.is_some());
    expect_progress();
    let Some(desc) = life::mirror().await else {
        return stop();
    };
    expect_progress();
    // A channel takes memory, so all are made before that is in use.
    let channel = client::channel(&desc);
    let mut started = Vec::new();
    for index in 0..threads {
        let Ok(thread) = Thread::create(&format!("clients{index}"), None) else {
            verdict::failed("no thread");
        };
        for _ in 0..depth {
            drop(thread.spawn(move || client::run(open(), index)));
        }
        started.push(thread);
    }
    until(|world| world.ready == world.clients).await;
    life::clients_begin();
    World::with(|world| world.goes = true);
    until(|world| world.clients == 0).await;
    life::clients_end().await;
    if !has_metadata {
        client::compare(channel).await;
    } else if life::is_last() || life::may_export() {
        settle::settle(&channel).await;
        drop(channel);
    } else {
        drop(channel);
    }
    drop(desc);
    life::stop_begins();
    restart::restart().await;
    if has_metadata && life::exports(settle::is_whole()) {
        making::export().await;
    }
    expect_progress();
    for thread in started {
        if let Err(errno) = thread.request_exit() {
            verdict::failed(&format!("thread {} does not exit: {errno}", thread.name()));
        }
    }
    stop();
}

fn stop() {
    if let Err(errno) = app::stop(0) {
        verdict::failed(&format!("the application does not stop: {errno}"));
    }
}

/// Waits until a condition holds.
async fn until(condition: impl Fn(&World) -> bool) {
    while !World::with(|world| condition(world)) {
        if let Err(error) = runtime::sleep(Duration::from_micros(100)).await {
            verdict::failed(&format!("nobody can wait: {error:?}"));
        }
    }
}
