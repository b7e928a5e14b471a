//! Legs that are copied to.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::{Duration, Instant};

use barespdk::bdev::{Access, Channel, Desc};
use barespdk::errno::Errno;
use barespdk::message::Receiver;
use barespdk_alloc_dma::DmaBuf;

use crate::crew::{Crew, Member};
use crate::harness::PATIENCE;
use crate::rig::{BLOCK_SIZE, Rig};
use crate::support::{
    A_WHILE, Failure, Outcome, check, check_eq, lists, lost, mirror_of, open, pause, rpc, rpc_done,
    until, within, write,
};

/// Of the legs that are large: many regions, and windows.
const NUM_BLOCKS: u64 = (16 << 20) / BLOCK_SIZE as u64;

/// Blocks in the way of the hammer.
const PIECE: u64 = 64;

async fn add(leg: &str) -> Outcome {
    let params = format!(r#"{{"raid_bdev":"M","base_bdev":"{leg}"}}"#);
    rpc_done("raid1_add_base_bdev", &params).await
}

/// Waits until no leg is being rebuilt.
async fn in_sync() -> Result<bool, Failure> {
    let start = Instant::now();
    loop {
        let list = rpc("raid1_get_bdevs", r#"{"category":"all"}"#).await?;
        if !list.contains("rebuilding") {
            return Ok(true);
        }
        if start.elapsed() > PATIENCE {
            return Ok(false);
        }
        pause(Duration::from_millis(1)).await;
    }
}

/// Writes one round after the other, each over all of the mirror and full of its own number, in pieces
/// that overlap those before. Says how many rounds are over.
fn hammer(member: &Member, rounds: u64, over: &Arc<AtomicU64>) -> Receiver<Outcome> {
    let over = Arc::clone(over);
    member.thread.spawn(move || async move {
        let desc = open("M")?;
        let channel = Channel::new(&desc)?;
        let mut buffer =
            DmaBuf::new(PIECE as usize * BLOCK_SIZE, 4096).map_err(|_| Errno::ENOMEM)?;
        for round in 1..=rounds {
            let mut block = 0;
            while block + PIECE <= NUM_BLOCKS {
                buffer.fill(round as u8);
                let (outcome, back) = channel.write_buf(buffer, block).await;
                outcome?;
                buffer = back.ok_or(Errno::ENOMEM)?;
                block += PIECE - 1;
            }
            over.store(round, SeqCst);
        }
        Ok(())
    })
}

/// The first block in which two bdevs differ.
async fn difference(a: &str, b: &str) -> Result<Option<u64>, Failure> {
    let open = |name| Desc::open(name, Access::Read, |_| ());
    let channels = [Channel::new(&open(a)?)?, Channel::new(&open(b)?)?];
    for block in (0..NUM_BLOCKS).step_by(128) {
        let mut content = Vec::new();
        for channel in &channels {
            let buffer = DmaBuf::new(128 * BLOCK_SIZE, 4096).map_err(|_| Errno::ENOMEM)?;
            let (outcome, buffer) = channel.read_buf(buffer, block).await;
            outcome?;
            content.push(buffer.ok_or(Errno::ENOMEM)?);
        }
        if content[0][..] != content[1][..] {
            return Ok(Some(block));
        }
    }
    Ok(None)
}

/// A leg that is added gets all that the others have, and what is written meanwhile.
pub(crate) async fn of_a_leg_while_all_is_written() -> Outcome {
    let legs = ["BigA", "BigB", "BigC"];
    for leg in legs {
        let params =
            format!(r#"{{"name":"{leg}","num_blocks":{NUM_BLOCKS},"block_size":{BLOCK_SIZE}}}"#);
        rpc_done("bdev_malloc_create", &params).await?;
    }
    mirror_of(&legs[..2]).await?;
    let crew = Crew::muster()?;
    let over = Arc::new(AtomicU64::new(0));
    hammer(&crew.first, 1, &over).await??;
    let writers = [
        hammer(&crew.second, 6, &over),
        hammer(&crew.third, 6, &over),
    ];
    add(legs[2]).await?;
    check!(in_sync().await?);
    for writer in writers {
        writer.await??;
    }
    check!(lists(legs[2]).await?);
    check_eq!(difference(legs[0], legs[1]).await?, None);
    check_eq!(difference(legs[0], legs[2]).await?, None);
    crew.dismiss().await?;
    rpc_done("raid1_delete", r#"{"name":"M"}"#).await?;
    for leg in legs {
        rpc_done("bdev_malloc_delete", &format!(r#"{{"name":"{leg}"}}"#)).await?;
    }
    Ok(())
}

/// What is being copied is not written meanwhile: the copy would undo that.
pub(crate) async fn a_write_waits_for_the_window() -> Outcome {
    let rigs = [Rig::make("A")?, Rig::make("B")?];
    mirror_of(&["A"]).await?;
    let crew = Crew::muster()?;
    crew.open_channels().await?;
    crew.first.write(7, 1).await?;
    rigs[1].device().holds_writes.store(true, SeqCst);
    add("B").await?;
    check!(until(|| rigs[1].device().writes.load(SeqCst) == 1).await);
    let mut written = crew.second.begin_write(7, 2);
    check!(within(A_WHILE, &mut written).await.is_none());
    check_eq!(rigs[0].device().byte(7), 1);
    check_eq!(crew.first.read(7).await?, 1);
    rigs[1].device().holds_writes.store(false, SeqCst);
    written.await??;
    check!(in_sync().await?);
    for rig in &rigs {
        check_eq!(rig.device().byte(7), 2);
    }
    crew.dismiss().await?;
    rpc_done("raid1_delete", r#"{"name":"M"}"#).await?;
    for rig in rigs {
        rig.unregister().await?;
    }
    Ok(())
}

/// What one leg cannot read is read from another; what none can is tried again.
pub(crate) async fn from_legs_that_fail_reads() -> Outcome {
    let rigs = [Rig::make("A")?, Rig::make("B")?, Rig::make("C")?];
    mirror_of(&["A", "B"]).await?;
    let desc = open("M")?;
    write(&desc, 7, 1).await?;
    rigs[0].device().bad_reads.store(usize::MAX, SeqCst);
    rigs[1].device().bad_reads.store(1, SeqCst);
    add("C").await?;
    check!(in_sync().await?);
    check_eq!(rigs[2].device().byte(7), 1);
    // SPDK's modules look at new bdevs too.
    check!(rigs[1].device().reads.load(SeqCst) >= 2);
    for leg in ["A", "B", "C"] {
        check!(lists(leg).await?);
    }
    drop(desc);
    rpc_done("raid1_delete", r#"{"name":"M"}"#).await?;
    for rig in rigs {
        rig.unregister().await?;
    }
    Ok(())
}

/// A leg that fails what is copied to it goes, and nothing else happens.
pub(crate) async fn to_a_leg_that_fails_writes() -> Outcome {
    let rigs = [Rig::make("A")?, Rig::make("B")?];
    mirror_of(&["A"]).await?;
    let desc = open("M")?;
    write(&desc, 7, 1).await?;
    rigs[1].device().bad_writes.store(usize::MAX, SeqCst);
    add("B").await?;
    check!(lost("B").await?);
    check!(lists("A").await?);
    write(&desc, 7, 2).await?;
    check_eq!(rigs[0].device().byte(7), 2);
    drop(desc);
    rpc_done("raid1_delete", r#"{"name":"M"}"#).await?;
    for rig in rigs {
        rig.unregister().await?;
    }
    Ok(())
}
