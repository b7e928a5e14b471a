//! The end of the last life: all legs of a mirror with metadata are brought back, and must be equal.

use std::time::Duration;

use barespdk::bdev::Channel;
use barespdk::runtime;
use serde_json::{Value, json};

use crate::media::{self, Media};
use crate::run::expect_progress;
use crate::world::World;
use crate::{client, content, ending, leg, life, rpc, verdict};

/// In so much virtual time all legs must be in sync, with nothing written to them.
const PATIENCE: Duration = Duration::from_secs(60);

/// So long it takes at most until it is recorded that a leg leaves which has failed something.
const LEAVING: Duration = Duration::from_secs(1);

/// How often to look.
const PERIOD: Duration = Duration::from_millis(20);

/// What the metadata of the legs says now.
fn read() -> Media {
    let legs = (0..).map_while(|index| Some((index, leg::get(index)?)));
    Media::of(legs.map(|(index, leg)| {
        let own = leg.with_reserved(media::own);
        own.filter(|_| !life::is_hidden(index))
    }))
}

fn is_there(index: usize) -> bool {
    leg::bdev(index).is_some_and(|bdev| bdev.is_registered())
}

/// Brings all legs back, waits until they are in sync, and compares them with one another and with what
/// they may hold. Nothing is in flight.
pub(crate) async fn settle(channel: &Channel) {
    let legs: Vec<_> = (0..).map_while(leg::get).collect();
    legs.iter().for_each(|leg| leg.heals());
    legs.iter().for_each(|leg| leg.evicts());
    bring_back(legs.len(), |media, leg| !media.is_in_sync(leg)).await;
    // One may have been about to leave, on its way to the metadata.
    let _ = runtime::sleep(LEAVING).await;
    bring_back(legs.len(), Media::is_out).await;
    let until_clear = World::with(|world| world.plan.seed.is_multiple_of(4));
    wait(legs.len(), until_clear).await;
    client::read_all(channel).await;
    legs.iter().for_each(|leg| leg.evicts());
    let media = read();
    let contents: Vec<_> = (0..)
        .zip(&legs)
        .filter(|(index, _)| media.is_in_sync(*index))
        .map(|(index, leg)| (index, leg.with_content(|bytes| content::values(bytes, 0))))
        .collect();
    for (leg, contents) in &contents {
        for (block, found) in (0..).zip(contents) {
            let checked = World::with(|world| world.checker.check_now(block, found));
            if let Err(violation) = checked {
                verdict::failed(&format!("at the end, leg {leg}: {violation}"));
            }
        }
    }
    ending::equal(&contents, "at the end", |_| true);
}

/// Whether all legs are in the mirror.
pub(crate) fn is_whole() -> bool {
    let media = read();
    (0..)
        .take_while(|leg| leg::get(*leg).is_some())
        .all(|leg| media.is_in_sync(leg))
}

/// Brings back legs that are not there, or out.
async fn bring_back(legs: usize, is_out: impl Fn(&Media, usize) -> bool) {
    let now = read();
    for index in 0..legs {
        if is_there(index) && !is_out(&now, index) {
            continue;
        }
        if is_there(index) {
            client::vanish(index).await;
        }
        verdict::trace(|| format!("leg {index} comes back at the end"));
        client::comes(index).await;
    }
}

/// Waits until the legs of a mirror without metadata are either in it or out.
pub(crate) async fn rebuilt() {
    let mut waited = Duration::ZERO;
    loop {
        let _ = runtime::sleep(PERIOD).await;
        waited += PERIOD;
        let mirrors = rpc::call("raid1_get_bdevs", json!({ "category": "all" })).await;
        let Ok(mirrors) = mirrors else {
            verdict::failed("mirrors are not listed");
        };
        let legs = mirrors[0]["base_bdevs_list"].as_array();
        let is_copied_to = |leg: &Value| leg["state"] == "rebuilding";
        match legs {
            Some(legs) if legs.iter().any(is_copied_to) => {}
            Some(_) => return,
            None => verdict::failed(&format!("the mirror is not listed: {mirrors:?}")),
        }
        if waited > PATIENCE {
            verdict::failed(&format!("legs are not rebuilt yet, after {waited:?}"));
        }
        expect_progress();
    }
}

/// Until all are in sync and none has to be right for others; or longer, until all regions are clean.
async fn wait(legs: usize, until_clear: bool) {
    let mut waited = Duration::ZERO;
    loop {
        let media = read();
        let lags = |leg: &usize| {
            media.is_member(*leg)
                && !(media.is_in_sync(*leg) && (media.is_clear(*leg) || !until_clear))
        };
        let lags = |leg: &usize| lags(leg) || media.source() == Some(*leg);
        let Some(leg) = (0..legs).find(lags) else {
            return;
        };
        if waited > PATIENCE {
            let what = match media.is_in_sync(leg) {
                true => "has regions that may differ",
                false => "is not in sync",
            };
            verdict::failed(&format!("leg {leg} {what} yet, after {waited:?}"));
        }
        expect_progress();
        let _ = runtime::sleep(PERIOD).await;
        waited += PERIOD;
    }
}

/// The mirror was stopped in order: its metadata must say so.
pub(crate) fn stopped() {
    let media = read();
    let Some(newest) = media.newest() else {
        return;
    };
    for leg in (0..).take_while(|leg| leg::get(*leg).is_some()) {
        let Some(own) = media.own(leg).filter(|_| media.is_in_sync(leg)) else {
            continue;
        };
        // A request that failed shortly before may leave legs that are still to be made equal.
        let is_right = own.is_clean || media.source().is_some();
        if !is_right || own.generation != newest.generation {
            verdict::failed(&format!(
                "the mirror was stopped in order, and leg {leg} says generation {} of {}, clean: {}",
                own.generation, newest.generation, own.is_clean
            ));
        }
    }
}
