//! What is dropped, forgotten or carried away while I/O is in flight.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use barespdk::bdev::{Access, Channel, Data, Desc, Event, IoError};
use barespdk::errno::Errno;
use barespdk::module::Options;
use barespdk::runtime;
use barespdk::thread::Thread;

use crate::lab::{LABS, Lab, through};
use crate::support::{
    Outcome, both, check, check_eq, disk, end, filled, open, other_core, pause, poll_once, reads,
    until, write,
};

/// Peer fault: "future, context or buffer dropped while its I/O is in flight: DMA and callback into
/// freed memory".
pub(crate) async fn futures_in_flight() -> Outcome {
    let slow = disk("Slow")?;
    for round in 0..3 {
        for block in 0..40 {
            let data = Data::from_buffer(filled(512, 40 + round)?);
            let mut io = slow.write(&data, block);
            if block % 2 == 0 {
                check!(poll_once(&mut io).await.is_pending());
            }
            drop((data, io));
        }
        check!(slow.load() > 20);
    }
    // Nobody waits, and it all goes on.
    check!(until(|| slow.load() == 1).await);
    check!(reads(&slow, 0, 40 * 512, 42).await?);
    Ok(())
}

/// As above, with buffers that the future owns.
pub(crate) async fn buffers_in_flight() -> Outcome {
    let slow = disk("Slow")?;
    let before = barespdk_alloc_dma::global().stats().in_use_bytes;
    for block in 0..20 {
        drop(slow.write_buf(filled(4096, 9)?, block * 8));
        let mut io = slow.read_buf(filled(4096, 9)?, block * 8);
        check!(poll_once(&mut io).await.is_pending());
    }
    check!(barespdk_alloc_dma::global().stats().in_use_bytes > before);
    check!(until(|| slow.load() == 1).await);
    check_eq!(barespdk_alloc_dma::global().stats().in_use_bytes, before);
    Ok(())
}

/// A task that is cancelled with I/O in flight: its memory stays until that is over.
pub(crate) async fn tasks_in_flight() -> Outcome {
    let thread = other_core("cancelled")?;
    let begun = Arc::new(AtomicBool::new(false));
    let task = {
        let begun = Arc::clone(&begun);
        thread.spawn(move || async move {
            let slow = disk("Slow")?;
            let on_stack = Data::from_buffer(filled(512, 1)?);
            let (one, two) = (slow.read(&on_stack, 0), slow.write(&on_stack, 1));
            begun.store(true, Ordering::SeqCst);
            let _ = both(one, two).await;
            Err::<(), _>(Errno::EIO)
        })
    };
    check!(until(|| begun.load(Ordering::SeqCst)).await);
    end(&thread).await?;
    check_eq!(task.await, Err(Errno::ECANCELED));
    Ok(())
}

pub(crate) async fn the_channel_before_its_io() -> Outcome {
    let slow = disk("Slow")?;
    let io = slow.write_buf(filled(512, 77)?, 500);
    drop(slow);
    // The I/O keeps the channel, and that the descriptor.
    check_eq!(io.await.0, Ok(()));
    check!(reads(&disk("Slow")?, 500, 512, 77).await?);
    Ok(())
}

/// Peer fault: "a completion context reused: the second read reports success while in flight".
pub(crate) async fn a_completion_is_consumed_once() -> Outcome {
    let (malloc, slow) = (disk("Malloc")?, disk("Slow")?);
    for _ in 0..100 {
        let mut first = malloc.flush(0, 1);
        check_eq!((&mut first).await, Ok(()));
        let mut second = malloc.flush(0, 1);
        check!(poll_once(&mut second).await.is_pending());
        // The first has nothing to do with the slot any more.
        let over = Poll::Ready(Err(IoError::Submit(Errno::EALREADY)));
        check_eq!(poll_once(&mut first).await, over);
        check_eq!(second.await, Ok(()));
    }
    let mut first = slow.read_buf(filled(512, 1)?, 0);
    let (outcome, buffer) = (&mut first).await;
    check!(outcome.is_ok() && buffer.is_some());
    let (outcome, buffer) = first.await;
    check!(outcome == Err(IoError::Submit(Errno::EALREADY)) && buffer.is_none());
    Ok(())
}

/// Peer fault: "wake of a running task queues it twice" (`join!(read, yield)`).
pub(crate) async fn wakes_while_it_is_polled() -> Outcome {
    let malloc = disk("Malloc")?;
    for _ in 0..200 {
        let mut yields = 3;
        let yielding = std::future::poll_fn(move |cx| {
            yields -= 1;
            cx.waker().wake_by_ref();
            let owned = cx.waker().clone();
            owned.wake_by_ref();
            owned.wake();
            if yields == 0 {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        });
        let (outcome, ()) = both(malloc.flush(0, 1), yielding).await;
        check_eq!(outcome, Ok(()));
    }
    Ok(())
}

/// Peer fault: "finished task polled again (loser of a select) aborts".
pub(crate) async fn the_loser_of_a_select() -> Outcome {
    let (malloc, slow) = (disk("Malloc")?, disk("Slow")?);
    for _ in 0..20 {
        let (mut fast, mut lazy) = (malloc.flush(0, 1), slow.read_buf(filled(512, 1)?, 0));
        let winner = std::future::poll_fn(|cx| {
            let lost = std::pin::Pin::new(&mut lazy).poll(cx).is_ready();
            std::pin::Pin::new(&mut fast)
                .poll(cx)
                .map(|outcome| (outcome, lost))
        });
        check_eq!(winner.await, (Ok(()), false));
        drop(lazy);
        drop(fast);
    }
    check!(until(|| slow.load() == 1).await);
    Ok(())
}

/// An I/O that one task has polled is awaited by another, after the first has ended.
pub(crate) async fn handed_to_another_task() -> Outcome {
    let slow = Rc::new(disk("Slow")?);
    let place = Rc::new(RefCell::new(None));
    let done = Rc::new(Cell::new(None));
    {
        let (slow, place) = (Rc::clone(&slow), Rc::clone(&place));
        runtime::spawn_local(async move {
            if let Ok(buffer) = filled(512, 1) {
                let mut io = slow.read_buf(buffer, 0);
                let _ = poll_once(&mut io).await;
                *place.borrow_mut() = Some(io);
            }
        })?;
    }
    check!(until(|| place.borrow().is_some()).await);
    let io = place.take().ok_or(Errno::EIO)?;
    {
        let done = Rc::clone(&done);
        runtime::spawn_local(async move { done.set(Some(io.await.0)) })?;
    }
    check!(until(|| done.get().is_some()).await);
    check_eq!(done.get(), Some(Ok(())));
    Ok(())
}

/// Peer fault: "`Copy` descriptors with a safe `close`": the last handle closes, wherever it is.
pub(crate) async fn the_descriptor_on_another_thread() -> Outcome {
    let lab = Lab::new(through)
        .over(open("Malloc")?)
        .make("shared", 512, 8192)?;
    let thread = other_core("descriptor")?;
    for _ in 0..20 {
        let desc = open("shared")?;
        let copy = desc.clone();
        drop(desc);
        let outcome = thread.spawn(move || async move {
            let channel = Channel::new(&copy)?;
            drop(copy);
            let read = channel.read_buf(filled(4096, 1)?, 0).await.0;
            Ok::<_, Errno>(read)
        });
        check_eq!(outcome.await??, Ok(()));
    }
    // On a thread that is none of SPDK's.
    let desc = open("shared")?;
    std::thread::spawn(move || drop(desc))
        .join()
        .map_err(|_| Errno::EIO)?;
    // And opened there, dropped here; that thread then has to wait with its exit.
    let desc = thread.call(|| open("shared")).await??;
    check_eq!(desc.name(), "shared");
    thread.request_exit()?;
    pause(Duration::from_millis(50)).await;
    check!(!thread.has_exited());
    check_eq!(desc.block_size(), 512);
    drop(desc);
    check!(until(|| thread.has_exited()).await);
    // All are closed: else this would not end.
    lab.unregister().await?;
    Ok(())
}

pub(crate) async fn the_descriptor_in_its_own_event() -> Outcome {
    let lab = LABS.register(
        "own_event",
        c"lab",
        &Options::new(512, 8),
        Lab::new(through),
    )?;
    let place: Rc<RefCell<Option<Channel>>> = Rc::default();
    let events = Arc::new(Mutex::new(Vec::new()));
    let desc = {
        let (place, events) = (Rc::clone(&place), Arc::clone(&events));
        let here = Thread::current();
        Desc::open("own_event", Access::Read, move |event| {
            events
                .lock()
                .unwrap()
                .push((event, Thread::current() == here));
            // Closes the descriptor whose handler this is.
            drop(place.take());
        })?
    };
    *place.borrow_mut() = Some(Channel::new(&desc)?);
    drop(desc);
    lab.unregister().await?;
    check_eq!(*events.lock().unwrap(), [(Event::Removed, true)]);
    check!(place.borrow().is_none());
    // The handler is gone, and what it held.
    check_eq!(Rc::strong_count(&place), 1);
    write(&disk("Malloc")?, 0, 512, 1).await
}
