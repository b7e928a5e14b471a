//! What is asked for by RPC.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use barespdk::errno::Errno;
use barespdk::module::Bdev;
use barespdk::runtime;
use barespdk::uuid::Uuid;

use super::start::{Trouble, seize};
use super::table::{self, Array, Candidate};
use super::{drive, examine, go_on, note, online, return_to, tell_of_trouble};
use crate::keeper::Lacks;
use crate::leg::Leg;
use crate::legs::Slot;
use crate::mirror::Mirror;
use crate::offline;

/// How often one looks whether others have ended.
const PAUSE: Duration = Duration::from_millis(5);

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
            let reason = format!("no leg that waits is in slot, or is bdev, '{source}'");
            (Errno::EINVAL, reason)
        })?),
    };
    let uuid = array.uuid;
    let (degraded, stopped) = (array.degraded, array.stopped);
    let _gone = table::with(uuid, |array| {
        array.degraded = true;
        array.stopped = false;
        array.source = source;
        array.within_reach();
    });
    if alone(uuid).await {
        go_on(uuid).await;
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
            let reason = format!("no leg is in slot, or is bdev, '{source}'");
            return Err((Errno::EINVAL, reason));
        }
        _ => return Err((Errno::EEXIST, String::from("it is online"))),
    }
    let uuid = array.uuid;
    if !alone(uuid).await {
        return Ok(());
    }
    for candidate in table::take(uuid, |leg| !leg.is_out_of_reach) {
        let _waits_on = return_to(mirror, candidate, Lacks::All).await;
    }
    tell_of_trouble(uuid, Vec::new());
    let in_vain = table::with(uuid, |array| array.waits_for.clone()).unwrap_or_default();
    if !table::end(uuid) {
        go_on(uuid).await;
    }
    match in_vain.is_empty() {
        true => Ok(()),
        false => Err((Errno::EBUSY, in_vain)),
    }
}

/// Waits until nobody works on an array, and has the caller alone do so. `false`: there is none any more.
async fn alone(uuid: Uuid) -> bool {
    while table::is_busy(uuid) {
        if runtime::sleep(PAUSE).await.is_err() {
            return false;
        }
    }
    table::begin(uuid)
}

/// Has the legs of an array that waits forget it, unless they keep their metadata; it is forgotten here.
///
/// # Errors
/// `ENODEV` where none waits; `EIO` where legs could not forget it: it waits on with those, and does not start
/// by itself.
pub(crate) async fn discard(key: &str, keeps: bool) -> Result<(), (Errno, String)> {
    let none = || (Errno::ENODEV, String::from("no such array waits"));
    let uuid = table::find(key).ok_or_else(none)?.uuid();
    if !alone(uuid).await {
        return Err(none());
    }
    let found = table::with(uuid, |array| {
        array.stopped = true;
        (String::from(array.name()), array.candidates.clone())
    });
    let (name, legs) = found.unwrap_or_default();
    let mut failed = Vec::new();
    for leg in legs {
        match wiped(&leg, &name, keeps).await {
            Ok(()) => table::forget(&leg.name),
            Err(reason) => failed.push(format!("base bdev '{}' {reason}", leg.name)),
        }
    }
    go_on(uuid).await;
    match failed.is_empty() {
        true => Ok(()),
        false => Err((Errno::EIO, failed.join("; "))),
    }
}

/// Takes a mirror offline because somebody has asked for it: legs of it that wait do not start in its place.
///
/// # Errors
/// Those of the bdev's unregistration.
pub(crate) async fn go_offline(mirror: &Bdev<Mirror>) -> Result<(), Errno> {
    let uuid = mirror.device().uuid;
    let stop = |stopped| {
        table::with(uuid, |array| {
            core::mem::replace(&mut array.stopped, stopped)
        })
    };
    let before = stop(true);
    mirror.unregister().await.inspect_err(|_| {
        let _goes_on = before.and_then(stop);
    })
}

/// A mirror was deleted: legs that waited for it, as they went on alone, say so.
pub(crate) async fn deleted(uuid: Uuid) {
    drive(uuid).await;
}

/// A mirror that was taken offline is to come online again.
pub(crate) async fn bring_back(uuid: Uuid, bdevs: Vec<String>) {
    let _none_waits = table::with(uuid, |array| array.stopped = false);
    for name in bdevs {
        examine(name).await;
    }
}

async fn wiped(leg: &Candidate, mirror: &str, keeps: bool) -> Result<(), String> {
    if keeps {
        return Ok(());
    }
    match seize(leg, mirror).await {
        Ok(seized) => offline::wipe(&seized.desc)
            .await
            .map_err(|reason| format!("is not wiped: {reason}")),
        // It goes, or has something else on it.
        Err(Trouble::Useless(..) | Trouble::Changed(..)) => Ok(()),
        Err(Trouble::OutOfReach(_, reason) | Trouble::Array(reason)) => Err(reason),
    }
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
    let names: Vec<String> = mirror
        .device()
        .legs
        .lock()
        .open()
        .map(|(_, leg)| leg.desc.name().into())
        .collect();
    go_offline(mirror).await?;
    for name in names {
        note(name, true).await;
    }
    drive(uuid).await;
    Ok(())
}
