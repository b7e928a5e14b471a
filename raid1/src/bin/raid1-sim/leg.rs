//! The legs: bdevs on [`Disk`]s that take their time, and fail when they are told to.

use std::cell::RefCell;
use std::ffi::CStr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use barespdk::bdev::{IoType, Status};
use barespdk::errno::Errno;
use barespdk::module::{Bdev, Device, Driver, Module, Options, Request};
use barespdk::runtime;
use fastrand::Rng;

use crate::disk::Disk;
use crate::plan::{BLOCK_SIZE, Fault, NUM_BLOCKS, Plan};

/// A leg as its tests see it.
pub(crate) struct Leg {
    state: Mutex<State>,
    latency_us_max: u64,
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
}

impl Leg {
    fn new(plan: &Plan, index: usize) -> Self {
        Self {
            state: Mutex::new(State {
                disk: Disk::new(),
                rng: Rng::with_seed(plan.seed.wrapping_add(index as u64 + 1)),
                faults: [0; 4],
                resets: 0,
                in_flight: 0,
                requests: 0,
                missed: false,
            }),
            latency_us_max: plan.latency_us_max,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // One OS thread runs all, and a panic ends it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Fails the next requests.
    pub(crate) fn fail(&self, fault: Fault, times: u32) {
        self.state().faults[fault as usize] += times;
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
        self.state().missed = true;
    }

    /// How many requests it has had.
    pub(crate) fn requests(&self) -> u64 {
        self.state().requests
    }

    /// Whether it ever failed to do what changes it, or went.
    pub(crate) fn has_missed(&self) -> bool {
        self.state().missed
    }

    /// What it holds.
    pub(crate) fn with_content<R>(&self, look: impl FnOnce(&[u8]) -> R) -> R {
        look(self.state().disk.blocks(0, NUM_BLOCKS))
    }

    /// What it holds after a crash at this moment.
    pub(crate) fn with_crashed<R>(&self, look: impl FnOnce(&[u8]) -> R) -> R {
        let mut state = self.state();
        let State { disk, rng, .. } = &mut *state;
        look(disk.crash(rng))
    }

    async fn latency(&self) {
        let us = self.state().rng.u64(0..=self.latency_us_max);
        // On a thread that exits nothing is worth waiting for.
        let _ = runtime::sleep(Duration::from_micros(us)).await;
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
        if self.state().resets != resets {
            return Status::Aborted;
        }
        let outcome = self.touch(request);
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
            self.state().missed |= fault != Some(Fault::Reads);
            if fault == Some(Fault::Flushes) {
                self.state().disk.fail_flush();
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

    /// Does what a request asks for.
    fn apply(&self, request: &Request<'_>) -> Result<(), Errno> {
        let (offset, count) = (request.offset_blocks(), request.num_blocks());
        let disk = &mut self.state().disk;
        match request.io_type() {
            IoType::READ => request.data().copy_from(disk.blocks(offset, count)),
            IoType::WRITE => request.data().copy_to(disk.change(offset, count)),
            IoType::WRITE_ZEROES | IoType::UNMAP => {
                disk.change(offset, count).fill(0);
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
    plan: Plan,
    legs: Vec<(Arc<Leg>, Bdev<LegDevice>)>,
}

impl Driver for Legs {
    type Device = LegDevice;

    const NAME: &'static CStr = c"sim_leg";

    /// The legs are there before a configuration makes a mirror of them.
    fn init() -> Result<(), Errno> {
        RUN.with_borrow_mut(|run| run.as_mut().map_or(Err(Errno::EINVAL), Run::register))
    }
}

impl Run {
    fn register(&mut self) -> Result<(), Errno> {
        for index in 0..self.plan.legs {
            let leg = Arc::new(Leg::new(&self.plan, index));
            let options = Options {
                write_cache: true,
                ..Options::new(BLOCK_SIZE, NUM_BLOCKS)
            };
            let device = LegDevice(leg.clone());
            let bdev = MODULE
                .register(&name(index), c"simulated disk", &options, device)
                .map_err(|(errno, _)| errno)?;
            self.legs.push((leg, bdev));
        }
        Ok(())
    }
}

/// The name of a leg's bdev.
pub(crate) fn name(index: usize) -> String {
    format!("leg{index}")
}

/// Says what legs are to be made when the module starts.
pub(crate) fn prepare(plan: &Plan) {
    let (plan, legs) = (plan.clone(), Vec::new());
    RUN.set(Some(Run { plan, legs }));
}

/// A leg of this run.
pub(crate) fn get(index: usize) -> Option<Arc<Leg>> {
    RUN.with_borrow(|run| Some(run.as_ref()?.legs.get(index)?.0.clone()))
}

/// The bdev of a leg.
pub(crate) fn bdev(index: usize) -> Option<Bdev<LegDevice>> {
    RUN.with_borrow(|run| Some(run.as_ref()?.legs.get(index)?.1.clone()))
}

/// How many requests the legs have had.
pub(crate) fn requests() -> u64 {
    (0..).map_while(get).map(|leg| leg.requests()).sum()
}

/// The legs when the application has ended: those that something still holds have leaked.
pub(crate) fn leaked() -> Vec<usize> {
    let legs = RUN.take().map_or_else(Vec::new, |run| run.legs);
    let legs: Vec<_> = legs.into_iter().map(|(leg, _)| leg).collect();
    (0..legs.len())
        .filter(|index| Arc::strong_count(&legs[*index]) > 1)
        .collect()
}
