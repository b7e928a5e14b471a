use std::ffi::{CString, c_void};
use std::ptr;
use std::sync::atomic::AtomicBool;

use barespdk_sys::{
    SPDK_RPC_RUNTIME, spdk_bdev, spdk_bdev_close, spdk_bdev_desc_get_bdev, spdk_bdev_event_type,
    spdk_bdev_notify_blockcnt_change, spdk_bdev_open_ext,
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::device::{self, Disk, Named};
use super::super::uuid::Uuid;
use super::file::File;
use super::{Aio, MODULE, removal};
use crate::rpc::{self, RpcError};

const BLOCK_SIZE_MIN: u32 = 512;

pub(super) fn add() {
    rpc::method_async("bdev_aio_create", SPDK_RPC_RUNTIME, |params, reply| {
        match create(params) {
            // Whatever builds on it is there, too, when the answer is.
            Ok(name) => rpc::call("bdev_wait_for_examine", None, |_| reply.send(Ok(name))),
            Err(error) => reply.send(Err(error)),
        }
    });
    rpc::method_async("bdev_aio_delete", SPDK_RPC_RUNTIME, |params, reply| {
        device::delete(&MODULE, params, reply, |_| ());
    });
    rpc::method("bdev_aio_rescan", SPDK_RPC_RUNTIME, rescan);
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Create {
    name: String,
    filename: String,
    /// In bytes; 0 for what the device has.
    #[serde(default)]
    block_size: u32,
    #[serde(default)]
    readonly: bool,
    #[serde(default)]
    fallocate: bool,
    #[serde(default)]
    uuid: Uuid,
    #[serde(default)]
    nowait: bool,
    /// Past the page cache where that is possible. SPDK has no choice.
    #[serde(default = "yes")]
    direct: bool,
}

fn yes() -> bool {
    true
}

fn create(params: Option<Value>) -> Result<Value, RpcError> {
    let params: Create = rpc::params(params)?;
    let name = device::c_name(&params.name)?;
    let filename = CString::new(params.filename.as_str())
        .map_err(|_| RpcError::invalid_params("filename: contains a NUL character"))?;
    let mut file = File::open(&filename, params.readonly, params.direct).map_err(|rc| {
        error_log!("{}: cannot open {}\n", params.name, params.filename);
        RpcError::from_errno(rc)
    })?;
    if params.nowait && !file.is_block_device() {
        error_log!("{}: nowait is for block devices\n", params.name);
        return Err(RpcError::from_errno(-libc::ENOTSUP));
    }
    let sector_size = file.sector_size();
    let block_size = block_size(&params, sector_size).map_err(|reason| {
        error_log!("{}: {reason}\n", params.name);
        RpcError::from_errno(-libc::EINVAL)
    })?;
    let size = file.size();
    if !size.is_multiple_of(u64::from(block_size)) {
        error_log!(
            "{}: size {size} is not a multiple of block size {block_size}\n",
            params.name
        );
        return Err(RpcError::from_errno(-libc::EINVAL));
    }
    file.settle(block_size);
    if params.direct && !file.is_direct() {
        notice_log!(
            "{}: {} goes through the page cache, as its file system wants it\n",
            params.name,
            params.filename
        );
    }

    let bdev = spdk_bdev {
        write_cache: 1,
        blocklen: block_size,
        blockcnt: size / u64::from(block_size),
        required_alignment: sector_size.unwrap_or(block_size).ilog2() as u8,
        uuid: params.uuid.into(),
        ..device::blank()
    };
    let aio = Aio {
        file,
        filename: params.filename,
        block_size_override: params.block_size != 0,
        readonly: params.readonly,
        fallocate: params.fallocate,
        nowait: params.nowait,
        direct: params.direct,
        removing: AtomicBool::new(false),
    };
    device::register(name, bdev, aio).map_err(RpcError::from_errno)?;
    Ok(Value::String(params.name))
}

fn block_size(params: &Create, sector_size: Option<u32>) -> Result<u32, String> {
    let size = match params.block_size {
        0 => sector_size.ok_or("the block size of a file is to be given")?,
        size => size,
    };
    match sector_size {
        Some(sector_size) if size < sector_size => {
            return Err(format!(
                "block size {size} is smaller than the device's, {sector_size}"
            ));
        }
        Some(sector_size) if size != sector_size => {
            warn_log!(
                "{}: block size {size} is not the device's, {sector_size}\n",
                params.name
            );
        }
        _ => {}
    }
    if size < BLOCK_SIZE_MIN || !size.is_power_of_two() {
        return Err(format!(
            "block size {size} is not a power of two of at least {BLOCK_SIZE_MIN}"
        ));
    }
    Ok(size)
}

fn rescan(params: Option<Value>) -> Result<Value, RpcError> {
    let params: Named = rpc::params(params)?;
    let name = device::c_name(&params.name)?;
    let mut desc = ptr::null_mut();
    // SAFETY: on the application thread, where the descriptor is closed below.
    let rc = unsafe {
        spdk_bdev_open_ext(
            name.as_ptr(),
            false,
            Some(ignore_event),
            ptr::null_mut(),
            &mut desc,
        )
    };
    if rc != 0 {
        return Err(RpcError::from_errno(rc));
    }
    // SAFETY: the descriptor is open, so that the bdev stays registered.
    let rc = unsafe {
        let rc = match device::disk_of::<Aio>(spdk_bdev_desc_get_bdev(desc)) {
            Some(disk) => rescan_disk(disk),
            None => -libc::ENODEV,
        };
        spdk_bdev_close(desc);
        rc
    };
    match rc {
        0 => Ok(Value::Bool(true)),
        rc => Err(RpcError::from_errno(rc)),
    }
}

fn rescan_disk(disk: &Disk<Aio>) -> i32 {
    let size = disk.device().file.size();
    if size == 0 {
        removal::begin(disk);
        return 0;
    }
    let blocks_before = disk.num_blocks();
    let blocks = size / u64::from(disk.block_size());
    if blocks == blocks_before {
        return 0;
    }
    notice_log!(
        "{}: resized from {blocks_before} to {blocks} blocks\n",
        disk.name_text()
    );
    // SAFETY: registered and open, on the application thread.
    unsafe { spdk_bdev_notify_blockcnt_change(disk.bdev(), blocks) }
}

unsafe extern "C" fn ignore_event(
    _type: spdk_bdev_event_type,
    _bdev: *mut spdk_bdev,
    _ctx: *mut c_void,
) {
}

/// What describes a disk.
pub(super) fn info(aio: &Aio) -> Value {
    let mut info = json!({
        "filename": aio.filename,
        "block_size_override": aio.block_size_override,
        "readonly": aio.readonly,
        "fallocate": aio.fallocate,
        "nowait": aio.nowait,
    });
    mention_cache(aio, &mut info);
    info
}

/// The RPC that makes a disk.
pub(super) fn config(disk: &Disk<Aio>) -> Value {
    let aio = disk.device();
    let mut params = json!({ "name": disk.name_text() });
    if aio.block_size_override {
        params["block_size"] = disk.block_size().into();
    }
    params["filename"] = aio.filename.as_str().into();
    params["readonly"] = aio.readonly.into();
    params["fallocate"] = aio.fallocate.into();
    if !disk.uuid().is_null() {
        params["uuid"] = disk.uuid().to_string().into();
    }
    params["nowait"] = aio.nowait.into();
    mention_cache(aio, &mut params);
    json!({ "method": "bdev_aio_create", "params": params })
}

/// Says that a file goes through the page cache, if it was asked for. Nothing otherwise, as SPDK
/// knows no such parameter.
fn mention_cache(aio: &Aio, params: &mut Value) {
    if !aio.direct {
        params["direct"] = false.into();
    }
}
