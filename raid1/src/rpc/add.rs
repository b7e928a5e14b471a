//! `raid1_add_base_bdev {raid_bdev, base_bdev}`.

use alloc::string::ToString;
use core::time::Duration;

use barespdk::bdev::{self, Access, Desc};
use barespdk::errno::Errno;
use barespdk::json::Name;
use barespdk::rpc::{Params, RpcError};
use barespdk::runtime;

use super::{BASE_NAME_LEN_MAX, NAME_LEN_MAX};
use crate::assembly;
use crate::driver::MODULE;
use crate::fresh;
use crate::geometry;
use crate::keeper::{Arrival, Job, Lacks};
use crate::leg::Leg;
use crate::mirror::Mirror;
use crate::mirrors;

/// How often, and how long each time, one waits for a leg that goes to be closed.
const CLOSE: (u32, Duration) = (1000, Duration::from_millis(10));

pub(super) async fn add_base_bdev(mut params: Params<'_>) -> Result<bool, RpcError> {
    let name = params.required::<Name<'_, NAME_LEN_MAX>>("raid_bdev")?;
    let base = params.required::<Name<'_, BASE_NAME_LEN_MAX>>("base_bdev")?;
    let force = params.optional::<bool>("force")?.unwrap_or(false);
    params.finish()?;
    add(&name, &base, force).await.map(|()| true)
}

/// Adds a base bdev to a mirror.
///
/// # Errors
/// Names the parameter that is to blame.
pub(super) async fn add(name: &str, base: &str, force: bool) -> Result<(), RpcError> {
    let mirror = mirrors::find(name).ok_or_else(|| {
        RpcError::failed(
            Errno::ENODEV,
            format_args!("Parameter 'raid_bdev': there is no mirror '{name}'"),
        )
    })?;
    let refused = |errno, reason: core::fmt::Arguments<'_>| {
        RpcError::failed(
            errno,
            format_args!("Parameter 'base_bdev': bdev '{base}' {reason}"),
        )
    };
    wait_until_closed(mirror.device(), base).await;
    // What was part of it before gets only what it has missed.
    let may_return = mirror.device().regions.is_some() && !force;
    if may_return && bdev::exists(base) && !mirrors::is_leg(base) {
        assembly::examine(base.to_string()).await;
        let legs = mirror.device().legs.lock();
        if legs.find_by(|leg| leg.is(base)).is_some() {
            return Ok(());
        }
    }
    let leg = Leg::open(base, mirror.name()).map_err(|errno| match errno {
        Errno::ENODEV => refused(errno, format_args!("does not exist")),
        Errno::EPERM => refused(errno, format_args!("is claimed already")),
        _ => refused(errno, format_args!("cannot be opened")),
    })?;
    let device = mirror.device();
    MODULE
        .claim(&leg.desc)
        .map_err(|errno| refused(errno, format_args!("is claimed already")))?;
    geometry::fits(&leg, device)
        .map_err(|reason| refused(Errno::EINVAL, format_args!("{reason}")))?;
    if device.regions.is_some() && !force {
        fresh::look_at(&leg).await.map_err(|reason| {
            RpcError::failed(
                Errno::EEXIST,
                format_args!("Parameter 'base_bdev': {reason}"),
            )
        })?;
    }
    let arrival = Arrival {
        leg,
        slot: None,
        lacks: Lacks::All,
    };
    match device.desk.ask(|done| Job::Add(arrival, done)).await {
        Ok(Ok(_slot)) => Ok(()),
        Ok(Err((errno, reason))) => Err(RpcError::failed(
            errno,
            format_args!("Parameter 'base_bdev': {reason}"),
        )),
        Err(errno) => Err(RpcError::failed(
            errno,
            format_args!(
                "Parameter 'raid_bdev': mirror '{}' is being deleted",
                mirror.name()
            ),
        )),
    }
}

/// Waits, but not for ever, until the mirror has let go of a leg that it takes out: as long as threads use
/// it, and I/O to it is in flight, nobody can claim it.
async fn wait_until_closed(mirror: &Mirror, base: &str) {
    let (tries, pause) = CLOSE;
    for _ in 0..tries {
        let goes = match Desc::open(base, Access::Read, |_| ()) {
            Ok(bdev) => mirror.legs.lock().parts_with(bdev.name()),
            Err(_) => false,
        };
        let is_claimed =
            || Desc::open(base, Access::Write, |_| ()).is_err_and(|errno| errno == Errno::EPERM);
        if !goes || !is_claimed() || runtime::sleep(pause).await.is_err() {
            return;
        }
    }
}
