//! Devices and channels.

use std::cell::{Cell, RefCell};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use barespdk::errno::Errno;
use barespdk::io_device::{Channel, ChannelRef, Device, IoDevice};
use barespdk::message::{Receiver, Sender, oneshot};
use barespdk::thread::{self, Thread};

use crate::{Counter, Outcome, check, check_eq, end, on_this_core, other_core, pause, until};

/// Counts its channels, and notes the order in which things go.
#[derive(Default)]
struct Disk {
    opened: Counter,
    closed: Arc<Counter>,
    log: Arc<Mutex<Vec<&'static str>>>,
    refuse: AtomicBool,
}

impl Disk {
    fn with_log(log: &Arc<Mutex<Vec<&'static str>>>) -> Self {
        let mut disk = Self::default();
        disk.log = Arc::clone(log);
        disk
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        self.log.lock().unwrap().push("device");
    }
}

struct Part {
    thread: Option<u64>,
    used: Cell<u32>,
    closed: Arc<Counter>,
    log: Arc<Mutex<Vec<&'static str>>>,
}

impl Drop for Part {
    fn drop(&mut self) {
        let own = thread::current_id() == self.thread;
        self.log.lock().unwrap().push(if own {
            "channel"
        } else {
            "channel on a wrong thread"
        });
        self.closed.count();
    }
}

impl Device for Disk {
    type Channel = Part;

    fn open_channel(&self) -> Result<Part, Errno> {
        if self.refuse.load(Ordering::SeqCst) {
            return Err(Errno::ENODATA);
        }
        self.opened.count();
        Ok(Part {
            thread: thread::current_id(),
            used: Cell::new(0),
            closed: Arc::clone(&self.closed),
            log: Arc::clone(&self.log),
        })
    }
}

/// Has a thread hold a channel, but not the device, until the second of what it returns is dropped.
fn hold(thread: &Thread, disk: &Arc<IoDevice<Disk>>) -> (Receiver<()>, Sender<()>) {
    let (release, released) = oneshot();
    let disk = Arc::clone(disk);
    let held = thread.spawn(move || async move {
        let channel = disk.channel();
        drop(disk);
        let _ = released.await;
        drop(channel);
    });
    (held, release)
}

pub(crate) async fn channels_are_counted() -> Outcome {
    let disk = Arc::new(IoDevice::new("counted", Disk::default())?);
    check_eq!(disk.channel_count(), 0);
    let first = disk.channel()?;
    let second = disk.channel()?;
    let third = first.clone();
    first.used.set(first.used.get() + 1);
    check_eq!(third.used.get(), 1);
    check!(std::ptr::eq(&*first, &*second));
    check_eq!(disk.opened.get(), 1);
    let there = other_core("counted")?;
    let theirs = {
        let disk = Arc::clone(&disk);
        there.call(move || disk.channel().map(|channel| channel.used.get()))
    };
    check_eq!(theirs.await?, Ok(0));
    check_eq!(disk.opened.get(), 2);
    drop((first, second));
    pause(Duration::from_millis(5)).await;
    // The one there is gone, the one here is not.
    check_eq!(disk.closed.get(), 1);
    check_eq!(disk.channel_count(), 1);
    check_eq!(third.used.get(), 1);
    drop(third);
    check!(until(|| disk.closed.get() == 2).await);
    // Dropped and asked for again before SPDK's message came: it is the same one.
    let again = disk.channel()?;
    again.used.set(9);
    drop(again);
    let again = disk.channel()?;
    check_eq!(again.used.get(), 9);
    pause(Duration::from_millis(5)).await;
    check_eq!(again.used.get(), 9);
    check_eq!(disk.opened.get(), 3);
    drop(again);
    end(&there).await
}

pub(crate) async fn state_lives_in_the_channel() -> Outcome {
    #[repr(align(16))]
    struct Wide([u8; 4096]);
    struct Aligned;
    impl Device for Aligned {
        type Channel = Wide;
        fn open_channel(&self) -> Result<Wide, Errno> {
            Ok(Wide([7; 4096]))
        }
    }
    let device = IoDevice::new("aligned", Aligned)?;
    let channel = device.channel()?;
    check_eq!(std::ptr::from_ref(&*channel).addr() % 16, 0);
    check_eq!(
        std::ptr::from_ref(&*channel).addr() - channel.as_raw().addr().get(),
        96
    );
    check!(channel.0.iter().all(|byte| *byte == 7));
    // A channel without any state.
    struct Empty;
    impl Device for Empty {
        type Channel = ();
        fn open_channel(&self) -> Result<(), Errno> {
            Ok(())
        }
    }
    let device = IoDevice::new("empty", Empty)?;
    let channel = device.channel()?;
    check_eq!(*channel, ());
    Ok(())
}

pub(crate) async fn failing_to_open() -> Outcome {
    let disk = IoDevice::new("failing", Disk::default())?;
    disk.refuse.store(true, Ordering::SeqCst);
    check_eq!(disk.channel().err(), Some(Errno::ENODATA));
    check_eq!(disk.channel_count(), 0);
    disk.refuse.store(false, Ordering::SeqCst);
    check!(disk.channel().is_ok());
    let outside = std::thread::scope(|scope| scope.spawn(|| disk.channel().err()).join());
    check_eq!(outside.map_err(|_| Errno::EIO)?, Some(Errno::EPERM));
    check_eq!(
        IoDevice::new("a\0b", Disk::default()).err(),
        Some(Errno::EINVAL)
    );
    Ok(())
}

/// SPDK hands a channel out while it is being made; there is nothing in it yet.
pub(crate) async fn a_channel_of_itself() -> Outcome {
    struct Circle;
    static CIRCLE: Mutex<Option<Arc<IoDevice<Circle>>>> = Mutex::new(None);
    impl Device for Circle {
        type Channel = Option<Errno>;
        fn open_channel(&self) -> Result<Self::Channel, Errno> {
            let circle = CIRCLE.lock().unwrap().clone();
            Ok(circle.and_then(|circle| circle.channel().err()))
        }
    }
    let circle = Arc::new(IoDevice::new("circle", Circle)?);
    *CIRCLE.lock().unwrap() = Some(Arc::clone(&circle));
    check_eq!(*circle.channel()?, Some(Errno::EDEADLK));
    drop(CIRCLE.lock().unwrap().take());
    Ok(())
}

pub(crate) async fn the_device_outlives_its_channels() -> Outcome {
    let log = Arc::default();
    let disk = IoDevice::new("outlives", Disk::with_log(&log))?;
    let channel = disk.channel()?;
    drop(disk);
    pause(Duration::from_millis(5)).await;
    channel.used.set(1);
    check_eq!(channel.device().opened.get(), 1);
    check!(log.lock().unwrap().is_empty());
    drop(channel);
    check!(until(|| log.lock().unwrap().len() == 2).await);
    check_eq!(*log.lock().unwrap(), ["channel", "device"]);
    Ok(())
}

pub(crate) async fn unregister_waits() -> Outcome {
    let log = Arc::default();
    let disk = IoDevice::new("waits", Disk::with_log(&log))?;
    let disk = Arc::new(disk);
    let there = other_core("waits")?;
    let (held, release) = hold(&there, &disk);
    check!(until(|| Arc::strong_count(&disk) == 1).await);
    let disk = Arc::into_inner(disk).ok_or(Errno::EBUSY)?;
    check_eq!(disk.channel_count(), 1);
    let mut gone = disk.unregister();
    pause(Duration::from_millis(5)).await;
    check_eq!(gone.try_take(), None);
    drop(release);
    gone.await?;
    check_eq!(*log.lock().unwrap(), ["channel", "device"]);
    held.await?;
    end(&there).await
}

pub(crate) async fn for_each_goes_in_order() -> Outcome {
    let disk = Arc::new(IoDevice::new("each", Disk::default())?);
    check_eq!(disk.for_each_channel(|_| ()).await.err(), None);
    let mut threads = Vec::new();
    for _ in 0..4 {
        let there = Thread::create("each", None)?;
        let (held, release) = hold(&there, &disk);
        threads.push((there, held, release));
    }
    let here = disk.channel()?;
    check!(until(|| disk.channel_count() == 5).await);
    // What the closure gathers comes back with it.
    let seen = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&seen);
    let visit = move |part: &Part| {
        part.used.set(part.used.get() + 1);
        log.lock()
            .unwrap()
            .push((part.thread, thread::current_id()));
    };
    let _ = disk.for_each_channel(visit).await?;
    let expected: Vec<_> = thread::current_id()
        .into_iter()
        .chain(threads.iter().map(|(thread, ..)| thread.id()))
        .map(|id| (Some(id), Some(id)))
        .collect();
    check_eq!(*seen.lock().unwrap(), expected);
    check_eq!(here.used.get(), 1);
    for (thread, held, release) in threads {
        drop(release);
        held.await?;
        end(&thread).await?;
    }
    Ok(())
}

pub(crate) async fn for_each_from_outside() -> Outcome {
    let disk = Arc::new(IoDevice::new("outside", Disk::default())?);
    let channel = disk.channel()?;
    let walk = {
        let disk = Arc::clone(&disk);
        std::thread::spawn(move || disk.for_each_channel(|part| part.used.set(4)))
    };
    check!(until(|| walk.is_finished()).await);
    let walk = walk.join().map_err(|_| Errno::EIO)?;
    let _ = walk.await?;
    check_eq!(channel.used.get(), 4);
    // Nobody waits for this one.
    drop(disk.for_each_channel(|part| part.used.set(5)));
    check!(until(|| channel.used.get() == 5).await);
    Ok(())
}

/// A channel that has looked at the device before something changed there, but is not made yet when the
/// walk begins that tells of it: left out, it would never know.
pub(crate) async fn for_each_meets_a_channel_half_made() -> Outcome {
    #[derive(Default)]
    struct Slow {
        value: Counter,
        looked: AtomicBool,
        go: AtomicBool,
    }

    impl Device for Slow {
        type Channel = Cell<usize>;

        fn open_channel(&self) -> Result<Cell<usize>, Errno> {
            let seen = self.value.get();
            self.looked.store(true, Ordering::SeqCst);
            while !self.go.load(Ordering::SeqCst) {
                std::thread::yield_now();
            }
            Ok(Cell::new(seen))
        }
    }

    let slow = Arc::new(IoDevice::new("slow", Slow::default())?);
    let there = other_core("slow")?;
    let held = {
        let slow = Arc::clone(&slow);
        there.spawn(move || async move {
            let channel = slow.channel()?;
            while channel.get() == 0 {
                pause(Duration::from_micros(100)).await;
            }
            Ok::<_, Errno>(channel.get())
        })
    };
    if there_is_one_core() {
        slow.go.store(true, Ordering::SeqCst);
    }
    check!(until(|| slow.looked.load(Ordering::SeqCst)).await);
    slow.value.count();
    let walk = slow.for_each_channel(|channel| channel.set(7));
    slow.go.store(true, Ordering::SeqCst);
    let _ = walk.await?;
    check_eq!(held.await?, Ok(7));
    end(&there).await?;
    Ok(())
}

fn there_is_one_core() -> bool {
    barespdk::cpuset::Cpuset::of_application().iter().count() == 1
}

pub(crate) async fn the_device_goes_during_for_each() -> Outcome {
    for _ in 0..100 {
        let log = Arc::default();
        let disk = IoDevice::new("goes", Disk::with_log(&log))?;
        let disk = Arc::new(disk);
        let there = other_core("goes")?;
        let held = {
            let disk = Arc::clone(&disk);
            there.spawn(move || async move { drop(disk.channel()) })
        };
        let walk = disk.for_each_channel(|part| part.used.set(1));
        drop(disk);
        let _ = walk.await?;
        held.await?;
        check!(until(|| log.lock().unwrap().len() == 2).await);
        check_eq!(*log.lock().unwrap(), ["channel", "device"]);
        end(&there).await?;
    }
    Ok(())
}

pub(crate) async fn threads_exit_during_for_each() -> Outcome {
    let disk = Arc::new(IoDevice::new("exits", Disk::default())?);
    for _ in 0..30 {
        let mut threads = Vec::new();
        for _ in 0..4 {
            let there = Thread::create("exits", None)?;
            let disk = Arc::clone(&disk);
            let held = there.spawn(move || async move {
                let channel = disk.channel();
                drop(disk);
                pause(Duration::from_secs(3600)).await;
                drop(channel);
            });
            threads.push((there, held));
        }
        check!(until(|| disk.channel_count() == 4).await);
        let mut walks = Vec::new();
        for (thread, _) in &threads {
            let visit: fn(&Part) = |part| part.used.set(1);
            walks.push(disk.for_each_channel(visit));
            thread.request_exit()?;
            walks.push(disk.for_each_channel(visit));
        }
        for walk in walks {
            let _ = walk.await?;
        }
        for (thread, _) in &threads {
            check!(until(|| thread.has_exited()).await);
        }
        check_eq!(disk.channel_count(), 0);
    }
    check_eq!(disk.closed.get(), disk.opened.get());
    check!(
        !disk
            .log
            .lock()
            .unwrap()
            .contains(&"channel on a wrong thread")
    );
    Ok(())
}

pub(crate) async fn dropped_outside_of_spdk() -> Outcome {
    let log = Arc::default();
    let disk = IoDevice::new("outside", Disk::with_log(&log))?;
    drop(disk.channel()?);
    std::thread::spawn(move || drop(disk))
        .join()
        .map_err(|_| Errno::EIO)?;
    check!(until(|| log.lock().unwrap().len() == 2).await);
    check_eq!(*log.lock().unwrap(), ["channel", "device"]);
    Ok(())
}

/// References that C counts and ours are of one channel.
pub(crate) async fn raw_references() -> Outcome {
    let disk = IoDevice::new("raw", Disk::default())?;
    // SAFETY: a registered device, on an SPDK thread.
    let raw = unsafe { barespdk_sys::spdk_get_io_channel(disk.as_ptr()) };
    let raw = NonNull::new(raw).ok_or(Errno::ENOMEM)?;
    // SAFETY: of that device, and `raw` is held until the end of this function.
    let borrowed = unsafe { ChannelRef::<Disk>::from_raw(raw)? };
    let owned = borrowed.to_owned();
    let second = owned.clone();
    check_eq!(second.as_raw(), raw);
    drop((owned, second));
    let again = borrowed.to_owned();
    let handed_over = again.into_raw();
    // SAFETY: the reference that was just handed over.
    let back = unsafe { Channel::<Disk>::from_raw(handed_over)? };
    back.used.set(3);
    check_eq!(borrowed.get().used.get(), 3);
    drop(back);
    pause(Duration::from_millis(2)).await;
    check_eq!(borrowed.used.get(), 3);
    check_eq!(disk.closed.get(), 0);
    // SAFETY: the reference from above, on its thread.
    unsafe { barespdk_sys::spdk_put_io_channel(raw.as_ptr()) };
    check!(until(|| disk.closed.get() == 1).await);
    Ok(())
}

/// The destructor of a channel's state may ask for a channel; it gets a new one.
pub(crate) async fn reopened_by_a_destructor() -> Outcome {
    struct Phoenix(Arc<Counter>);
    struct Ash(Arc<Counter>);
    static PHOENIX: Mutex<Option<Arc<IoDevice<Phoenix>>>> = Mutex::new(None);
    thread_local! {
        static KEPT: RefCell<Option<Channel<Phoenix>>> = const { RefCell::new(None) };
    }
    impl Drop for Ash {
        fn drop(&mut self) {
            self.0.count();
            if self.0.get() == 1 {
                let phoenix = PHOENIX.lock().unwrap().clone();
                KEPT.set(phoenix.and_then(|phoenix| phoenix.channel().ok()));
            }
        }
    }
    impl Device for Phoenix {
        type Channel = Ash;
        fn open_channel(&self) -> Result<Ash, Errno> {
            Ok(Ash(Arc::clone(&self.0)))
        }
    }
    let closed = Arc::new(Counter::new());
    let phoenix = Arc::new(IoDevice::new("phoenix", Phoenix(Arc::clone(&closed)))?);
    *PHOENIX.lock().unwrap() = Some(Arc::clone(&phoenix));
    drop(phoenix.channel()?);
    check!(until(|| closed.get() == 1).await);
    check_eq!(phoenix.channel_count(), 1);
    check!(KEPT.with_borrow(Option::is_some));
    KEPT.take();
    check!(until(|| closed.get() == 2).await);
    check_eq!(phoenix.channel_count(), 0);
    drop(PHOENIX.lock().unwrap().take());
    Ok(())
}

/// A `std::thread_local!` carries it to another SPDK thread of the same reactor: it goes home.
pub(crate) async fn dropped_on_a_wrong_thread() -> Outcome {
    thread_local! {
        static KEPT: RefCell<Option<Channel<Disk>>> = const { RefCell::new(None) };
    }
    let disk = IoDevice::new("wrong", Disk::default())?;
    let neighbour = on_this_core("wrong")?;
    KEPT.set(Some(disk.channel()?));
    let taken = neighbour.call(|| KEPT.take().is_some());
    check_eq!(taken.await?, true);
    check!(until(|| disk.closed.get() == 1).await);
    check_eq!(*disk.log.lock().unwrap(), ["channel"]);
    end(&neighbour).await
}
