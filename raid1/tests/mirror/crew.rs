//! Three threads with channels to the mirror, the last of which may be kept from doing anything.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Duration;

use barespdk::bdev::{Channel, Desc};
use barespdk::cpuset::Cpuset;
use barespdk::errno::Errno;
use barespdk::message::{Receiver, oneshot};
use barespdk::thread::Thread;

use crate::support::{Failure, Outcome, end, open, pause, read, write};

/// In the order in which SPDK visits them. The app thread, which comes before them, has no channel.
pub(crate) struct Crew {
    pub(crate) first: Member,
    pub(crate) second: Member,
    /// Alone on the second core.
    pub(crate) third: Member,
}

impl Crew {
    /// Opens the mirror and makes the threads, which have no channels yet. There must be two cores.
    pub(crate) fn muster() -> Result<Self, Failure> {
        let desc = open("M")?;
        Ok(Self {
            first: Member::on(0, "first", &desc)?,
            second: Member::on(0, "second", &desc)?,
            third: Member::on(1, "third", &desc)?,
        })
    }

    /// All open their channels.
    pub(crate) async fn open_channels(&self) -> Outcome {
        self.first.open_channel().await?;
        self.second.open_channel().await?;
        self.third.open_channel().await
    }

    pub(crate) async fn dismiss(self) -> Outcome {
        self.first.dismiss().await?;
        self.second.dismiss().await?;
        self.third.dismiss().await
    }
}

/// A thread.
pub(crate) struct Member {
    pub(crate) thread: Thread,
    desc: Desc,
    /// Says that the channel is to be let go of.
    leave: Arc<AtomicBool>,
}

impl Member {
    fn on(core: usize, name: &str, desc: &Desc) -> Result<Self, Failure> {
        let core = Cpuset::of_application().iter().nth(core);
        let cores = Cpuset::from_cores(core).map_err(|_| Errno::EINVAL)?;
        Ok(Self {
            thread: Thread::create(name, Some(&cores))?,
            desc: desc.clone(),
            leave: Arc::default(),
        })
    }

    /// Opens a channel, and keeps it.
    pub(crate) async fn open_channel(&self) -> Outcome {
        Ok(self.try_channel().await??)
    }

    /// As [`Member::open_channel`], where that may fail.
    pub(crate) async fn try_channel(&self) -> Result<Result<(), Errno>, Failure> {
        let (desc, leave) = (self.desc.clone(), Arc::clone(&self.leave));
        let (sender, opened) = oneshot();
        let _runs_on = self.thread.spawn(move || async move {
            let channel = Channel::new(&desc);
            let _ = sender.send(channel.as_ref().map(|_| ()).map_err(|errno| *errno));
            while !leave.load(SeqCst) {
                pause(Duration::from_millis(1)).await;
            }
        });
        Ok(opened.await?)
    }

    /// Begins to write a block full of `byte`.
    pub(crate) fn begin_write(&self, block: u64, byte: u8) -> Receiver<Outcome> {
        let desc = self.desc.clone();
        self.thread
            .spawn(move || async move { write(&desc, block, byte).await })
    }

    pub(crate) async fn write(&self, block: u64, byte: u8) -> Outcome {
        self.begin_write(block, byte).await?
    }

    pub(crate) async fn read(&self, block: u64) -> Result<u8, Failure> {
        let desc = self.desc.clone();
        self.thread
            .spawn(move || async move { read(&desc, block).await })
            .await?
    }

    /// Keeps the thread, and with it its core, from doing anything; the first that it does after is
    /// to read a block. It was blocked when this ends.
    pub(crate) async fn block(&self, block: u64) -> Result<Blocked, Failure> {
        let (desc, go) = (self.desc.clone(), Arc::new(AtomicBool::new(false)));
        let (sender, is_blocked) = oneshot();
        let until = Arc::clone(&go);
        let read = self.thread.spawn(move || async move {
            let _ = sender.send(());
            while !until.load(SeqCst) {
                std::hint::spin_loop();
            }
            read(&desc, block).await
        });
        is_blocked.await?;
        Ok(Blocked { go, read })
    }

    async fn dismiss(self) -> Outcome {
        self.leave.store(true, SeqCst);
        drop(self.desc);
        pause(Duration::from_millis(5)).await;
        end(&self.thread).await
    }
}

/// A thread that does nothing.
pub(crate) struct Blocked {
    go: Arc<AtomicBool>,
    read: Receiver<Result<u8, Failure>>,
}

impl Blocked {
    /// Lets the thread go on. What it read.
    pub(crate) fn release(self) -> impl Future<Output = Result<u8, Failure>> {
        self.go.store(true, SeqCst);
        async move { self.read.await? }
    }
}
