//! A registered bdev, as the layer itself sees it.

use std::ffi::{CStr, CString, c_int, c_void};
use std::mem::{offset_of, size_of};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard};

use barespdk_sys::*;

use super::desc::Desc;
use super::histogram;
use super::io::Io;
use super::queue_depth::QueueDepth;
use super::range::Ranges;
use super::stat::{ErrorCounts, Stat};
use super::throttle::Throttle;

/// A bdev that its module has registered, or is about to. A handle: whoever has one vouches for it
/// that the bdev is there, because it is open, has a channel, or this is the app thread.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Bdev(NonNull<spdk_bdev>);

/// Getters of what a module set before it registered the bdev, and does not change afterwards.
macro_rules! fields {
    ($($name:ident: $type:ty),* $(,)?) => {
        $(
            #[inline]
            pub(super) fn $name(self) -> $type {
                // SAFETY: see `Bdev`; no reference to the whole is made.
                unsafe { (*self.0.as_ptr()).$name }
            }
        )*
    };
}

impl Bdev {
    fields! {
        blocklen: u32, md_len: u32, acwu: u16, write_unit_size: u32, required_alignment: u8,
        optimal_io_boundary: u32, max_segment_size: u32, max_num_segments: u32, max_unmap: u32,
        max_unmap_segments: u32, max_write_zeroes: u32, max_copy: u32, max_rw_size: u32,
        dif_check_flags: u32, reset_io_drain_timeout: u16, io_type_supported: u32,
        fn_table: *const spdk_bdev_fn_table, ctxt: *mut c_void, module: *mut spdk_bdev_module,
    }

    /// # Safety
    /// A bdev that is there, see [`Bdev`].
    #[inline]
    pub(super) unsafe fn new(raw: *mut spdk_bdev) -> Self {
        // SAFETY: the caller's word.
        Self(unsafe { NonNull::new_unchecked(raw) })
    }

    #[inline]
    pub(super) fn raw(self) -> *mut spdk_bdev {
        self.0.as_ptr()
    }

    /// The number of blocks, which may change at any time.
    #[inline]
    pub(super) fn num_blocks(self) -> u64 {
        // SAFETY: see `Bdev`; once a bdev is registered this is changed by `set_num_blocks` only.
        unsafe { AtomicU64::from_ptr(&raw mut (*self.raw()).blockcnt) }.load(Ordering::Relaxed)
    }

    pub(super) fn set_num_blocks(self, num_blocks: u64) {
        // SAFETY: as above.
        unsafe { AtomicU64::from_ptr(&raw mut (*self.raw()).blockcnt) }
            .store(num_blocks, Ordering::Relaxed);
    }

    #[inline]
    fn bits(self) -> u32 {
        // SAFETY: see `Bdev`.
        unsafe { (*self.raw())._bits0 }
    }

    #[inline]
    pub(super) fn split_on_write_unit(self) -> bool {
        self.bits() & 1 != 0
    }

    #[inline]
    pub(super) fn split_on_optimal_io_boundary(self) -> bool {
        self.bits() & 1 << 1 != 0
    }

    pub(super) fn is_md_interleaved(self) -> bool {
        self.md_len() != 0 && self.bits() & 1 << 2 != 0
    }

    pub(super) fn is_md_separate(self) -> bool {
        self.md_len() != 0 && self.bits() & 1 << 2 == 0
    }

    pub(super) fn is_zoned(self) -> bool {
        self.bits() & 1 << 4 != 0
    }

    /// Bytes of a block with its metadata, wherever that stands.
    pub(super) fn block_size_with_metadata(self) -> u64 {
        let separate = if self.is_md_separate() {
            self.md_len()
        } else {
            0
        };
        u64::from(self.blocklen()) + u64::from(separate)
    }

    /// What buffers have to be aligned to, in bytes.
    #[inline]
    pub(super) fn buf_align(self) -> usize {
        1 << self.required_alignment()
    }

    /// Whether the module itself handles a type.
    #[inline]
    pub(super) fn handles(self, io_type: spdk_bdev_io_type) -> bool {
        io_type > SPDK_BDEV_IO_TYPE_INVALID
            && io_type < SPDK_BDEV_NUM_IO_TYPES
            && self.io_type_supported() & 1 << io_type != 0
    }

    /// Whether the module handles a type, or this layer does with what the module handles.
    pub(super) fn supports(self, io_type: spdk_bdev_io_type) -> bool {
        self.handles(io_type)
            || io_type == SPDK_BDEV_IO_TYPE_WRITE_ZEROES && self.handles(SPDK_BDEV_IO_TYPE_WRITE)
    }

    /// Whether a range lies within the bdev.
    #[inline]
    pub(super) fn has_blocks(self, offset_blocks: u64, num_blocks: u64) -> bool {
        offset_blocks
            .checked_add(num_blocks)
            .is_some_and(|end| end <= self.num_blocks())
    }

    /// The module's functions.
    #[inline]
    pub(super) fn functions<'a>(self) -> &'a spdk_bdev_fn_table {
        // SAFETY: static memory of the module, see `spdk_bdev_fn_table`.
        unsafe { &*self.fn_table() }
    }

    pub(super) fn name<'a>(self) -> &'a CStr {
        // SAFETY: the module's, as long as the bdev is registered; checked when it was.
        unsafe { CStr::from_ptr((*self.raw()).name) }
    }

    pub(super) fn name_text(self) -> String {
        self.name().to_string_lossy().into_owned()
    }

    pub(super) fn module_name(self) -> String {
        // SAFETY: the module and its name are static.
        unsafe { CStr::from_ptr((*self.module()).name) }
            .to_string_lossy()
            .into_owned()
    }

    fn record_place(self) -> *mut *mut Record {
        // SAFETY: see `Bdev`; no reference is made.
        unsafe { (&raw mut (*self.raw())._tail).cast() }
    }

    /// What the layer keeps of a bdev that is registered.
    #[inline]
    pub(super) fn record<'a>(self) -> &'a Record {
        // SAFETY: put there by `set_record`, and alive until the bdev is destroyed.
        unsafe { &**self.record_place() }
    }

    pub(super) fn set_record(self, record: *mut Record) {
        // SAFETY: the tail is the layer's, see the assertion.
        unsafe { self.record_place().write(record) };
    }

    pub(super) fn control<'a>(self) -> MutexGuard<'a, Control> {
        super::lock(&self.record().control)
    }
}
const _: () = assert!(
    offset_of!(spdk_bdev, _tail) + size_of::<*mut Record>() <= size_of::<spdk_bdev>()
        && offset_of!(spdk_bdev, _tail).is_multiple_of(align_of::<*mut Record>())
);

/// Where a bdev stands between its registration and its end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Life {
    Ready,
    /// It is to go, and its channels are being told.
    Unregistering,
    /// It goes when its last descriptor is closed.
    Removing,
}

/// Whom to tell that a bdev is gone.
#[derive(Clone, Copy)]
pub(super) struct Unregistered {
    pub(super) cb: spdk_bdev_unregister_cb,
    pub(super) arg: *mut c_void,
    pub(super) thread: *mut spdk_thread,
}

impl Unregistered {
    pub(super) fn call(self, rc: c_int) {
        if let Some(cb) = self.cb {
            // SAFETY: what was asked for, once.
            unsafe { cb(self.arg, rc) };
        }
    }
}

/// What the layer keeps of a registered bdev. Its address is the io_device of the bdev's channels.
pub(super) struct Record {
    pub(super) device: Bdev,
    pub(super) throttle: Throttle,
    pub(super) control: Mutex<Control>,
}

/// What threads share of a bdev, off the way of its requests. The lock is held for no call to
/// others.
pub(super) struct Control {
    pub(super) life: Life,
    pub(super) descs: Vec<NonNull<Desc>>,
    /// The module that claims it.
    pub(super) claim: Option<NonNull<spdk_bdev_module>>,
    pub(super) aliases: Vec<CString>,
    pub(super) unregistered: Option<Unregistered>,
    pub(super) reset: Option<Io>,
    pub(super) queued_resets: Vec<Io>,
    /// Whether the end of the bdev is left to the end of the reset.
    pub(super) waits_for_reset: bool,
    pub(super) ranges: Ranges,
    /// Of the channels that are gone.
    pub(super) stat: Stat,
    pub(super) errors: ErrorCounts,
    pub(super) histogram: histogram::Setting,
    pub(super) queue_depth: QueueDepth,
    /// Whether the rate limits are being changed, which keeps the bdev.
    pub(super) throttle_changes: bool,
}

impl Record {
    pub(super) fn new(device: Bdev) -> Box<Self> {
        Box::new(Self {
            device,
            throttle: Throttle::new(),
            control: Mutex::new(Control {
                life: Life::Ready,
                descs: Vec::new(),
                claim: None,
                aliases: Vec::new(),
                unregistered: None,
                reset: None,
                queued_resets: Vec::new(),
                waits_for_reset: false,
                ranges: Ranges::new(),
                stat: Stat::new(),
                errors: ErrorCounts::default(),
                histogram: histogram::Setting::new(),
                queue_depth: QueueDepth::new(),
                throttle_changes: false,
            }),
        })
    }

    #[inline]
    pub(super) fn io_device(&self) -> *mut c_void {
        std::ptr::from_ref(self).cast_mut().cast()
    }
}
