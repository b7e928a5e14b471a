//! The way of one window: held, read from one leg, written to others, released.

use core::time::Duration;

use barespdk::bdev::{Channel, Io, IoError, Status};
use barespdk::{planted, runtime};

use super::Copying;
use super::progress::Progress;
use super::walk::Window;
use crate::buffer::Buffer;
use crate::legs::{LEGS_MAX, LegSet, Slot};

/// How often a write is sent again to a leg that gave it up, as legs do while they are reset.
const ABORTED_RETRIES: u32 = 500;

/// How often it is sent again to one that lacks memory.
const NO_MEMORY_RETRIES: u32 = 3;

/// How long to wait before that.
const RETRY_PAUSE: Duration = Duration::from_millis(10);

/// What became of a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Outcome {
    Copied,
    /// No leg can read it. Others may be readable.
    Unreadable,
    /// No window can be copied now: there is no leg to read from or to write to, or one failed a write.
    NotNow,
}

/// Copies a window. Nobody else writes there meanwhile.
pub(super) async fn copy(
    copying: &impl Copying,
    window: Window,
    buffer: &mut Buffer,
    progress: &Progress,
) -> Outcome {
    let is_held = !planted::is("copy_holds_nothing");
    let (start, num_blocks) = (window.start, if is_held { window.num_blocks } else { 0 });
    // The legs are looked up behind this: what they have of these blocks now, they have until the end.
    let _held = copying.ranges().hold(start, num_blocks).await;
    if let Some(outcome) = copy_held(copying, window, buffer, progress).await {
        return outcome;
    }
    let mut worst = Outcome::Copied;
    for block in window.blocks() {
        let outcome = copy_held(copying, block, buffer, progress).await;
        worst = worst.max(outcome.unwrap_or(Outcome::Unreadable));
        if worst == Outcome::NotNow || progress.is_stopped() {
            return Outcome::NotNow;
        }
    }
    worst
}

/// Copies a window that is held. `None`: its source cannot read all of it, and others may have it differently.
/// It is to be copied block by block, so that they stand in for what cannot be read, and for nothing else.
async fn copy_held(
    copying: &impl Copying,
    window: Window,
    buffer: &mut Buffer,
    progress: &Progress,
) -> Option<Outcome> {
    let source = match read(copying, window, buffer).await {
        Ok(source) => source,
        Err(outcome) => return outcome,
    };
    progress.add_read(window.num_blocks);
    let Some(targets) = copying.targets(source) else {
        return Some(Outcome::NotNow);
    };
    let are_written = write(copying, window, buffer, targets, progress).await;
    // One that may have lost what it had, by now, may have had lost it then.
    if are_written && copying.is_source(source) {
        Some(Outcome::Copied)
    } else {
        Some(Outcome::NotNow)
    }
}

/// Where a window is on a leg: its offset, and its length, in blocks.
fn place(copying: &impl Copying, window: Window, slot: Slot) -> (u64, u64) {
    let offset_blocks = copying.data_offset_blocks(slot);
    (
        offset_blocks.saturating_add(window.start),
        window.num_blocks,
    )
}

/// Reads a window, from the first leg that can. What became of it, if none can; as [`copy_held`].
async fn read(
    copying: &impl Copying,
    window: Window,
    buffer: &mut Buffer,
) -> Result<Slot, Option<Outcome>> {
    let mut tried = LegSet::EMPTY;
    let mut failed = Outcome::NotNow;
    while let Some(source) = copying.source(tried) {
        let outcome = match copying.channel(source) {
            Ok(leg) => buffer.read(&leg, place(copying, window, source)).await,
            Err(errno) => Err(IoError::Submit(errno)),
        };
        let Err(error) = outcome else {
            return Ok(source);
        };
        // A leg that was reset, not one that cannot read: another may have it differently.
        if error == IoError::Failed(Status::Aborted) {
            return Err(Some(Outcome::NotNow));
        }
        if copying.sources_differ() {
            match error {
                // It could not even be asked: another one would answer differently.
                IoError::Submit(_) => return Err(Some(Outcome::NotNow)),
                IoError::Failed(_) if window.num_blocks > 1 => return Err(None),
                IoError::Failed(_) => {}
            }
        }
        copying.source_failed(source, window.start, error);
        tried.insert(source);
        // One that could not even be asked would not be for the next window either.
        if let IoError::Failed(_) = error {
            failed = Outcome::Unreadable;
        }
    }
    Err(Some(failed))
}

/// Writes a window to all targets. Returns whether all have done it.
async fn write(
    copying: &impl Copying,
    window: Window,
    buffer: &mut Buffer,
    targets: LegSet,
    progress: &Progress,
) -> bool {
    let mut begun: [Option<(Channel, Io)>; LEGS_MAX] = [const { None }; LEGS_MAX];
    let mut outcomes: [Option<Result<(), IoError>>; LEGS_MAX] = [None; LEGS_MAX];
    for slot in members(targets) {
        let leg = match copying.channel(slot) {
            Ok(leg) => leg,
            Err(errno) => {
                outcomes[slot.index()] = Some(Err(IoError::Submit(errno)));
                continue;
            }
        };
        let at = place(copying, window, slot);
        match buffer.begin_to_write(&leg, at) {
            Some(Ok(io)) => begun[slot.index()] = Some((leg, io)),
            Some(Err(error)) => outcomes[slot.index()] = Some(Err(error)),
            None => outcomes[slot.index()] = Some(buffer.write(&leg, at).await),
        }
    }
    let mut are_written = true;
    for slot in members(targets) {
        let outcome = match begun[slot.index()].take() {
            Some((_leg, io)) => io.await,
            None => outcomes[slot.index()].unwrap_or(Ok(())),
        };
        let outcome = match outcome {
            Err(error) => write_again(copying, window, buffer, (slot, error), progress).await,
            Ok(()) => Ok(()),
        };
        if let Err(error) = outcome {
            are_written = false;
            // Who was not asked again for that this was stopped has not failed.
            if retries(error) == 0 || !progress.is_stopped() {
                copying.target_failed(slot, window.start, error);
            }
        }
    }
    are_written
}

/// Sends a write again to a leg that failed it for a reason that may pass.
async fn write_again(
    copying: &impl Copying,
    window: Window,
    buffer: &mut Buffer,
    (slot, mut error): (Slot, IoError),
    progress: &Progress,
) -> Result<(), IoError> {
    for try_number in 0.. {
        if try_number >= retries(error) || progress.is_stopped() {
            break;
        }
        if runtime::sleep(RETRY_PAUSE).await.is_err() {
            break;
        }
        let leg = copying.channel(slot).map_err(IoError::Submit)?;
        match buffer.write(&leg, place(copying, window, slot)).await {
            Ok(()) => return Ok(()),
            Err(again) => error = again,
        }
    }
    Err(error)
}

/// How often a write is sent again.
fn retries(error: IoError) -> u32 {
    match error {
        IoError::Failed(Status::Aborted) => ABORTED_RETRIES,
        IoError::Failed(Status::NoMemory) => NO_MEMORY_RETRIES,
        IoError::Failed(_) | IoError::Submit(_) => 0,
    }
}

fn members(mut legs: LegSet) -> impl Iterator<Item = Slot> {
    core::iter::from_fn(move || legs.pop_first())
}
