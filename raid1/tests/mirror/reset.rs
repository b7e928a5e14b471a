//! Resets, of the mirror and of its legs.

use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use barespdk::bdev::{Access, Channel, Desc, IoError, Status};
use barespdk::message::oneshot;
use barespdk::runtime;

use crate::rig::Rig;
use crate::support::{
    A_WHILE, Outcome, begin_rpc, check, check_eq, lists, lost, mirror_of, open, pause, read,
    rpc_done, until, within, write,
};

/// What becomes of a leg that is gone, or about to go, is nobody's concern.
pub(crate) async fn a_leg_goes_meanwhile() -> Outcome {
    let (a, b) = (Rig::make("A")?, Rig::make("B")?);
    mirror_of(&["A", "B"]).await?;
    let desc = open("M")?;
    let channel = Channel::new(&desc)?;
    a.device().holds_resets.store(true, SeqCst);
    a.device().bad_resets.store(1, SeqCst);
    let reset = channel.reset();
    check!(until(|| a.device().resets.load(SeqCst) == 1).await);
    let removed = begin_rpc("raid1_remove_base_bdev", r#"{"name":"A"}"#);
    check!(lost("A").await?);
    a.device().holds_resets.store(false, SeqCst);
    check_eq!(reset.await, Ok(()));
    check!(removed.await?.contains(r#""result":true"#));
    check_eq!(b.device().resets.load(SeqCst), 1);

    drop((channel, desc));
    rpc_done("raid1_delete", r#"{"name":"M"}"#).await?;
    a.unregister().await?;
    Ok(b.unregister().await?)
}

/// A leg that stays, and fails its reset, fails that of the mirror.
pub(crate) async fn a_leg_fails_it() -> Outcome {
    let (a, b) = (Rig::make("A")?, Rig::make("B")?);
    mirror_of(&["A", "B"]).await?;
    let desc = open("M")?;
    let channel = Channel::new(&desc)?;
    b.device().bad_resets.store(1, SeqCst);
    check_eq!(channel.reset().await, Err(IoError::Failed(Status::Failed)));
    check_eq!(channel.reset().await, Ok(()));
    check!(lists("A").await? && lists("B").await?);

    drop((channel, desc));
    rpc_done("raid1_delete", r#"{"name":"M"}"#).await?;
    a.unregister().await?;
    Ok(b.unregister().await?)
}

/// A write that one leg gave up for its reset, which another did, is sent to that leg until the reset
/// is over; the leg stays.
pub(crate) async fn it_takes_long() -> Outcome {
    let (a, b) = (Rig::make("A")?, Rig::make("B")?);
    mirror_of(&["A", "B"]).await?;
    let desc = open("M")?;
    let below = Desc::open("A", Access::Read, |_| ())?;
    let leg = Channel::new(&below)?;
    a.device().holds_writes.store(true, SeqCst);
    a.device().holds_resets.store(true, SeqCst);
    let (sender, mut written) = oneshot();
    let above = desc.clone();
    runtime::spawn_local(async move {
        let _ = sender.send(write(&above, 7, 1).await);
    })?;
    check!(until(|| a.device().writes.load(SeqCst) == 1).await);
    let reset = leg.reset();
    check!(until(|| a.device().resets.load(SeqCst) == 1).await);
    a.device().holds_writes.store(false, SeqCst);
    check!(within(A_WHILE, &mut written).await.is_none());
    a.device().holds_resets.store(false, SeqCst);
    check_eq!(reset.await, Ok(()));
    written.await??;
    check_eq!(a.device().byte(7), 1);
    check_eq!(b.device().byte(7), 1);
    check_eq!(read(&desc, 7).await?, 1);
    check!(lists("A").await? && lists("B").await?);

    drop((leg, desc, below));
    pause(Duration::from_millis(1)).await;
    rpc_done("raid1_delete", r#"{"name":"M"}"#).await?;
    a.unregister().await?;
    Ok(b.unregister().await?)
}
