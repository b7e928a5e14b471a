//! What is asked of a leg that fails, and of the others.

use std::sync::atomic::Ordering::SeqCst;

use barespdk::bdev::Channel;

use crate::rig::Rig;
use crate::support::{
    Outcome, check, check_eq, lists, mirror_of, open, read, rpc, rpc_done, write,
};

/// A leg that fails a read is not asked for it again; the next one is.
pub(crate) async fn a_read_is_tried_once_on_each_leg() -> Outcome {
    let legs = ["A", "B", "C"];
    let rigs = [Rig::make("A")?, Rig::make("B")?, Rig::make("C")?];
    mirror_of(&legs).await?;
    let desc = open("M")?;
    write(&desc, 7, 1).await?;
    for bad in 0..legs.len() {
        for (number, rig) in rigs.iter().enumerate() {
            rig.device().reads.store(0, SeqCst);
            let reads = if number < bad { 9 } else { 0 };
            rig.device().bad_reads.store(reads, SeqCst);
        }
        check_eq!(read(&desc, 7).await?, 1);
        for (number, rig) in rigs.iter().enumerate() {
            let reads = rig.device().reads.load(SeqCst);
            check_eq!(reads, usize::from(number <= bad));
        }
    }
    for rig in &rigs {
        rig.device().bad_reads.store(1, SeqCst);
    }
    check!(read(&desc, 7).await.is_err());
    check_eq!(read(&desc, 7).await?, 1);
    for leg in legs {
        check!(lists(leg).await?);
    }

    drop(desc);
    rpc_done("raid1_delete", r#"{"name":"M"}"#).await?;
    for rig in rigs {
        rig.unregister().await?;
    }
    Ok(())
}

/// A write is sent to each leg once, whichever of them fails it.
pub(crate) async fn a_write_is_sent_to_each_leg() -> Outcome {
    let rigs = [Rig::make("A")?, Rig::make("B")?, Rig::make("C")?];
    mirror_of(&["A", "B", "C"]).await?;
    let desc = open("M")?;
    rigs[1].device().bad_writes.store(usize::MAX, SeqCst);
    write(&desc, 7, 1).await?;
    check!(lists("A").await? && !lists("B").await? && lists("C").await?);
    // What fails is tried again before that is believed.
    for (rig, times) in rigs.iter().zip([1, 4, 1]) {
        check_eq!(rig.device().writes.load(SeqCst), times);
    }
    // Of a write that none did none is to blame.
    for rig in [&rigs[0], &rigs[2]] {
        rig.device().bad_writes.store(usize::MAX, SeqCst);
    }
    check!(write(&desc, 7, 2).await.is_err());
    check!(lists("A").await? && lists("C").await?);
    for rig in [&rigs[0], &rigs[2]] {
        rig.device().bad_writes.store(0, SeqCst);
    }
    write(&desc, 7, 3).await?;
    check_eq!(read(&desc, 7).await?, 3);

    drop(desc);
    rpc_done("raid1_delete", r#"{"name":"M"}"#).await?;
    for rig in rigs {
        rig.unregister().await?;
    }
    Ok(())
}

/// A leg that fails a flush which another did is out, as what it was written may be lost.
pub(crate) async fn a_leg_that_fails_a_flush_is_copied_to() -> Outcome {
    let rigs = [Rig::make("A")?, Rig::make("B")?, Rig::make("C")?];
    mirror_of(&["A", "B", "C"]).await?;
    let desc = open("M")?;
    let channel = Channel::new(&desc)?;
    write(&desc, 7, 1).await?;
    rigs[1].device().bad_flushes.store(1, SeqCst);
    check_eq!(channel.flush(0, 8).await, Ok(()));
    // It stays, and is copied to.
    let start = std::time::Instant::now();
    while !rpc("raid1_get_bdevs", r#"{"category":"all"}"#)
        .await?
        .contains(r#""num_base_bdevs_operational":3"#)
    {
        check!(start.elapsed() < crate::harness::PATIENCE);
    }
    check!(rigs[1].device().writes.load(SeqCst) > 1);
    // Of a flush that none did none is to blame.
    for rig in &rigs {
        rig.device().bad_flushes.store(1, SeqCst);
    }
    check!(channel.flush(0, 8).await.is_err());
    check!(lists("A").await? && lists("C").await?);
    check_eq!(channel.flush(0, 8).await, Ok(()));
    check_eq!(read(&desc, 7).await?, 1);

    drop((channel, desc));
    rpc_done("raid1_delete", r#"{"name":"M"}"#).await?;
    for rig in rigs {
        rig.unregister().await?;
    }
    Ok(())
}
