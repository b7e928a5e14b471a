//! Mirrors that are not made, after their metadata was written: nothing of them stays.

use std::sync::atomic::Ordering::SeqCst;

use barespdk::module::Bdev;

use crate::rig::{BLOCK_SIZE, Rig};
use crate::support::{
    A_WHILE, Failure, Outcome, begin_rpc, check, check_eq, open, pause, read, rpc_done, until,
    write,
};

/// Where superblocks are, of ours and of others, in bytes.
const SUPERBLOCKS: std::ops::Range<usize> = 0..128 << 10;

fn blank(name: &str) -> Result<Bdev<Rig>, Failure> {
    Rig::of(name, vec![0; (5 << 11) * BLOCK_SIZE])
}

/// Calls a method that makes a mirror M, whose name is taken while metadata is written.
async fn refused(method: &'static str, params: &str, legs: &[Bdev<Rig>]) -> Outcome {
    let held = &legs[1].device();
    held.holds_metadata.store(true, SeqCst);
    held.held_writes.store(0, SeqCst);
    let answer = begin_rpc(method, params);
    check!(until(|| held.held_writes.load(SeqCst) > 0).await);
    let other = Rig::make("M")?;
    held.holds_metadata.store(false, SeqCst);
    let answer = answer.await?;
    check!(answer.contains(r#""code":-17,"#) && answer.contains("there is a bdev 'M' already"));
    other.unregister().await?;
    // It would come back by itself.
    pause(A_WHILE).await;
    check!(open("M").is_err());
    Ok(())
}

/// The name is taken meanwhile, or a leg fails: the legs are what they were, even where that might have been
/// overwritten.
pub(crate) async fn creation() -> Outcome {
    let mut before = vec![0; (5 << 11) * BLOCK_SIZE];
    before[..1 << 20].fill(0xa5);
    let legs = [Rig::of("A", before.clone())?, Rig::of("B", before.clone())?];
    let params = r#"{"name":"M","base_bdevs":["A","B"],"force":true}"#;
    refused("raid1_create", params, &legs).await?;
    let held = &legs[1].device();
    held.bad_writes.store(3, SeqCst);
    let answer = begin_rpc("raid1_create", params).await?;
    check!(answer.contains("base bdev 'B' failed a write of metadata"));
    for leg in &legs {
        check!(leg.device().content() == before);
    }
    rpc_done("raid1_create", params).await?;
    rpc_done("raid1_delete", r#"{"name":"M"}"#).await?;
    for leg in legs {
        leg.unregister().await?;
    }
    Ok(())
}

/// The array of `bdev_raid` is what it was, whatever kept it from being taken over.
pub(crate) async fn import() -> Outcome {
    let legs = [blank("A")?, blank("B")?];
    let create = r#"{"name":"M","base_bdevs":["A","B"],"sync":"assume_clean"}"#;
    rpc_done("raid1_create", create).await?;
    write(&open("M")?, 3, 7).await?;
    rpc_done("raid1_export", r#"{"name":"M"}"#).await?;
    let before = || {
        legs.each_ref()
            .map(|leg| leg.device().content()[SUPERBLOCKS].to_vec())
    };
    let array = before();
    let params = r#"{"base_bdevs":["A","B"],"assume_clean":true}"#;
    refused("raid1_import", params, &legs).await?;
    check!(before() == array);

    // A leg fails a write.
    let held = &legs[1].device();
    held.held_writes.store(0, SeqCst);
    held.holds_metadata.store(true, SeqCst);
    let answer = begin_rpc("raid1_import", params);
    check!(until(|| held.held_writes.load(SeqCst) > 0).await);
    held.bad_writes.store(3, SeqCst);
    held.holds_metadata.store(false, SeqCst);
    let answer = answer.await?;
    check!(answer.contains("base bdev 'B' failed a write of metadata"));
    check_eq!(held.bad_writes.load(SeqCst), 0);
    check!(before() == array);

    rpc_done("raid1_import", params).await?;
    check_eq!(read(&open("M")?, 3).await?, 7);
    rpc_done("raid1_delete", r#"{"name":"M"}"#).await?;
    for leg in legs {
        leg.unregister().await?;
    }
    Ok(())
}
