//! Legs that go: removed by their bdev's owner, by RPC, or because they failed a write.
//!
//! That takes two rounds through the channels of all threads. In the first each stops to read from the
//! leg, but goes on to write to it: a thread that did not would acknowledge what others still read from
//! the leg as it was. When it is done nobody reads from the leg, and what it missed can be acknowledged.
//! In the second each lets go of the leg. Its bdev is closed when the last I/O to it has ended.
//!
//! ```text
//!  table   in ──leave──► leaving ──────────────────────► take_out ──► out
//!  channels       stop_reading, one by one        drop_leg, one by one
//!  new channels   read, write │ write                        │ neither
//! ```

use alloc::string::{String, ToString};

use barespdk::errno::Errno;
use barespdk::module::Bdev;
use barespdk::thread::Thread;
use barespdk::{log_error, log_warn, planted, runtime};

use crate::legs::{LegSet, Slot, TakeOut};
use crate::mirror::Mirror;
use crate::mirrors;

/// Why a leg is taken out: a thread did not write to it what another did.
pub(crate) const FAILED_WRITE: &str = "it failed a write";
/// Why a leg is taken out: what it was written may be lost.
pub(crate) const FAILED_FLUSH: &str = "it failed a flush";
/// Why a leg is taken out: a thread cannot write to it.
pub(crate) const UNREACHABLE: &str = "a thread has no channel to it";

/// Takes a leg out. On the app thread. When this ends, no thread reads from the leg any more.
pub(crate) async fn take_out(
    mirror: &Bdev<Mirror>,
    slot: Slot,
    reason: &str,
) -> Result<TakeOut, Errno> {
    let (taken, base) = mirror.device().legs.lock().leave(slot);
    if let Some(base) = base {
        log_warn!(
            "raid1 {}: base bdev '{base}' is out: {reason}",
            mirror.name()
        );
    }
    if taken != TakeOut::Last {
        if planted::is("leg_dropped_at_once") {
            mirror
                .for_each_channel(move |_, channel| channel.drop_leg(slot))
                .await?;
        }
        // Also where another is about to take it out: that may not have reached all threads yet.
        mirror
            .for_each_channel(move |_, channel| channel.stop_reading(slot))
            .await?;
        // What is dropped is dropped when the lock is free.
        let out = mirror.device().legs.lock().take_out(slot);
        if planted::is("leg_never_closed") {
            core::mem::forget(out);
        } else {
            drop(out);
        }
        mirror
            .for_each_channel(move |_, channel| channel.drop_leg(slot))
            .await?;
    }
    Ok(taken)
}

/// Takes out a leg that lacks what another has. From any thread. When this says `true`, no thread
/// reads from the leg any more.
pub(crate) async fn eject(mirror: &Mirror, slot: Slot, reason: &'static str) -> bool {
    let name = mirror.name.clone();
    let Some(app) = Thread::app() else {
        return false;
    };
    let taken = app.spawn(move || async move {
        let mirror = mirrors::find(&name).ok_or(Errno::ENODEV)?;
        take_out(&mirror, slot, reason).await
    });
    if planted::is("ejected_leg_read_on") {
        return true;
    }
    let taken = taken.await;
    match taken {
        Ok(Ok(TakeOut::Out | TakeOut::WasOut)) => true,
        Ok(Ok(TakeOut::Last)) => false,
        Ok(Err(errno)) | Err(errno) => {
            let base = mirror.legs.lock().name(slot);
            let base = base.as_deref().unwrap_or("that is out already");
            log_error!(
                "raid1 {}: base bdev '{base}' not taken out: {errno}",
                mirror.name
            );
            false
        }
    }
}

/// Begins to take out legs, without waiting for the end: who needs that waits by [`eject`]. From any
/// thread.
pub(crate) fn begin_to_eject(mirror: &Mirror, mut slots: LegSet, reason: &'static str) {
    while let Some(slot) = slots.pop_first() {
        let name = mirror.name.clone();
        let Some(app) = Thread::app() else { return };
        let _goes_on = app.spawn(move || async move {
            // A mirror that is gone has let go of its legs. What fails is tried again, and said, by
            // the first write that has to wait for it.
            if let Some(mirror) = mirrors::find(&name) {
                let _ = take_out(&mirror, slot, reason).await;
            }
        });
    }
}

/// A base bdev is about to go. On the app thread.
pub(crate) fn on_removed(mirror: &str, base: &str) {
    let (mirror, base) = (mirror.to_string(), base.to_string());
    if let Err(errno) = runtime::spawn_local(follow_removed(mirror, base)) {
        log_error!("raid1: a removed base bdev cannot be closed: {errno}");
    }
}

async fn follow_removed(mirror: String, base: String) {
    // A mirror that is gone has closed its base bdevs, or is about to.
    let Some(mirror) = mirrors::find(&mirror) else {
        return;
    };
    let Some(slot) = mirror.device().legs.lock().find(&base) else {
        return;
    };
    let outcome = match take_out(&mirror, slot, "it was removed").await {
        Ok(TakeOut::Last) => {
            log_error!(
                "raid1 {}: its last base bdev '{base}' was removed: the mirror goes too",
                mirror.name()
            );
            mirror.unregister().await
        }
        other => other.map(|_| ()),
    };
    match outcome {
        // Busy or gone: somebody else takes the mirror away.
        Ok(()) | Err(Errno::EBUSY | Errno::ENODEV) => {}
        Err(errno) => log_error!(
            "raid1 {}: removal of base bdev '{base}' not followed: {errno}",
            mirror.name()
        ),
    }
}
