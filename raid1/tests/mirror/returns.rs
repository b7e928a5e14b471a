//! Legs that come back at odd moments.

use std::sync::atomic::Ordering::SeqCst;

use crate::assembly::{blank, create, delete, online, unplug};
use crate::crew::Crew;
use crate::rig::Rig;
use crate::support::{
    A_WHILE, Outcome, begin_rpc, check, check_eq, lists, lost, mirror_of, open, pause, read,
    rpc_done, until, write,
};

/// It is added when the mirror itself has let go of it, which had it claimed.
pub(crate) async fn while_it_still_leaves() -> Outcome {
    let rigs = [Rig::make("A")?, Rig::make("B")?];
    mirror_of(&["A", "B"]).await?;
    let crew = Crew::muster()?;
    crew.open_channels().await?;
    let blocked = crew.third.block(7).await?;
    rigs[1].device().bad_writes.store(4, SeqCst);
    let written = crew.first.begin_write(7, 1);
    check!(lost("B").await?);
    let added = begin_rpc(
        "raid1_add_base_bdev",
        r#"{"raid_bdev":"M","base_bdev":"B"}"#,
    );
    pause(A_WHILE).await;
    blocked.release().await?;
    written.await??;
    check!(added.await?.contains(r#""result":true"#));
    check!(lists("B").await?);
    check!(until(|| rigs[1].device().byte(7) == 1).await);
    crew.dismiss().await?;
    rpc_done("raid1_delete", r#"{"name":"M"}"#).await?;
    for rig in rigs {
        rig.unregister().await?;
    }
    Ok(())
}

/// What its slot has missed is what another leg has, which came and went as this one was looked at.
pub(crate) async fn behind_another_in_its_slot() -> Outcome {
    let mut legs = vec![blank("A")?, blank("B")?];
    create(&["A", "B"]).await?;
    let desc = open("M")?;
    write(&desc, 0, 1).await?;
    rpc_done("raid1_remove_base_bdev", r#"{"name":"B"}"#).await?;
    write(&desc, 0, 2).await?;
    let old = unplug(vec![legs.remove(1)]).await?.remove(0);

    // It was found to be a leg, and is looked at once more before it is taken back.
    let back = Rig::held("B", old, 2)?;
    check!(until(|| back.device().reads.load(SeqCst) > 2).await);
    let other = blank("C")?;
    rpc_done(
        "raid1_add_base_bdev",
        r#"{"raid_bdev":"M","base_bdev":"C","force":true}"#,
    )
    .await?;
    online(2).await?;
    rpc_done("raid1_remove_base_bdev", r#"{"name":"C"}"#).await?;
    back.device().holds_reads.store(false, SeqCst);
    pause(A_WHILE).await;
    check!(!lists("B").await?);
    legs.extend([back, other]);
    check_eq!(read(&desc, 0).await?, 2);
    drop(desc);
    delete(legs).await
}
