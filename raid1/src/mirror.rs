//! A mirror: the device that SPDK sees.

use alloc::string::String;
use core::future::Future;
use core::ops::RangeInclusive;
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use barespdk::bdev::{DifChecks, IoType, Status};
use barespdk::errno::Errno;
use barespdk::json::{ArrayWriter, ObjectWriter};
use barespdk::module::{Device, Pass, PassedOn, Request};
use barespdk::mutex::Mutex;
use barespdk::uuid::Uuid;

use crate::channel::{Channel, Modes};
use crate::format::{REGIONS_MAX, Superblock};
use crate::geometry::Supported;
use crate::io;
use crate::keeper::{self, Desk, Ending, Job};
use crate::legs::Legs;
use crate::ranges::Ranges;
use crate::region_map::RegionMap;
use crate::regions::Regions;
use crate::rpc::info;

/// A mirror, shared by all threads.
pub(crate) struct Mirror {
    pub(crate) name: String,
    pub(crate) uuid: Uuid,
    /// It grows when the smallest leg does.
    pub(crate) num_blocks: AtomicU64,
    /// Where the mirror's first block is on each leg.
    pub(crate) data_offset_blocks: u64,
    pub(crate) supported: Supported,
    /// Looked at when channels are made and legs come and go; not by requests.
    pub(crate) legs: Mutex<Legs>,
    /// Of the size of a region, in blocks.
    pub(crate) region_shift: u32,
    /// The blocks that are being written, or copied.
    pub(crate) ranges: Ranges,
    /// Of a mirror with metadata.
    pub(crate) regions: Option<Regions>,
    /// How new channels begin.
    pub(crate) ordered: AtomicBool,
    pub(crate) resyncing: AtomicBool,
    /// What the keeper is to do.
    pub(crate) desk: Desk,
    /// What the keeper tells of its work.
    pub(crate) report: Mutex<keeper::Report>,
    /// How many reads were repaired on a leg that had failed them.
    pub(crate) repairs: AtomicU64,
    /// A leg has failed a flush that nobody asked for, and no other has what it may have lost: the next one
    /// that is asked for fails.
    pub(crate) has_lost: AtomicBool,
    /// See [`Mirror::copies`].
    pub(crate) copies: AtomicU32,
    /// What becomes of the metadata when the bdev goes.
    pub(crate) wipes: AtomicBool,
}

impl Device for Mirror {
    type Channel = Channel;

    fn open_channel(&self) -> Result<Channel, Errno> {
        // The modes are read under the lock under which legs are changed before channels are told.
        let legs = self.legs.lock();
        let modes = Modes {
            ordered: self.ordered.load(Ordering::Acquire),
            resyncing: self.resyncing.load(Ordering::Acquire),
            left_out: self.left_out(),
        };
        let channel = Channel::open(&self.name, &legs, modes)?;
        drop(legs);
        keeper::begin_to_eject(self, channel.missing(), keeper::UNREACHABLE);
        Ok(channel)
    }

    fn supports(&self, io_type: IoType) -> bool {
        self.supported.contains(io_type)
    }

    const PASSES: bool = true;

    #[inline]
    fn pass(&self, channel: &Channel, request: &mut Pass<'_>) {
        io::pass(self, channel, request);
    }

    #[inline]
    fn passed(&self, _channel: &Channel, request: &PassedOn<'_>) {
        self.end_write(request.offset_blocks(), request.num_blocks());
    }

    fn submit<'a>(
        &'a self,
        channel: &'a Channel,
        request: Request<'a>,
    ) -> impl Future<Output = Status> + 'a {
        io::serve(self, channel, request)
    }

    fn dump_info(&self, object: &mut ObjectWriter<'_>) {
        object.object("raid", |raid| info::describe(self, raid));
    }

    fn write_config(&self, calls: &mut ArrayWriter<'_>) {
        // What is on the legs says it already.
        if self.regions.is_none() {
            calls.object(|call| info::create_call(self, call));
        }
    }

    async fn destruct(&self) {
        let ending = if self.wipes.load(Ordering::Relaxed) {
            Ending::Wipe
        } else {
            Ending::Keep
        };
        // A keeper that is gone has nothing to keep.
        let _ = self.desk.ask(|done| Job::End(ending, done)).await;
        crate::mirrors::remove(&self.name);
        let legs = self.legs.lock().clear();
        drop(legs);
    }
}

impl Mirror {
    /// How many regions there are, also of a mirror without metadata, where they count for a rebuild
    /// alone.
    pub(crate) fn num_regions(&self) -> usize {
        usize::try_from(self.num_blocks().div_ceil(self.region_blocks())).unwrap_or(usize::MAX)
    }

    /// All regions; there is at least one.
    pub(crate) fn all_regions(&self) -> RangeInclusive<usize> {
        0..=self.num_regions().saturating_sub(1)
    }

    /// The regions of some blocks, of which there is at least one.
    pub(crate) fn regions_of(&self, offset_blocks: u64, num_blocks: u64) -> RangeInclusive<usize> {
        let last = offset_blocks.saturating_add(num_blocks.saturating_sub(1));
        (offset_blocks >> self.region_shift) as usize..=(last >> self.region_shift) as usize
    }

    /// The size.
    pub(crate) fn num_blocks(&self) -> u64 {
        self.num_blocks.load(Ordering::Relaxed)
    }

    /// A set of regions, empty, with room for those that a mirror which grows may get.
    pub(crate) fn region_map(&self) -> RegionMap {
        RegionMap::new(self.num_regions().max(REGIONS_MAX as usize))
    }

    /// Releases the blocks of a write that has ended.
    #[inline]
    pub(crate) fn end_write(&self, offset_blocks: u64, num_blocks: u64) {
        self.ranges.release(offset_blocks, num_blocks);
    }

    /// What legs do not check of the data. Reference tags are numbers of the mirror's blocks: who reads those
    /// checks them.
    pub(crate) fn left_out(&self) -> DifChecks {
        match self.data_offset_blocks {
            0 => DifChecks::NONE,
            _ => DifChecks::REF_TAG,
        }
    }

    /// How often what had been copied from legs in sync was made to survive on them. A flush that began before
    /// the last time, and that one of them fails, may tell of what was copied.
    pub(crate) fn copies(&self) -> u32 {
        self.copies.load(Ordering::Acquire)
    }

    /// See [`Mirror::copies`].
    pub(crate) fn count_copies(&self) {
        self.copies.fetch_add(1, Ordering::AcqRel);
    }

    /// The regions that are written to; `None` without metadata.
    pub(crate) fn dirty(&self) -> Option<&RegionMap> {
        self.regions.as_ref().map(|regions| &regions.dirty)
    }

    /// The size of a region.
    pub(crate) fn region_blocks(&self) -> u64 {
        1 << self.region_shift
    }

    /// How new channels begin. Returns how they did before.
    pub(crate) fn set_ordered(&self, ordered: bool) -> bool {
        let _before_channels_are_told = self.legs.lock();
        self.ordered.swap(ordered, Ordering::AcqRel)
    }

    /// New channels need not look where legs differ, or have to. Returns what they did before.
    pub(crate) fn set_resyncing(&self, resyncing: bool) -> bool {
        let _before_channels_are_told = self.legs.lock();
        self.resyncing.swap(resyncing, Ordering::AcqRel)
    }

    /// What is recorded of it; `None` without metadata.
    pub(crate) fn superblock(&self) -> Option<Superblock> {
        let report = self.report.lock();
        report
            .superblock
            .as_ref()
            .map(|superblock| (**superblock).clone())
    }
}
