//! Bdevs that are drained of what is in flight.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use barespdk::bdev::{Channel, Status};
use barespdk::cpuset::Cpuset;
use barespdk::errno::Errno;
use barespdk::module::Request;

use crate::lab::{Bench, Lab, Serving, has_served};
use crate::support::{
    Outcome, both, check, check_eq, disk, end, filled, open, other_core, pause, poll_once, until,
};

fn when_open<'a>(lab: &'a Lab, _: &'a Bench, _: Request<'a>) -> Serving<'a> {
    Box::pin(async {
        lab.opened().await;
        lab.passed.add();
        Status::Success
    })
}

/// Long enough for SPDK to look at what is in flight a few times.
async fn a_moment() {
    pause(Duration::from_millis(5)).await;
}

/// By two threads, and no more than that.
pub(crate) async fn what_was_submitted_before() -> Outcome {
    let lab = Lab::new(when_open).make("drains", 512, 8192)?;
    let thread = other_core("submits")?;
    {
        let drains = disk("drains")?;
        let before = [
            drains.write_buf(filled(512, 1)?, 0),
            drains.write_buf(filled(512, 1)?, 8191),
        ];
        let there = thread.spawn(|| async {
            let buffer = filled(512, 1)?;
            let (outcome, _) = disk("drains")?.read_buf(buffer, 7).await;
            outcome.map_err(|_| Errno::EIO)
        });
        check!(has_served(&lab, 3).await);
        let mut draining = Box::pin(lab.drain());
        check!(poll_once(&mut draining).await.is_pending());
        a_moment().await;
        let mut meanwhile = Box::pin(drains.write_buf(filled(512, 1)?, 5));
        a_moment().await;
        check!(poll_once(&mut draining).await.is_pending());
        check!(poll_once(&mut meanwhile).await.is_pending());
        lab.device().let_go();
        draining.await?;
        // All of them; the one that came meanwhile is kept back, where SPDK was fast enough.
        check!(lab.device().passed.get() >= 3);
        check_eq!(meanwhile.await.0, Ok(()));
        for io in before {
            check_eq!(io.await.0, Ok(()));
        }
        there.await??;
        check_eq!(lab.device().served.get(), 4);
        // With nothing in flight; and without a channel at all.
        lab.drain().await?;
    }
    end(&thread).await?;
    lab.drain().await?;
    let elsewhere = std::thread::spawn({
        let lab = lab.clone();
        move || poll_now(lab.drain())
    });
    check_eq!(
        elsewhere.join().map_err(|_| Errno::EIO)?,
        Some(Err(Errno::EPERM))
    );
    lab.unregister().await?;
    check_eq!(lab.drain().await, Err(Errno::ENODEV));
    Ok(())
}

/// The output of a future that is ready.
fn poll_now<T>(future: impl Future<Output = T>) -> Option<T> {
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    match std::pin::pin!(future).poll(&mut cx) {
        std::task::Poll::Ready(output) => Some(output),
        std::task::Poll::Pending => None,
    }
}

/// Drains wait for each other, and both end.
pub(crate) async fn twice() -> Outcome {
    let lab = Lab::new(when_open).make("twice", 512, 8192)?;
    let thread = other_core("visits")?;
    let opened = thread.spawn(|| async { disk("twice").map(drop) });
    {
        let twice = disk("twice")?;
        let write = twice.write_buf(filled(512, 1)?, 0);
        let mut drains = Box::pin(both(lab.drain(), lab.drain()));
        check!(poll_once(&mut drains).await.is_pending());
        a_moment().await;
        check!(poll_once(&mut drains).await.is_pending());
        lab.device().let_go();
        check_eq!(drains.await, (Ok(()), Ok(())));
        check_eq!(write.await.0, Ok(()));
        for _ in 0..20 {
            let write = twice.write_buf(filled(512, 1)?, 0);
            check_eq!(both(lab.drain(), lab.drain()).await, (Ok(()), Ok(())));
            check_eq!(write.await.0, Ok(()));
        }
    }
    opened.await??;
    end(&thread).await?;
    lab.unregister().await?;
    Ok(())
}

/// A drain whose future is dropped ends all the same, and lets go of what it kept back.
pub(crate) async fn nobody_waits_for_it() -> Outcome {
    let lab = Lab::new(when_open).make("dropped", 512, 8192)?;
    {
        let dropped = disk("dropped")?;
        let before = dropped.write_buf(filled(512, 1)?, 0);
        let mut draining = Box::pin(lab.drain());
        check!(poll_once(&mut draining).await.is_pending());
        drop(draining);
        a_moment().await;
        let kept_back = dropped.write_buf(filled(512, 1)?, 1);
        a_moment().await;
        check_eq!(lab.device().served.get(), 1);
        lab.device().let_go();
        check_eq!(before.await.0, Ok(()));
        check_eq!(kept_back.await.0, Ok(()));
    }
    lab.unregister().await?;
    Ok(())
}

/// The bdev grows, and is taken away, while it is drained.
pub(crate) async fn while_the_bdev_changes() -> Outcome {
    let lab = Lab::new(when_open).make("changes", 512, 100)?;
    let changes = disk("changes")?;
    let write = |channel: &Channel| Ok::<_, Errno>(channel.write_buf(filled(512, 1)?, 0));
    let before = write(&changes)?;
    let mut draining = Box::pin(lab.drain());
    check!(poll_once(&mut draining).await.is_pending());
    a_moment().await;
    lab.resize(200)?;
    check_eq!(lab.resize(50), Err(Errno::EBUSY));
    lab.device().let_go();
    draining.await?;
    check_eq!(before.await.0, Ok(()));
    check_eq!(write(&changes)?.await.0, Ok(()));
    lab.device().open.store(false, Ordering::SeqCst);
    let last = write(&changes)?;
    let mut draining = Box::pin(lab.drain());
    check!(poll_once(&mut draining).await.is_pending());
    a_moment().await;
    let mut going = Box::pin(lab.unregister());
    check!(poll_once(&mut going).await.is_pending());
    drop(changes);
    a_moment().await;
    check!(poll_once(&mut going).await.is_pending());
    check_eq!(lab.drain().await, Err(Errno::ENODEV));
    lab.device().let_go();
    draining.await?;
    check_eq!(last.await.0, Ok(()));
    going.await?;
    check!(until(|| !lab.is_registered()).await);
    Ok(())
}

/// A bdev that has lost its name, as it goes, is not mistaken for the one that has it now.
pub(crate) async fn another_has_its_name() -> Outcome {
    if Cpuset::of_application().iter().count() < 2 {
        // One would wait for the other on one core.
        return Ok(());
    }
    let lab = Lab::new(when_open).make("renamed", 512, 100)?;
    let thread = other_core("lingers")?;
    let desc = open("renamed")?;
    let [is_held, has_closed] = [true, false].map(|value| Arc::new(AtomicBool::new(value)));
    let lingers = thread.spawn({
        let (is_held, has_closed) = (Arc::clone(&is_held), Arc::clone(&has_closed));
        || async move {
            // The channel goes by a message to this thread, which takes none until then.
            drop(Channel::new(&desc)?);
            drop(desc);
            has_closed.store(true, Ordering::SeqCst);
            while is_held.load(Ordering::SeqCst) {
                std::thread::yield_now();
            }
            Ok::<_, Errno>(())
        }
    });
    let mut going = Box::pin(lab.unregister());
    check!(poll_once(&mut going).await.is_pending());
    check!(until(|| has_closed.load(Ordering::SeqCst)).await);
    a_moment().await;
    let mut other = None;
    check!(
        until(|| {
            other = Lab::new(when_open).make("renamed", 512, 200).ok();
            other.is_some()
        })
        .await
    );
    check!(lab.is_registered());
    check_eq!(lab.drain().await, Err(Errno::ENODEV));
    is_held.store(false, Ordering::SeqCst);
    lingers.await??;
    going.await?;
    end(&thread).await?;
    let Some(other) = other else {
        return Ok(());
    };
    other.drain().await?;
    other.unregister().await?;
    Ok(())
}
