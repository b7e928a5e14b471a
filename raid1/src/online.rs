//! How a mirror comes online: made anew, or assembled from its legs.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64};

use barespdk::errno::Errno;
use barespdk::module::{Bdev, Options};
use barespdk::mutex::Mutex;
use barespdk::uuid::Uuid;

use crate::driver::MODULE;
use crate::format::REGIONS_MAX;
use crate::geometry::Supported;
use crate::keeper::{self, Desk, Keeper, Missed, Record, Report};
use crate::leg::Leg;
use crate::legs::{Legs, Standing};
use crate::mirror::Mirror;
use crate::mirrors;
use crate::news;
use crate::ranges::Ranges;
use crate::regions::Regions;

/// The size of regions of mirrors without metadata, in bytes: what a rebuild goes by.
const REGION_BYTES: u64 = 1 << 20;

/// All that a mirror begins with.
pub(crate) struct Beginning {
    pub(crate) name: String,
    pub(crate) uuid: Uuid,
    /// By slot.
    pub(crate) places: Vec<(Option<Leg>, Standing)>,
    /// What SPDK is told of it, its size too.
    pub(crate) options: Options,
    pub(crate) metadata: Option<Metadata>,
}

/// What a mirror with metadata has besides.
pub(crate) struct Metadata {
    pub(crate) data_offset_blocks: u64,
    pub(crate) data_size_blocks: u64,
    /// A power of two.
    pub(crate) region_size_blocks: u64,
    pub(crate) regions: Regions,
    pub(crate) record: Record,
    pub(crate) missed: Missed,
}

/// Registers a mirror, and has its keeper begin. On the app thread.
///
/// # Errors
/// Those of the registration; the legs are closed.
pub(crate) async fn online(beginning: Beginning) -> Result<Bdev<Mirror>, Errno> {
    let Beginning {
        name,
        uuid,
        places,
        options,
        metadata,
    } = beginning;
    let open: Vec<Leg> = places.iter().filter_map(|(leg, _)| leg.clone()).collect();
    let block_size = options.block_size;
    let (data_offset_blocks, region_blocks, regions, record, missed) = match metadata {
        Some(metadata) => (
            metadata.data_offset_blocks,
            metadata.region_size_blocks,
            Some(metadata.regions),
            Some(metadata.record),
            metadata.missed,
        ),
        None => {
            let usual = REGION_BYTES / u64::from(block_size.max(1));
            let least = options.num_blocks.div_ceil(REGIONS_MAX);
            let blocks = least.max(usual).max(1);
            let power = blocks.checked_next_power_of_two().unwrap_or(1 << 63);
            (0, power, None, None, Missed::default())
        }
    };
    let unequal = regions
        .as_ref()
        .is_some_and(|regions| !regions.unequal.is_empty());
    let device = Mirror {
        name: name.to_string(),
        uuid,
        num_blocks: AtomicU64::new(options.num_blocks),
        data_offset_blocks,
        supported: Supported::by(&open),
        legs: Mutex::new(Legs::new(places)),
        region_shift: region_blocks.ilog2(),
        ranges: Ranges::new(block_size),
        ordered: AtomicBool::new(regions.is_some()),
        resyncing: AtomicBool::new(unequal),
        regions,
        desk: Desk::default(),
        report: Mutex::new(Report::default()),
        repairs: AtomicU64::new(0),
        has_lost: AtomicBool::new(false),
        copies: AtomicU32::new(0),
        wipes: AtomicBool::new(false),
    };
    // Found by name from the moment that requests can come.
    let mirror = MODULE
        .register(&name, c"raid1 mirror", &options, device)
        .map_err(|(errno, _)| errno)?;
    mirrors::add(mirror.clone());
    if let Err(errno) = Keeper::start(mirror.clone(), record, missed) {
        // Nobody waits for a keeper that there is not.
        mirror.device().desk.close();
        let _gone = mirror.unregister().await;
        return Err(errno);
    }
    for leg in open.iter().filter(|leg| leg.is_removed()) {
        keeper::on_removed(mirror.name(), &leg.name);
    }
    news::of_mirror(news::ONLINE, mirror.name());
    Ok(mirror)
}
