//! What a bdev says of itself when it is registered.

use barespdk_sys as ffi;

use crate::rpc::{Params, RpcError};
use crate::uuid::Uuid;

/// The geometry and the limits of a bdev: the fields of `struct spdk_bdev` (`spdk/bdev_module.h`)
/// that a module sets. All sizes are in blocks where nothing else is said; 0 means that there is no
/// such limit or preference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Bytes per block, interleaved metadata included. Not 0.
    pub block_size: u32,
    /// How many blocks. Not 0.
    pub num_blocks: u64,
    /// The UUID; nil for one that SPDK makes up.
    pub uuid: Uuid,
    /// Whether writes may sit in a volatile cache until a flush.
    pub write_cache: bool,
    /// Bytes per block of the medium.
    pub physical_block_size: u32,
    /// Whether the bdev layer splits writes that are not of one write unit.
    pub split_on_write_unit: bool,
    /// Whether the bdev layer splits I/O at `optimal_io_boundary`.
    pub split_on_optimal_io_boundary: bool,
    /// The unit of writing; 0 is taken as 1.
    pub write_unit_size: u32,
    /// The boundary that I/O should not cross.
    pub optimal_io_boundary: u32,
    /// The alignment of writes that suits the medium.
    pub preferred_write_alignment: u32,
    /// The granularity of writes that suits the medium.
    pub preferred_write_granularity: u32,
    /// The size of writes that suits the medium.
    pub optimal_write_size: u32,
    /// The alignment of unmaps that suits the medium.
    pub preferred_unmap_alignment: u32,
    /// The granularity of unmaps that suits the medium.
    pub preferred_unmap_granularity: u32,
    /// The alignment of buffers as a power of two: 12 is 4096 bytes. The bdev layer copies what is
    /// not aligned so.
    pub required_alignment: u8,
    /// The largest read or write; larger ones are split.
    pub max_rw_size: u32,
    /// The largest unmap.
    pub max_unmap: u32,
    /// The largest write of zeroes.
    pub max_write_zeroes: u32,
    /// Bytes of metadata per block.
    pub md_size: u32,
    /// Whether metadata stands in the blocks; else it has buffers of its own.
    pub md_interleave: bool,
    /// The type of protection information: `SPDK_DIF_*`.
    pub dif_type: ffi::spdk_dif_type,
    /// The format of protection information: `SPDK_DIF_PI_FORMAT_*`.
    pub dif_pi_format: ffi::spdk_dif_pi_format,
    /// Whether protection information stands in the first bytes of the metadata.
    pub dif_is_head_of_md: bool,
    /// Which parts of the protection information are checked: `SPDK_DIF_FLAGS_*`.
    pub dif_check_flags: u32,
    /// The zones, where there are any.
    pub zones: Option<Zones>,
}

/// The zones of a bdev.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Zones {
    /// The size of each. Not 0.
    pub size: u64,
    /// How many blocks can be appended at once.
    pub max_append_size: u32,
    /// How many can be open.
    pub max_open: u32,
    /// How many can be open or closed, so partly written.
    pub max_active: u32,
    /// How many open ones suit the medium.
    pub optimal_open: u32,
}

impl Options {
    /// A bdev of this size that says no more of itself.
    pub fn new(block_size: u32, num_blocks: u64) -> Self {
        Self {
            block_size,
            num_blocks,
            uuid: Uuid::NIL,
            write_cache: false,
            physical_block_size: 0,
            split_on_write_unit: false,
            split_on_optimal_io_boundary: false,
            write_unit_size: 0,
            optimal_io_boundary: 0,
            preferred_write_alignment: 0,
            preferred_write_granularity: 0,
            optimal_write_size: 0,
            preferred_unmap_alignment: 0,
            preferred_unmap_granularity: 0,
            required_alignment: 0,
            max_rw_size: 0,
            max_unmap: 0,
            max_write_zeroes: 0,
            md_size: 0,
            md_interleave: false,
            dif_type: ffi::SPDK_DIF_DISABLE,
            dif_pi_format: ffi::SPDK_DIF_PI_FORMAT_16,
            dif_is_head_of_md: false,
            dif_check_flags: 0,
            zones: None,
        }
    }

    /// The options that an RPC gives: `block_size` and `num_blocks`, which must be there, and what
    /// [`Options::update`] reads.
    ///
    /// # Errors
    /// A parameter is missing, mistyped, or no good; the message names it, and the value.
    pub fn from_params(params: &mut Params<'_>) -> Result<Self, RpcError> {
        let mut options = Self::new(
            params.required::<u32>("block_size")?,
            params.required::<u64>("num_blocks")?,
        );
        options.update(params)?;
        Ok(options)
    }

    /// Takes those options that an RPC gives, and leaves the others: the parameters have the names of
    /// the fields, as SPDK's own RPCs have them. For bdevs on other bdevs, which begin with what those
    /// say of themselves. Not among them are the alignment of buffers and the largest sizes, which are
    /// the module's own affair, nor the protection information but its place.
    ///
    /// # Errors
    /// A parameter is mistyped, or no good; the message names it, and the value.
    pub fn update(&mut self, params: &mut Params<'_>) -> Result<(), RpcError> {
        macro_rules! read {
            ($($field:ident),*) => {
                $(
                    if let Some(value) = params.optional(stringify!($field))? {
                        self.$field = value;
                    }
                )*
            };
        }
        read!(
            block_size,
            num_blocks,
            uuid,
            write_cache,
            physical_block_size,
            split_on_write_unit,
            split_on_optimal_io_boundary,
            write_unit_size,
            optimal_io_boundary,
            preferred_write_alignment,
            preferred_write_granularity,
            optimal_write_size,
            preferred_unmap_alignment,
            preferred_unmap_granularity,
            md_size,
            md_interleave,
            dif_is_head_of_md
        );
        self.check()
    }

    /// Checks what the bdev layer would take and then stumble over.
    fn check(&self) -> Result<(), RpcError> {
        let split_at_nothing =
            |name| RpcError::invalid_param(name, "true, but there is no size to split at");
        if self.block_size == 0 {
            return Err(RpcError::invalid_param("block_size", "0 is not a size"));
        }
        if self.num_blocks == 0 {
            return Err(RpcError::invalid_param("num_blocks", "0 is not a size"));
        }
        if self.md_interleave && self.md_size >= self.block_size {
            return Err(RpcError::invalid_param(
                "md_size",
                format_args!(
                    "{} bytes leave no data in blocks of {}",
                    self.md_size, self.block_size
                ),
            ));
        }
        if self.split_on_write_unit && self.write_unit_size == 0 {
            return Err(split_at_nothing("split_on_write_unit"));
        }
        if self.split_on_optimal_io_boundary && self.optimal_io_boundary == 0 {
            return Err(split_at_nothing("split_on_optimal_io_boundary"));
        }
        Ok(())
    }

    /// Whether SPDK can register a bdev with these.
    pub(super) fn is_valid(&self) -> bool {
        // The bdev layer shifts by the alignment, divides by the block size, and takes interleaved
        // metadata off it.
        self.block_size > 0
            && self.num_blocks > 0
            && self.required_alignment < 32
            && !(self.md_interleave && self.md_size >= self.block_size)
            && self.zones.is_none_or(|zones| zones.size > 0)
    }

    pub(super) fn apply(&self, bdev: &mut ffi::spdk_bdev) {
        bdev.blocklen = self.block_size;
        bdev.blockcnt = self.num_blocks;
        bdev.uuid = ffi::spdk_uuid {
            u: ffi::spdk_uuid__u {
                raw: *self.uuid.as_bytes(),
            },
        };
        bdev.write_cache = self.write_cache.into();
        bdev.phys_blocklen = self.physical_block_size;
        bdev.set_split_on_write_unit(self.split_on_write_unit.into());
        bdev.set_split_on_optimal_io_boundary(self.split_on_optimal_io_boundary.into());
        bdev.write_unit_size = self.write_unit_size;
        bdev.optimal_io_boundary = self.optimal_io_boundary;
        bdev.preferred_write_alignment = self.preferred_write_alignment;
        bdev.preferred_write_granularity = self.preferred_write_granularity;
        bdev.optimal_write_size = self.optimal_write_size;
        bdev.preferred_unmap_alignment = self.preferred_unmap_alignment;
        bdev.preferred_unmap_granularity = self.preferred_unmap_granularity;
        bdev.required_alignment = self.required_alignment;
        bdev.max_rw_size = self.max_rw_size;
        bdev.max_unmap = self.max_unmap;
        bdev.max_write_zeroes = self.max_write_zeroes;
        bdev.md_len = self.md_size;
        bdev.set_md_interleave(self.md_interleave.into());
        bdev.dif_type = self.dif_type;
        bdev.dif_pi_format = self.dif_pi_format;
        bdev.set_dif_is_head_of_md(self.dif_is_head_of_md.into());
        bdev.dif_check_flags = self.dif_check_flags;
        if let Some(zones) = &self.zones {
            bdev.set_zoned(1);
            bdev.zone_size = zones.size;
            bdev.max_zone_append_size = zones.max_append_size;
            bdev.max_open_zones = zones.max_open;
            bdev.max_active_zones = zones.max_active;
            bdev.optimal_open_zones = zones.optimal_open;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::tokenizer::Document;

    fn read(text: &str) -> Result<Options, RpcError> {
        let document = Document::new(text);
        let mut params = Params::new(Some(document.value()))?;
        let options = Options::from_params(&mut params)?;
        params.finish()?;
        Ok(options)
    }

    #[track_caller]
    fn fails(text: &str, message: &str) {
        let error = read(text).expect_err("was accepted");
        assert_eq!(error.code(), RpcError::INVALID_PARAMS);
        assert_eq!(error.message(), message);
    }

    #[test]
    fn each_option_is_read_by_its_name() {
        let text = "{'block_size':520,'num_blocks':5000000000,'write_cache':true,\
            'physical_block_size':4160,'split_on_write_unit':true,\
            'split_on_optimal_io_boundary':true,'md_interleave':true,'md_size':8,\
            'dif_is_head_of_md':true,'write_unit_size':8,'optimal_io_boundary':64,\
            'preferred_write_alignment':1,'preferred_write_granularity':2,\
            'optimal_write_size':3,'preferred_unmap_alignment':4,\
            'preferred_unmap_granularity':5,'uuid':'01234567-89ab-cdef-0123-456789abcdef'}";
        let expected = Options {
            uuid: Uuid::parse("01234567-89ab-cdef-0123-456789abcdef").unwrap(),
            write_cache: true,
            physical_block_size: 4160,
            split_on_write_unit: true,
            split_on_optimal_io_boundary: true,
            md_interleave: true,
            md_size: 8,
            dif_is_head_of_md: true,
            write_unit_size: 8,
            optimal_io_boundary: 64,
            preferred_write_alignment: 1,
            preferred_write_granularity: 2,
            optimal_write_size: 3,
            preferred_unmap_alignment: 4,
            preferred_unmap_granularity: 5,
            ..Options::new(520, 5_000_000_000)
        };
        assert_eq!(read(text).unwrap(), expected);
        let least = "{'block_size':512,'num_blocks':1}";
        assert_eq!(read(least).unwrap(), Options::new(512, 1));
    }

    #[test]
    fn what_is_not_given_stays() {
        let document = Document::new("{'num_blocks':7,'write_cache':null}");
        let mut options = Options::new(4096, 8);
        options.write_cache = true;
        let mut params = Params::new(Some(document.value())).unwrap();
        options.update(&mut params).unwrap();
        params.finish().unwrap();
        assert_eq!(
            options,
            Options {
                write_cache: true,
                ..Options::new(4096, 7)
            }
        );
    }

    #[test]
    fn faults_are_named() {
        fails("{'num_blocks':1}", "Missing parameter 'block_size'");
        fails(
            "{'block_size':'x','num_blocks':1}",
            "Invalid parameter 'block_size': expected an integer from 0 to 4294967295, found \"x\"",
        );
        fails(
            "{'block_size':0,'num_blocks':1}",
            "Invalid parameter 'block_size': 0 is not a size",
        );
        fails(
            "{'block_size':512,'num_blocks':0}",
            "Invalid parameter 'num_blocks': 0 is not a size",
        );
        fails(
            "{'block_size':512,'num_blocks':1,'md_size':512,'md_interleave':true}",
            "Invalid parameter 'md_size': 512 bytes leave no data in blocks of 512",
        );
        fails(
            "{'block_size':512,'num_blocks':1,'split_on_write_unit':true}",
            "Invalid parameter 'split_on_write_unit': true, but there is no size to split at",
        );
        let text = "{'block_size':512,'num_blocks':1,'split_on_optimal_io_boundary':true}";
        assert!(read(text).is_err());
        fails(
            "{'block_size':512,'num_blocks':1,'write_cahce':true}",
            "Unknown parameter 'write_cahce' (known: block_size, num_blocks, \
             uuid, write_cache, physical_block_size, split_on_write_unit, \
             split_on_optimal_io_boundary, write_unit_size, optimal_io_boundary, \
             preferred_write_alignment, preferred_write_granularity, optimal_write_size, \
             preferred_unmap_alignment, preferred_unmap_granularity, md_size, md_interleave, \
             dif_is_head_of_md)",
        );
    }
}
