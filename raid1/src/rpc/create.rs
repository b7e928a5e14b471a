//! `raid1_create {name, base_bdevs, uuid?, superblock?, sync?, region_size_kib?, force?, raid_level?,
//! strip_size_kb?}`.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

use barespdk::bdev;
use barespdk::errno::Errno;
use barespdk::json::Name;
use barespdk::log_notice;
use barespdk::rpc::{Params, RpcError};
use barespdk::uuid::Uuid;

use super::{BASE_NAME_LEN_MAX, NAME_LEN_MAX};
use crate::driver::MODULE;
use crate::fresh::Fresh;
use crate::geometry;
use crate::leg::Leg;
use crate::legs::{LEGS_MAX, LegSet, Slot, Standing};
use crate::mirrors;
use crate::online::{Beginning, online};

pub(super) type BaseName<'a> = Name<'a, BASE_NAME_LEN_MAX>;

/// What legs that are made equal begin with.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sync {
    /// They may differ everywhere.
    Full,
    /// They are equal, says who asks.
    AssumeClean,
}

pub(super) async fn create(mut params: Params<'_>) -> Result<bool, RpcError> {
    let name = params.required::<Name<'_, NAME_LEN_MAX>>("name")?;
    let bases = params.required::<Vec<BaseName<'_>>>("base_bdevs")?;
    let uuid = params.optional::<Uuid>("uuid")?;
    let superblock = params.optional::<bool>("superblock")?.unwrap_or(true);
    let force = params.optional::<bool>("force")?.unwrap_or(false);
    let sync = params.optional_one_of(
        "sync",
        &[("full", Sync::Full), ("assume_clean", Sync::AssumeClean)],
    )?;
    let region_size_kib = params.optional::<u64>("region_size_kib")?;
    // What callers of `bdev_raid_create` say of a mirror is taken, and no more than that.
    params.optional_one_of("raid_level", &[("raid1", ()), ("1", ())])?;
    let strip_size_kb = params.optional::<u32>("strip_size_kb")?.unwrap_or(0);
    params.finish()?;

    if strip_size_kb != 0 {
        return Err(RpcError::invalid_param(
            "strip_size_kb",
            format_args!("a mirror has no strips, expected 0, found {strip_size_kb}"),
        ));
    }
    for (given, field) in [
        (sync.is_some(), "sync"),
        (region_size_kib.is_some(), "region_size_kib"),
        (force, "force"),
    ] {
        if given && !superblock {
            return Err(RpcError::invalid_param(
                field,
                format_args!("it is for mirrors with a superblock"),
            ));
        }
    }
    if let Some(kib) = region_size_kib.filter(|kib| !is_region_size(*kib)) {
        return Err(RpcError::invalid_param(
            "region_size_kib",
            format_args!(
                "expected a power of two from {REGION_KIB_MIN} to {REGION_KIB_MAX}, found {kib}"
            ),
        ));
    }
    make(Wanted {
        name: &name,
        bases: &bases,
        uuid,
        superblock,
        assume_clean: sync == Some(Sync::AssumeClean),
        region_bytes: region_size_kib.map(|kib| kib.saturating_mul(1024)),
        force,
    })
    .await
    .map(|()| true)
}

/// The size of a region, in KiB: at least what metadata is written in, and below what no mirror has.
const REGION_KIB_MIN: u64 = 4;
const REGION_KIB_MAX: u64 = 1 << 40;

fn is_region_size(kib: u64) -> bool {
    kib.is_power_of_two() && (REGION_KIB_MIN..=REGION_KIB_MAX).contains(&kib)
}

/// A mirror that is to be made.
pub(super) struct Wanted<'a> {
    pub(super) name: &'a str,
    pub(super) bases: &'a [BaseName<'a>],
    pub(super) uuid: Option<Uuid>,
    pub(super) superblock: bool,
    pub(super) assume_clean: bool,
    /// The size of a region, in bytes.
    pub(super) region_bytes: Option<u64>,
    /// Whatever is on the legs now may go.
    pub(super) force: bool,
}

/// Makes a mirror.
///
/// # Errors
/// Names the parameter that is to blame.
pub(super) async fn make(wanted: Wanted<'_>) -> Result<(), RpcError> {
    let Wanted { name, bases, .. } = wanted;
    if mirrors::find(name).is_some() {
        return Err(exists(name));
    }
    check_bases(bases)?;

    let legs = open_all(bases, name)?;
    let uuid = wanted
        .uuid
        .filter(|uuid| !uuid.is_nil())
        .unwrap_or_else(Uuid::random);
    let mut options = geometry::options_of(&legs, uuid).map_err(refused_legs)?;
    // Before anything is written to the legs.
    if bdev::exists(name) {
        return Err(exists(name));
    }
    if bdev::exists(&uuid.to_string()) {
        return Err(uuid_exists(uuid));
    }
    let mut in_sync = LegSet::from_bits(u16::MAX);
    let (metadata, undo) = if wanted.superblock {
        let fresh = Fresh {
            name,
            uuid,
            legs: &legs,
            options: &options,
            region_bytes: wanted.region_bytes,
            assume_clean: wanted.assume_clean,
            force: wanted.force,
        };
        let (metadata, undo) = fresh.write().await.map_err(refused_legs)?;
        in_sync = fresh.in_sync();
        options.num_blocks = metadata.data_size_blocks;
        (Some(metadata), Some(undo))
    } else {
        (None, None)
    };
    let beginning = Beginning {
        name: name.to_string(),
        uuid,
        places: legs
            .into_iter()
            .zip((0..).map_while(Slot::of))
            .map(|(leg, slot)| match in_sync.contains(slot) {
                true => (Some(leg), Standing::InSync),
                false => (Some(leg), Standing::Rebuilding),
            })
            .collect(),
        options,
        metadata,
    };
    if let Err(errno) = online(beginning).await {
        // A mirror that there is not must not come back from its legs.
        if let Some(undo) = undo {
            undo.restore(name).await;
        }
        return Err(match errno {
            Errno::EEXIST if bdev::exists(name) => exists(name),
            Errno::EEXIST => uuid_exists(uuid),
            errno => RpcError::failed(
                errno,
                format_args!("Parameter 'name': bdev '{name}' not registered"),
            ),
        });
    }
    let copied = match in_sync.len() < bases.len() {
        true => ", the first is copied to the others",
        false => "",
    };
    log_notice!(
        "raid1 {name}: online with {} base bdevs{copied}",
        bases.len()
    );
    Ok(())
}

pub(super) fn refused_legs(reason: String) -> RpcError {
    RpcError::failed(
        Errno::EINVAL,
        format_args!("Parameter 'base_bdevs': {reason}"),
    )
}

fn uuid_exists(uuid: Uuid) -> RpcError {
    RpcError::failed(
        Errno::EEXIST,
        format_args!("Parameter 'uuid': there is a bdev '{uuid}' already"),
    )
}

pub(super) fn exists(name: &str) -> RpcError {
    RpcError::failed(
        Errno::EEXIST,
        format_args!("Parameter 'name': there is a bdev '{name}' already"),
    )
}

pub(super) fn check_bases(bases: &[BaseName<'_>]) -> Result<(), RpcError> {
    if bases.is_empty() || bases.len() > LEGS_MAX {
        return Err(RpcError::invalid_param(
            "base_bdevs",
            format_args!(
                "a mirror has 1 to {LEGS_MAX} base bdevs, found {}",
                bases.len()
            ),
        ));
    }
    for (index, base) in bases.iter().enumerate() {
        if let Some(first) = bases.iter().take(index).position(|other| **other == **base) {
            return Err(RpcError::invalid_param(
                "base_bdevs",
                format_args!("'{base}' is given twice, at {first} and at {index}"),
            ));
        }
    }
    Ok(())
}

/// Opens all base bdevs, and claims them.
pub(super) fn open_all(bases: &[BaseName<'_>], mirror: &str) -> Result<Vec<Leg>, RpcError> {
    let failed = |index: usize, errno, reason: fmt::Arguments<'_>| {
        let base = &*bases[index];
        RpcError::failed(
            errno,
            format_args!("Parameter 'base_bdevs[{index}]': bdev '{base}' {reason}"),
        )
    };
    let mut legs = Vec::<Leg>::with_capacity(bases.len());
    for (index, base) in bases.iter().enumerate() {
        let leg = Leg::open(base, mirror).map_err(|errno| {
            let reason = match errno {
                Errno::ENODEV => "does not exist",
                Errno::EPERM => "is claimed already",
                _ => "cannot be opened",
            };
            failed(index, errno, format_args!("{reason}"))
        })?;
        // One goes by its name and by aliases.
        if let Some(first) = legs.iter().position(|other| other.is(leg.desc.name())) {
            let reason = format_args!("is base_bdevs[{first}], '{}', again", legs[first].name);
            return Err(failed(index, Errno::EPERM, reason));
        }
        legs.push(leg);
    }
    for (index, leg) in legs.iter().enumerate() {
        MODULE
            .claim(&leg.desc)
            .map_err(|errno| failed(index, errno, format_args!("is claimed already")))?;
    }
    Ok(legs)
}
