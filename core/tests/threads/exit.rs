//! How threads end.

use std::cell::RefCell;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use barespdk::errno::Errno;
use barespdk::io_device::{Channel, Device, IoDevice};
use barespdk::local::LocalKey;
use barespdk::poller::{Polled, Poller};
use barespdk::runtime;
use barespdk::thread::{SendError, Thread};

use crate::{Counter, Outcome, check, check_eq, end, other_core, until};

type Log = Arc<Mutex<Vec<(&'static str, bool)>>>;

/// Notes its drop, and whether that was on the thread.
struct OnDrop(&'static str, Thread, Log);

impl Drop for OnDrop {
    fn drop(&mut self) {
        self.2.lock().unwrap().push((self.0, self.1.is_current()));
    }
}

struct Disk;

impl Device for Disk {
    type Channel = RefCell<Option<OnDrop>>;

    fn open_channel(&self) -> Result<Self::Channel, Errno> {
        Ok(RefCell::new(None))
    }
}

pub(crate) async fn the_app_thread_is_not_ours_to_end() -> Outcome {
    let app = Thread::app().ok_or(Errno::ENODEV)?;
    check_eq!(app.request_exit(), Err(Errno::EPERM));
    check!(app.is_running());
    Ok(())
}

// Peer fault: "thread exit with one I/O in flight: poller unregistered twice, abort".
pub(crate) async fn work_pending_is_dropped_in_order() -> Outcome {
    static KEY: LocalKey<RefCell<Option<OnDrop>>> = LocalKey::new(|| RefCell::new(None));
    let there = other_core("busy")?;
    let disk = Arc::new(IoDevice::new("exit_disk", Disk)?);
    let log = Log::default();
    let note = |name| OnDrop(name, there.clone(), Arc::clone(&log));
    let (in_task, in_local, in_channel, in_poller) =
        (note("task"), note("local"), note("channel"), note("poller"));
    let started = Arc::new(AtomicBool::new(false));
    let task = {
        let (disk, started) = (Arc::clone(&disk), Arc::clone(&started));
        there.spawn(move || async move {
            let _first = in_task;
            let channel = disk.channel();
            if let Ok(channel) = &channel {
                *channel.borrow_mut() = Some(in_channel);
            }
            let _ = KEY.with(|place| *place.borrow_mut() = Some(in_local));
            let poller = Poller::new("pending", 0, move || {
                let _ = &in_poller;
                Polled::Idle
            });
            started.store(channel.is_ok() && poller.is_ok(), Ordering::SeqCst);
            let _ = runtime::sleep(Duration::from_secs(3600)).await;
        })
    };
    check!(until(|| started.load(Ordering::SeqCst)).await);
    check_eq!(disk.channel_count(), 1);
    let asked = Instant::now();
    end(&there).await?;
    check!(asked.elapsed() < Duration::from_secs(2));
    check_eq!(task.await, Err(Errno::ECANCELED));
    check_eq!(disk.channel_count(), 0);
    // What the task holds goes in reverse; its channel's state after it, by SPDK's message.
    check_eq!(
        *log.lock().unwrap(),
        [
            ("poller", true),
            ("task", true),
            ("local", true),
            ("channel", true)
        ]
    );
    Ok(())
}

pub(crate) async fn accepted_messages_run() -> Outcome {
    const SENT: usize = 500;
    let there = other_core("drain")?;
    let ran = Arc::new(Counter::new());
    there
        .send(|| std::thread::sleep(Duration::from_millis(20)))
        .map_err(|error| error.errno)?;
    for _ in 0..SENT {
        let ran = Arc::clone(&ran);
        there
            .send(move || ran.count())
            .map_err(|error| error.errno)?;
    }
    there.request_exit()?;
    for _ in 0..SENT {
        let ran = Arc::clone(&ran);
        // Behind the request, still before the thread has seen it: accepted, so it runs.
        there
            .send(move || ran.count())
            .map_err(|error| error.errno)?;
    }
    check!(until(|| there.has_exited()).await);
    check_eq!(ran.get(), 2 * SENT);
    Ok(())
}

pub(crate) async fn an_exited_thread_is_an_error() -> Outcome {
    let there = other_core("gone")?;
    let kept = there.clone();
    end(&there).await?;
    check!(!kept.is_running());
    let ran = Arc::new(Counter::new());
    let counter = Arc::clone(&ran);
    match kept.send(move || counter.count()) {
        Err(SendError {
            errno: Errno::ESHUTDOWN,
            closure,
        }) => closure(),
        other => return Err(format!("{other:?}").into()),
    }
    check_eq!(ran.get(), 1);
    check_eq!(kept.call(|| 7).await, Err(Errno::ESHUTDOWN));
    check_eq!(kept.spawn(|| async { 7 }).await, Err(Errno::ESHUTDOWN));
    check_eq!(kept.request_exit(), Ok(()));
    check_eq!(kept.name(), "gone");
    Ok(())
}

/// What is accepted runs, whatever the moment; what is refused comes back; nothing crashes.
pub(crate) async fn senders_race_with_exit() -> Outcome {
    const ROUNDS: usize = 20;
    for _ in 0..ROUNDS {
        let there = other_core("race")?;
        let (ran, accepted) = (Arc::new(Counter::new()), Arc::new(Counter::new()));
        let senders: Vec<_> = (0..2)
            .map(|_| {
                let (there, ran, accepted) =
                    (there.clone(), Arc::clone(&ran), Arc::clone(&accepted));
                std::thread::spawn(move || {
                    loop {
                        let counter = Arc::clone(&ran);
                        match there.send(move || counter.count()) {
                            Ok(()) => accepted.count(),
                            Err(_) => break,
                        }
                    }
                })
            })
            .collect();
        check!(until(|| ran.get() > 10).await);
        there.request_exit()?;
        check!(until(|| senders.iter().all(std::thread::JoinHandle::is_finished)).await);
        check!(until(|| there.has_exited()).await);
        check_eq!(ran.get(), accepted.get());
    }
    Ok(())
}

pub(crate) async fn a_channel_keeps_its_thread() -> Outcome {
    let there = other_core("kept")?;
    let disk = Arc::new(IoDevice::new("keeper", Disk)?);
    let held = {
        let disk = Arc::clone(&disk);
        there.call(move || {
            // A channel that neither a task nor a local holds: only a message will drop it.
            let channel = disk.channel().map(Box::new).map(Box::into_raw);
            channel.map(|channel| channel as usize)
        })
    };
    let held = held.await??;
    // Sent by a `for_each_channel`, which still reaches a thread that is exiting.
    there.request_exit()?;
    check!(until(|| !there.is_running()).await);
    crate::pause(Duration::from_millis(100)).await;
    check!(!there.has_exited());
    let freed = disk.for_each_channel(move |_| {
        // SAFETY: made by the call above, on this thread, and freed once.
        drop(unsafe { Box::from_raw(held as *mut Channel<Disk>) });
    });
    let _ = freed.await?;
    check!(until(|| there.has_exited()).await);
    Ok(())
}

/// SPDK ends a thread by force whose channels are in use for five seconds. What was there is leaked, and
/// nothing reaches for it.
pub(crate) async fn ended_by_force() -> Outcome {
    let there = other_core("by force")?;
    let disk = Arc::new(IoDevice::new("forced", Disk)?);
    let held = {
        let disk = Arc::clone(&disk);
        there.call(move || {
            let channel = disk.channel().map(Box::new).map(Box::into_raw);
            channel.map(|channel| channel as usize)
        })
    };
    let held = held.await??;
    there.request_exit()?;
    check!(until(|| there.has_exited()).await);
    let visited = Arc::new(Counter::new());
    let counter = Arc::clone(&visited);
    let _ = disk.for_each_channel(move |_| counter.count()).await?;
    check_eq!(visited.get(), 0);
    // SAFETY: made by the call above, and freed once; its thread is gone, so that nobody else has it.
    drop(unsafe { Box::from_raw(held as *mut Channel<Disk>) });
    // Its channel will never go.
    let mut gone = Arc::into_inner(disk).ok_or(Errno::EBUSY)?.unregister();
    crate::pause(Duration::from_millis(5)).await;
    check_eq!(gone.try_take(), None);
    Ok(())
}

/// C may call `spdk_thread_exit` on a thread that the runtime uses: it then leaves in good time.
pub(crate) async fn ended_by_c() -> Outcome {
    let there = other_core("ended by C")?;
    let task = there.spawn(|| async { runtime::sleep(Duration::from_secs(3600)).await.is_ok() });
    there
        .send(|| {
            // SAFETY: in a message of the current thread, as SPDK asks for.
            unsafe { barespdk_sys::spdk_thread_exit(barespdk_sys::spdk_get_thread()) };
        })
        .map_err(|error| error.errno)?;
    let asked = Instant::now();
    check!(until(|| there.has_exited()).await);
    check!(asked.elapsed() < Duration::from_secs(2));
    check_eq!(task.await, Err(Errno::ECANCELED));
    check_eq!(there.call(|| ()).await, Err(Errno::ESHUTDOWN));
    Ok(())
}
