//! Flushes that fail: what they should have kept may be lost, and they say so once.

use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use barespdk::bdev::Channel;
use barespdk::runtime;

use crate::assembly::{DATA, NUM_BLOCKS, REGION, blank, create, delete, online};
use crate::rig::{BLOCK_SIZE, Rig};
use crate::support::{Outcome, check, check_eq, open, pause, rpc_done, until, within, write};

/// The submitter of a flush was told that a leg has lost what was copied to it, but the keeper was not: its
/// own flush, at the end of the rebuild, goes well.
pub(crate) async fn at_the_end_of_a_rebuild() -> Outcome {
    let mut content = vec![0; NUM_BLOCKS * BLOCK_SIZE];
    // Nothing of it is dirty.
    content[DATA * BLOCK_SIZE..].fill(5);
    let legs = vec![Rig::of("A", content)?, blank("B")?];
    let [a, b] = [legs[0].device(), legs[1].device()];
    create(&["A"]).await?;
    let channel = Channel::new(&open("M")?)?;

    // Nothing is copied before the end of the rebuild is held.
    a.bad_reads.store(usize::MAX, SeqCst);
    rpc_done(
        "raid1_add_base_bdev",
        r#"{"raid_bdev":"M","base_bdev":"B"}"#,
    )
    .await?;
    b.holds_metadata.store(true, SeqCst);
    a.bad_reads.store(0, SeqCst);
    check!(until(|| b.held_writes.load(SeqCst) == 1).await);
    check_eq!(b.byte(NUM_BLOCKS - 1), 5);
    b.bad_flushes.store(1, SeqCst);
    let flush = channel.flush(0, REGION);
    let (sender, mut flushed) = barespdk::message::oneshot();
    runtime::spawn_local(async move {
        let _ = sender.send(flush.await);
    })?;
    check!(
        within(Duration::from_millis(20), &mut flushed)
            .await
            .is_none()
    );
    b.lose_from(DATA);
    b.holds_metadata.store(false, SeqCst);
    check_eq!(flushed.await?, Ok(()));
    online(2).await?;
    check!(b.content()[DATA * BLOCK_SIZE..] == a.content()[DATA * BLOCK_SIZE..]);
    drop(channel);
    delete(legs).await
}

/// The last leg fails a flush of metadata, and may have lost data with it: who flushes learns that.
pub(crate) async fn of_metadata_on_the_last_leg() -> Outcome {
    let legs = vec![blank("A")?, blank("B")?];
    create(&["A", "B"]).await?;
    rpc_done("raid1_remove_base_bdev", r#"{"name":"B"}"#).await?;
    let desc = open("M")?;
    let channel = Channel::new(&desc)?;
    write(&desc, 0, 1).await?;
    check_eq!(channel.flush(0, REGION).await, Ok(()));
    legs[0].device().bad_flushes.store(1, SeqCst);
    check!(write(&desc, REGION, 1).await.is_err());
    check!(channel.flush(0, REGION).await.is_err());
    check_eq!(channel.flush(0, REGION).await, Ok(()));
    write(&desc, REGION, 2).await?;
    drop((channel, desc));
    pause(Duration::from_millis(1)).await;
    delete(legs).await
}

/// One flush of metadata fails: the leg stays, is copied to anew where it may lack something, and the write
/// that was about to be marked goes on.
pub(crate) async fn of_metadata_once() -> Outcome {
    let legs = vec![blank("A")?, blank("B")?];
    let [a, b] = [legs[0].device(), legs[1].device()];
    create(&["A", "B"]).await?;
    online(2).await?;
    let desc = open("M")?;
    b.bad_flushes.store(1, SeqCst);
    write(&desc, REGION, 1).await?;
    check_eq!(b.bad_flushes.load(SeqCst), 0);
    online(2).await?;
    check!(b.content()[DATA * BLOCK_SIZE..] == a.content()[DATA * BLOCK_SIZE..]);
    check_eq!(Channel::new(&desc)?.flush(0, REGION).await, Ok(()));
    drop(desc);
    pause(Duration::from_millis(1)).await;
    delete(legs).await
}
