//! Pollers.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant};

use barespdk::errno::Errno;
use barespdk::poller::{Polled, Poller};

use crate::{Outcome, check, check_eq, end, on_this_core, pause, until};

pub(crate) async fn a_poller_polls() -> Outcome {
    let count = Rc::new(Cell::new(0));
    let counter = Rc::clone(&count);
    let start = Instant::now();
    let timed = Poller::new("timed", 2_000, move || {
        counter.set(counter.get() + 1);
        Polled::Busy
    })?;
    check!(until(|| count.get() >= 5).await);
    check!(start.elapsed() >= Duration::from_millis(9));
    drop(timed);
    // The closure, and what it captured, has been dropped.
    check_eq!(Rc::strong_count(&count), 1);
    let last = count.get();
    pause(Duration::from_millis(10)).await;
    check_eq!(count.get(), last);
    Ok(())
}

/// The closure that drops its own poller still has its captures until it returns.
pub(crate) async fn a_poller_drops_itself() -> Outcome {
    for period_us in [0, 100] {
        let place = Rc::new(RefCell::new(None));
        let text = Rc::new(RefCell::new(Vec::new()));
        let poller = {
            let (place, text) = (Rc::clone(&place), Rc::clone(&text));
            Poller::new("itself", period_us, move || {
                let own: Option<Poller> = place.borrow_mut().take();
                text.borrow_mut().push(own.is_some());
                drop(own);
                // A use of a capture after the drop.
                text.borrow_mut().push(true);
                Polled::Busy
            })?
        };
        *place.borrow_mut() = Some(poller);
        check!(until(|| !text.borrow().is_empty()).await);
        pause(Duration::from_millis(2)).await;
        check_eq!(*text.borrow(), [true, true]);
        check_eq!(Rc::strong_count(&text), 1);
        check_eq!(Rc::strong_count(&place), 1);
    }
    Ok(())
}

pub(crate) async fn a_poller_pauses() -> Outcome {
    for period_us in [0, 100] {
        let count = Rc::new(Cell::new(0));
        let counter = Rc::clone(&count);
        let poller = Poller::new("pausing", period_us, move || {
            counter.set(counter.get() + 1);
            Polled::Idle
        })?;
        check!(until(|| count.get() > 2).await);
        poller.pause();
        poller.pause();
        pause(Duration::from_millis(2)).await;
        let paused_at = count.get();
        pause(Duration::from_millis(5)).await;
        check_eq!(count.get(), paused_at);
        poller.resume();
        poller.resume();
        check!(until(|| count.get() > paused_at).await);
        // Dropped while it is paused.
        poller.pause();
        pause(Duration::from_millis(1)).await;
        drop(poller);
        check_eq!(Rc::strong_count(&count), 1);
    }
    Ok(())
}

pub(crate) async fn pollers_drop_each_other() -> Outcome {
    let all = Rc::new(RefCell::new(Vec::new()));
    let runs = Rc::new(Cell::new(0));
    for _ in 0..10 {
        let (all_too, runs) = (Rc::clone(&all), Rc::clone(&runs));
        let poller = Poller::new("each other", 0, move || {
            runs.set(runs.get() + 1);
            let victims: Vec<Poller> = all_too.take();
            drop(victims);
            Polled::Busy
        })?;
        all.borrow_mut().push(poller);
    }
    check!(until(|| runs.get() > 0).await);
    pause(Duration::from_millis(2)).await;
    // The first to run dropped them all, itself among them.
    check_eq!(runs.get(), 1);
    check_eq!(Rc::strong_count(&all), 1);
    Ok(())
}

pub(crate) async fn wrong_poller_names() -> Outcome {
    check_eq!(
        Poller::new("a\0b", 0, || Polled::Idle).err(),
        Some(Errno::EINVAL)
    );
    let outside = std::thread::spawn(|| Poller::new("x", 0, || Polled::Idle).err()).join();
    check_eq!(outside.map_err(|_| Errno::EIO)?, Some(Errno::EPERM));
    Ok(())
}

/// A `std::thread_local!` carries it to another SPDK thread of the same reactor: it goes home.
pub(crate) async fn dropped_on_a_wrong_thread() -> Outcome {
    thread_local! {
        static KEPT: RefCell<Option<Poller>> = const { RefCell::new(None) };
    }
    let neighbour = on_this_core("wrong")?;
    let captured = Rc::new(());
    let polled = Rc::clone(&captured);
    KEPT.set(Some(Poller::new("wrong", 0, move || {
        let _ = &polled;
        Polled::Idle
    })?));
    let taken = neighbour.call(|| {
        let poller = KEPT.take();
        poller.inspect(Poller::pause).is_some()
    });
    check_eq!(taken.await?, true);
    check!(until(|| Rc::strong_count(&captured) == 1).await);
    end(&neighbour).await
}
