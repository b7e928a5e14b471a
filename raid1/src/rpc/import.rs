//! `raid1_import {base_bdevs, name?, source?, assume_clean?, region_size_kib?}`: takes over an array of SPDK's
//! `bdev_raid` where it is.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use barespdk::bdev;
use barespdk::errno::Errno;
use barespdk::json::Name;
use barespdk::rpc::{Params, RpcError};
use barespdk::{log_notice, log_warn};

use super::create::{BaseName, check_bases, exists, open_all, refused_legs};
use super::{BASE_NAME_LEN_MAX, NAME_LEN_MAX};
use crate::keeper::{Arrival, Job, Lacks};
use crate::online::online;
use crate::takeover::{self, Import, Imported};
use crate::{geometry, mirrors};

pub(super) async fn import(mut params: Params<'_>) -> Result<bool, RpcError> {
    let bases = params.required::<Vec<BaseName<'_>>>("base_bdevs")?;
    let name = params.optional::<Name<'_, NAME_LEN_MAX>>("name")?;
    let source = params.optional::<Name<'_, BASE_NAME_LEN_MAX>>("source")?;
    let assume_clean = params.optional::<bool>("assume_clean")?.unwrap_or(false);
    let region_size_kib = params.optional::<u64>("region_size_kib")?;
    params.finish()?;

    check_bases(&bases)?;
    let source = source_of(source.as_deref(), assume_clean, &bases)?;
    let name = match (name, bases.first()) {
        (Some(name), _) => name.to_string(),
        (None, Some(first)) => {
            let array = takeover::look(first).await.map_err(refused_legs)?;
            array.name.to_string()
        }
        (None, None) => String::new(),
    };
    if bdev::exists(&name) || mirrors::find(&name).is_some() {
        return Err(exists(&name));
    }
    let import = Import {
        name: &name,
        legs: open_all(&bases, &name)?,
        source,
        assume_clean,
        region_bytes: region_size_kib.map(|kib| kib.saturating_mul(1024)),
    };
    let Imported {
        beginning,
        stale,
        undo,
    } = import.write().await.map_err(refused_legs)?;
    let mirror = match online(beginning).await {
        Ok(mirror) => mirror,
        Err(errno) => {
            undo.restore(&name).await;
            return Err(match errno {
                Errno::EEXIST if bdev::exists(&name) => exists(&name),
                errno => RpcError::failed(
                    errno,
                    format_args!("Parameter 'name': bdev '{name}' not registered"),
                ),
            });
        }
    };
    drop(undo);
    log_notice!(
        "raid1 {name}: online, taken over from bdev_raid with {} base bdevs",
        bases.len() - stale.len()
    );
    for leg in stale {
        let base = leg.name.clone();
        let added = match geometry::fits(&leg, mirror.device()) {
            Err(reason) => Err(reason),
            Ok(()) => {
                let arrival = Arrival {
                    leg,
                    slot: None,
                    lacks: Lacks::All,
                };
                let desk = &mirror.device().desk;
                match desk.ask(|done| Job::Add(arrival, done)).await {
                    Ok(Ok(_slot)) => Ok(()),
                    Ok(Err((_, reason))) => Err(reason),
                    Err(errno) => Err(errno.to_string()),
                }
            }
        };
        if let Err(reason) = added {
            log_warn!("raid1 {name}: base bdev '{base}' is not taken over: {reason}");
        }
    }
    Ok(true)
}

/// Which of the base bdevs is right.
fn source_of(
    source: Option<&str>,
    assume_clean: bool,
    bases: &[BaseName<'_>],
) -> Result<Option<usize>, RpcError> {
    let Some(source) = source else {
        return Ok(None);
    };
    if assume_clean {
        return Err(RpcError::invalid_param(
            "source",
            "with 'assume_clean' all base bdevs are right",
        ));
    }
    let position = bases.iter().position(|base| **base == *source);
    let refused =
        || RpcError::invalid_param("source", format_args!("'{source}' is none of 'base_bdevs'"));
    position.map(Some).ok_or_else(refused)
}
