use std::ffi::c_void;
use std::ptr;

use barespdk_sys::{
    SPDK_RPC_RUNTIME, spdk_bdev, spdk_bdev_close, spdk_bdev_desc_get_bdev, spdk_bdev_event_type,
    spdk_bdev_notify_blockcnt_change, spdk_bdev_open_ext,
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::device::{self, Disk};
use super::super::uuid::Uuid;
use super::{MODULE, Null};
use crate::rpc::{self, RpcError};

/// A multiple of what block sizes are.
const SECTOR_SIZE: u32 = 512;
const MIB: u64 = 1 << 20;

pub(super) fn add() {
    rpc::method("bdev_null_create", SPDK_RPC_RUNTIME, create);
    rpc::method_async("bdev_null_delete", SPDK_RPC_RUNTIME, |params, reply| {
        device::delete(&MODULE, params, reply, |_| ());
    });
    rpc::method("bdev_null_resize", SPDK_RPC_RUNTIME, resize);
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Create {
    name: String,
    #[serde(default)]
    uuid: Uuid,
    num_blocks: u64,
    block_size: u32,
    #[serde(default)]
    physical_block_size: u32,
    #[serde(default)]
    md_size: u32,
    #[serde(default)]
    dif_type: i32,
    #[serde(default)]
    dif_is_head_of_md: bool,
    #[serde(default)]
    dif_pi_format: u32,
    #[serde(default)]
    preferred_write_alignment: u32,
    #[serde(default)]
    preferred_write_granularity: u32,
    #[serde(default)]
    optimal_write_size: u32,
    #[serde(default)]
    preferred_unmap_alignment: u32,
    #[serde(default)]
    preferred_unmap_granularity: u32,
}

fn create(params: Option<Value>) -> Result<Value, RpcError> {
    let params: Create = rpc::params(params)?;
    check(&params)?;
    let mut bdev = spdk_bdev {
        blocklen: params.block_size + params.md_size,
        phys_blocklen: params.physical_block_size,
        blockcnt: params.num_blocks,
        md_len: params.md_size,
        dif_pi_format: params.dif_pi_format,
        preferred_write_alignment: params.preferred_write_alignment,
        preferred_write_granularity: params.preferred_write_granularity,
        optimal_write_size: params.optimal_write_size,
        preferred_unmap_alignment: params.preferred_unmap_alignment,
        preferred_unmap_granularity: params.preferred_unmap_granularity,
        uuid: params.uuid.into(),
        ..device::blank()
    };
    bdev.set_md_interleave(1);
    bdev.set_dif_is_head_of_md(params.dif_is_head_of_md.into());
    device::register(device::c_name(&params.name)?, bdev, Null).map_err(RpcError::from_errno)?;
    Ok(Value::String(params.name))
}

fn check(params: &Create) -> Result<(), RpcError> {
    if params.num_blocks == 0
        || params.block_size == 0
        || !params.block_size.is_multiple_of(SECTOR_SIZE)
        || params.block_size > u32::MAX - 128
        || !params.physical_block_size.is_multiple_of(SECTOR_SIZE)
        || !matches!(params.md_size, 0 | 8 | 16 | 32 | 64 | 128)
    {
        return Err(RpcError::from_errno(-libc::EINVAL));
    }
    if params.dif_type != 0 {
        return Err(RpcError::from_errno(-libc::ENOTSUP));
    }
    Ok(())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Resize {
    name: String,
    /// In MiB.
    new_size: u64,
}

fn resize(params: Option<Value>) -> Result<Value, RpcError> {
    let params: Resize = rpc::params(params)?;
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
    // SAFETY: the descriptor is open.
    let rc = unsafe {
        let rc = match device::disk_of::<Null>(spdk_bdev_desc_get_bdev(desc)) {
            Some(disk) => resize_disk(disk, params.new_size),
            None => -libc::EINVAL,
        };
        spdk_bdev_close(desc);
        rc
    };
    match rc {
        0 => Ok(Value::Bool(true)),
        rc => Err(RpcError::from_errno(rc)),
    }
}

fn resize_disk(disk: &Disk<Null>, size_mib: u64) -> i32 {
    let block_size = u64::from(disk.block_size());
    let size_mib_now = u128::from(block_size) * u128::from(disk.num_blocks()) / u128::from(MIB);
    let Some(size) = size_mib.checked_mul(MIB) else {
        return -libc::EINVAL;
    };
    if u128::from(size_mib) < size_mib_now {
        return -libc::EINVAL;
    }
    // SAFETY: registered and open, on the application thread.
    unsafe { spdk_bdev_notify_blockcnt_change(disk.bdev(), size / block_size) }
}

unsafe extern "C" fn ignore_event(
    _type: spdk_bdev_event_type,
    _bdev: *mut spdk_bdev,
    _ctx: *mut c_void,
) {
}

/// The RPC that makes a disk.
pub(super) fn config(disk: &Disk<Null>) -> Value {
    // SAFETY: registered, and on the application thread, where the bdev layer changes properties.
    let bdev = unsafe { &*disk.bdev() };
    json!({
        "method": "bdev_null_create",
        "params": {
            "name": disk.name_text(),
            "num_blocks": bdev.blockcnt,
            // Without metadata, as it is created.
            "block_size": bdev.blocklen - bdev.md_len,
            "physical_block_size": bdev.phys_blocklen,
            "md_size": bdev.md_len,
            "dif_type": bdev.dif_type,
            "dif_is_head_of_md": bdev.dif_is_head_of_md() != 0,
            "dif_pi_format": bdev.dif_pi_format,
            "uuid": disk.uuid().to_string(),
            "preferred_write_granularity": bdev.preferred_write_granularity,
            "preferred_write_alignment": bdev.preferred_write_alignment,
            "optimal_write_size": bdev.optimal_write_size,
            "preferred_unmap_granularity": bdev.preferred_unmap_granularity,
            "preferred_unmap_alignment": bdev.preferred_unmap_alignment,
        },
    })
}
