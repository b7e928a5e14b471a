//! Handles, messages, calls, spawning.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use barespdk::cpuset::Cpuset;
use barespdk::errno::Errno;
use barespdk::message::{Full, Mailbox};
use barespdk::runtime;
use barespdk::thread::{self, SendError, Thread};

use crate::{Counter, Outcome, check, check_eq, end, other_core, pause, until};

pub(crate) async fn who_is_who() -> Outcome {
    let here = Thread::current().ok_or(Errno::ENODEV)?;
    check!(here.is_current());
    check!(here.is_running());
    check!(!here.has_exited());
    check_eq!(thread::current_id(), Some(here.id()));
    check_eq!(Thread::app(), Some(here.clone()));
    let before = thread::count();
    let there = other_core("there")?;
    check_eq!(thread::count(), before + 1);
    check_eq!(there.name(), "there");
    check!(there != here);
    check!(!there.is_current());
    let seen = there.call(|| (Thread::current(), Thread::app())).await?;
    check_eq!(seen, (Some(there.clone()), Some(here)));
    end(&there).await?;
    check_eq!(thread::count(), before);
    Ok(())
}

// Peer fault: "a wake from a std thread panics".
pub(crate) async fn outside_of_spdk() -> Outcome {
    let app = Thread::app();
    let seen = std::thread::spawn(move || {
        (
            thread::is_spdk_thread(),
            thread::current_id(),
            Thread::current(),
            Thread::create("x", None).err(),
            Thread::spawn_here(async {}).err(),
            Thread::app() == app,
        )
    });
    check!(until(|| seen.is_finished()).await);
    let seen = seen.join().map_err(|_| Errno::EIO)?;
    check_eq!(
        seen,
        (
            false,
            None,
            None,
            Some(Errno::EPERM),
            Some(Errno::EPERM),
            true
        )
    );
    Ok(())
}

// Peer fault: "CPU set index out of bounds".
pub(crate) async fn wrong_names_and_cores() -> Outcome {
    let none = Cpuset::empty();
    check_eq!(Thread::create("x", Some(&none)).err(), Some(Errno::EINVAL));
    let far = Cpuset::from_cores([1023]).map_err(|_| Errno::EIO)?;
    check_eq!(Thread::create("x", Some(&far)).err(), Some(Errno::EINVAL));
    check_eq!(Thread::create("a\0b", None).err(), Some(Errno::EINVAL));
    check_eq!(
        Thread::create(&"x".repeat(256), None).err(),
        Some(Errno::ENAMETOOLONG)
    );
    let longest = Thread::create(&"x".repeat(255), None)?;
    check_eq!(longest.name().len(), 255);
    end(&longest).await?;
    let unicode = Thread::create("Fäden", None)?;
    check_eq!(unicode.name(), "Fäden");
    end(&unicode).await
}

pub(crate) async fn messages_run_in_order() -> Outcome {
    const SENT: usize = 1000;
    let there = other_core("order")?;
    let log = Arc::new(Mutex::new(Vec::new()));
    for index in 0..SENT {
        let (log, there_too) = (Arc::clone(&log), there.clone());
        let message = move || log.lock().unwrap().push((index, there_too.is_current()));
        there.send(message).map_err(|error| error.errno)?;
    }
    check!(until(|| log.lock().unwrap().len() == SENT).await);
    check!(
        log.lock()
            .unwrap()
            .iter()
            .copied()
            .eq((0..SENT).map(|index| (index, true)))
    );
    // To the thread itself: later, not now.
    let here = Thread::current().ok_or(Errno::ENODEV)?;
    let ran = Arc::new(Counter::new());
    let counter = Arc::clone(&ran);
    here.send(move || counter.count())
        .map_err(|error| error.errno)?;
    check_eq!(ran.get(), 0);
    check!(until(|| ran.get() == 1).await);
    end(&there).await
}

pub(crate) async fn calls_return_values() -> Outcome {
    let there = other_core("call")?;
    let text = there.call(|| String::from("from there")).await?;
    check_eq!(text, "from there");
    // Both are on their way at the same time.
    let (one, two) = (there.call(|| 1), there.call(|| 2));
    check_eq!((two.await?, one.await?), (2, 1));
    end(&there).await
}

// Peer fault: "panic if the receiver has gone".
pub(crate) async fn a_call_without_receiver() -> Outcome {
    struct OnDrop(Arc<Counter>);
    impl Drop for OnDrop {
        fn drop(&mut self) {
            self.0.count();
        }
    }
    let there = other_core("no receiver")?;
    let dropped = Arc::new(Counter::new());
    let result = OnDrop(Arc::clone(&dropped));
    drop(there.call(move || result));
    check!(until(|| dropped.get() == 1).await);
    end(&there).await
}

/// SPDK aborts when a thread's ring of 65536 messages is full.
pub(crate) async fn a_flood_of_messages() -> Outcome {
    const SENT: usize = 300_000;
    let there = other_core("flood")?;
    let ran = Arc::new(Counter::new());
    there
        .send(|| std::thread::sleep(Duration::from_millis(200)))
        .map_err(|error| error.errno)?;
    for _ in 0..SENT {
        let ran = Arc::clone(&ran);
        there
            .send(move || ran.count())
            .map_err(|error| error.errno)?;
    }
    check!(until(|| ran.get() == SENT).await);
    end(&there).await
}

pub(crate) async fn spawn_there() -> Outcome {
    let there = other_core("spawn")?;
    let expected = there.id();
    let output = there.spawn(|| async {
        // Neither leaves the thread: the future is made on it.
        let local = Rc::new(RefCell::new(Vec::new()));
        for index in 0..3 {
            let _ = runtime::sleep(Duration::from_micros(100)).await;
            local.borrow_mut().push((index, thread::current_id()));
        }
        local.take()
    });
    check_eq!(
        output.await?,
        [0, 1, 2].map(|index| (index, Some(expected)))
    );
    // Nobody waits for this one.
    let ran = Arc::new(Counter::new());
    let counter = Arc::clone(&ran);
    drop(there.spawn(move || async move { counter.count() }));
    check!(until(|| ran.get() == 1).await);
    end(&there).await
}

pub(crate) async fn a_mailbox_between_threads() -> Outcome {
    const SENT: u32 = 10_000;
    static MAILBOX: Mailbox<u32, 16> = Mailbox::new();
    let there = other_core("mailbox")?;
    let sum = there.spawn(|| async {
        let mut sum = 0;
        for _ in 0..SENT {
            sum += MAILBOX.recv().await;
        }
        sum
    });
    let mut refused = 0;
    for item in 0..SENT {
        let mut item = item;
        while let Err(Full(back)) = MAILBOX.send(item) {
            item = back;
            refused += 1;
            pause(Duration::ZERO).await;
        }
    }
    check_eq!(sum.await?, (0..SENT).sum::<u32>());
    check!(MAILBOX.is_empty());
    // It holds 16: it must have been full at some time.
    check!(refused > 0);
    end(&there).await?;
    let refused = there.send(|| ());
    check!(matches!(
        refused,
        Err(SendError {
            errno: Errno::ESHUTDOWN,
            ..
        })
    ));
    Ok(())
}
