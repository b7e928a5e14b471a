//! The legs: bdevs on [`Disk`]s that take their time, and fail when they are told to.

use std::cell::RefCell;
use std::ffi::CStr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use barespdk::bdev::{IoType, Status};
use barespdk::errno::Errno;
use barespdk::module::{Bdev, Device, Driver, Module, Options, Request};
use barespdk::runtime;
use barespdk::uuid::Uuid;
use fastrand::Rng;

use crate::disk::Disk;
use crate::media::{RESERVED_BYTES, blocks};
use crate::plan::{BLOCK_SIZE, Fault, NUM_BLOCKS, Plan};
use crate::{foreign, life};

/// A leg as its tests see it.
pub(crate) struct Leg {
    state: Mutex<State>,
    latency_us_max: u64,
    stall_us_max: u64,
    metadata_stall_us_max: u64,
    /// Of its bdev; nil for a new one each time.
    uuid: Uuid,
    /// Blocks at the start that are not the mirror's data.
    reserved_blocks: u64,
}

struct State {
    disk: Disk,
    rng: Rng,
    /// How many of the next requests fail, by [`Fault`].
    faults: [u32; 4],
    /// How often it was reset. A request that finds that it was, since it began, is aborted.
    resets: u64,
    in_flight: u64,
    requests: u64,
    /// Whether it ever failed to do what changes it.
    missed: bool,
    /// Whether it ever failed a flush: what was written before may be lost.
    failed_flush: bool,
    /// How often it came.
    comings: u32,
}

/// Blocks at the start of each leg that are not the mirror's data.
fn reserved_blocks(plan: &Plan) -> u64 {
    plan.metadata.as_ref().map_or(0, |_| blocks(RESERVED_BYTES))
}

/// The disks of a run, full of zeroes.
pub(crate) fn disks(plan: &Plan) -> Vec<Disk> {
    let mut disks: Vec<_> = (0..plan.legs)
        .map(|_| Disk::new(reserved_blocks(plan) + NUM_BLOCKS))
        .collect();
    if let Some(metadata) = &plan.metadata {
        for (disk, has_cache) in disks.iter_mut().zip(&metadata.caches) {
            if !has_cache {
                disk.write_through();
            }
        }
    }
    disks
}

impl Leg {
    fn new(plan: &Plan, seed: u64, index: usize, disk: Disk) -> Self {
        Self {
            state: Mutex::new(State {
                disk,
                rng: Rng::with_seed(seed.wrapping_add(index as u64 + 1)),
                faults: [0; 4],
                resets: 0,
                in_flight: 0,
                requests: 0,
                missed: false,
                failed_flush: false,
                comings: 0,
            }),
            latency_us_max: plan.latency_us_max,
            stall_us_max: plan.stall_us_max,
            metadata_stall_us_max: plan.metadata_stall_us_max,
            uuid: match &plan.metadata {
                Some(metadata) if metadata.imports => foreign::uuid(index),
                _ => Uuid::NIL,
            },
            reserved_blocks: reserved_blocks(plan),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // One OS thread runs all, and a panic ends it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Fails the next requests.
    pub(crate) fn fail(&self, fault: Fault, times: u32) {
        let left = &mut self.state().faults[fault as usize];
        *left = left.saturating_add(times);
    }

    /// Fails no further requests.
    pub(crate) fn heals(&self) {
        self.state().faults = [0; 4];
    }

    /// Forgets what it failed to flush.
    pub(crate) fn evicts(&self) {
        self.state().disk.evict();
    }

    /// From now on it may miss what the other legs are told.
    pub(crate) fn goes(&self) {
        life::leg_fails();
        self.state().missed = true;
    }

    /// Whether it ever failed a flush.
    pub(crate) fn has_failed_flush(&self) -> bool {
        self.state().failed_flush
    }

    /// How many requests it has had.
    pub(crate) fn requests(&self) -> u64 {
        self.state().requests
    }

    /// Whether it ever failed to do what changes it, or went.
    pub(crate) fn has_missed(&self) -> bool {
        self.state().missed
    }

    /// What it holds of the mirror's data.
    pub(crate) fn with_content<R>(&self, look: impl FnOnce(&[u8]) -> R) -> R {
        look(self.state().disk.blocks(self.reserved_blocks, NUM_BLOCKS))
    }

    /// What it holds of the mirror's data after a crash at this moment.
    pub(crate) fn with_crashed<R>(&self, look: impl FnOnce(&[u8]) -> R) -> R {
        let mut state = self.state();
        let State { disk, rng, .. } = &mut *state;
        disk.crash(rng);
        look(disk.blocks(self.reserved_blocks, NUM_BLOCKS))
    }

    /// What it holds before the mirror's data.
    pub(crate) fn with_reserved<R>(&self, look: impl FnOnce(&[u8]) -> R) -> R {
        look(self.state().disk.blocks(0, self.reserved_blocks))
    }

    /// All that it holds.
    pub(crate) fn all(&self) -> Vec<u8> {
        self.state().disk.all()
    }

    /// Takes its disk out, when nobody will use it any more. The power may be lost before.
    pub(crate) fn take_disk(&self, power_is_lost: bool) -> Disk {
        let mut state = self.state();
        let State { disk, rng, .. } = &mut *state;
        if power_is_lost {
            disk.crash(rng);
        }
        disk.evict();
        std::mem::replace(disk, Disk::new(0))
    }

    async fn latency(&self) {
        let us = self.state().rng.u64(0..=self.latency_us_max);
        // On a thread that exits nothing is worth waiting for.
        let _ = runtime::sleep(Duration::from_micros(us)).await;
    }

    /// Takes much longer, now and then.
    async fn stall(&self, is_metadata: bool) {
        let us_max = match is_metadata {
            true => self.metadata_stall_us_max,
            false => self.stall_us_max,
        };
        if us_max > 0 && self.state().rng.u8(0..4) == 0 {
            let us = self.state().rng.u64(0..=us_max);
            let _ = runtime::sleep(Duration::from_micros(us)).await;
        }
    }

    /// Takes one of the failures that were ordered.
    fn takes(&self, fault: Fault) -> bool {
        let left = &mut self.state().faults[fault as usize];
        let takes = *left > 0;
        *left = left.saturating_sub(1);
        takes
    }

    async fn serve(&self, request: &Request<'_>) -> Status {
        let io_type = request.io_type();
        if self.takes(Fault::NoMemory) {
            return Status::NoMemory;
        }
        if io_type == IoType::READ && request.buffer().await.is_err() {
            return Status::Failed;
        }
        let resets = self.state().resets;
        self.latency().await;
        // The mirror's own are few, and those that matter most when a life ends.
        let is_metadata = io_type != IoType::READ && request.offset_blocks() < self.reserved_blocks;
        if io_type != IoType::READ {
            self.stall(is_metadata).await;
        }
        if self.state().resets != resets {
            return Status::Aborted;
        }
        life::request_begins(is_metadata);
        self.tear(request).await;
        let outcome = self.touch(request);
        life::request_ends();
        self.latency().await;
        outcome
    }

    /// Reads or changes the disk.
    fn touch(&self, request: &Request<'_>) -> Status {
        let fault = match request.io_type() {
            IoType::READ => Some(Fault::Reads),
            IoType::FLUSH => Some(Fault::Flushes),
            _ => Some(Fault::Writes),
        };
        if fault.is_some_and(|fault| self.takes(fault)) {
            if fault != Some(Fault::Reads) {
                self.goes();
            }
            if fault == Some(Fault::Flushes) {
                let state = &mut *self.state();
                state.failed_flush = true;
                state.disk.fail_flush();
                return Status::Failed;
            }
            // What fails may have been done none the less.
            if fault == Some(Fault::Reads) || self.state().rng.bool() {
                return Status::Failed;
            }
            let _ = self.apply(request);
            return Status::Failed;
        }
        self.apply(request)
            .map_or(Status::Failed, |()| Status::Success)
    }

    /// Does a part of a write long before the rest, now and then.
    async fn tear(&self, request: &Request<'_>) {
        let count = request.num_blocks();
        let tears = self.reserved_blocks > 0
            && request.io_type() == IoType::WRITE
            && count > 1
            && self.state().rng.u8(0..4) == 0
            && self.state().faults[Fault::Writes as usize] == 0;
        if !tears {
            return;
        }
        let part = self.state().rng.u64(1..count);
        let mut bytes = vec![0; (count * u64::from(BLOCK_SIZE)) as usize];
        if request.data().copy_to(&mut bytes).is_ok() {
            bytes.truncate((part * u64::from(BLOCK_SIZE)) as usize);
            let offset = request.offset_blocks();
            let copy = |blocks: &mut [u8]| blocks.copy_from_slice(&bytes);
            self.state().disk.change(offset, part, copy);
        }
        self.latency().await;
    }

    /// Does what a request asks for.
    fn apply(&self, request: &Request<'_>) -> Result<(), Errno> {
        let (offset, count) = (request.offset_blocks(), request.num_blocks());
        let disk = &mut self.state().disk;
        match request.io_type() {
            IoType::READ => request.data().copy_from(disk.blocks(offset, count)),
            IoType::WRITE => disk.change(offset, count, |blocks| request.data().copy_to(blocks)),
            IoType::WRITE_ZEROES | IoType::UNMAP => {
                disk.change(offset, count, |blocks| blocks.fill(0));
                Ok(())
            }
            IoType::FLUSH => {
                disk.flush();
                Ok(())
            }
            _ => Err(Errno::ENOTSUP),
        }
    }

    /// Aborts what is in flight, and waits for its end.
    async fn reset(&self) -> Status {
        self.state().resets += 1;
        while self.state().in_flight > 0 {
            if runtime::sleep(Duration::from_micros(5)).await.is_err() {
                return Status::Failed;
            }
        }
        Status::Success
    }
}

/// A leg as the bdev layer sees it.
pub(crate) struct LegDevice(Arc<Leg>);

impl Device for LegDevice {
    type Channel = ();

    fn open_channel(&self) -> Result<(), Errno> {
        Ok(())
    }

    fn supports(&self, io_type: IoType) -> bool {
        [
            IoType::READ,
            IoType::WRITE,
            IoType::WRITE_ZEROES,
            IoType::UNMAP,
            IoType::FLUSH,
            IoType::RESET,
        ]
        .contains(&io_type)
    }

    async fn submit<'a>(&'a self, (): &'a (), request: Request<'a>) -> Status {
        let Self(leg) = self;
        leg.state().requests += 1;
        if request.io_type() == IoType::RESET {
            return leg.reset().await;
        }
        leg.state().in_flight += 1;
        let status = leg.serve(&request).await;
        leg.state().in_flight -= 1;
        status
    }
}

/// The module of the legs.
pub(crate) struct Legs;

pub(crate) static MODULE: Module<Legs> = Module::new();

thread_local! {
    /// The plan of the run, and its legs. One OS thread runs all.
    static RUN: RefCell<Option<Run>> = const { RefCell::new(None) };
}

struct Run {
    legs: Vec<(Arc<Leg>, Option<Bdev<LegDevice>>)>,
    /// Legs that are there before a configuration makes a mirror of them.
    at_start: Vec<usize>,
    life: usize,
}

impl Driver for Legs {
    type Device = LegDevice;

    const NAME: &'static CStr = c"sim_leg";

    fn init() -> Result<(), Errno> {
        let legs = RUN.with_borrow_mut(|run| {
            let run = run.as_mut().ok_or(Errno::EINVAL)?;
            Ok::<_, Errno>(std::mem::take(&mut run.at_start))
        })?;
        legs.into_iter().try_for_each(register)
    }
}

/// Makes the bdev of a leg, on the app thread.
pub(crate) fn register(index: usize) -> Result<(), Errno> {
    let Some(leg) = get(index) else {
        return Err(Errno::ENODEV);
    };
    if bdev(index).is_some_and(|bdev| bdev.is_registered()) {
        return Err(Errno::EEXIST);
    }
    leg.state().comings += 1;
    let (num_blocks, write_cache) = {
        let disk = &leg.state().disk;
        (leg.reserved_blocks + NUM_BLOCKS, disk.has_cache())
    };
    let options = Options {
        uuid: leg.uuid,
        write_cache,
        ..Options::new(BLOCK_SIZE, num_blocks)
    };
    let device = LegDevice(leg);
    // Examined within, which asks for no leg by its index.
    let bdev = MODULE
        .register(&name(index), c"simulated disk", &options, device)
        .map_err(|(errno, _)| errno)?;
    RUN.with_borrow_mut(|run| {
        if let Some((_, place)) = run.as_mut().and_then(|run| run.legs.get_mut(index)) {
            *place = Some(bdev);
        }
    });
    Ok(())
}

/// The name of a leg's bdev. It has another one each time that it comes back.
pub(crate) fn name(index: usize) -> String {
    let life = RUN.with_borrow(|run| run.as_ref().map_or(0, |run| run.life));
    let comings = get(index).map_or(0, |leg| leg.state().comings);
    match comings.max(1) {
        comings if (life + comings as usize).is_multiple_of(2) => format!("leg{index}-{comings}"),
        _ => format!("leg{index}"),
    }
}

/// Says what legs there are, on which disks, and which are to be made when the module starts.
pub(crate) fn prepare(plan: &Plan, life: usize, disks: Vec<Disk>, at_start: Vec<usize>) {
    let seed = plan.seed.wrapping_add(life as u64 * 1000);
    let legs = (0..)
        .zip(disks)
        .map(|(index, disk)| (Arc::new(Leg::new(plan, seed, index, disk)), None))
        .collect();
    RUN.set(Some(Run {
        legs,
        at_start,
        life,
    }));
}

/// A leg of this run.
pub(crate) fn get(index: usize) -> Option<Arc<Leg>> {
    RUN.with_borrow(|run| Some(run.as_ref()?.legs.get(index)?.0.clone()))
}

/// The bdev of a leg, if it has come.
pub(crate) fn bdev(index: usize) -> Option<Bdev<LegDevice>> {
    RUN.with_borrow(|run| run.as_ref()?.legs.get(index)?.1.clone())
}

/// How many requests the legs have had.
pub(crate) fn requests() -> u64 {
    (0..).map_while(get).map(|leg| leg.requests()).sum()
}

/// The legs when the application has ended: those that something still holds have leaked.
pub(crate) fn leaked() -> Vec<usize> {
    let legs = RUN.with_borrow_mut(|run| match run {
        Some(run) => {
            run.legs.iter_mut().for_each(|(_, bdev)| *bdev = None);
            run.legs.iter().map(|(leg, _)| leg.clone()).collect()
        }
        None => Vec::new(),
    });
    // The run has one, and this list.
    (0..legs.len())
        .filter(|index| Arc::strong_count(&legs[*index]) > 2)
        .collect()
}
