use std::path::Path;
use std::sync::atomic::Ordering;

use barespdk_sys::{SPDK_ENV_NUMA_ID_ANY, SPDK_RPC_RUNTIME, spdk_bdev};
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::device::{self, Disk};
use super::super::memory::Memory;
use super::super::uuid::Uuid;
use super::{MODULE, Malloc, NAMES_GIVEN};
use crate::rpc::{self, RpcError};

/// Alignment of the disks' memory: that of a huge page.
const ALIGN: usize = 2 << 20;
/// A multiple of what block sizes are.
const SECTOR_SIZE: u32 = 512;

pub(super) fn add() {
    rpc::method("bdev_malloc_create", SPDK_RPC_RUNTIME, create);
    rpc::method_async("bdev_malloc_delete", SPDK_RPC_RUNTIME, |params, reply| {
        device::delete(&MODULE, params, reply, |_| ());
    });
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Create {
    name: Option<String>,
    #[serde(default)]
    uuid: Uuid,
    num_blocks: u64,
    block_size: u32,
    #[serde(default)]
    physical_block_size: u32,
    #[serde(default)]
    optimal_io_boundary: u32,
    #[serde(default)]
    md_size: u32,
    #[serde(default)]
    md_interleave: bool,
    #[serde(default)]
    dif_type: i32,
    #[serde(default)]
    dif_is_head_of_md: bool,
    #[serde(default)]
    dif_pi_format: u32,
    #[serde(default = "any_numa_id")]
    numa_id: i32,
}

fn any_numa_id() -> i32 {
    SPDK_ENV_NUMA_ID_ANY
}

fn create(params: Option<Value>) -> Result<Value, RpcError> {
    let params: Create = rpc::params(params)?;
    check(&params)?;
    let metadata_in_block = if params.md_interleave {
        params.md_size
    } else {
        0
    };
    let block_size = params.block_size + metadata_in_block;
    let allocate = |unit: u32| {
        usize::try_from(params.num_blocks)
            .ok()
            .and_then(|blocks| blocks.checked_mul(unit as usize))
            .filter(|&len| len > 0)
            .and_then(|len| Memory::new(len, ALIGN, params.numa_id))
            .ok_or(RpcError::from_errno(-libc::ENOMEM))
    };
    let data = allocate(block_size)?;
    let metadata = match params.md_size - metadata_in_block {
        0 => None,
        size => Some(allocate(size)?),
    };

    let name = params.name.unwrap_or_else(|| {
        let number = NAMES_GIVEN.fetch_add(1, Ordering::Relaxed);
        format!("Malloc{number}")
    });
    let mut bdev = spdk_bdev {
        write_cache: 1,
        blocklen: block_size,
        phys_blocklen: params.physical_block_size,
        blockcnt: params.num_blocks,
        md_len: params.md_size,
        optimal_io_boundary: params.optimal_io_boundary,
        uuid: params.uuid.into(),
        dif_pi_format: params.dif_pi_format,
        ..device::blank()
    };
    bdev.set_md_interleave(params.md_interleave.into());
    bdev.set_dif_is_head_of_md(params.dif_is_head_of_md.into());
    bdev.set_split_on_optimal_io_boundary((params.optimal_io_boundary != 0).into());
    // The node is a signed number above the bit that says that it is known.
    bdev.numa._bits0 = 1 | params.numa_id.cast_unsigned() << 1;

    let malloc = Malloc {
        data,
        metadata,
        metadata_size: params.md_size,
    };
    device::register(device::c_name(&name)?, bdev, malloc).map_err(RpcError::from_errno)?;
    Ok(Value::String(name))
}

fn check(params: &Create) -> Result<(), RpcError> {
    let invalid = RpcError::from_errno(-libc::EINVAL);
    if params.num_blocks == 0 {
        return Err(invalid);
    }
    if !params.block_size.is_multiple_of(SECTOR_SIZE)
        || !params.physical_block_size.is_multiple_of(SECTOR_SIZE)
        || params.block_size > u32::MAX - 128
    {
        return Err(invalid);
    }
    if !matches!(params.md_size, 0 | 8 | 16 | 32 | 64 | 128) {
        return Err(invalid);
    }
    if params.dif_type != 0 {
        // Checksums of blocks are nothing that a disk in memory without a target needs.
        return Err(RpcError::from_errno(-libc::ENOTSUP));
    }
    if params.numa_id != SPDK_ENV_NUMA_ID_ANY && !has_node(params.numa_id) {
        return Err(invalid);
    }
    Ok(())
}

fn has_node(id: i32) -> bool {
    id == 0 || Path::new(&format!("/sys/devices/system/node/node{id}")).exists()
}

/// The RPC that makes a disk.
pub(super) fn config(disk: &Disk<Malloc>) -> Value {
    // SAFETY: registered, and on the application thread, where the bdev layer changes properties.
    let bdev = unsafe { &*disk.bdev() };
    let mut call = json!({
        "method": "bdev_malloc_create",
        "params": {
            "name": disk.name_text(),
            "num_blocks": bdev.blockcnt,
            "block_size": bdev.blocklen,
            "physical_block_size": bdev.phys_blocklen,
            "uuid": disk.uuid().to_string(),
            "optimal_io_boundary": bdev.optimal_io_boundary,
            "md_size": bdev.md_len,
            "dif_type": bdev.dif_type,
            "dif_is_head_of_md": bdev.dif_is_head_of_md() != 0,
            "dif_pi_format": bdev.dif_pi_format,
            "numa_id": bdev.numa._bits0.cast_signed() >> 1,
        },
    });
    if bdev.md_interleave() != 0 {
        // What creates it is the size without metadata; SPDK saves the sum, which it then refuses.
        call["params"]["block_size"] = (bdev.blocklen - bdev.md_len).into();
        call["params"]["md_interleave"] = true.into();
    }
    call
}
