//! A request passed on to lower bdevs before there is a task for it.

use core::ptr::NonNull;

use barespdk_sys as ffi;

use super::fan::{Fan, Outcome};
use super::lanes::Lanes;
use super::request::Front;
use crate::bdev::data::task_of;
use crate::bdev::{Channel, IoType};

/// A request that may be passed on before there is a task for it: see
/// [`Device::pass`](super::Device::pass).
pub struct Pass<'a> {
    lanes: Lanes<'a>,
}

impl Pass<'_> {
    /// # Safety
    /// The I/O was just submitted to a bdev of ours, and its context is ours. The value is used by
    /// [`Device::pass`](super::Device::pass), and not after.
    #[inline(always)]
    pub(super) unsafe fn new(io: NonNull<ffi::spdk_bdev_io>) -> Self {
        // SAFETY: the caller's word.
        unsafe {
            Fan::begin_passing(&raw mut (*task_of(io).cast::<Front>().as_ptr()).fan);
            Self {
                lanes: Lanes::new(io),
            }
        }
    }

    /// Ends the call of [`Device::pass`](super::Device::pass): what has become of the request.
    #[inline(always)]
    pub(super) fn end(self) -> Passed {
        let fan = self.lanes.fan();
        if fan.end_passing() {
            Passed::InFlight
        } else if fan.begun() > 0 {
            Passed::Ended(fan.outcome())
        } else {
            Passed::NotAtAll
        }
    }

    /// What is asked for.
    #[inline]
    pub fn io_type(&self) -> IoType {
        self.lanes.io_type()
    }

    /// The first block.
    #[inline]
    pub fn offset_blocks(&self) -> u64 {
        self.lanes.params().offset_blocks
    }

    /// How many blocks.
    #[inline]
    pub fn num_blocks(&self) -> u64 {
        self.lanes.params().num_blocks
    }

    /// How many lanes were used. While there are none the request is not passed on: it is
    /// [served](super::Device::submit), and what was noted is forgotten.
    #[inline]
    pub fn lanes(&self) -> usize {
        self.lanes.fan().begun()
    }

    /// Has [`Device::passed`](super::Device::passed) called where the request is passed on and all of it
    /// is done.
    #[inline]
    pub fn tell(&mut self) {
        self.lanes.fan().tell();
    }

    /// Notes something, such as which lower bdevs the lanes are of, for
    /// [`Request::in_vain`](super::Request::in_vain) and [`PassedOn::note`].
    #[inline]
    pub fn note(&mut self, note: u32) {
        self.lanes.fan().set_note(note);
    }

    /// Passes a read on. Does nothing where its submitter has given no buffer, and fails for other
    /// requests.
    #[inline]
    pub fn read(&mut self, channel: &Channel, offset_blocks: u64) {
        if self.lanes.has_buffer() {
            self.lanes.read(channel, offset_blocks);
        }
    }

    /// Passes a write on. Does nothing for requests without data.
    #[inline]
    pub fn write(&mut self, channel: &Channel, offset_blocks: u64) {
        if self.lanes.has_data() {
            self.lanes.write(channel, offset_blocks);
        }
    }
}

/// A request that was passed on, all of which is done: see [`Device::passed`](super::Device::passed).
pub struct PassedOn<'a> {
    lanes: Lanes<'a>,
}

impl PassedOn<'_> {
    /// # Safety
    /// The I/O was passed on, is not complete during the lifetime, and nothing of it is in flight.
    #[inline(always)]
    pub(super) unsafe fn new(io: NonNull<ffi::spdk_bdev_io>) -> Self {
        // SAFETY: the caller's word; the fan is that of the pass.
        let lanes = unsafe { Lanes::new(io) };
        Self { lanes }
    }

    /// What was asked for.
    #[inline]
    pub fn io_type(&self) -> IoType {
        self.lanes.io_type()
    }

    /// The first block.
    #[inline]
    pub fn offset_blocks(&self) -> u64 {
        self.lanes.params().offset_blocks
    }

    /// How many blocks.
    #[inline]
    pub fn num_blocks(&self) -> u64 {
        self.lanes.params().num_blocks
    }

    /// What was [noted](Pass::note) last; 0 where nothing was.
    #[inline]
    pub fn note(&self) -> u32 {
        self.lanes.fan().note()
    }
}

/// What has become of a request that a device could pass on.
pub(super) enum Passed {
    /// Lower bdevs have it.
    InFlight,
    /// They have done with it already.
    Ended(Outcome),
    /// It was not passed on.
    NotAtAll,
}
