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

mod asked;
mod clock;
mod decision;
mod probe;
mod retry;
mod start;
pub mod survey;
mod table;
mod taking_back;
#[cfg(test)]
mod tests;
mod unread;
mod words;

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, Ordering};

use barespdk::bdev::{Access, Desc, Event};
use barespdk::module::Bdev;
use barespdk::uuid::Uuid;
use barespdk::{log_notice, log_warn};

pub(crate) use self::asked::{bring_back, deleted, discard, go_offline, start, stop};
use self::decision::{Decision, Useless, decide};
use self::probe::{Probed, probe};
use self::start::Trouble;
pub(crate) use self::table::all;
use self::table::{Array, Candidate};
use self::taking_back::{Return, take_back};
pub(crate) use self::words::{describe, describe_waiting};
use crate::keeper::Lacks;
use crate::mirror::Mirror;
use crate::mirrors;

/// The application ends: nothing comes online any more.
static ENDS: AtomicBool = AtomicBool::new(false);

/// The application begins.
pub(crate) fn begin() {
    ENDS.store(false, Ordering::Relaxed);
    clock::begin();
}

/// Nothing comes online from now on.
pub(crate) fn shutdown() {
    ENDS.store(true, Ordering::Relaxed);
    table::clear();
    unread::clear();
}

fn ends() -> bool {
    ENDS.load(Ordering::Relaxed)
}

/// Looks at a bdev that has appeared, or that may be a leg again.
pub(crate) async fn examine(name: String) {
    if let Some(uuid) = note(name, false).await {
        drive(uuid).await;
    }
}

/// Notes a bdev, if it is a leg. Of which array.
async fn note(name: String, stopped: bool) -> Option<Uuid> {
    if ends() || mirrors::find(&name).is_some() {
        return None;
    }
    let is_removed = Arc::new(AtomicBool::new(false));
    let (removed, went) = (Arc::clone(&is_removed), name.clone());
    let desc = Desc::open(&name, Access::Read, move |event| {
        if event == Event::Removed {
            removed.store(true, Ordering::Relaxed);
            table::forget(&went);
        }
    });
    let found = match &desc {
        Ok(desc) if !mirrors::is_leg(&name) => probe(desc).await,
        // One that cannot be opened goes.
        _ => Probed::Foreign,
    };
    if !matches!(found, Probed::Unread(_)) {
        unread::forget(&name);
    }
    let superblock = match found {
        Probed::Foreign => return None,
        Probed::Unread(reason) => {
            unread::insert(&name, &reason);
            clock::watch();
            return None;
        }
        Probed::Unusable(reason) => {
            log_warn!("raid1: bdev '{name}' has metadata of a mirror, and is left alone: {reason}");
            return None;
        }
        Probed::Leg(superblock) => superblock,
    };
    // It may have become a leg while it was read.
    if ends() || mirrors::is_leg(&name) {
        return None;
    }
    let uuid = superblock.uuid;
    table::insert(Candidate::new(desc.ok()?, superblock, is_removed));
    if stopped {
        let _there = table::with(uuid, |array| array.stopped = true);
    }
    clock::watch();
    Some(uuid)
}

/// Does what there is to do for an array.
async fn drive(uuid: Uuid) {
    if table::begin(uuid) {
        go_on(uuid).await;
    }
}

/// Goes on with an array, on which the caller alone works, until there is nothing more to do for now.
async fn go_on(uuid: Uuid) {
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
    if ends() {
        return;
    }
    if let Some(mirror) = online(uuid) {
        return offer(&mirror, uuid).await;
    }
    let Some(array) = table::with(uuid, |array| array.clone()) else {
        return;
    };
    let found = &array.candidates;
    let superblocks: Vec<_> = found.iter().map(|leg| &*leg.superblock).collect();
    if superblocks.is_empty() {
        return;
    }
    let legs = found.iter().enumerate();
    let out_of_reach: Vec<usize> = legs
        .filter(|(_, leg)| leg.is_out_of_reach)
        .map(|(index, _)| index)
        .collect();
    let verdict = decide(&superblocks, &out_of_reach, array.wish());
    for (leg, useless) in &verdict.useless {
        forget_useless(&array, *leg, *useless);
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
            let _none_waits_on = table::with(uuid, Array::started);
            let legs = table::take(uuid, |leg| {
                !leg.is_out_of_reach && found.iter().any(|other| other.name == leg.name)
            });
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
                    let _what_it_waits_for = return_to(&mirror, leg.clone(), lacks).await;
                }
            }
            tell_of_trouble(uuid, Vec::new());
        }
        Err(Trouble::Useless(name, reason)) => {
            log_warn!("raid1 {}: base bdev '{name}' {reason}", array.name());
            table::forget(&name);
            table::look_again(uuid);
        }
        Err(Trouble::OutOfReach(name, reason)) => {
            put_out_of_reach(array.name(), uuid, &name, &reason);
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
            let _gone = table::with(uuid, |array| {
                array.retry.get_or_insert_default();
            });
            waits(&array, text);
        }
    }
}

fn forget_useless(array: &Array, leg: usize, useless: Useless) {
    let name_of = |leg: usize| {
        array
            .candidates
            .get(leg)
            .map_or("", |leg| leg.name.as_str())
    };
    let reason = match useless {
        Useless::CopyOf(original) => alloc::format!("is a copy of '{}'", name_of(original)),
        Useless::Replaced => String::from("has been replaced by another leg"),
        Useless::OtherLife => String::from("is of an array that had the same uuid in another life"),
    };
    log_warn!(
        "raid1 {}: bdev '{}' {reason}: it is left alone",
        array.name(),
        name_of(leg)
    );
    table::forget(name_of(leg));
}

/// Notes that a leg cannot be used for now, and says so where that is new.
fn put_out_of_reach(array: &str, uuid: Uuid, name: &str, reason: &str) {
    if table::put_out_of_reach(uuid, name, reason) {
        log_warn!("raid1 {array}: base bdev '{name}' {reason}: it is tried again later");
    }
}

/// Has a mirror that is online take legs back. Those that went on alone are kept, for somebody to choose,
/// and those that are out of reach, until that is tried again.
async fn offer(mirror: &Bdev<Mirror>, uuid: Uuid) {
    let mut reasons = Vec::new();
    for candidate in table::take(uuid, |leg| !leg.is_out_of_reach) {
        reasons.extend(return_to(mirror, candidate, Lacks::WhatItMissed).await);
    }
    tell_of_trouble(uuid, reasons);
}

/// Has a mirror that is online take a leg back, or keeps it. What it waits for, if that is a choice.
async fn return_to(mirror: &Bdev<Mirror>, candidate: Candidate, lacks: Lacks) -> Option<String> {
    let (uuid, name) = (candidate.superblock.uuid, candidate.name.clone());
    match take_back(mirror, &candidate, lacks).await {
        Return::Over => None,
        Return::Alone => {
            let choice = words::choice(&candidate, mirror.device().report.lock().generation());
            table::insert(candidate);
            Some(choice)
        }
        Return::Later(reason) => {
            table::insert(candidate);
            put_out_of_reach(mirror.name(), uuid, &name, &reason);
            None
        }
    }
}

/// Notes what legs wait for whose mirror is online: `reasons`, and those of legs that are out of reach.
fn tell_of_trouble(uuid: Uuid, mut reasons: Vec<String>) {
    let Some(array) = table::with(uuid, |array| array.clone()) else {
        return;
    };
    let in_vain = array.candidates.iter().filter(|leg| leg.is_out_of_reach);
    reasons.extend(in_vain.map(words::another_try));
    waits(&array, reasons.join("; "));
}

/// Notes why an array is not online, and says so where that is new.
fn waits(array: &Array, reason: String) {
    clock::watch();
    if array.waits_for == reason {
        return;
    }
    if !reason.is_empty() {
        log_notice!("raid1 {}: waits for {reason}", array.name());
    }
    let _old = table::with(array.uuid, |array| {
        core::mem::replace(&mut array.waits_for, reason)
    });
}
