//! A leg in memory that fails, waits and refuses as a test wants it to.

use std::ffi::CStr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use barespdk::bdev::{IoType, Status};
use barespdk::errno::Errno;
use barespdk::module::{Bdev, Device, Driver, Module, Options, Request};
use barespdk::thread::Thread;

use crate::support::{Failure, pause};

/// Data of a block, in bytes.
pub(crate) const BLOCK_SIZE: usize = 512;
const NUM_BLOCKS: usize = 64;

/// Of a leg of a mirror with metadata: how much of it comes before the data.
const METADATA_BLOCKS: u64 = (1 << 20) / BLOCK_SIZE as u64;

/// A leg, with its switches.
#[derive(Default)]
pub(crate) struct Rig {
    content: Mutex<Vec<u8>>,
    /// Bytes of metadata in a block, behind its data.
    md_size: usize,
    /// The thread that gets no channel, by its id; 0 for none.
    pub(crate) refused_thread: AtomicU64,
    /// How many of the next reads fail.
    pub(crate) bad_reads: AtomicUsize,
    /// This block cannot be read until it is written; 0 for none.
    pub(crate) bad_block: AtomicU64,
    /// How many of the next writes fail.
    pub(crate) bad_writes: AtomicUsize,
    /// How many of the next flushes fail.
    pub(crate) bad_flushes: AtomicUsize,
    /// Writes wait, until this is off or a reset gives them up.
    pub(crate) holds_writes: AtomicBool,
    /// The same, but of what a mirror with metadata writes before its data.
    pub(crate) holds_metadata: AtomicBool,
    /// How many writes have had to wait.
    pub(crate) held_writes: AtomicUsize,
    /// Reads wait until this is off, but for so many that come before.
    pub(crate) holds_reads: AtomicBool,
    pub(crate) free_reads: AtomicUsize,
    /// Resets wait until this is off.
    pub(crate) holds_resets: AtomicBool,
    pub(crate) bad_resets: AtomicUsize,
    pub(crate) reads: AtomicUsize,
    pub(crate) writes: AtomicUsize,
    pub(crate) resets: AtomicUsize,
}

/// Takes one from a number that is not 0.
fn take_one(number: &AtomicUsize) -> bool {
    number
        .fetch_update(SeqCst, SeqCst, |number| number.checked_sub(1))
        .is_ok()
}

/// Whether a block, if it is one, is among those of a request.
fn covers(request: &Request<'_>, block: u64) -> bool {
    let start = request.offset_blocks();
    block != 0 && (start..start + request.num_blocks()).contains(&block)
}

impl Rig {
    pub(crate) fn make(name: &str) -> Result<Bdev<Self>, Failure> {
        Self::of(name, vec![0; BLOCK_SIZE * NUM_BLOCKS])
    }

    /// A leg that has something on it.
    pub(crate) fn of(name: &str, content: Vec<u8>) -> Result<Bdev<Self>, Failure> {
        Self::register(name, content, Self::default())
    }

    /// The same, but only so many reads end before [`Rig::holds_reads`] is off.
    pub(crate) fn held(
        name: &str,
        content: Vec<u8>,
        free_reads: usize,
    ) -> Result<Bdev<Self>, Failure> {
        let rig = Self {
            holds_reads: AtomicBool::new(true),
            free_reads: AtomicUsize::new(free_reads),
            ..Self::default()
        };
        Self::register(name, content, rig)
    }

    /// A leg of blocks that have metadata behind their data.
    pub(crate) fn interleaved(
        name: &str,
        content: Vec<u8>,
        md_size: usize,
    ) -> Result<Bdev<Self>, Failure> {
        let rig = Self {
            md_size,
            ..Self::default()
        };
        Self::register(name, content, rig)
    }

    fn register(name: &str, content: Vec<u8>, rig: Self) -> Result<Bdev<Self>, Failure> {
        let block_size = rig.block_size();
        let mut options = Options::new(block_size as u32, (content.len() / block_size) as u64);
        options.md_size = rig.md_size as u32;
        options.md_interleave = rig.md_size > 0;
        let rig = Self {
            content: Mutex::new(content),
            ..rig
        };
        Ok(RIGS.register(name, c"rig", &options, rig)?)
    }

    fn block_size(&self) -> usize {
        BLOCK_SIZE + self.md_size
    }

    /// What is on it now.
    pub(crate) fn content(&self) -> Vec<u8> {
        self.content.lock().unwrap().clone()
    }

    /// The byte that a block is full of.
    pub(crate) fn byte(&self, block: usize) -> u8 {
        self.content.lock().unwrap()[block * self.block_size()]
    }

    /// It has forgotten what was on it from a block on.
    pub(crate) fn lose_from(&self, block: usize) {
        self.content.lock().unwrap()[block * self.block_size()..].fill(0);
    }

    async fn read(&self, request: &Request<'_>) -> Status {
        self.reads.fetch_add(1, SeqCst);
        if !take_one(&self.free_reads) {
            while self.holds_reads.load(SeqCst) {
                pause(Duration::from_micros(200)).await;
            }
        }
        let is_bad = covers(request, self.bad_block.load(SeqCst));
        if is_bad || take_one(&self.bad_reads) || request.buffer().await.is_err() {
            return Status::Failed;
        }
        let content = self.content.lock().unwrap();
        let start = request.offset_blocks() as usize * self.block_size();
        let end = start + request.num_blocks() as usize * self.block_size();
        match request.data().copy_from(&content[start..end]) {
            Ok(()) => Status::Success,
            Err(_) => Status::Failed,
        }
    }

    async fn write(&self, request: &Request<'_>) -> Status {
        self.writes.fetch_add(1, SeqCst);
        if take_one(&self.bad_writes) {
            return Status::Failed;
        }
        let resets = self.resets.load(SeqCst);
        let is_metadata = request.offset_blocks() < METADATA_BLOCKS;
        let is_held =
            || self.holds_writes.load(SeqCst) || is_metadata && self.holds_metadata.load(SeqCst);
        if is_held() {
            self.held_writes.fetch_add(1, SeqCst);
        }
        while is_held() {
            pause(Duration::from_micros(200)).await;
            // Also of a write that is let go just then.
            if self.resets.load(SeqCst) != resets {
                return Status::Aborted;
            }
        }
        if covers(request, self.bad_block.load(SeqCst)) {
            self.bad_block.store(0, SeqCst);
        }
        let mut content = self.content.lock().unwrap();
        let start = request.offset_blocks() as usize * self.block_size();
        let end = start + request.num_blocks() as usize * self.block_size();
        match request.data().copy_to(&mut content[start..end]) {
            Ok(()) => Status::Success,
            Err(_) => Status::Failed,
        }
    }

    async fn reset(&self) -> Status {
        self.resets.fetch_add(1, SeqCst);
        while self.holds_resets.load(SeqCst) {
            pause(Duration::from_micros(200)).await;
        }
        if take_one(&self.bad_resets) {
            Status::Failed
        } else {
            Status::Success
        }
    }
}

impl Device for Rig {
    type Channel = ();

    fn open_channel(&self) -> Result<(), Errno> {
        let thread = Thread::current().map_or(0, |thread| thread.id());
        if self.refused_thread.load(SeqCst) == thread {
            return Err(Errno::ENOMEM);
        }
        Ok(())
    }

    fn supports(&self, io_type: IoType) -> bool {
        [IoType::READ, IoType::WRITE, IoType::FLUSH, IoType::RESET].contains(&io_type)
    }

    async fn submit<'a>(&'a self, (): &'a (), request: Request<'a>) -> Status {
        match request.io_type() {
            IoType::READ => self.read(&request).await,
            IoType::WRITE => self.write(&request).await,
            IoType::FLUSH if take_one(&self.bad_flushes) => Status::Failed,
            IoType::FLUSH => Status::Success,
            _ => self.reset().await,
        }
    }
}

pub(crate) struct RigDriver;

impl Driver for RigDriver {
    type Device = Rig;
    const NAME: &'static CStr = c"rig";
}

pub(crate) static RIGS: Module<RigDriver> = Module::new();
