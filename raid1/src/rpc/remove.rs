//! `raid1_delete {name, keep_metadata?}` and `raid1_remove_base_bdev {name}`.

use core::sync::atomic::Ordering;

use barespdk::errno::Errno;
use barespdk::json::Name;
use barespdk::rpc::{Params, RpcError};

use super::{BASE_NAME_LEN_MAX, NAME_LEN_MAX};
use crate::assembly;
use crate::keeper::Job;
use crate::legs::TakeOut;
use crate::mirrors;

pub(super) async fn delete(mut params: Params<'_>) -> Result<bool, RpcError> {
    let name = params.required::<Name<'_, NAME_LEN_MAX>>("name")?;
    let keeps = params.optional::<bool>("keep_metadata")?.unwrap_or(false);
    params.finish()?;
    if let Some(mirror) = mirrors::find(&name) {
        let uuid = mirror.device().uuid;
        drop(mirror);
        delete_mirror(&name, keeps).await?;
        assembly::deleted(uuid).await;
        return Ok(true);
    }
    match assembly::discard(&name, keeps).await {
        Ok(()) => Ok(true),
        Err((Errno::ENODEV, _)) => delete_mirror(&name, keeps).await.map(|()| true),
        Err((errno, reason)) => Err(RpcError::failed(
            errno,
            format_args!("Parameter 'name': mirror '{}': {reason}", &*name),
        )),
    }
}

/// Deletes a mirror.
///
/// # Errors
/// Names the parameter that is to blame.
pub(super) async fn delete_mirror(name: &str, keeps: bool) -> Result<(), RpcError> {
    let mirror = mirrors::find(name).ok_or_else(|| {
        RpcError::failed(
            Errno::ENODEV,
            format_args!("Parameter 'name': there is no mirror '{name}'"),
        )
    })?;
    let wipes = &mirror.device().wipes;
    let before = wipes.swap(!keeps, Ordering::Relaxed);
    assembly::go_offline(&mirror).await.map_err(|errno| {
        // Who was first has said what becomes of the metadata.
        wipes.store(before, Ordering::Relaxed);
        match errno {
            Errno::EBUSY | Errno::ENODEV => RpcError::failed(
                errno,
                format_args!("Parameter 'name': mirror '{name}' is being deleted already"),
            ),
            errno => RpcError::failed(
                errno,
                format_args!("Parameter 'name': mirror '{name}' not deleted"),
            ),
        }
    })
}

pub(super) async fn remove_base_bdev(mut params: Params<'_>) -> Result<bool, RpcError> {
    let name = params.required::<Name<'_, BASE_NAME_LEN_MAX>>("name")?;
    params.finish()?;
    remove(&name).await.map(|()| true)
}

/// Takes a base bdev out of its mirror.
///
/// # Errors
/// Names the parameter that is to blame.
pub(super) async fn remove(name: &str) -> Result<(), RpcError> {
    let (mirror, slot) = mirrors::find_by_leg(name).ok_or_else(|| {
        RpcError::failed(
            Errno::ENODEV,
            format_args!("Parameter 'name': bdev '{name}' is not a base bdev of any mirror"),
        )
    })?;
    let desk = &mirror.device().desk;
    let removed = desk.ask(|done| Job::Eject(slot, "it was removed by RPC", done));
    match removed.await.and_then(|removed| removed) {
        Ok(TakeOut::Out | TakeOut::WasOut) => Ok(()),
        Ok(TakeOut::Last) => Err(RpcError::failed(
            Errno::EBUSY,
            format_args!(
                "Parameter 'name': bdev '{name}' is the last base bdev of mirror '{}'",
                mirror.name()
            ),
        )),
        Err(errno) => Err(RpcError::failed(
            errno,
            format_args!(
                "Parameter 'name': base bdev '{name}' not removed from mirror '{}'",
                mirror.name()
            ),
        )),
    }
}
