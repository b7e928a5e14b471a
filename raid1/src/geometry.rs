//! What a mirror looks like from outside, as its legs make it.

use alloc::format;
use alloc::string::String;

use barespdk::bdev::{Desc, IoType};
use barespdk::module::Options;
use barespdk::uuid::Uuid;

use crate::leg::Leg;
use crate::mirror::Mirror;

/// What a mirror of these legs says of itself.
///
/// # Errors
/// Says which legs do not go together, and why.
pub(crate) fn options_of(legs: &[Leg], uuid: Uuid) -> Result<Options, String> {
    let Some((first, others)) = legs.split_first() else {
        return Err(String::from("there is no base bdev"));
    };
    for leg in legs {
        if leg.desc.is_zoned() {
            return Err(format!("base bdev '{}' is zoned", leg.name));
        }
    }
    for other in others {
        check_alike(first, other)?;
    }
    let least = |property: fn(&Desc) -> u64| {
        legs.iter()
            .map(|leg| property(&leg.desc))
            .min()
            .unwrap_or_default()
    };
    let greatest = |property: fn(&Desc) -> u32| {
        legs.iter()
            .map(|leg| property(&leg.desc))
            .max()
            .unwrap_or_default()
    };
    let desc = &first.desc;
    let mut options = Options::new(desc.block_size(), least(Desc::num_blocks));
    options.uuid = uuid;
    options.write_cache = legs.iter().any(|leg| leg.desc.has_write_cache());
    options.physical_block_size = greatest(Desc::physical_block_size);
    options.write_unit_size = desc.write_unit_size();
    // A boundary, or a preference, that legs do not share is nobody's.
    options.optimal_io_boundary = shared(legs, Desc::optimal_io_boundary);
    options.preferred_write_alignment = shared(legs, Desc::preferred_write_alignment);
    options.preferred_write_granularity = shared(legs, Desc::preferred_write_granularity);
    options.optimal_write_size = shared(legs, Desc::optimal_write_size);
    options.preferred_unmap_alignment = shared(legs, Desc::preferred_unmap_alignment);
    options.preferred_unmap_granularity = shared(legs, Desc::preferred_unmap_granularity);
    options.md_size = desc.md_size();
    options.md_interleave = desc.is_md_interleaved();
    options.dif_type = desc.dif_type();
    options.dif_pi_format = desc.dif_pi_format();
    options.dif_is_head_of_md = desc.is_dif_head_of_md();
    options.dif_check_flags = desc.dif_check_flags();
    if options.num_blocks == 0 {
        return Err(String::from("a base bdev has no blocks"));
    }
    Ok(options)
}

/// Whether a bdev can become a leg of a mirror.
///
/// # Errors
/// Says why not.
pub(crate) fn fits(leg: &Leg, mirror: &Mirror) -> Result<(), String> {
    if leg.desc.is_zoned() {
        return Err(String::from("is zoned"));
    }
    let needed = mirror
        .data_offset_blocks
        .saturating_add(mirror.num_blocks());
    if leg.desc.num_blocks() < needed {
        return Err(format!(
            "has {} blocks, {needed} are needed",
            leg.desc.num_blocks()
        ));
    }
    let first = {
        let legs = mirror.legs.lock();
        legs.open().next().map(|(_, first)| first.clone())
    };
    match first {
        Some(first) => check_alike(&first, leg),
        None => Ok(()),
    }
}

/// A property that all legs have alike, or 0 for none.
fn shared(legs: &[Leg], property: fn(&Desc) -> u32) -> u32 {
    let mut values = legs.iter().map(|leg| property(&leg.desc));
    let first = values.next().unwrap_or_default();
    if values.all(|value| value == first) {
        first
    } else {
        0
    }
}

fn check_alike(first: &Leg, other: &Leg) -> Result<(), String> {
    fn check(what: &str, first: (&Leg, u64), other: (&Leg, u64)) -> Result<(), String> {
        if first.1 == other.1 {
            return Ok(());
        }
        Err(format!(
            "{what} of base bdev '{}' is {}, that of '{}' is {}: they must be equal",
            first.0.name, first.1, other.0.name, other.1
        ))
    }
    type Property = fn(&Desc) -> u64;
    let properties: [(&str, Property); 8] = [
        ("block size", |desc| desc.block_size().into()),
        ("write unit", |desc| desc.write_unit_size().into()),
        ("metadata size", |desc| desc.md_size().into()),
        ("metadata interleaving", |desc| {
            desc.is_md_interleaved().into()
        }),
        ("DIF type", |desc| desc.dif_type().into()),
        ("DIF format", |desc| desc.dif_pi_format().into()),
        ("DIF position", |desc| desc.is_dif_head_of_md().into()),
        ("DIF check flags", |desc| desc.dif_check_flags().into()),
    ];
    properties
        .iter()
        .try_for_each(|(what, of)| check(what, (first, of(&first.desc)), (other, of(&other.desc))))
}

/// Which types of requests a mirror of these legs serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Supported(u32);

impl Supported {
    pub(crate) fn by(legs: &[Leg]) -> Self {
        let all = |io_type| legs.iter().all(|leg| leg.desc.supports(io_type));
        let any = |io_type| legs.iter().any(|leg| leg.desc.supports(io_type));
        let mut supported = 1 << IoType::READ.raw() | 1 << IoType::WRITE.raw();
        // Legs that cannot flush have nothing to flush.
        for (io_type, yes) in [
            (IoType::UNMAP, all(IoType::UNMAP)),
            (IoType::WRITE_ZEROES, all(IoType::WRITE_ZEROES)),
            (IoType::RESET, all(IoType::RESET)),
            (IoType::FLUSH, any(IoType::FLUSH)),
        ] {
            supported |= u32::from(yes) << io_type.raw();
        }
        Self(supported)
    }

    pub(crate) fn contains(self, io_type: IoType) -> bool {
        self.0
            .checked_shr(io_type.raw())
            .is_some_and(|bits| bits & 1 != 0)
    }
}
