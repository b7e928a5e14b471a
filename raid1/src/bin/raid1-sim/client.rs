//! Clients of the mirror: each takes the steps of its thread one after the other.

use std::time::Duration;

use barespdk::bdev::{Channel, Data, Desc, IoError};
use barespdk::dma::DmaBuf;
use barespdk::errno::Errno;
use barespdk::runtime;
use barespdk::thread::Thread;

use crate::plan::{Act, BLOCK_SIZE, Blocks, Kind, NUM_BLOCKS, Step};
use crate::run::expect_progress;
use crate::world::World;
use crate::{content, ending, leg, life, settle, verdict};

/// How long a client waits for blocks that another one writes.
const LOCKED_PAUSE: Duration = Duration::from_micros(50);

/// A channel to the mirror.
pub(crate) fn channel(desc: &Desc) -> Channel {
    match Channel::new(desc) {
        Ok(channel) => channel,
        Err(errno) => verdict::failed(&format!("a thread has no channel: {errno}")),
    }
}

/// Takes steps until none is left for the thread.
pub(crate) async fn run(desc: Desc, thread: usize) {
    let channel = channel(&desc);
    World::with(|world| world.ready += 1);
    while !World::with(|world| world.goes) {
        let _ = runtime::sleep(life::start_pause()).await;
    }
    let mut taken = 0;
    while life::before_step(taken).await
        && let Some(step) = World::with(|world| world.next(thread))
    {
        take(&channel, step).await;
        taken += 1;
        World::with(|world| world.ended += 1);
        expect_progress();
    }
    drop(channel);
    drop(desc);
    World::with(|world| world.clients -= 1);
}

async fn take(channel: &Channel, step: Step) {
    verdict::trace(|| format!("{} on thread {}: {:?}", step.number, step.thread, step.act));
    match step.act {
        Act::Io { kind, blocks } => {
            let outcome = submit(channel, step.number, kind, blocks).await;
            verdict::trace(|| format!("{} ended: {outcome:?}", step.number));
        }
        Act::Reset => reset(channel).await,
        Act::Fail { leg, fault, times } => {
            if let Some(leg) = leg::get(life::victim(leg)) {
                leg.fail(fault, times);
                // Only so can what one leg alone has be lost.
                World::with(|world| world.checker.doubt());
            }
        }
        Act::Vanish { leg } => vanish(life::victim(leg)).await,
        Act::Replug { leg, us } => {
            let leg = life::victim(leg);
            vanish(leg).await;
            let _ = runtime::sleep(Duration::from_micros(us)).await;
            comes(leg).await;
        }
        Act::Pause { us } => {
            let _ = runtime::sleep(Duration::from_micros(us)).await;
        }
        Act::Crash => verdict::crash(),
        Act::Die(_) if life::has_lull() => {}
        Act::Die(death) => ending::ends(Some(death)),
        Act::Fate(_) => {}
    }
}

/// Submits a request, and checks what comes back.
async fn submit(channel: &Channel, number: u64, kind: Kind, blocks: Blocks) -> Result<(), IoError> {
    let (resets, resetting) = World::with(|world| (world.resets, world.resetting));
    let outcome = match kind {
        Kind::Read => read(channel, blocks).await,
        Kind::Flush => flush(channel).await,
        Kind::Write | Kind::WriteZeroes | Kind::Unmap => {
            while !World::with(|world| world.lock(blocks)) {
                let _ = runtime::sleep(LOCKED_PAUSE).await;
            }
            let outcome = write(channel, number, kind, blocks).await;
            World::with(|world| world.unlock(blocks));
            outcome
        }
    };
    if let Err(error) = outcome {
        // One leg is faithful. So only a reset excuses a failure; and an unmap that a leg failed, which is
        // said to the one who asked; and a flush that one failed from which others were copied.
        let was_reset = resetting > 0 || World::with(|world| world.resets > resets);
        let may_fail = match kind {
            Kind::Read | Kind::Write | Kind::WriteZeroes => false,
            Kind::Unmap => true,
            Kind::Flush => World::with(|world| world.copies) && has_lost(),
        };
        let may_fail = was_reset || may_fail;
        World::with(|world| world.copies |= kind != Kind::Read);
        if !may_fail {
            verdict::failed(&format!("step {number}, {kind:?} {blocks:?}: {error}"));
        }
    } else if kind == Kind::Flush && has_lost() {
        // The leg that failed it is copied to.
        World::with(|world| world.copies = true);
    }
    outcome
}

/// Whether a leg may have lost what it had been given, and has said so.
fn has_lost() -> bool {
    (0..).map_while(leg::get).any(|leg| leg.has_failed_flush())
}

/// Memory for some blocks.
fn buffer(blocks: Blocks) -> DmaBuf {
    let bytes = blocks.count as usize * BLOCK_SIZE as usize;
    match DmaBuf::new(bytes, 512) {
        Ok(buffer) => buffer,
        Err(error) => verdict::failed(&format!("no memory for {blocks:?}: {error}")),
    }
}

async fn read(channel: &Channel, blocks: Blocks) -> Result<(), IoError> {
    let buffer = buffer(blocks);
    let started = World::with(|world| world.checker.read_starts());
    let (outcome, buffer) = channel.read_buf(buffer, blocks.offset).await;
    let found = buffer
        .filter(|_| outcome.is_ok())
        .map(|buffer| content::values(buffer.as_slice(), blocks.offset));
    let checked = World::with(|world| {
        world
            .checker
            .read_ends(started, blocks.offset, found.as_deref())
    });
    if let Err(violation) = checked {
        verdict::failed(&violation.to_string());
    }
    outcome
}

async fn write(channel: &Channel, number: u64, kind: Kind, blocks: Blocks) -> Result<(), IoError> {
    let Blocks { offset, count } = blocks;
    let value = if kind == Kind::Write { number } else { 0 };
    let started = World::with(|world| world.checker.write_starts(value, offset, count));
    let outcome = match kind {
        Kind::WriteZeroes => channel.write_zeroes(offset, count).await,
        Kind::Unmap => channel.unmap(offset, count).await,
        _ => {
            let mut buffer = buffer(blocks);
            content::fill(buffer.as_mut_slice(), value, offset);
            let data = Data::from_buffer(buffer);
            channel.write(&data, offset).await
        }
    };
    let acknowledged = outcome.is_ok();
    World::with(|world| {
        world
            .checker
            .write_ends(started, offset, count, acknowledged);
    });
    outcome
}

async fn flush(channel: &Channel) -> Result<(), IoError> {
    let started = World::with(|world| world.checker.flush_starts());
    let outcome = channel.flush(0, NUM_BLOCKS).await;
    if outcome.is_ok() {
        World::with(|world| world.checker.flush_ends(started));
    }
    outcome
}

async fn reset(channel: &Channel) {
    World::with(|world| {
        world.resets += 1;
        world.resetting += 1;
    });
    if let Err(error) = channel.reset().await {
        verdict::trace(|| format!("reset failed: {error}"));
    }
    World::with(|world| world.resetting -= 1);
}

/// Takes the bdev of a leg away.
pub(crate) async fn vanish(index: usize) {
    World::with(|world| world.checker.doubt());
    if let Some(leg) = leg::get(index) {
        leg.goes();
    }
    let gone = match Thread::app() {
        // Bdevs are unregistered there.
        Some(app) => app.spawn(move || unregister(index)).await,
        None => Err(Errno::ENODEV),
    };
    match gone {
        Ok(Ok(()) | Err(Errno::EBUSY | Errno::ENODEV)) => {}
        Ok(Err(errno)) | Err(errno) => {
            verdict::failed(&format!("leg {index} does not go: {errno}"));
        }
    }
}

async fn unregister(index: usize) -> Result<(), Errno> {
    match leg::bdev(index) {
        Some(bdev) => bdev.unregister().await,
        None => Err(Errno::ENODEV),
    }
}

/// Has the bdev of a leg come, unless it is there, or not to be.
pub(crate) async fn comes(index: usize) {
    if life::is_hidden(index) {
        return;
    }
    World::with(|world| world.copies = true);
    let come = match Thread::app() {
        Some(app) => app.call(move || leg::register(index)).await,
        None => Err(Errno::ENODEV),
    };
    match come {
        Ok(Ok(()) | Err(Errno::EEXIST)) => {}
        Ok(Err(errno)) | Err(errno) => {
            verdict::failed(&format!("leg {index} does not come: {errno}"));
        }
    }
}

/// Reads the whole mirror, with nothing in flight.
pub(crate) async fn read_all(channel: &Channel) {
    for offset in 0..NUM_BLOCKS {
        let blocks = Blocks { offset, count: 1 };
        if let Err(error) = read(channel, blocks).await {
            verdict::failed(&format!("block {offset} not read at the end: {error}"));
        }
    }
}

/// Reads the whole mirror, with nothing in flight, and compares the legs that are in it.
pub(crate) async fn compare(channel: Channel) {
    let legs: Vec<_> = (0..).map_while(leg::get).collect();
    legs.iter().for_each(|leg| leg.heals());
    legs.iter().for_each(|leg| leg.evicts());
    settle::rebuilt().await;
    read_all(&channel).await;
    // Whom a write goes to is in the mirror, and stays in it if it does that write.
    let before: Vec<_> = legs.iter().map(|leg| leg.requests()).collect();
    let blocks = Blocks {
        offset: 0,
        count: 1,
    };
    if let Err(error) = write(&channel, u64::MAX, Kind::Write, blocks).await {
        verdict::failed(&format!("block 0 not written at the end: {error}"));
    }
    for (index, (leg, before)) in legs.iter().zip(before).enumerate() {
        if leg.requests() > before {
            leg.with_content(|content| verdict::of_leg(index, content));
        }
    }
}
