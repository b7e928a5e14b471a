//! The keeper of a mirror: the one task, on the app thread, that changes what its legs are and what is
//! recorded of them. All others ask it, and wait.
//!
//! ```text
//!  a write to a clean region ── Mark ──┐
//!  a leg failed a write ─────── Eject ─┤                        ┌─► legs: who is in
//!  a leg failed a flush ────── Demote ─┼─► desk ──► keeper ─────┼─► record ──► superblocks, bitmaps
//!  rpc, examine ─────────── Add, Eject ┤   one job after the    └─► channels of all threads
//!  recovery ── Rebuilt, Checkpoint, .. ┘   other
//! ```

mod arrival;
mod departure;
mod desk;
mod ending;
mod growth;
mod intent;
mod media;
mod record;
mod recovery;
mod report;

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::future::{Future, poll_fn};
use core::pin::Pin;
use core::task::Poll;
use core::time::Duration;

use barespdk::errno::Errno;
use barespdk::module::Bdev;
use barespdk::runtime;

use self::arrival::Ordering;
pub(crate) use self::arrival::{Arrival, Lacks};
pub(crate) use self::departure::{
    FAILED_WRITE, UNREACHABLE, begin_to_eject, demote, eject, on_removed, on_resized,
};
pub(crate) use self::desk::{Desk, Ending, Job};
pub(crate) use self::record::Record;
pub(crate) use self::recovery::LIMIT_MIB_S;
use self::recovery::Recovery;
pub(crate) use self::report::Report;
use crate::channel::Channel;
use crate::format::{BitmapId, REGIONS_MAX};
use crate::legs::{LEGS_MAX, LegSet, Slot, Standing};
use crate::mirror::Mirror;
use crate::region_map::RegionMap;

/// How long a region must not have been written to before it is clean again: once, up to twice this time.
const QUIET: Duration = Duration::from_secs(5);

/// What the keeper works with.
pub(crate) struct Keeper {
    mirror: Bdev<Mirror>,
    /// Of a mirror with metadata.
    record: Option<Record>,
    /// The regions that a leg lacks which is not in sync.
    missed: [Option<Arc<RegionMap>>; LEGS_MAX],
    /// Legs that leave, but that is not recorded, or not known to all threads, yet.
    unfinished: LegSet,
    /// The same of legs that are to be rebuilt.
    demoted: LegSet,
    /// Regions that the last sweeps have cleared, and what legs lacked that are in sync since. A leg that
    /// has failed a flush may lack them: the keeper's own flush may have found nothing more to fail.
    quiet_lately: RegionMap,
    quiet_before: RegionMap,
    /// Who copies what a leg lacks.
    rebuilds: [Option<Recovery>; LEGS_MAX],
    /// Who makes legs equal.
    resync: Option<Recovery>,
    /// Legs from which others in sync are made equal: what one of these has lost, those may lack too.
    copied_from: LegSet,
    /// Legs in sync from which others were copied, at some time before the last of [`Mirror::copies`].
    settled: LegSet,
    ordering: Ordering,
    /// The number of the last rebuild, or resync.
    last_number: u64,
}

/// The regions that legs lack which are not in sync, by slot.
pub(crate) type Missed = [Option<Arc<RegionMap>>; LEGS_MAX];

/// Some legs lack all of so many regions.
pub(crate) fn all_missed(legs: LegSet, num_regions: u32) -> Missed {
    let mut missed = Missed::default();
    for slot in legs.iter() {
        // With room for those that a mirror which grows may get.
        let all = RegionMap::new(REGIONS_MAX as usize);
        all.insert_all(0..=num_regions.saturating_sub(1) as usize);
        missed[slot.index()] = Some(Arc::new(all));
    }
    missed
}

impl Keeper {
    /// Begins to keep a mirror. On the app thread.
    ///
    /// # Errors
    /// There is no memory.
    pub(crate) fn start(
        mirror: Bdev<Mirror>,
        record: Option<Record>,
        missed: Missed,
    ) -> Result<(), Errno> {
        let [quiet_lately, quiet_before] =
            [(); 2].map(|()| RegionMap::new(mirror.device().num_regions()));
        let keeper = Self {
            mirror,
            record,
            missed,
            unfinished: LegSet::EMPTY,
            demoted: LegSet::EMPTY,
            quiet_lately,
            quiet_before,
            rebuilds: [const { None }; LEGS_MAX],
            resync: None,
            copied_from: LegSet::EMPTY,
            settled: LegSet::EMPTY,
            ordering: Ordering::Not,
            last_number: 0,
        };
        runtime::spawn_local(keeper.keep())
    }

    fn device(&self) -> &Mirror {
        self.mirror.device()
    }

    async fn keep(mut self) {
        // Goes on with what the mirror was doing when it was last seen.
        self.take_up().await;
        let mirror = self.mirror.clone();
        let desk = &mirror.device().desk;
        let mut pause = runtime::sleep(QUIET);
        loop {
            self.tell();
            let mut next = core::pin::pin!(desk.take());
            // The time first: there may always be a job.
            let jobs = poll_fn(|cx| match Pin::new(&mut pause).poll(cx) {
                Poll::Ready(_) => Poll::Ready(None),
                Poll::Pending => next.as_mut().poll(cx).map(Some),
            })
            .await;
            let Some(jobs) = jobs else {
                self.try_again().await;
                self.sweep().await;
                self.checkpoint_all().await;
                self.take_up().await;
                pause = runtime::sleep(QUIET);
                continue;
            };
            let mut marks = Vec::new();
            for job in jobs {
                match job {
                    Job::Mark(regions, done) => marks.push((regions, done)),
                    Job::Eject(slot, reason, done) => {
                        let _ = done.send(self.eject(slot, reason).await);
                    }
                    Job::Demote(slot, reason, copies, done) => {
                        let _ = done.send(self.demote(slot, reason, copies).await);
                    }
                    Job::Suspect(regions, done) => {
                        self.suspect(regions).await;
                        let _ = done.send(());
                    }
                    Job::Add(arrival, done) => {
                        let _ = done.send(self.add(arrival).await);
                    }
                    Job::Ordered(done) => self.ordered(done).await,
                    Job::Resized => self.resized().await,
                    Job::Rebuilt(slot, number) => self.rebuilt(slot, number).await,
                    Job::Resynced(number) => self.resynced(number).await,
                    Job::End(ending, done) => {
                        desk.close();
                        self.end(ending).await;
                        let _ = done.send(());
                        return;
                    }
                }
            }
            if !marks.is_empty() {
                self.mark(marks).await;
            }
        }
    }

    /// Tries to end what could not be ended when it was begun.
    async fn try_again(&mut self) {
        if !self.unfinished.or(self.demoted).is_empty() {
            let _next_time = self.finish().await;
        }
    }

    /// Begins what is to be copied, and is not.
    async fn take_up(&mut self) {
        let mirror = self.mirror.clone();
        let device = mirror.device();
        let regions = device.regions.as_ref();
        if regions.is_some_and(|regions| !regions.unequal.is_empty()) {
            // Those that could not be told when it began.
            let _tried_again = self.each(|channel| channel.set_resyncing(true)).await;
            if self.resync.is_none() {
                self.start_resync();
            }
        }
        let rebuilding = device.legs.lock().of_standing(Standing::Rebuilding);
        for slot in rebuilding.iter() {
            if self.rebuilds[slot.index()].is_none() {
                self.start_rebuild(slot).await;
            }
        }
    }

    /// Calls `visit` with each channel, on its thread.
    async fn each(&self, visit: impl FnMut(&Channel) + Send + 'static) -> Result<(), Errno> {
        let mut visit = visit;
        self.mirror
            .for_each_channel(move |_, channel| visit(channel))
            .await
    }

    fn name_of(&self, slot: Slot) -> alloc::string::String {
        let legs = self.device().legs.lock();
        let leg = legs.get(slot);
        leg.map_or_else(Default::default, |leg| leg.name.clone())
    }
}

/// The words of all bitmaps, as they are to be on the legs.
pub(crate) fn words<'a>(
    dirty: Option<&'a RegionMap>,
    missed: &'a Missed,
) -> impl Fn(BitmapId, usize) -> u64 + 'a {
    move |bitmap, index| match bitmap.index().checked_sub(1) {
        None => dirty.map_or(0, |dirty| dirty.word(index)),
        Some(slot) => missed[slot % LEGS_MAX]
            .as_ref()
            .map_or(0, |missed| missed.word(index)),
    }
}
