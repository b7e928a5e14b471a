//! The modules under the bdev layer, on a reactor: each test is an application of its own, driven
//! from another OS thread by RPCs and requests.

mod on_bases;
mod stores;

use std::ffi::{CString, c_int, c_void};
use std::fs;
use std::path::PathBuf;
use std::process;
use std::ptr::{null, null_mut};
use std::sync::{Once, mpsc};
use std::time::Duration;

use barespdk_sys::*;
use libc::iovec;
use serde_json::Value;

use crate::reactor::tests::alone;
use crate::thread::on_thread;
use crate::{bdev, reactor, rpc};

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// Bytes of the blocks that the tests use.
const BLOCK: usize = 4096;

/// Runs an application with all modules, and `body` on another OS thread.
fn application(body: impl FnOnce() + Send + 'static) {
    static REGISTERED: Once = Once::new();
    let _alone = alone();
    REGISTERED.call_once(super::register);
    // SAFETY: the whole life of an application, in order, on this OS thread.
    unsafe {
        let mut opts: spdk_env_opts = std::mem::zeroed();
        opts.opts_size = size_of::<spdk_env_opts>();
        spdk_env_opts_init(&mut opts);
        opts.core_mask = c"0x1".as_ptr();
        opts.mem_size = 256;
        opts.no_huge = true;
        assert_eq!(spdk_env_init(&opts), 0);
        reactor::start().unwrap();
        let app = spdk_thread_create(c"app_thread".as_ptr(), null());
        assert_eq!(spdk_thread_get_app_thread(), app);
        let driver = std::thread::spawn(|| {
            // A reactor that nobody stops would run for ever.
            let end_all = EndAll;
            let started = later(bdev::start);
            assert_eq!(started, 0);
            rpc::set_state(rpc::State::Runtime);
            body();
            later(bdev::finish);
            rpc::set_state(rpc::State::Startup);
            reactor::stop();
            std::mem::forget(end_all);
        });
        reactor::run().unwrap();
        driver.join().unwrap();
        reactor::finish();
        spdk_env_fini();
    }
}

struct EndAll;

impl Drop for EndAll {
    fn drop(&mut self) {
        process::exit(101);
    }
}

/// Starts something on the application thread and waits for its result.
fn later<T: Send + 'static>(start: impl FnOnce(Box<dyn FnOnce(T) + Send>) + Send + 'static) -> T {
    let (sender, receiver) = mpsc::channel();
    let done = Box::new(move |result| sender.send(result).unwrap());
    // SAFETY: the application thread lives until `reactor::stop`.
    unsafe { on_thread(spdk_thread_get_app_thread(), Box::new(|| start(done))) };
    receiver.recv_timeout(PATIENCE).expect("a result in time")
}

/// Calls a method; the error as its code.
fn call(method: &'static str, params: Value) -> Result<Value, i32> {
    later(move |done| {
        rpc::call(method, Some(&params), |outcome| {
            done(outcome.map_err(|error| error.code));
        });
    })
}

/// Whether there is a bdev.
fn exists(name: &str) -> bool {
    call("bdev_get_bdevs", serde_json::json!({ "name": name })).is_ok()
}

/// A temporary file, removed when dropped.
struct TempFile(PathBuf);

impl TempFile {
    fn new(name: &str, len: u64) -> Self {
        let path = std::env::temp_dir().join(format!("barespdk-{}-{name}", process::id()));
        fs::File::create(&path).unwrap().set_len(len).unwrap();
        Self(path)
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// A bdev that the application thread has open, and its channel. Closed with [`Open::close`].
#[derive(Clone, Copy)]
struct Open {
    desc: *mut spdk_bdev_desc,
    channel: *mut spdk_io_channel,
}

// SAFETY: used on the application thread alone.
unsafe impl Send for Open {}

/// A request on blocks.
#[derive(Clone, Copy)]
enum Request {
    Read,
    Write,
    WriteZeroes,
    Unmap,
    Flush,
    Reset,
}

/// A status and the data afterwards.
type Outcome = (i8, Vec<u8>);

struct Pending {
    done: Option<Box<dyn FnOnce(Outcome) + Send>>,
    data: Vec<u8>,
    /// Within `data`.
    aligned: usize,
    len: usize,
    iov: iovec,
}

impl Open {
    fn new(name: &str) -> Self {
        let name = CString::new(name).unwrap();
        later(move |done| {
            let mut desc = null_mut();
            // SAFETY: on the application thread.
            unsafe {
                let rc =
                    spdk_bdev_open_ext(name.as_ptr(), true, Some(removed), null_mut(), &mut desc);
                assert_eq!(rc, 0, "{name:?} opens");
                let channel = spdk_bdev_get_io_channel(desc);
                assert!(!channel.is_null());
                done(Self { desc, channel });
            }
        })
    }

    fn close(self) {
        later(move |done: Box<dyn FnOnce(()) + Send>| {
            let this = self;
            // SAFETY: open, and nothing is in flight.
            unsafe {
                spdk_put_io_channel(this.channel);
                spdk_bdev_close(this.desc);
            }
            done(());
        });
    }

    /// Submits a request; its status and its data come later.
    fn start(self, request: Request, block: u64, data: Vec<u8>) -> mpsc::Receiver<Outcome> {
        let (sender, receiver) = mpsc::channel();
        let done = Box::new(move |result| sender.send(result).unwrap());
        let run = move || {
            let this = self;
            let len = data.len();
            let mut memory = vec![0_u8; len + BLOCK];
            let aligned = memory.as_ptr().align_offset(BLOCK);
            memory[aligned..aligned + len].copy_from_slice(&data);
            let iov = iovec {
                iov_base: memory[aligned..].as_mut_ptr().cast(),
                iov_len: len,
            };
            let pending = Box::into_raw(Box::new(Pending {
                done: Some(done),
                data: memory,
                aligned,
                len,
                iov,
            }));
            // SAFETY: open; what is passed lives until `completed` takes it.
            unsafe { this.submit(request, block, (len / BLOCK) as u64, pending) };
        };
        // SAFETY: the application thread lives until `reactor::stop`.
        unsafe { on_thread(spdk_thread_get_app_thread(), Box::new(run)) };
        receiver
    }

    unsafe fn submit(self, request: Request, block: u64, count: u64, pending: *mut Pending) {
        let (desc, ch, arg) = (self.desc, self.channel, pending.cast());
        let cb = Some(completed as unsafe extern "C" fn(_, _, _));
        // SAFETY: as the caller promises.
        let rc = unsafe {
            let iov = &raw mut (*pending).iov;
            match request {
                Request::Read => spdk_bdev_readv_blocks(desc, ch, iov, 1, block, count, cb, arg),
                Request::Write => spdk_bdev_writev_blocks(desc, ch, iov, 1, block, count, cb, arg),
                Request::WriteZeroes => {
                    spdk_bdev_write_zeroes_blocks(desc, ch, block, count, cb, arg)
                }
                Request::Unmap => spdk_bdev_unmap_blocks(desc, ch, block, count, cb, arg),
                Request::Flush => spdk_bdev_flush_blocks(desc, ch, block, count, cb, arg),
                Request::Reset => spdk_bdev_reset(desc, ch, cb, arg),
            }
        };
        assert_eq!(rc, 0, "submitted");
    }

    /// A request from its submission to its end: its status, and its data.
    fn ask(self, request: Request, block: u64, data: Vec<u8>) -> Outcome {
        let receiver = self.start(request, block, data);
        receiver
            .recv_timeout(PATIENCE)
            .expect("a completion in time")
    }

    fn write(self, block: u64, byte: u8) -> i8 {
        self.ask(Request::Write, block, vec![byte; BLOCK]).0
    }

    fn read(self, block: u64) -> Outcome {
        self.ask(Request::Read, block, vec![0xee; BLOCK])
    }

    /// Whether a block holds one byte alone.
    fn holds(self, block: u64, byte: u8) -> bool {
        self.read(block) == (SUCCESS, vec![byte; BLOCK])
    }
}

const SUCCESS: i8 = SPDK_BDEV_IO_STATUS_SUCCESS as i8;
const FAILED: i8 = SPDK_BDEV_IO_STATUS_FAILED as i8;
const ABORTED: i8 = SPDK_BDEV_IO_STATUS_ABORTED as i8;

unsafe extern "C" fn removed(_: spdk_bdev_event_type, _: *mut spdk_bdev, _: *mut c_void) {}

unsafe extern "C" fn completed(io: *mut spdk_bdev_io, success: bool, pending: *mut c_void) {
    // SAFETY: from `start`, once; the request is ours to free.
    unsafe {
        let mut pending = Box::from_raw(pending.cast::<Pending>());
        let status = (*io).internal.status;
        assert_eq!(success, c_int::from(status) == SPDK_BDEV_IO_STATUS_SUCCESS);
        spdk_bdev_free_io(io);
        let data = pending.data[pending.aligned..][..pending.len].to_vec();
        if let Some(done) = pending.done.take() {
            done((status, data));
        }
    }
}
