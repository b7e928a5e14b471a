//! One run: the application, its mirror, its clients, and how it ends.

use std::time::Duration;

use barespdk::app::{self, App};
use barespdk::bdev::{Access, Desc};
use barespdk::runtime;
use barespdk::thread::Thread;
use serde_json::json;

use crate::plan::Plan;
use crate::world::World;
use crate::{client, leg, verdict};

/// The mirror's bdev.
const MIRROR: &str = "mirror";

/// In so much virtual time some step must end.
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs a plan, to the end of the process.
pub(crate) fn run(plan: Plan) -> ! {
    barespdk_embedded::sim::install(plan.seed);
    let mask = format!("{:#x}", (1_u32 << plan.cores) - 1);
    leg::prepare(&plan);
    if let Err(errno) = leg::MODULE.add() {
        verdict::failed(&format!("no module: {errno}"));
    }
    let config = configuration(&plan);
    World::begin(plan);
    let ended = App::new("raid1-sim")
        .reactor_mask(&mask)
        .json_config_data(config)
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
    let requests = leg::requests();
    match leg::leaked().as_slice() {
        [] => verdict::passed(requests),
        legs => verdict::failed(&format!("something holds legs {legs:?} at the end")),
    }
}

fn configuration(plan: &Plan) -> Vec<u8> {
    let legs: Vec<_> = (0..plan.legs).map(leg::name).collect();
    let create = json!({
        "method": "raid1_create",
        "params": { "name": MIRROR, "base_bdevs": legs },
    });
    let config = json!({ "subsystems": [{ "subsystem": "bdev", "config": [create] }] });
    config.to_string().into_bytes()
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
    wait().await;
    client::compare(open()).await;
    for thread in started {
        if let Err(errno) = thread.request_exit() {
            verdict::failed(&format!("thread {} does not exit: {errno}", thread.name()));
        }
    }
    if let Err(errno) = app::stop(0) {
        verdict::failed(&format!("the application does not stop: {errno}"));
    }
}

/// Waits for the clients. A request that never ends shows.
async fn wait() {
    let mut seen = 0;
    let mut waited = Duration::ZERO;
    loop {
        let pause = Duration::from_millis(10);
        if let Err(error) = runtime::sleep(pause).await {
            verdict::failed(&format!("nobody can wait: {error:?}"));
        }
        let (clients, ended) = World::with(|world| (world.clients, world.ended));
        if clients == 0 {
            return;
        }
        waited = if ended == seen {
            waited + pause
        } else {
            Duration::ZERO
        };
        seen = ended;
        if waited > PATIENCE {
            verdict::failed(&format!(
                "a request is lost: {ended} steps have ended, no more do"
            ));
        }
    }
}
