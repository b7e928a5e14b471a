//! How bdevs of our own come and go.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::{Duration, Instant};

use barespdk::bdev::{Access, Channel, Desc, Event, IoError, IoType, Status};
use barespdk::errno::Errno;
use barespdk::module::{Options, Request};
use barespdk::runtime;
use barespdk::thread::Thread;

use crate::broken::{LARGE, LargeDevice, idle};
use crate::lab::{Bench, EXAMINED, LABS, Lab, Serving, has_served, through};
use crate::support::{
    Counter, Outcome, check, check_eq, disk, end, filled, misaligned, open, other_core, pause,
    poll_once, reads, rpc, rpc_done, turn, until, write,
};

fn when_open<'a>(lab: &'a Lab, _: &'a Bench, _: Request<'a>) -> Serving<'a> {
    Box::pin(async {
        lab.opened().await;
        Status::Success
    })
}

pub(crate) async fn examined() -> Outcome {
    let lab = idle().over(open("Null")?).make("seen", 512, 8192)?;
    check!(EXAMINED.lock().unwrap().is_empty());
    // Ours is asked; and SPDK's own, which read from it.
    rpc_done("bdev_examine", r#"{"name":"seen"}"#).await?;
    rpc_done("bdev_wait_for_examine", "").await?;
    check_eq!(*EXAMINED.lock().unwrap(), ["seen"]);
    check_eq!(lab.device().served.get() > 0, cfg!(feature = "spdk"));
    lab.unregister().await?;
    Ok(())
}

pub(crate) async fn events() -> Outcome {
    let lab = idle().over(open("Null")?).make("eventful", 512, 100)?;
    let events = Arc::new(Mutex::new(Vec::new()));
    let desc = {
        let events = Arc::clone(&events);
        Desc::open("eventful", Access::Read, move |event| {
            events.lock().unwrap().push(event)
        })?
    };
    lab.resize(200)?;
    check_eq!(lab.resize(0), Err(Errno::EINVAL));
    check_eq!(lab.resize(50), Err(Errno::EBUSY));
    check!(until(|| !events.lock().unwrap().is_empty()).await);
    check_eq!(desc.num_blocks(), 200);
    let gone = Arc::new(AtomicBool::new(false));
    let ended = {
        let (lab, gone) = (lab.clone(), Arc::clone(&gone));
        runtime::spawn_local(
            async move { gone.store(lab.unregister().await.is_ok(), Ordering::SeqCst) },
        )
    };
    ended?;
    check!(until(|| events.lock().unwrap().len() == 2).await);
    check_eq!(*events.lock().unwrap(), [Event::Resized, Event::Removed]);
    // As long as it is open it is there.
    pause(Duration::from_millis(20)).await;
    check!(!gone.load(Ordering::SeqCst) && lab.is_registered());
    check_eq!(lab.unregister().await, Err(Errno::EBUSY));
    drop(desc);
    check!(until(|| gone.load(Ordering::SeqCst)).await);
    check!(!lab.is_registered());
    Ok(())
}

/// Peer fault: "leg removal ignored, so that unregister hangs"; and requests in flight meanwhile.
pub(crate) async fn a_bdev_goes_in_flight() -> Outcome {
    let lab = Lab::new(when_open).make("goes", 512, 8192)?;
    let place = Arc::new(Mutex::new(None));
    let desc = {
        let place = Arc::clone(&place);
        Desc::open("goes", Access::Write, move |event| {
            if event == Event::Removed {
                drop(place.lock().unwrap().take());
            }
        })?
    };
    let channel = Channel::new(&desc)?;
    *place.lock().unwrap() = Some(desc);
    let mut flushes: Vec<_> = (0..50).map(|block| channel.flush(block, 1)).collect();
    check!(has_served(&lab, 50).await);
    let mut going = Box::pin(lab.unregister());
    check!(poll_once(&mut going).await.is_pending());
    pause(Duration::from_millis(5)).await;
    check!(place.lock().unwrap().is_none());
    flushes.truncate(30);
    // What comes late is an error, or served as the others are.
    let late = channel.write_buf(filled(512, 1)?, 0);
    lab.device().let_go();
    for flush in flushes {
        check_eq!(flush.await, Ok(()));
    }
    let _ = late.await;
    check!(poll_once(&mut going).await.is_pending());
    drop(channel);
    going.await?;
    // One of SPDK's own, by RPC, with I/O in flight.
    rpc_done(
        "bdev_malloc_create",
        r#"{"name":"Brief","num_blocks":64,"block_size":512}"#,
    )
    .await?;
    let upper = Lab::new(through).over(open("Brief")?);
    let lowers = upper.lowers.lock().unwrap().clone();
    let upper = upper.make("over_brief", 512, 64)?;
    drop(lowers);
    let over = disk("over_brief")?;
    let mut writes = Vec::new();
    for block in 0..32 {
        writes.push(over.write_buf(filled(512, 1)?, block));
    }
    let removed = runtime::spawn_local(async {
        let _ = rpc("bdev_malloc_delete", r#"{"name":"Brief"}"#).await;
    });
    removed?;
    for io in writes {
        let _ = io.await;
    }
    drop(over);
    upper.unregister().await?;
    check!(until(|| open("Brief").is_err()).await);
    Ok(())
}

static ENDED: AtomicBool = AtomicBool::new(false);

pub(crate) async fn the_end_takes_time() -> Outcome {
    let mut lab = idle().over(open("Null")?);
    lab.ending = Duration::from_millis(50);
    lab.ended = &ENDED;
    let lab = lab.make("lasting", 512, 8192)?;
    let start = Instant::now();
    lab.unregister().await?;
    check!(start.elapsed() >= Duration::from_millis(50) && ENDED.load(Ordering::SeqCst));
    // By its name, and with a future that nobody waits for.
    let lab = idle().over(open("Null")?).make("lasting", 512, 8192)?;
    check_eq!(LABS.unregister("Malloc").await, Err(Errno::ENODEV));
    check_eq!(LABS.unregister("a\0b").await, Err(Errno::ENODEV));
    drop(LABS.unregister("lasting"));
    check!(until(|| !lab.is_registered()).await);
    check!(until(|| open("lasting").is_err()).await);
    Ok(())
}

/// Handles are for ever; what they ask of a bdev that is gone is an error.
pub(crate) async fn handles_outlive_the_bdev() -> Outcome {
    let lab = idle().over(open("Null")?).make("ghost", 512, 8192)?;
    let handle = lab.clone();
    lab.unregister().await?;
    check_eq!(handle.unregister().await, Err(Errno::ENODEV));
    check_eq!(handle.resize(5), Err(Errno::ENODEV));
    check_eq!(handle.for_each_channel(|_, _| ()).await, Err(Errno::ENODEV));
    check_eq!((handle.name(), handle.is_registered()), ("ghost", false));
    // A second of the same name is another one.
    let second = idle().make("ghost", 512, 8192)?;
    check_eq!(handle.unregister().await, Err(Errno::ENODEV));
    second.unregister().await?;
    let elsewhere = std::thread::spawn(move || drop((lab, handle)));
    elsewhere.join().map_err(|_| Errno::EIO)?;
    Ok(())
}

pub(crate) async fn wrong_names_and_options() -> Outcome {
    let register = |name: &str, options: &Options| {
        LABS.register(name, c"lab", options, idle())
            .map_err(|(errno, _)| errno)
            .err()
    };
    let good = Options::new(512, 8);
    check_eq!(register("", &good), Some(Errno::EINVAL));
    check_eq!(register("a\0b", &good), Some(Errno::EINVAL));
    check_eq!(register("Malloc", &good), Some(Errno::EEXIST));
    for odd in ["é", "%s%n%n", " ", "\u{202e}", &"long".repeat(1000)] {
        let lab = idle().make_with(odd, &good)?;
        check_eq!(register(odd, &good), Some(Errno::EEXIST));
        check_eq!((open(odd)?.name(), lab.name()), (odd, odd));
        lab.unregister().await?;
    }
    let wrong: [fn(&mut Options); 5] = [
        |options| options.block_size = 0,
        |options| options.num_blocks = 0,
        |options| options.required_alignment = 32,
        |options| (options.md_size, options.md_interleave) = (512, true),
        |options| (options.md_size, options.md_interleave) = (u32::MAX, true),
    ];
    for spoil in wrong {
        let mut options = Options::new(512, 8);
        spoil(&mut options);
        check_eq!(register("wrong", &options), Some(Errno::EINVAL));
    }
    // Peer fault: "block count cut to 32 bits".
    let vast = Lab::new(when_open).make_with("vast", &Options::new(4096, u64::MAX))?;
    let disk = disk("vast")?;
    check_eq!(disk.desc().num_blocks(), u64::MAX);
    vast.device().let_go();
    check_eq!(disk.unmap(0, u64::MAX).await, Ok(()));
    check_eq!(disk.unmap(1 << 40, 1 << 41).await, Ok(()));
    check_eq!(
        disk.unmap(1, u64::MAX).await,
        Err(IoError::Submit(Errno::EINVAL))
    );
    drop(disk);
    vast.unregister().await?;
    Ok(())
}

pub(crate) async fn wrong_threads() -> Outcome {
    let lab = idle().over(open("Null")?).make("at_home", 512, 8192)?;
    let elsewhere = || {
        let refused = LABS.register("stray", c"lab", &Options::new(512, 8), idle());
        (refused.err().map(|(errno, _)| errno), disk("Malloc").err())
    };
    let outside = std::thread::spawn(elsewhere)
        .join()
        .map_err(|_| Errno::EIO)?;
    check_eq!(outside, (Some(Errno::EINVAL), Some(Errno::EPERM)));
    let thread = other_core("elsewhere")?;
    check_eq!(thread.call(elsewhere).await?, (Some(Errno::EINVAL), None));
    let handle = lab.clone();
    let there = thread.spawn(move || async move {
        let walked = handle.for_each_channel(|_, _| ()).await;
        (handle.unregister().await, handle.resize(9), walked)
    });
    let denied = Err(Errno::EPERM);
    check_eq!(there.await?, (denied, denied, denied));
    end(&thread).await?;
    lab.unregister().await?;
    Ok(())
}

/// What a bdev says of itself, and how it is made again, as RPCs show it.
pub(crate) async fn json() -> Outcome {
    let lab = idle().over(open("Null")?).make("json \"é\"", 512, 8192)?;
    let shown = rpc("bdev_get_bdevs", r#"{"name":"json \"é\""}"#).await?;
    check!(shown.contains(r#""driver_specific":{"lab":{"served":"#));
    check!(shown.contains(r#""odd \"name\"\u0001":"a\u0000b"}}"#));
    check!(shown.contains(r#""product_name":"lab""#));
    let config = rpc("framework_get_config", r#"{"name":"bdev"}"#).await?;
    check!(config.contains(r#"{"method":"lab_set_options","params":{}}"#));
    check!(config.contains(r#"{"method":"lab_create","params":{"size":7}}"#));
    lab.unregister().await?;
    let config = rpc("framework_get_config", r#"{"name":"bdev"}"#).await?;
    check!(!config.contains("lab_create") && config.contains("lab_set_options"));
    Ok(())
}

pub(crate) async fn each_channel() -> Outcome {
    let lab = idle().over(open("Null")?).make("walked", 512, 8192)?;
    let thread = other_core("walked")?;
    let (visited, here) = (Arc::new(Counter::default()), Thread::current());
    let mine = disk("walked")?;
    let holding = Arc::new(AtomicBool::new(false));
    let there = {
        let holding = Arc::clone(&holding);
        thread.spawn(move || async move {
            let _channel = disk("walked")?;
            holding.store(true, Ordering::SeqCst);
            while holding.load(Ordering::SeqCst) {
                turn().await;
            }
            Ok::<_, Errno>(())
        })
    };
    check!(until(|| holding.load(Ordering::SeqCst)).await);
    let (counter, seen) = (Arc::clone(&visited), Arc::new(Counter::default()));
    let elsewhere = Arc::clone(&seen);
    lab.for_each_channel(move |_, bench| {
        counter.add();
        if Thread::current() != here {
            elsewhere.add();
        }
        bench.kept.borrow_mut().clear();
    })
    .await?;
    check_eq!((visited.get(), seen.get()), (2, 1));
    // Begun, forgotten, and the bdev goes meanwhile.
    let counter = Arc::clone(&visited);
    let mut walk = Box::pin(lab.for_each_channel(move |_, _| {
        counter.add();
    }));
    check!(poll_once(&mut walk).await.is_pending());
    drop(walk);
    drop(mine);
    holding.store(false, Ordering::SeqCst);
    let mut going = Box::pin(lab.unregister());
    check!(poll_once(&mut going).await.is_pending());
    there.await??;
    going.await?;
    end(&thread).await?;
    check!(until(|| Arc::strong_count(&visited) == 1).await);
    Ok(())
}

/// A bdev that wants a channel to itself while that is being made, straight or by way of another.
pub(crate) async fn on_top_of_itself() -> Outcome {
    let lab = idle().make("ouroboros", 512, 8192)?;
    let other = idle().over(open("ouroboros")?).make("other", 512, 8192)?;
    for name in ["ouroboros", "other"] {
        *lab.device().lowers.lock().unwrap() = vec![open(name)?];
        check_eq!(disk("ouroboros").err(), Some(Errno::ENOMEM));
        check_eq!(disk("other").err(), Some(Errno::ENOMEM));
    }
    lab.device().lowers.lock().unwrap().clear();
    check!(disk("other").is_ok());
    other.unregister().await?;
    lab.unregister().await?;
    Ok(())
}

/// A request that tries again and again, with a pause, on a thread that was told to exit: it pauses, and
/// does not keep the reactor for itself.
pub(crate) async fn a_request_sleeps_while_its_thread_exits() -> Outcome {
    fn trying<'a>(lab: &'a Lab, _: &'a Bench, _: Request<'a>) -> Serving<'a> {
        Box::pin(async move {
            while !lab.open.load(Ordering::SeqCst) {
                lab.passed.add();
                if let Err(error) = runtime::sleep(Duration::from_millis(1)).await {
                    lab.note(format!("{error:?}"));
                }
            }
            Status::Success
        })
    }
    let lab = Lab::new(trying).make("trying", 512, 8192)?;
    let thread = other_core("trying")?;
    let task = thread.spawn(|| async {
        let _ = disk("trying")?.flush(0, 1).await;
        Ok::<_, Errno>(())
    });
    check!(until(|| lab.device().passed.get() > 2).await);
    thread.request_exit()?;
    pause(Duration::from_millis(100)).await;
    let tries = lab.device().passed.get();
    lab.device().let_go();
    check!(until(|| thread.has_exited()).await);
    check!(task.await.is_err());
    check_eq!(lab.device().notes(), Vec::<String>::new());
    check!(tries < 1000);
    lab.unregister().await?;
    Ok(())
}

/// Peer fault: "thread exit with one I/O in flight: poller unregistered twice, abort".
pub(crate) async fn a_thread_exits_with_io_in_flight() -> Outcome {
    let lower = Lab::new(when_open).make("under_exit", 512, 8192)?;
    let upper = Lab::new(through)
        .over(open("under_exit")?)
        .make("exit", 512, 8192)?;
    let thread = other_core("exits")?;
    let task = thread.spawn(|| async {
        let disk = disk("exit")?;
        let one = disk.flush(0, 1);
        let two = disk.write_buf(filled(512, 1)?, 0);
        drop(disk.read_buf(filled(512, 1)?, 0));
        let _ = (one.await, two.await);
        Err::<(), _>(Errno::EIO)
    });
    check!(has_served(&lower, 3).await);
    thread.request_exit()?;
    check_eq!(task.await, Err(Errno::ECANCELED));
    pause(Duration::from_millis(50)).await;
    // The I/O is still there, and so is the thread.
    check!(!thread.has_exited());
    lower.device().let_go();
    check!(until(|| thread.has_exited()).await);
    upper.unregister().await?;
    lower.unregister().await?;
    Ok(())
}

/// Resets while requests are in flight, queued for memory, and waiting for buffers.
pub(crate) async fn resets_under_load() -> Outcome {
    fn buffered<'a>(lab: &'a Lab, bench: &'a Bench, request: Request<'a>) -> Serving<'a> {
        Box::pin(async move {
            if request.io_type() == IoType::READ {
                // Given up by the reset, where it still waits.
                if request.buffer().await.is_err() {
                    return Status::Aborted;
                }
                pause(Duration::from_micros(300)).await;
            }
            through(lab, bench, request).await
        })
    }
    let mut options = Options::new(512, 8192);
    options.required_alignment = 16;
    let lab = Lab::new(buffered)
        .over(open("Slow")?)
        .make_with("resets", &options)?;
    let disk = disk("resets")?;
    for _ in 0..4 {
        let (mut reads, mut resets) = (Vec::new(), Vec::new());
        for index in 0..80 {
            reads.push(disk.read(&misaligned(1 << 16, 1)?, 0));
            if index % 20 == 19 {
                resets.push(disk.reset());
                turn().await;
            }
        }
        let aborted = disk.abort(&reads[79]).await;
        for io in resets {
            check_eq!(io.await, Ok(()));
        }
        check!(aborted.is_ok() || aborted.is_err());
        // Done or given up: each ends.
        for io in reads {
            let _ = io.await;
        }
        check_eq!(disk.load(), 1);
    }
    drop(disk);
    lab.unregister().await?;
    Ok(())
}

pub(crate) async fn claimed() -> Outcome {
    let desc = open("Null")?;
    LABS.claim(&desc)?;
    check_eq!(LABS.claim(&desc), Err(Errno::EPERM));
    check_eq!(open("Null").err(), Some(Errno::EPERM));
    check!(Desc::open("Null", Access::Read, |_| ()).is_ok());
    let copy = desc.clone();
    let elsewhere = std::thread::spawn(move || LABS.claim(&copy)).join();
    check_eq!(elsewhere.map_err(|_| Errno::EIO)?, Err(Errno::EPERM));
    // Released where it is closed: on the thread that opened it, whoever drops it.
    std::thread::spawn(move || drop(desc))
        .join()
        .map_err(|_| Errno::EIO)?;
    check!(until(|| open("Null").is_ok()).await);
    Ok(())
}

/// SPDK has set memory aside for the requests of the modules that it knew when it started.
pub(crate) async fn modules_come_before_spdk() -> Outcome {
    check_eq!(LARGE.add(), Err(Errno::EBUSY));
    let refused = LARGE.register("large", c"large", &Options::new(512, 8), LargeDevice);
    check_eq!(refused.err().map(|(errno, _)| errno), Some(Errno::ENODEV));
    write(&disk("Malloc")?, 0, 512, 1).await?;
    check!(reads(&disk("Malloc")?, 0, 512, 1).await?);
    Ok(())
}

/// More sleepers than there are timers: who gets none is told, but not before others had their turn, so
/// that one who tries again and again does not keep the reactor for itself.
pub(crate) async fn no_timer_left() -> Outcome {
    let long = Duration::from_secs(3600);
    let mut sleeps: Vec<_> = (0..200).map(|_| runtime::sleep(long)).collect();
    for sleep in &mut sleeps {
        check!(poll_once(sleep).await.is_pending());
    }
    let mut refused = 0;
    for sleep in &mut sleeps {
        match poll_once(sleep).await {
            Poll::Ready(Err(runtime::SleepError::TimersFull(_))) => refused += 1,
            Poll::Ready(_) => return Err(String::from("an hour has passed").into()),
            Poll::Pending => {}
        }
    }
    check!(refused >= 72);
    let done = Rc::new(Cell::new(false));
    runtime::spawn_local({
        let done = Rc::clone(&done);
        async move { done.set(true) }
    })?;
    while !done.get() {
        let _ = runtime::sleep(Duration::from_millis(1)).await;
    }
    Ok(())
}
