//! Interrupts, where there are any: on reactors that sleep.

use std::cell::{Cell, RefCell};
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::time::{Duration, Instant};

use barespdk::errno::Errno;
use barespdk::interrupt::{self, Interrupt};
use barespdk::message::oneshot;
use barespdk::poller::Polled;

use crate::{Outcome, check, check_eq, end, on_this_core, pause, until};

fn pair() -> Result<(UnixStream, UnixStream), Errno> {
    let pair = UnixStream::pair().map_err(|_| Errno::EMFILE)?;
    pair.0.set_nonblocking(true).map_err(|_| Errno::EIO)?;
    Ok(pair)
}

pub(crate) async fn called_when_readable() -> Outcome {
    let (mut ours, mut theirs) = pair()?;
    let count = Rc::new(Cell::new(0));
    let descriptor = ours.as_raw_fd();
    let counter = Rc::clone(&count);
    let made = Interrupt::new("readable", descriptor, move || {
        let mut byte = [0];
        counter.set(counter.get() + ours.read(&mut byte).unwrap_or(0));
        Polled::Busy
    });
    check_eq!(made.is_some(), interrupt::are_possible());
    let Some(made) = made else {
        return Ok(());
    };
    // There is one already.
    check!(Interrupt::new("again", descriptor, || Polled::Idle).is_none());
    pause(Duration::from_millis(5)).await;
    check_eq!(count.get(), 0);
    // From elsewhere, when the reactor has gone to sleep.
    let sent = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(30));
        theirs.write_all(&[1, 2, 3]).map(|()| theirs).ok()
    });
    check!(until(|| count.get() == 3).await);
    let theirs = sent.join().map_err(|_| Errno::EIO)?;
    drop(made);
    // The closure, and what it captured, has been dropped.
    check_eq!(Rc::strong_count(&count), 1);
    drop(theirs);
    Ok(())
}

pub(crate) async fn an_interrupt_drops_itself() -> Outcome {
    let (ours, mut theirs) = pair()?;
    let place = Rc::new(RefCell::new(None));
    let text = Rc::new(RefCell::new(Vec::new()));
    let made = {
        let (place, text) = (Rc::clone(&place), Rc::clone(&text));
        Interrupt::new("itself", ours.as_raw_fd(), move || {
            let own: Option<Interrupt> = place.borrow_mut().take();
            text.borrow_mut().push(own.is_some());
            drop(own);
            // A use of a capture after the drop.
            text.borrow_mut().push(true);
            Polled::Busy
        })
    };
    let Some(made) = made else {
        return Ok(());
    };
    *place.borrow_mut() = Some(made);
    theirs.write_all(&[1]).map_err(|_| Errno::EIO)?;
    check!(until(|| !text.borrow().is_empty()).await);
    pause(Duration::from_millis(5)).await;
    // Still readable, and not called any more.
    check_eq!(*text.borrow(), [true, true]);
    check_eq!(Rc::strong_count(&text), 1);
    Ok(())
}

/// A wake from another thread, and a timer, end a sleep in good time.
pub(crate) async fn sleepers_are_roused() -> Outcome {
    let mut slowest = Duration::ZERO;
    for _ in 0..5 {
        let (sender, receiver) = oneshot();
        std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(20));
            let _ = sender.send(Instant::now());
        });
        let sent = receiver.await?;
        slowest = slowest.max(sent.elapsed());
        let start = Instant::now();
        pause(Duration::from_millis(15)).await;
        check!(start.elapsed() >= Duration::from_millis(15));
        slowest = slowest.max(start.elapsed() - Duration::from_millis(15));
    }
    // Far more than it takes, as other processes may have the core.
    check!(slowest < Duration::from_secs(1));
    Ok(())
}

/// A `std::thread_local!` carries it to another SPDK thread of the same reactor: it goes home.
pub(crate) async fn dropped_on_a_wrong_thread() -> Outcome {
    thread_local! {
        static KEPT: RefCell<Option<Interrupt>> = const { RefCell::new(None) };
    }
    let (ours, _theirs) = pair()?;
    let neighbour = on_this_core("wrong")?;
    let captured = Rc::new(());
    let held = Rc::clone(&captured);
    let made = Interrupt::new("wrong", ours.as_raw_fd(), move || {
        let _ = &held;
        Polled::Idle
    });
    let was_made = made.is_some();
    KEPT.set(made);
    let taken = neighbour.call(|| KEPT.take().is_some());
    check_eq!(taken.await?, was_made);
    check!(until(|| Rc::strong_count(&captured) == 1).await);
    end(&neighbour).await
}
