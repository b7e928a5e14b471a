//! The mirror is stopped by RPC, and started again, within one life.

use barespdk::bdev::{Access, Desc};
use barespdk::runtime;
use serde_json::{Value, json};

use crate::run::{MIRROR, expect_progress};
use crate::{client, leg, life, making, settle, verdict};

/// Within so much virtual time it must not start by itself.
const STOPPED_US_MAX: u64 = 6_000_000;

/// Stops and starts the mirror, as often as the life comes with it, with nothing in flight.
pub(crate) async fn restart() {
    for _ in 0..life::restarts() {
        (0..).map_while(leg::get).for_each(|leg| leg.heals());
        making::expect("raid1_stop", name()).await;
        settle::stopped();
        let _ = runtime::sleep(life::random_us(STOPPED_US_MAX)).await;
        expect_progress();
        if open().is_some() {
            verdict::failed("the mirror was stopped, and is there");
        }
        making::expect("raid1_start", name()).await;
        let Some(desc) = open() else {
            verdict::failed("the mirror was started, and is not there");
        };
        client::read_all(&client::channel(&desc)).await;
    }
}

fn open() -> Option<Desc> {
    Desc::open(MIRROR, Access::Write, |_| {}).ok()
}

fn name() -> Value {
    json!({ "name": MIRROR })
}
