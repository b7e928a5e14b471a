//! Arrays come online by themselves: when their legs appear, or when it is time, or when asked to.
//!
//! ```text
//!  a bdev appears ──► examine ──► probe: is it a leg? ──► table of arrays that wait
//!  rpc, time ─────────────────────────────────────────────────┐    │
//!                                                             ▼    ▼
//!                                    taking_back ◄── online ◄── drive: decision ──► start ──► online
//!                                         │                          │
//!                                         └─► keeper                 └─► waits, and says for what
//! ```
//!
//! All of this is on the app thread, and one task at a time works on an array.

mod decision;
mod probe;
mod start;
mod table;
mod taking_back;
#[cfg(test)]
mod tests;
mod words;

use alloc::rc::Rc;
use alloc::string::String;
use core::cell::Cell;
use core::sync::atomic::{AtomicBool, Ordering};
use core::time::Duration;

use barespdk::bdev::{Access, Desc, Event};
use barespdk::errno::Errno;
use barespdk::module::Bdev;
use barespdk::uuid::Uuid;
use barespdk::{log_error, log_notice, log_warn, runtime};

use self::decision::{Decision, Useless, decide};
use self::probe::{Probed, probe};
use self::start::Trouble;
pub(crate) use self::table::all;
use self::table::{Array, Candidate};
use self::taking_back::{Lacks, take_back};
pub(crate) use self::words::describe;
use crate::leg::Leg;
use crate::legs::Slot;
use crate::mirror::Mirror;
use crate::mirrors;
use crate::rpc::options;

/// How often one looks whether an array has waited long enough.
const TICK: Duration = Duration::from_millis(250);

/// The application ends: nothing comes online any more.
static ENDS: AtomicBool = AtomicBool::new(false);

/// Whether there is a task that looks at the time.
static WATCHED: AtomicBool = AtomicBool::new(false);

/// The application begins.
pub(crate) fn begin() {
    ENDS.store(false, Ordering::Relaxed);
    WATCHED.store(false, Ordering::Relaxed);
}

/// Nothing comes online from now on.
pub(crate) fn shutdown() {
    ENDS.store(true, Ordering::Relaxed);
    table::clear();
}

/// Looks at a bdev that has appeared, or that may be a leg again.
pub(crate) async fn examine(name: String) {
    if let Some(uuid) = note(name, false).await {
        drive(uuid).await;
    }
}

/// Notes a bdev, if it is a leg. Of which array.
async fn note(name: String, stopped: bool) -> Option<Uuid> {
    if ENDS.load(Ordering::Relaxed) || mirrors::find(&name).is_some() {
        return None;
    }
    let gone = Rc::new(Cell::new(false));
    let (goes, went) = (Rc::clone(&gone), name.clone());
    let desc = Desc::open(&name, Access::Read, move |event| {
        if event == Event::Removed {
            goes.set(true);
            table::forget(&went);
        }
    });
    // One that cannot be opened goes.
    let desc = desc.ok()?;
    if mirrors::is_leg(&name) {
        return None;
    }
    let superblock = match probe(&desc).await {
        Probed::Foreign => return None,
        Probed::Unusable(reason) => {
            log_warn!("raid1: bdev '{name}' has metadata of a mirror, and is left alone: {reason}");
            return None;
        }
        Probed::Leg(superblock) => superblock,
    };
    // It may have become a leg, or gone, while it was read.
    if gone.get() || ENDS.load(Ordering::Relaxed) || mirrors::is_leg(&name) {
        return None;
    }
    let uuid = superblock.uuid;
    table::insert(Candidate::new(desc, superblock));
    if stopped {
        let _there = table::with(uuid, |array| array.stopped = true);
    }
    watch();
    Some(uuid)
}

/// Does what there is to do for an array.
async fn drive(uuid: Uuid) {
    if !table::begin(uuid) {
        return;
    }
    loop {
        step(uuid).await;
        if table::end(uuid) {
            return;
        }
    }
}

fn online(uuid: Uuid) -> Option<Bdev<Mirror>> {
    mirrors::all()
        .into_iter()
        .find(|mirror| mirror.device().uuid == uuid && mirror.device().regions.is_some())
}

async fn step(uuid: Uuid) {
    if ENDS.load(Ordering::Relaxed) {
        return;
    }
    if let Some(mirror) = online(uuid) {
        return offer(&mirror, uuid).await;
    }
    let Some(array) = table::with(uuid, |array| array.clone()) else {
        return;
    };
    let found = &array.candidates;
    let superblocks: alloc::vec::Vec<_> = found.iter().map(|leg| &*leg.superblock).collect();
    if superblocks.is_empty() {
        return;
    }
    let verdict = decide(&superblocks, array.wish());
    for (leg, useless) in &verdict.useless {
        let Some(leg) = found.get(*leg) else { continue };
        let reason = match useless {
            Useless::CopyOf(original) => {
                let original = found.get(*original).map_or("", |leg| leg.name.as_str());
                alloc::format!("is a copy of '{original}'")
            }
            Useless::Replaced => String::from("has been replaced by another leg"),
            Useless::OtherLife => {
                String::from("is of an array that had the same uuid in another life")
            }
        };
        log_warn!(
            "raid1 {}: bdev '{}' {reason}: it is left alone",
            array.name(),
            leg.name
        );
        table::forget(&leg.name);
    }
    let plan = match verdict.decision {
        Decision::Online(_) if array.stopped => {
            return waits(&array, String::from("'raid1_start': it was stopped"));
        }
        Decision::Online(plan) => plan,
        other => return waits(&array, words::of(&other, found)),
    };
    match start::start(&plan, found).await {
        Ok(mirror) => {
            start::follow_removals(&mirror);
            let legs = table::take_those(uuid, found);
            // What is said of it from now on is new.
            let _old = table::with(uuid, |array| core::mem::take(&mut array.waits_for));
            let others = plan.stale.or(plan.losers);
            for slot in others.iter() {
                let name = plan.by_slot[slot.index()]
                    .and_then(|leg| found.get(leg))
                    .map(|leg| &leg.name);
                if let Some(leg) = legs.iter().find(|leg| Some(&leg.name) == name) {
                    let lacks = match plan.losers.contains(slot) {
                        true => Lacks::All,
                        false => Lacks::WhatItMissed,
                    };
                    take_back(&mirror, leg, lacks).await;
                }
            }
        }
        Err(Trouble::Leg(name, reason)) => {
            log_warn!("raid1 {}: base bdev '{name}' {reason}", array.name());
            table::forget(&name);
            table::look_again(uuid);
        }
        Err(Trouble::Changed(name, superblock)) => {
            let same = superblock.filter(|superblock| superblock.uuid == uuid);
            match same {
                Some(superblock) => {
                    let _gone = table::with(uuid, |array| {
                        array
                            .candidates
                            .iter_mut()
                            .filter(|leg| leg.name == name)
                            .for_each(|leg| leg.superblock = superblock.clone());
                    });
                }
                None => table::forget(&name),
            }
            table::look_again(uuid);
        }
        Err(Trouble::Array(reason)) => {
            let text = alloc::format!("another try: {reason}");
            waits(&array, text);
        }
    }
}

/// Has a mirror that is online take legs back. Those that went on alone are kept, for somebody to choose.
async fn offer(mirror: &Bdev<Mirror>, uuid: Uuid) {
    for candidate in table::take_legs(uuid) {
        if take_back(mirror, &candidate, Lacks::WhatItMissed).await {
            continue;
        }
        let generation = mirror.device().report.lock().generation();
        let own = &candidate.superblock;
        let alone = alloc::format!(
            "a choice, 'raid1_start' with 'source', after 'raid1_stop' unless it is a base bdev that is \
             online: split brain, '{}' (slot {}, generation {}) went on alone, what is online (generation \
             {generation}) does not have what was written there",
            candidate.name,
            own.own_slot,
            own.generation
        );
        table::insert(candidate);
        if let Some(array) = table::with(uuid, |array| array.clone())
            && array.waits_for.is_empty()
        {
            waits(&array, alone);
        }
    }
}

/// Notes why an array is not online, and says so where that is new.
fn waits(array: &Array, reason: String) {
    if array.waits_for == reason {
        return;
    }
    log_notice!("raid1 {}: waits for {reason}", array.name());
    let _old = table::with(array.uuid, |array| {
        core::mem::replace(&mut array.waits_for, reason)
    });
}

/// Looks at the time as long as there is an array that waits.
fn watch() {
    if WATCHED.swap(true, Ordering::Relaxed) {
        return;
    }
    let spawned = runtime::spawn_local(async {
        while !ENDS.load(Ordering::Relaxed) && runtime::sleep(TICK).await.is_ok() {
            let arrays = all();
            if arrays.is_empty() {
                break;
            }
            for array in arrays {
                tick(&array).await;
            }
        }
        WATCHED.store(false, Ordering::Relaxed);
    });
    if let Err(errno) = spawned {
        WATCHED.store(false, Ordering::Relaxed);
        log_error!("raid1: arrays that wait are not looked after: {errno}");
    }
}

async fn tick(array: &Array) {
    // What has become a leg in another way.
    for leg in &array.candidates {
        if mirrors::is_leg(&leg.name) && !table::is_busy(array.uuid) {
            table::forget(&leg.name);
        }
    }
    let timeout_ms = u64::from(options::assemble_timeout_s()) * 1000;
    let due = table::with(array.uuid, |array| {
        array.waited_ms = array.waited_ms.saturating_add(TICK.as_millis() as u64);
        let due =
            timeout_ms != 0 && array.waited_ms >= timeout_ms && !array.degraded && !array.stopped;
        array.degraded |= due;
        due
    });
    if due == Some(true) {
        drive(array.uuid).await;
    }
}

/// Starts an array that waits, though legs are missing. `source` is the slot, or the bdev, whose history
/// is the right one.
///
/// # Errors
/// `ENODEV` where none waits; otherwise why it cannot start.
pub(crate) async fn start(key: &str, source: Option<&str>) -> Result<(), (Errno, String)> {
    let Some(array) = table::find(key) else {
        return Err((Errno::ENODEV, String::from("no such array waits")));
    };
    if let Some(mirror) = online(array.uuid) {
        return choose(&mirror, &array, source).await;
    }
    let source = match source {
        None => None,
        Some(source) => Some(bdev_of(&array, source).ok_or_else(|| {
            let reason = alloc::format!("no leg that waits is in slot, or is bdev, '{source}'");
            (Errno::EINVAL, reason)
        })?),
    };
    let uuid = array.uuid;
    let (degraded, stopped) = (array.degraded, array.stopped);
    let _gone = table::with(uuid, |array| {
        array.degraded = true;
        array.stopped = false;
        array.source = source;
    });
    drive(uuid).await;
    while table::is_busy(uuid) {
        if runtime::sleep(Duration::from_millis(5)).await.is_err() {
            break;
        }
    }
    if online(uuid).is_some() {
        return Ok(());
    }
    // It did not start, and is what it was.
    let reason = table::with(uuid, |array| {
        array.degraded = degraded;
        array.stopped = stopped;
        array.source = None;
        array.waits_for.clone()
    });
    Err((Errno::EBUSY, reason.unwrap_or_default()))
}

/// Has a mirror that is online copied to the legs that went on alone, if its history was chosen.
async fn choose(
    mirror: &Bdev<Mirror>,
    array: &Array,
    source: Option<&str>,
) -> Result<(), (Errno, String)> {
    let slot = source.and_then(|source| source.parse::<usize>().ok());
    let is_source = |source: &str| {
        let legs = mirror.device().legs.lock();
        let is_it = |(at, leg): (Slot, &Leg)| leg.name == source || Some(at.index()) == slot;
        legs.open().any(is_it)
    };
    match source {
        Some(source) if is_source(source) => {}
        Some(source) if bdev_of(array, source).is_none() => {
            let reason = alloc::format!("no leg is in slot, or is bdev, '{source}'");
            return Err((Errno::EINVAL, reason));
        }
        _ => return Err((Errno::EEXIST, String::from("it is online"))),
    }
    for candidate in table::take_legs(array.uuid) {
        take_back(mirror, &candidate, Lacks::AllAsNew).await;
    }
    let _empty = table::begin(array.uuid) && table::end(array.uuid);
    Ok(())
}

/// The bdev of a leg, by that name or by its slot.
fn bdev_of(array: &Array, key: &str) -> Option<String> {
    let slot = key.parse::<u8>().ok();
    let by_name = array.candidates.iter().find(|leg| leg.name == key);
    let by_slot = || {
        array
            .candidates
            .iter()
            .find(|leg| Some(leg.superblock.own_slot) == slot)
    };
    by_name.or_else(by_slot).map(|leg| leg.name.clone())
}

/// Takes a mirror offline. Its legs stay as they are, and it starts again when it is asked to.
///
/// # Errors
/// Those of the bdev's unregistration.
pub(crate) async fn stop(mirror: &Bdev<Mirror>) -> Result<(), Errno> {
    let uuid = mirror.device().uuid;
    let names: alloc::vec::Vec<String> = mirror
        .device()
        .legs
        .lock()
        .open()
        .map(|(_, leg)| leg.desc.name().into())
        .collect();
    mirror.unregister().await?;
    for name in names {
        note(name, true).await;
    }
    drive(uuid).await;
    Ok(())
}
