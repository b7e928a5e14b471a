//! What a bdev says of itself.

use std::ffi::c_char;

use barespdk_sys::*;

use super::device::Bdev;

/// # Safety
/// A bdev that the caller has open, or knows to be there.
unsafe fn of(bdev: *const spdk_bdev) -> Bdev {
    // SAFETY: the caller's word.
    unsafe { Bdev::new(bdev.cast_mut()) }
}

/// Defines functions that read one field of a bdev.
macro_rules! getters {
    ($($function:ident: $type:ty = $field:ident;)*) => {
        $(
            #[unsafe(no_mangle)]
            unsafe extern "C" fn $function(bdev: *const spdk_bdev) -> $type {
                // SAFETY: the caller has it open; the field does not change.
                unsafe { (*bdev).$field }
            }
        )*
        same_as_declared!($($function),*);
    };
}

getters! {
    spdk_bdev_get_write_unit_size: u32 = write_unit_size;
    spdk_bdev_get_optimal_io_boundary: u32 = optimal_io_boundary;
    spdk_bdev_get_acwu: u16 = acwu;
    spdk_bdev_get_md_size: u32 = md_len;
    spdk_bdev_get_physical_block_size: u32 = phys_blocklen;
    spdk_bdev_get_preferred_write_alignment: u32 = preferred_write_alignment;
    spdk_bdev_get_preferred_write_granularity: u32 = preferred_write_granularity;
    spdk_bdev_get_optimal_write_size: u32 = optimal_write_size;
    spdk_bdev_get_preferred_unmap_alignment: u32 = preferred_unmap_alignment;
    spdk_bdev_get_preferred_unmap_granularity: u32 = preferred_unmap_granularity;
    spdk_bdev_get_dif_pi_format: spdk_dif_pi_format = dif_pi_format;
    spdk_bdev_get_max_copy: u32 = max_copy;
}

/// Bytes of a block without metadata.
pub(super) fn data_block_size(device: Bdev) -> u32 {
    if device.is_md_interleaved() {
        device.blocklen() - device.md_len()
    } else {
        device.blocklen()
    }
}

pub(super) fn dif_type(device: Bdev) -> spdk_dif_type {
    if device.md_len() == 0 {
        return SPDK_DIF_DISABLE;
    }
    // SAFETY: see `Bdev`.
    unsafe { (*device.raw()).dif_type }
}

pub(super) fn is_dif_head_of_md(device: Bdev) -> bool {
    // SAFETY: see `Bdev`.
    dif_type(device) != SPDK_DIF_DISABLE && unsafe { (*device.raw()).dif_is_head_of_md() } != 0
}

#[unsafe(no_mangle)]
unsafe extern "C" fn spdk_bdev_io_type_supported(
    bdev: *mut spdk_bdev,
    io_type: spdk_bdev_io_type,
) -> bool {
    // SAFETY: the caller has it open.
    unsafe { of(bdev) }.supports(io_type)
}

#[unsafe(no_mangle)]
unsafe extern "C" fn spdk_bdev_get_name(bdev: *const spdk_bdev) -> *const c_char {
    // SAFETY: as above.
    unsafe { (*bdev).name }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn spdk_bdev_get_product_name(bdev: *const spdk_bdev) -> *const c_char {
    // SAFETY: as above.
    unsafe { (*bdev).product_name }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn spdk_bdev_get_num_blocks(bdev: *const spdk_bdev) -> u64 {
    // SAFETY: as above.
    unsafe { of(bdev) }.num_blocks()
}

#[unsafe(no_mangle)]
unsafe extern "C" fn spdk_bdev_get_buf_align(bdev: *const spdk_bdev) -> usize {
    // SAFETY: as above.
    unsafe { of(bdev) }.buf_align()
}

#[unsafe(no_mangle)]
unsafe extern "C" fn spdk_bdev_has_write_cache(bdev: *const spdk_bdev) -> bool {
    // SAFETY: as above.
    unsafe { (*bdev).write_cache != 0 }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn spdk_bdev_get_uuid(bdev: *const spdk_bdev) -> *const spdk_uuid {
    // SAFETY: as above.
    unsafe { &raw const (*bdev).uuid }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn spdk_bdev_is_md_interleaved(bdev: *const spdk_bdev) -> bool {
    // SAFETY: as above.
    unsafe { of(bdev) }.is_md_interleaved()
}

#[unsafe(no_mangle)]
unsafe extern "C" fn spdk_bdev_is_md_separate(bdev: *const spdk_bdev) -> bool {
    // SAFETY: as above.
    unsafe { of(bdev) }.is_md_separate()
}

#[unsafe(no_mangle)]
unsafe extern "C" fn spdk_bdev_is_zoned(bdev: *const spdk_bdev) -> bool {
    // SAFETY: as above.
    unsafe { of(bdev) }.is_zoned()
}

#[unsafe(no_mangle)]
unsafe extern "C" fn spdk_bdev_get_data_block_size(bdev: *const spdk_bdev) -> u32 {
    // SAFETY: as above.
    data_block_size(unsafe { of(bdev) })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn spdk_bdev_get_dif_type(bdev: *const spdk_bdev) -> spdk_dif_type {
    // SAFETY: as above.
    dif_type(unsafe { of(bdev) })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn spdk_bdev_is_dif_head_of_md(bdev: *const spdk_bdev) -> bool {
    // SAFETY: as above.
    is_dif_head_of_md(unsafe { of(bdev) })
}

same_as_declared!(
    spdk_bdev_io_type_supported,
    spdk_bdev_get_name,
    spdk_bdev_get_product_name,
    spdk_bdev_get_num_blocks,
    spdk_bdev_get_buf_align,
    spdk_bdev_has_write_cache,
    spdk_bdev_get_uuid,
    spdk_bdev_is_md_interleaved,
    spdk_bdev_is_md_separate,
    spdk_bdev_is_zoned,
    spdk_bdev_get_data_block_size,
    spdk_bdev_get_dif_type,
    spdk_bdev_is_dif_head_of_md
);
