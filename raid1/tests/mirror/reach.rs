//! Legs that a thread gets no channel to.

use std::sync::atomic::Ordering::SeqCst;

use barespdk::errno::Errno;

use crate::crew::Crew;
use crate::rig::Rig;
use crate::support::{A_WHILE, Outcome, check, check_eq, lists, lost, mirror_of, rpc_done, within};

/// The leg goes out of the mirror, and what the thread writes without it is not acknowledged as long
/// as another reads from it.
pub(crate) async fn a_leg_that_one_thread_cannot_reach() -> Outcome {
    let (a, b) = (Rig::make("A")?, Rig::make("B")?);
    mirror_of(&["A", "B"]).await?;
    let crew = Crew::muster()?;
    crew.first.open_channel().await?;
    crew.third.open_channel().await?;
    crew.first.write(7, 1).await?;
    let blocked = crew.third.block(7).await?;

    a.device()
        .refused_thread
        .store(crew.second.thread.id(), SeqCst);
    crew.second.open_channel().await?;
    let mut written = crew.second.begin_write(7, 2);
    check!(lost("A").await?);
    check!(within(A_WHILE, &mut written).await.is_none());
    check_eq!(a.device().byte(7), 1);
    check_eq!(b.device().byte(7), 2);
    check_eq!(crew.second.read(7).await?, 2);
    check_eq!(blocked.release().await?, 1);
    written.await??;
    check_eq!(crew.third.read(7).await?, 2);
    check_eq!(crew.first.read(7).await?, 2);

    // The thread does not wait for anything any more.
    let writes = a.device().writes.load(SeqCst);
    crew.second.write(7, 3).await?;
    check_eq!(crew.first.read(7).await?, 3);
    check_eq!(a.device().writes.load(SeqCst), writes);
    check!(!lists("A").await? && lists("B").await?);
    crew.dismiss().await?;
    rpc_done("raid1_delete", r#"{"name":"M"}"#).await?;
    a.unregister().await?;
    Ok(b.unregister().await?)
}

/// The thread cannot use the mirror. No leg is to blame more than another, and others go on.
pub(crate) async fn no_leg_can_be_reached() -> Outcome {
    let (a, b) = (Rig::make("A")?, Rig::make("B")?);
    mirror_of(&["A", "B"]).await?;
    let crew = Crew::muster()?;
    crew.first.open_channel().await?;
    for leg in [&a, &b] {
        leg.device()
            .refused_thread
            .store(crew.second.thread.id(), SeqCst);
    }
    check_eq!(crew.second.try_channel().await?, Err(Errno::ENOMEM));
    crew.first.write(7, 1).await?;
    check_eq!(crew.first.read(7).await?, 1);
    check!(lists("A").await? && lists("B").await?);

    for leg in [&a, &b] {
        leg.device().refused_thread.store(0, SeqCst);
    }
    crew.second.open_channel().await?;
    check_eq!(crew.second.read(7).await?, 1);
    crew.dismiss().await?;
    rpc_done("raid1_delete", r#"{"name":"M"}"#).await?;
    a.unregister().await?;
    Ok(b.unregister().await?)
}
