//! Copies from leg to leg, while the mirror is in use: what a leg lacks, or what legs may have differently.
//!
//! ```text
//!   start ──► lanes, each a task with a buffer          all on the app thread
//!               │   ┌──────────────────────────────────────────────┐
//!               ▼   ▼                                              │
//!             walk: next window ──► pace ──► window: hold ─ read ─ write ─ release
//!               │ PassOver: wait, where something failed; then again from the first region
//!               └ Finished, or stopped: the last lane calls Copying::ended
//! ```
//!
//! It knows neither why something is copied nor what is recorded of it: that is the business of its
//! [`Copying`]. A region leaves the map when all its windows were copied, so whoever keeps that map knows what
//! is left when the copy ends early.
//!
//! What is in flight when the copy is [stopped](Progress::stop) is copied to its end: only then are the
//! ranges released, else an older write could overtake a newer one. So there is no other way to end it, but
//! for the thread's exit.

mod clock;
mod pace;
mod progress;
mod walk;
mod window;

use alloc::rc::Rc;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};
use core::future::poll_fn;
use core::task::{Poll, Waker};
use core::time::Duration;

use barespdk::bdev::{Channel, Desc, IoError};
use barespdk::errno::Errno;
use barespdk::runtime;

use self::pace::Pace;
pub(crate) use self::progress::{Progress, Shape};
use self::walk::{Next, Walk};
use self::window::Outcome;
use crate::buffer::Buffer;
use crate::legs::{LegSet, Slot};
use crate::ranges::Ranges;
use crate::region_map::RegionMap;

/// How many bytes are copied in one go. It is for how long a write may have to wait.
const WINDOW_BYTES: u32 = 256 * 1024;

/// How many windows are copied at a time.
const LANES: usize = 8;

/// How long to wait before what failed is tried again: at first, and at most.
const PAUSE: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(16);

/// How long to sleep before looking whether the copy is to end, or the limit has changed.
const LOOK: Duration = Duration::from_millis(100);

/// How a copy ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// Nothing is left in the map.
    Copied,
    /// It was stopped.
    Stopped,
}

/// What is copied, from where and to where. Called on the app thread; none of these may wait.
///
/// The legs are asked for while the window is held: those that are in sync then have what is to be copied,
/// whatever becomes of them later.
pub(crate) trait Copying: 'static {
    /// The ranges of the mirror. Every write to a target holds its blocks there.
    fn ranges(&self) -> &Ranges;

    /// The regions that are still to be copied. More may be put in at any time.
    fn regions(&self) -> &RegionMap;

    /// How the mirror is cut. It does not change.
    fn shape(&self) -> Shape;

    /// How much may be copied, in MiB a second; 0: as much as is possible. It may change.
    fn limit_mib_s(&self) -> u32;

    /// A leg to copy from, but for those that have failed at this window. `None`: there is no other.
    fn source(&self, tried: LegSet) -> Option<Slot>;

    /// Whether legs to copy from may have differently what is copied.
    fn sources_differ(&self) -> bool;

    /// Whether a leg from which a window was read may still be believed.
    fn is_source(&self, slot: Slot) -> bool;

    /// The legs to copy to what was read from this one. Where these are none, it counts as copied. `None`: it
    /// cannot be copied now.
    fn targets(&self, source: Slot) -> Option<LegSet>;

    /// The app thread's way to a leg. It is held as long as the window is copied, no longer.
    ///
    /// # Errors
    /// The leg is gone, or cannot be reached. It has failed what it was to do.
    fn channel(&self, slot: Slot) -> Result<Channel, Errno>;

    /// Where the mirror's first block is on a leg.
    fn data_offset_blocks(&self, slot: Slot) -> u64;

    /// A leg could not read the window at this block of the mirror. Another one is tried; where there is
    /// none, the region is tried again later.
    fn source_failed(&self, slot: Slot, start_blocks: u64, error: IoError);

    /// A leg could not write the window at this block of the mirror. The region is tried again later, if the
    /// leg is a target then.
    fn target_failed(&self, slot: Slot, start_blocks: u64, error: IoError);

    /// Nothing is copied any more, and nothing in flight.
    fn ended(&self, end: End);
}

/// Begins to copy. On the app thread; `desc` is any of the legs: all have blocks alike.
///
/// # Errors
/// `ENOMEM`, where there is no memory for even one window; else as [`runtime::spawn_local`]. Then
/// [`Copying::ended`] is not called.
pub(crate) fn start(copying: impl Copying, desc: &Desc) -> Result<Arc<Progress>, Errno> {
    let shape = copying.shape();
    let block_size = desc.block_size().max(1);
    let window_blocks = u64::from((WINDOW_BYTES / block_size).max(1));
    // Windows that begin where chunks of stripes and pages do.
    let window_blocks = (1 << window_blocks.ilog2()).min(shape.region_blocks.max(1));
    let progress = Arc::new(Progress::default());
    progress.count(copying.regions(), shape);
    let run = Rc::new(Run {
        copying,
        progress: Arc::clone(&progress),
        block_size,
        walk: RefCell::new(Walk::new(shape, window_blocks)),
        pace: Pace::default(),
        idle: RefCell::default(),
        lanes: Cell::new(0),
        is_finished: Cell::new(false),
        is_resting: Cell::new(false),
        has_failed: Cell::new(false),
        pause: Cell::new(PAUSE),
    });
    // Fewer lanes where memory is short.
    let buffers: Vec<_> = (0..LANES)
        .map_while(|_| Buffer::new(desc, window_blocks).ok())
        .collect();
    if buffers.is_empty() {
        return Err(Errno::ENOMEM);
    }
    for buffer in buffers {
        let spawned = runtime::spawn_local(lane(Rc::clone(&run), buffer));
        match spawned {
            Ok(()) => run.lanes.set(run.lanes.get() + 1),
            Err(errno) if run.lanes.get() == 0 => return Err(errno),
            Err(_) => break,
        }
    }
    Ok(progress)
}

/// What the lanes of a copy share.
struct Run<C> {
    copying: C,
    progress: Arc<Progress>,
    block_size: u32,
    walk: RefCell<Walk>,
    pace: Pace,
    /// Lanes that have nothing to do until another has done something.
    idle: RefCell<Vec<Waker>>,
    /// How many there are.
    lanes: Cell<usize>,
    is_finished: Cell<bool>,
    /// A lane waits for the next pass to begin.
    is_resting: Cell<bool>,
    /// Something has failed in this pass.
    has_failed: Cell<bool>,
    /// How long to wait the next time.
    pause: Cell<Duration>,
}

/// Copies one window after the other.
async fn lane<C: Copying>(run: Rc<Run<C>>, mut buffer: Buffer) {
    while !run.is_over() {
        let next = run.walk.borrow_mut().next(run.copying.regions());
        match next {
            Next::Window(window) => {
                let bytes = window.num_blocks.saturating_mul(run.block_size.into());
                run.take_time(bytes).await;
                if run.is_over() {
                    break;
                }
                let outcome = window::copy(&run.copying, window, &mut buffer, &run.progress).await;
                // A copy that was stopped meanwhile has no say in the map any more.
                if run.is_over() {
                    break;
                }
                run.end_window(window, outcome);
            }
            Next::PassOver if !run.is_resting.get() => run.rest().await,
            Next::PassOver | Next::Wait => run.idle().await,
            Next::Finished => run.is_finished.set(true),
        }
    }
    run.leave();
}

impl<C: Copying> Run<C> {
    /// Whether nothing more is to be begun.
    fn is_over(&self) -> bool {
        self.is_finished.get() || self.progress.is_stopped()
    }

    /// Waits until so many bytes may be copied, or the copy is over.
    async fn take_time(&self, bytes: u64) {
        while !self.is_over() {
            let limit = self.copying.limit_mib_s();
            let Err(wait_ns) = self.pace.take(bytes, limit, clock::now_ns()) else {
                return;
            };
            // Where it cannot sleep, it looks again after all others had their turn.
            let _ = runtime::sleep(LOOK.min(Duration::from_nanos(wait_ns))).await;
        }
    }

    fn end_window(&self, window: walk::Window, outcome: Outcome) {
        let mut walk = self.walk.borrow_mut();
        if outcome != Outcome::Copied {
            self.progress.add_failed();
            self.has_failed.set(true);
        }
        if outcome == Outcome::NotNow {
            walk.end_pass();
        }
        let done = walk.end(window, outcome == Outcome::Copied);
        drop(walk);
        if let Some(region) = done {
            self.copying.regions().remove(region);
            self.progress
                .add_done(self.copying.shape().blocks_of(region).1);
            self.pause.set(PAUSE);
        }
        self.wake_idle();
    }

    /// Waits before the next pass, where something has failed in this one, and begins it.
    async fn rest(&self) {
        self.is_resting.set(true);
        if self.has_failed.replace(false) {
            self.progress.set_waiting(true);
            let pause = self.pause.get();
            self.pause.set(PAUSE_MAX.min(pause * 2));
            for _ in 0..pause.as_millis() / LOOK.as_millis() {
                if self.is_over() {
                    break;
                }
                let _ = runtime::sleep(LOOK).await;
            }
            self.progress.set_waiting(false);
        }
        self.progress
            .count(self.copying.regions(), self.copying.shape());
        self.walk.borrow_mut().begin_pass();
        self.is_resting.set(false);
        self.wake_idle();
    }

    /// Waits until another lane has done something.
    async fn idle(&self) {
        let mut was_polled = false;
        poll_fn(|cx| {
            if was_polled {
                return Poll::Ready(());
            }
            was_polled = true;
            self.idle.borrow_mut().push(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }

    fn wake_idle(&self) {
        // Out of the cell first: a waker may do anything.
        self.idle.take().into_iter().for_each(Waker::wake);
    }

    /// A lane ends; the last one says so.
    fn leave(&self) {
        self.lanes.set(self.lanes.get().saturating_sub(1));
        self.wake_idle();
        if self.lanes.get() == 0 {
            self.copying.ended(if self.is_finished.get() {
                End::Copied
            } else {
                End::Stopped
            });
        }
    }
}
