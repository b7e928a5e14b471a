//! The RPCs of SPDK's `bdev_raid` for mirrors of ours: names, parameters, results and errors as of v26.01, for
//! tools that know those alone.
//!
//! C: `module/bdev/raid/bdev_raid_rpc.c`. An application registers them where SPDK's own module is not
//! linked. What is safer stays so: a base bdev that holds something is not overwritten, the last one is not
//! removed, nothing waits for base bdevs that are not there, and a mirror that is deleted is deleted from its
//! base bdevs.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::sync::atomic::Ordering;

use barespdk::errno::Errno;
use barespdk::json::{ObjectWriter, ValueWriter};
use barespdk::rpc::{Json, Params, Reply, RpcError};
use barespdk::uuid::Uuid;

use super::create::{BaseName, Wanted, make};
use super::{NAME_LEN_MAX, add, remove};
use crate::keeper::LIMIT_MIB_S;
use crate::mirror::Mirror;
use crate::mirrors;

/// Of JSON-RPC, and what SPDK answers to parameters that it does not understand.
const PARSE_ERROR: i32 = -32700;

/// Levels that SPDK knows, all but raid1.
const OTHER_LEVELS: [&str; 5] = ["raid0", "0", "raid5f", "5f", "concat"];

/// Base bdevs of a mirror, to SPDK.
const BASES_MIN: usize = 2;

fn not_decoded(code: i32) -> impl Fn(RpcError) -> RpcError {
    move |_| RpcError::new(code, "spdk_json_decode_object failed")
}

/// As SPDK has it: the text of the error number, without its symbol.
fn failed(errno: Errno, what: fmt::Arguments<'_>) -> RpcError {
    RpcError::new(errno.to_rc(), format_args!("{what}: {}", text(errno)))
}

fn text(errno: Errno) -> &'static str {
    errno.description().unwrap_or("Unknown error")
}

/// The error number of an error of our own RPCs.
fn errno_of(error: &RpcError) -> Errno {
    match error.code() {
        RpcError::INVALID_PARAMS => Errno::EINVAL,
        code => Errno::new(code),
    }
}

pub(super) async fn create(params: Params<'_>) -> Result<bool, RpcError> {
    let asked = Creation::of(params).map_err(not_decoded(PARSE_ERROR))?;
    if asked.bases.iter().any(String::is_empty) {
        let what = format_args!("The base bdev name cannot be empty");
        return Err(failed(Errno::EINVAL, what));
    }
    asked.make().await.map_err(|errno| {
        let what = format_args!("Failed to create RAID bdev {}", asked.name);
        failed(errno, what)
    })?;
    Ok(true)
}

struct Creation {
    name: String,
    strip_size_kb: u32,
    is_raid1: bool,
    bases: Vec<String>,
    uuid: Option<Uuid>,
    superblock: bool,
}

impl Creation {
    fn of(mut params: Params<'_>) -> Result<Self, RpcError> {
        let name = params.required("name")?;
        let strip_size_kb = params.optional("strip_size_kb")?.unwrap_or(0);
        let level = params.required::<String>("raid_level")?;
        let bases = params.required("base_bdevs")?;
        let uuid = params.optional("uuid")?;
        let superblock = params.optional("superblock")?.unwrap_or(false);
        params.finish()?;
        let level = level.to_ascii_lowercase();
        let is_raid1 = ["raid1", "1"].contains(&level.as_str());
        if !is_raid1 && !OTHER_LEVELS.contains(&level.as_str()) {
            return Err(RpcError::invalid_params("no such level"));
        }
        Ok(Self {
            name,
            strip_size_kb,
            is_raid1,
            bases,
            uuid,
            superblock,
        })
    }

    async fn make(&self) -> Result<(), Errno> {
        if self.name.len() > NAME_LEN_MAX {
            return Err(Errno::EINVAL);
        }
        if mirrors::find(&self.name).is_some() {
            return Err(Errno::EEXIST);
        }
        if self.strip_size_kb != 0 || !self.is_raid1 || self.bases.len() < BASES_MIN {
            return Err(Errno::EINVAL);
        }
        let bases = self.bases.iter().map(|base| BaseName::new(base));
        let bases: Vec<BaseName<'_>> = bases.collect::<Option<_>>().ok_or(Errno::EINVAL)?;
        let wanted = Wanted {
            name: &self.name,
            bases: &bases,
            uuid: self.uuid,
            superblock: self.superblock,
            assume_clean: false,
            region_bytes: None,
            force: false,
        };
        make(wanted).await.map_err(|error| errno_of(&error))
    }
}

pub(super) async fn delete(mut params: Params<'_>) -> Result<bool, RpcError> {
    let name = only(&mut params, "name").and_then(|name| params.finish().map(|()| name));
    let name = name.map_err(not_decoded(PARSE_ERROR))?;
    if mirrors::find(&name).is_none() {
        let message = format_args!("raid bdev {name} not found");
        return Err(RpcError::new(Errno::ENODEV.to_rc(), message));
    }
    match remove::delete_mirror(&name, false).await {
        Ok(()) => Ok(true),
        Err(error) => Err(RpcError::internal(text(errno_of(&error)))),
    }
}

fn only(params: &mut Params<'_>, field: &'static str) -> Result<String, RpcError> {
    params.required(field)
}

pub(super) async fn add_base_bdev(mut params: Params<'_>) -> Result<bool, RpcError> {
    let base = only(&mut params, "base_bdev");
    let raid = only(&mut params, "raid_bdev");
    let asked = base.and_then(|base| Ok((base, raid?)));
    let asked = asked.and_then(|asked| params.finish().map(|()| asked));
    let (base, raid) = asked.map_err(not_decoded(RpcError::INTERNAL_ERROR))?;
    if mirrors::find(&raid).is_none() {
        let message = format_args!("raid bdev {raid} is not found in config");
        return Err(RpcError::new(Errno::ENODEV.to_rc(), message));
    }
    match add::add(&raid, &base, false).await {
        Ok(()) => Ok(true),
        Err(error) => {
            let what = format_args!("Failed to add base bdev {base} to RAID bdev {raid}");
            Err(failed(errno_of(&error), what))
        }
    }
}

pub(super) async fn remove_base_bdev(mut params: Params<'_>) -> Result<bool, RpcError> {
    let name = only(&mut params, "name").and_then(|name| params.finish().map(|()| name));
    let name = name.map_err(not_decoded(PARSE_ERROR))?;
    match remove::remove(&name).await {
        Ok(()) => Ok(true),
        Err(error) => {
            let message = "Failed to remove base bdev from raid bdev";
            Err(RpcError::new(errno_of(&error).to_rc(), message))
        }
    }
}

pub(super) fn get_bdevs(mut params: Params<'_>) -> Result<impl Reply + use<>, RpcError> {
    let category = only(&mut params, "category");
    let category = category.and_then(|category| params.finish().map(|()| category));
    let category = category.map_err(not_decoded(PARSE_ERROR))?;
    let mirrors = match category.to_ascii_lowercase().as_str() {
        "online" => mirrors::all(),
        "configuring" | "offline" => Vec::new(),
        // In small letters alone.
        _ if category == "all" => mirrors::all(),
        _ => return Err(RpcError::new(Errno::EINVAL.to_rc(), text(Errno::EINVAL))),
    };
    Ok(Json(move |writer: ValueWriter<'_>| {
        writer.array(|list| {
            for mirror in mirrors {
                list.object(|object: &mut ObjectWriter<'_>| {
                    object.field("name", mirror.name());
                    describe(mirror.device(), object);
                });
            }
        });
    }))
}

/// What SPDK tells of an array, and no more.
fn describe(mirror: &Mirror, object: &mut ObjectWriter<'_>) {
    let report = mirror.report.lock();
    let legs = mirror.legs.lock();
    let present = legs.staying();
    object.field("uuid", &mirror.uuid);
    object.field("strip_size_kb", &0_u32);
    object.field("state", "online");
    object.field("raid_level", "raid1");
    object.field("superblock", &mirror.regions.is_some());
    object.field("num_base_bdevs", &legs.num_slots());
    object.field("num_base_bdevs_discovered", &present.len());
    object.field("num_base_bdevs_operational", &present.len());
    // One at a time: the first.
    let rebuild = legs.open().find_map(|(slot, leg)| {
        let progress = report.rebuilds.get(slot.index())?.as_ref()?;
        Some((leg, progress))
    });
    if let Some((leg, progress)) = rebuild {
        let (done, total) = (progress.done_blocks(), progress.total_blocks().max(1));
        object.object("process", |process| {
            process.field("type", "rebuild");
            process.field("target", leg.name.as_str());
            process.object("progress", |progress| {
                progress.field("blocks", &done);
                progress.field("percent", &(done.saturating_mul(100) / total));
            });
        });
    }
    object.array("base_bdevs_list", |list| {
        for slot in legs.slots() {
            let leg = legs.get(slot).filter(|_| present.contains(slot));
            list.object(|object| {
                object.field("name", &leg.map(|leg| leg.name.as_str()));
                object.field("uuid", &leg.map_or(Uuid::NIL, |leg| leg.uuid));
                object.field("is_configured", &leg.is_some());
                object.field("data_offset", &mirror.data_offset_blocks);
                object.field("data_size", &mirror.num_blocks());
            });
        }
    });
}

/// The size of a window is for each rebuild to find; the bandwidth is that of ours.
pub(super) fn set_options(mut params: Params<'_>) -> Result<bool, RpcError> {
    let window = params.optional::<u32>("process_window_size_kb");
    let bandwidth = params.optional::<u32>("process_max_bandwidth_mb_sec");
    let asked = window.and_then(|window| Ok((window, bandwidth?)));
    let asked = asked.and_then(|asked| params.finish().map(|()| asked));
    let (window, bandwidth) = asked.map_err(not_decoded(PARSE_ERROR))?;
    if window == Some(0) {
        return Err(RpcError::new(Errno::EINVAL.to_rc(), text(Errno::EINVAL)));
    }
    if let Some(bandwidth) = bandwidth {
        LIMIT_MIB_S.store(bandwidth, Ordering::Relaxed);
    }
    Ok(true)
}
