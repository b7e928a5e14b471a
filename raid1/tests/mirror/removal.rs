//! Legs that go while one thread cannot be told.

use std::sync::atomic::Ordering::SeqCst;

use crate::crew::Crew;
use crate::rig::Rig;
use crate::support::{
    A_WHILE, Outcome, begin_rpc, check, check_eq, lists, lost, mirror_of, rpc_done, within,
};

/// A thread that was told does not acknowledge what the blocked one still reads from the leg as it
/// was: it writes to the leg, until nobody reads from that.
pub(crate) async fn by_rpc_while_a_thread_is_blocked() -> Outcome {
    // Of legs that are equally loaded the first is read from: the one that goes.
    let (a, b) = (Rig::make("A")?, Rig::make("B")?);
    mirror_of(&["A", "B"]).await?;
    let crew = Crew::muster()?;
    crew.open_channels().await?;
    crew.first.write(7, 1).await?;

    let blocked = crew.third.block(7).await?;
    let removed = begin_rpc("raid1_remove_base_bdev", r#"{"name":"A"}"#);
    // The first thread has been told, before it gets the write.
    check!(lost("A").await?);
    let mut written = crew.first.begin_write(7, 2);
    let acknowledged = within(A_WHILE, &mut written).await;
    let reads = a.device().reads.load(SeqCst);
    let read = blocked.release().await?;
    check_eq!(a.device().reads.load(SeqCst), reads + 1);
    check!(acknowledged.is_some());
    check_eq!(read, 2);

    check!(removed.await?.contains(r#""result":true"#));
    crew.second.write(7, 3).await?;
    check_eq!(crew.third.read(7).await?, 3);
    check_eq!(a.device().byte(7), 2);
    check_eq!(b.device().byte(7), 3);
    crew.dismiss().await?;
    rpc_done("raid1_delete", r#"{"name":"M"}"#).await?;
    a.unregister().await?;
    Ok(b.unregister().await?)
}

/// A write that a leg has failed is not acknowledged as long as a thread reads from that leg.
pub(crate) async fn of_a_failed_leg_while_a_thread_is_blocked() -> Outcome {
    let (a, b) = (Rig::make("A")?, Rig::make("B")?);
    mirror_of(&["A", "B"]).await?;
    let crew = Crew::muster()?;
    crew.open_channels().await?;
    crew.first.write(7, 1).await?;

    let blocked = crew.third.block(7).await?;
    a.device().bad_writes.store(usize::MAX, SeqCst);
    let mut written = crew.first.begin_write(7, 2);
    check!(lost("A").await?);
    check!(within(A_WHILE, &mut written).await.is_none());
    // Others that were told do not acknowledge what the leg does not have either.
    let mut other = crew.second.begin_write(8, 3);
    let acknowledged = within(A_WHILE, &mut other).await.is_some();
    check!(!acknowledged || a.device().byte(8) == 3);
    check_eq!(blocked.release().await?, 1);
    written.await??;
    check_eq!(crew.third.read(7).await?, 2);
    check!(!lists("A").await? && lists("B").await?);

    crew.dismiss().await?;
    rpc_done("raid1_delete", r#"{"name":"M"}"#).await?;
    a.unregister().await?;
    Ok(b.unregister().await?)
}
