//! Bdevs of our own, in safe Rust, whose behaviour each test makes up.

use std::cell::RefCell;
use std::ffi::CStr;
use std::future::Future;
use std::pin::Pin;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::Duration;

use barespdk::bdev::{Channel, Desc, Io, IoError, IoType, Status};
use barespdk::errno::Errno;
use barespdk::json::{ArrayWriter, ObjectWriter};
use barespdk::module::{Bdev, Device, Driver, Module, Options, Pass, PassedOn, Request};

use crate::support::{Counter, Failure, pause, until};

pub(crate) type Serving<'a> = Pin<Box<dyn Future<Output = Status> + 'a>>;
pub(crate) type Serve = for<'a> fn(&'a Lab, &'a Bench, Request<'a>) -> Serving<'a>;

/// A device that does what a test says.
pub(crate) struct Lab {
    serve: Serve,
    pub(crate) pass: fn(&Lab, &Bench, &mut Pass<'_>),
    pub(crate) told: fn(&Lab, &Bench, &PassedOn<'_>),
    pub(crate) supports: fn(IoType) -> bool,
    pub(crate) lowers: Mutex<Vec<Desc>>,
    /// What the next requests are to end with.
    pub(crate) plan: Mutex<Vec<Status>>,
    /// Holds requests back until it is open.
    pub(crate) open: AtomicBool,
    pub(crate) served: Counter,
    pub(crate) passed: Counter,
    pub(crate) noted: Mutex<Vec<String>>,
    pub(crate) ending: Duration,
    pub(crate) ended: &'static AtomicBool,
}

/// What a thread has of a [`Lab`].
pub(crate) struct Bench {
    pub(crate) lowers: Vec<Channel>,
    pub(crate) kept: RefCell<Vec<Io>>,
}

static NOBODY_LOOKS: AtomicBool = AtomicBool::new(false);

impl Lab {
    pub(crate) fn new(serve: Serve) -> Self {
        Self {
            serve,
            pass: |_, _, _| (),
            told: |_, _, _| (),
            supports: |_| true,
            lowers: Mutex::new(Vec::new()),
            plan: Mutex::new(Vec::new()),
            open: AtomicBool::new(false),
            served: Counter::default(),
            passed: Counter::default(),
            noted: Mutex::new(Vec::new()),
            ending: Duration::ZERO,
            ended: &NOBODY_LOOKS,
        }
    }

    pub(crate) fn over(self, lower: Desc) -> Self {
        self.lowers.lock().unwrap().push(lower);
        self
    }

    pub(crate) fn make(self, name: &str, block_size: u32, num_blocks: u64) -> Made {
        self.make_with(name, &Options::new(block_size, num_blocks))
    }

    pub(crate) fn make_with(self, name: &str, options: &Options) -> Made {
        Ok(LABS.register(name, c"lab", options, self)?)
    }

    pub(crate) fn note(&self, text: impl Into<String>) {
        self.noted.lock().unwrap().push(text.into());
    }

    pub(crate) fn notes(&self) -> Vec<String> {
        self.noted.lock().unwrap().clone()
    }

    pub(crate) async fn opened(&self) {
        // By a wake each time: without a timer, of which there may be none.
        std::future::poll_fn(|cx| {
            if self.open.load(Ordering::SeqCst) {
                return Poll::Ready(());
            }
            cx.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
    }

    pub(crate) fn let_go(&self) {
        self.open.store(true, Ordering::SeqCst);
    }
}

pub(crate) type Made = Result<Bdev<Lab>, Failure>;

/// The status of a request that an I/O was for.
pub(crate) fn status(outcome: Result<(), IoError>) -> Status {
    outcome.err().map_or(Status::Success, IoError::status)
}

/// Passes a request of any type on to the first lower bdev.
pub(crate) fn through<'a>(_: &'a Lab, bench: &'a Bench, request: Request<'a>) -> Serving<'a> {
    Box::pin(async move {
        let (lower, data) = (&bench.lowers[0], request.data());
        let (offset, count) = (request.offset_blocks(), request.num_blocks());
        let outcome = match request.io_type() {
            IoType::READ => {
                if request.buffer().await.is_err() {
                    return Status::Failed;
                }
                lower.read(&data, offset).await
            }
            IoType::WRITE => lower.write(&data, offset).await,
            IoType::COMPARE => lower.compare(&data, offset).await,
            IoType::COMPARE_AND_WRITE => match request.fused_data() {
                Ok(write) => lower.compare_and_write(&data, &write, offset).await,
                Err(_) => return Status::Failed,
            },
            IoType::UNMAP => lower.unmap(offset, count).await,
            IoType::WRITE_ZEROES => lower.write_zeroes(offset, count).await,
            IoType::FLUSH => lower.flush(offset, count).await,
            IoType::COPY => {
                let from = request.source_offset_blocks();
                lower.copy(offset, from, count).await
            }
            IoType::RESET => lower.reset().await,
            _ => return Status::Failed,
        };
        status(outcome)
    })
}

impl Device for Lab {
    type Channel = Bench;
    const PASSES: bool = true;

    fn open_channel(&self) -> Result<Bench, Errno> {
        let lowers = self.lowers.lock().unwrap();
        Ok(Bench {
            lowers: lowers.iter().map(Channel::new).collect::<Result<_, _>>()?,
            kept: RefCell::new(Vec::new()),
        })
    }

    fn supports(&self, io_type: IoType) -> bool {
        (self.supports)(io_type)
    }

    // No `async fn`: what a test serves with may act before it returns its future.
    fn submit<'a>(
        &'a self,
        bench: &'a Bench,
        request: Request<'a>,
    ) -> impl Future<Output = Status> + 'a {
        self.served.add();
        (self.serve)(self, bench, request)
    }

    fn pass(&self, bench: &Bench, request: &mut Pass<'_>) {
        (self.pass)(self, bench, request);
    }

    fn passed(&self, bench: &Bench, request: &PassedOn<'_>) {
        (self.told)(self, bench, request);
    }

    fn dump_info(&self, object: &mut ObjectWriter<'_>) {
        object.object("lab", |lab| {
            lab.field("served", &(self.served.get() as u64));
            lab.field("odd \"name\"\u{1}", "a\0b");
        });
    }

    fn write_config(&self, calls: &mut ArrayWriter<'_>) {
        calls.object(|call| {
            call.field("method", "lab_create");
            call.object("params", |params| params.field("size", &7_u64));
        });
    }

    async fn destruct(&self) {
        pause(self.ending).await;
        self.lowers.lock().unwrap().clear();
        self.ended.store(true, Ordering::SeqCst);
    }
}

pub(crate) struct LabDriver;

pub(crate) static EXAMINED: Mutex<Vec<String>> = Mutex::new(Vec::new());

impl Driver for LabDriver {
    type Device = Lab;
    const NAME: &'static CStr = c"lab";
    const EXAMINES: bool = true;

    async fn examine(name: String) {
        pause(Duration::from_micros(100)).await;
        EXAMINED.lock().unwrap().push(name);
    }

    fn write_config(calls: &mut ArrayWriter<'_>) {
        calls.object(|call| {
            call.field("method", "lab_set_options");
            call.object("params", |_| ());
        });
    }
}

pub(crate) static LABS: Module<LabDriver> = Module::new();

/// A device whose future needs no box.
pub(crate) struct Plain;

/// A device that passes on in the plainest way: with an `async fn`, and no [`Device::pass`].
pub(crate) struct Through(pub(crate) Desc);

impl Device for Through {
    type Channel = Channel;

    fn open_channel(&self) -> Result<Channel, Errno> {
        Channel::new(&self.0)
    }

    fn supports(&self, io_type: IoType) -> bool {
        matches!(io_type, IoType::READ | IoType::WRITE)
    }

    async fn submit<'a>(&'a self, lower: &'a Channel, request: Request<'a>) -> Status {
        let (data, offset) = (request.data(), request.offset_blocks());
        if request.io_type() == IoType::WRITE {
            return status(lower.write(&data, offset).await);
        }
        if request.buffer().await.is_err() {
            return Status::Failed;
        }
        let Ok(mut passed) = request.fan_out() else {
            return Status::Failed;
        };
        passed.read(lower, offset);
        let failed = (&mut passed).await;
        if failed.is_empty() {
            Status::Success
        } else {
            Status::Failed
        }
    }
}

impl Driver for Plain {
    type Device = Through;
    const NAME: &'static CStr = c"plain";
}

pub(crate) static PLAIN: Module<Plain> = Module::new();

/// Waits until a bdev has served so many requests.
pub(crate) async fn has_served(bdev: &Bdev<Lab>, count: usize) -> bool {
    until(|| bdev.device().served.get() >= count).await
}
