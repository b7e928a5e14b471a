//! An open bdev.

use alloc::boxed::Box;
use alloc::ffi::CString;
use alloc::sync::Arc;
use core::cell::{Cell, RefCell};
use core::ffi::{CStr, c_void};
use core::fmt;
use core::ptr;
use core::sync::atomic::{AtomicBool, Ordering};

// The models of loom have no arena for all.
#[cfg(not(loom))]
use barespdk_alloc_dma::{AllocError, DmaBuf};
use barespdk_sys as ffi;

use super::io_type::IoType;
use crate::errno::Errno;
use crate::message::Job;
use crate::runtime::RuntimeRef;
use crate::thread::Origin;
use crate::thread::record::Record;
use crate::uuid::Uuid;

/// What no buffer is aligned below, lest two threads share a line.
#[cfg(not(loom))]
const CACHE_LINE: usize = 64;

/// What happened to an open bdev: `enum spdk_bdev_event_type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// It is about to go: all descriptors and channels are to be dropped.
    Removed,
    /// Its number of blocks has changed.
    Resized,
    /// It has events about its medium.
    MediaManagement,
    /// An event that this SPDK does not define.
    Other(u32),
}

impl Event {
    fn from_raw(raw: ffi::spdk_bdev_event_type) -> Self {
        match raw {
            ffi::SPDK_BDEV_EVENT_REMOVE => Event::Removed,
            ffi::SPDK_BDEV_EVENT_RESIZE => Event::Resized,
            ffi::SPDK_BDEV_EVENT_MEDIA_MANAGEMENT => Event::MediaManagement,
            raw => Event::Other(raw),
        }
    }
}

/// What a bdev is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Reading.
    Read,
    /// Reading and writing. Fails with `EPERM` where another module has claimed the bdev.
    Write,
}

/// An open bdev: a counted handle of a `spdk_bdev_desc`, for any thread.
///
/// The bdev is closed when the last handle, and the last [`Channel`](super::Channel), is gone: on
/// the thread that opened it, by a message, hence a moment later. That thread cannot exit before; where
/// SPDK ends it by force, five seconds after it was told to exit, the bdev stays open.
#[derive(Clone)]
pub struct Desc {
    inner: Arc<DescInner>,
}

struct DescInner {
    raw: *mut ffi::spdk_bdev_desc,
    bdev: *mut ffi::spdk_bdev,
    /// The thread that opened it.
    record: Arc<Record>,
    block_size: u32,
    /// As SPDK's own mark: for writing by `open`, or by `claim`.
    writable: AtomicBool,
    home: *mut Home,
}

// SPDK's descriptor may be used on any thread but for opening, claiming and closing it, which is
// done, or checked to be, on the thread that opened it.
// SAFETY: see above; `home` is not touched elsewhere.
unsafe impl Send for DescInner {}
// SAFETY: as above.
unsafe impl Sync for DescInner {}

/// What stays on the opening thread, until the descriptor is closed.
struct Home {
    raw: Cell<*mut ffi::spdk_bdev_desc>,
    claimed: Cell<bool>,
    handler: RefCell<Box<dyn FnMut(Event)>>,
    record: Arc<Record>,
    _runtime: RuntimeRef,
}

impl Desc {
    /// Opens a bdev. `handler` is called on the calling thread for each event, and dropped there
    /// when the bdev is closed.
    ///
    /// # Errors
    /// `ENODEV` where there is no bdev of this name, `EPERM` where it is claimed, or outside of
    /// SPDK's threads; `ESHUTDOWN` on a thread that exits; `EINVAL` for a name with a NUL; `ENOMEM`.
    pub fn open(
        name: &str,
        access: Access,
        handler: impl FnMut(Event) + 'static,
    ) -> Result<Self, Errno> {
        let name = CString::new(name).map_err(|_| Errno::EINVAL)?;
        let record = Record::current()?;
        let home = Box::into_raw(Box::new(Home {
            raw: Cell::new(ptr::null_mut()),
            claimed: Cell::new(false),
            handler: RefCell::new(Box::new(handler)),
            record: Arc::clone(&record),
            _runtime: RuntimeRef::current()?,
        }));
        let mut raw = ptr::null_mut();
        // SAFETY: an SPDK thread, as there is a runtime; the name is copied; `home` stays until the
        // descriptor is closed.
        let opened = Errno::check(unsafe {
            ffi::spdk_bdev_open_ext(
                name.as_ptr(),
                access == Access::Write,
                Some(on_event),
                home.cast(),
                &mut raw,
            )
        });
        if let Err(errno) = opened {
            // SAFETY: made above; SPDK has not kept it.
            drop(unsafe { Box::from_raw(home) });
            return Err(errno);
        }
        // SAFETY: open since just now.
        unsafe {
            (*home).raw.set(raw);
            // As a channel of ours would: the thread takes messages until `close`.
            record.channel_opened();
            let bdev = ffi::spdk_bdev_desc_get_bdev(raw);
            let inner = DescInner {
                raw,
                bdev,
                record,
                block_size: ffi::spdk_bdev_desc_get_block_size(raw),
                writable: AtomicBool::new(access == Access::Write),
                home,
            };
            Ok(Self {
                inner: Arc::new(inner),
            })
        }
    }

    pub(crate) fn raw(&self) -> *mut ffi::spdk_bdev_desc {
        self.inner.raw
    }

    pub(crate) fn bdev(&self) -> *mut ffi::spdk_bdev {
        self.inner.bdev
    }

    /// Claims the bdev for a module: nobody else can open it for writing. Released when the bdev is
    /// closed.
    ///
    /// # Errors
    /// `EPERM` where it is claimed already, or on another thread than that which opened it.
    pub(crate) fn claim(&self, module: *mut ffi::spdk_bdev_module) -> Result<(), Errno> {
        if !self.inner.record.is_current() {
            return Err(Errno::EPERM);
        }
        // SAFETY: the descriptor is open; the module is a static.
        Errno::check(unsafe { ffi::spdk_bdev_module_claim_bdev(self.bdev(), self.raw(), module) })?;
        // SAFETY: `home` is alive as long as the descriptor is open; this is its thread.
        unsafe { (*self.inner.home).claimed.set(true) };
        self.inner.writable.store(true, Ordering::Relaxed);
        Ok(())
    }

    pub(super) fn is_writable(&self) -> bool {
        self.inner.writable.load(Ordering::Relaxed)
    }

    /// The name.
    pub fn name(&self) -> &str {
        // SAFETY: the bdev is alive while it is open, and its name does not change.
        text(unsafe { ffi::spdk_bdev_get_name(self.bdev()) })
    }

    /// What kind of device it is, for people.
    pub fn product_name(&self) -> &str {
        // SAFETY: as in `name`.
        text(unsafe { ffi::spdk_bdev_get_product_name(self.bdev()) })
    }

    /// The UUID.
    pub fn uuid(&self) -> Uuid {
        // SAFETY: as in `name`; never null.
        Uuid::from_raw(unsafe { &*ffi::spdk_bdev_get_uuid(self.bdev()) })
    }

    /// Bytes per block, interleaved metadata included.
    #[inline]
    pub fn block_size(&self) -> u32 {
        self.inner.block_size
    }

    /// Memory for I/O to this bdev, aligned so that the bdev layer need not copy. It holds anything.
    ///
    /// # Errors
    /// As [`DmaBuf::new`].
    #[cfg(not(loom))]
    pub fn buffer(&self, len: usize) -> Result<DmaBuf, AllocError> {
        DmaBuf::new(len, self.buf_align().max(CACHE_LINE))
    }

    /// Whether it can do a type of I/O, by itself or by the bdev layer's emulation.
    pub fn supports(&self, io_type: IoType) -> bool {
        // SAFETY: the bdev is alive while it is open.
        unsafe { ffi::spdk_bdev_io_type_supported(self.bdev(), io_type.raw()) }
    }
}

/// Makes a getter of each function of `spdk/bdev.h` that asks a bdev for one property.
macro_rules! properties {
    ($($(#[$doc:meta])* $name:ident: $type:ty = $function:ident;)*) => {
        impl Desc {
            $(
                $(#[$doc])*
                pub fn $name(&self) -> $type {
                    // SAFETY: the bdev is alive while it is open.
                    unsafe { ffi::$function(self.bdev()) }
                }
            )*
        }
    };
}

properties! {
    /// The number of blocks. It may change: see [`Event::Resized`].
    num_blocks: u64 = spdk_bdev_get_num_blocks;
    /// The unit of writing, in blocks.
    write_unit_size: u32 = spdk_bdev_get_write_unit_size;
    /// The alignment of buffers that saves the bdev layer a copy, in bytes.
    buf_align: usize = spdk_bdev_get_buf_align;
    /// The boundary, in blocks, that I/O should not cross; 0 for none.
    optimal_io_boundary: u32 = spdk_bdev_get_optimal_io_boundary;
    /// Whether writes may sit in a volatile cache until a flush.
    has_write_cache: bool = spdk_bdev_has_write_cache;
    /// How many blocks are written atomically.
    acwu: u16 = spdk_bdev_get_acwu;
    /// Bytes of metadata per block.
    md_size: u32 = spdk_bdev_get_md_size;
    /// Whether metadata stands in the blocks.
    is_md_interleaved: bool = spdk_bdev_is_md_interleaved;
    /// Whether metadata has buffers of its own.
    is_md_separate: bool = spdk_bdev_is_md_separate;
    /// Whether it is a zoned device.
    is_zoned: bool = spdk_bdev_is_zoned;
    /// The size of a zone, in blocks; 0 where there are none.
    zone_size: u64 = spdk_bdev_get_zone_size;
    /// How many blocks can be appended to a zone at once; 0 for no limit.
    max_zone_append_size: u32 = spdk_bdev_get_max_zone_append_size;
    /// How many zones can be open; 0 for no limit.
    max_open_zones: u32 = spdk_bdev_get_max_open_zones;
    /// How many zones can be open or closed, so partly written; 0 for no limit.
    max_active_zones: u32 = spdk_bdev_get_max_active_zones;
    /// How many open zones suit the medium; 0 where it does not matter.
    optimal_open_zones: u32 = spdk_bdev_get_optimal_open_zones;
    /// Bytes of data per block, without interleaved metadata.
    data_block_size: u32 = spdk_bdev_get_data_block_size;
    /// Bytes per block of the medium.
    physical_block_size: u32 = spdk_bdev_get_physical_block_size;
    /// The alignment of writes that suits the medium, in blocks.
    preferred_write_alignment: u32 = spdk_bdev_get_preferred_write_alignment;
    /// The granularity of writes that suits the medium, in blocks.
    preferred_write_granularity: u32 = spdk_bdev_get_preferred_write_granularity;
    /// The size of writes that suits the medium, in blocks.
    optimal_write_size: u32 = spdk_bdev_get_optimal_write_size;
    /// The alignment of unmaps that suits the medium, in blocks.
    preferred_unmap_alignment: u32 = spdk_bdev_get_preferred_unmap_alignment;
    /// The granularity of unmaps that suits the medium, in blocks.
    preferred_unmap_granularity: u32 = spdk_bdev_get_preferred_unmap_granularity;
    /// The type of protection information: `SPDK_DIF_*`.
    dif_type: ffi::spdk_dif_type = spdk_bdev_get_dif_type;
    /// The format of protection information: `SPDK_DIF_PI_FORMAT_*`.
    dif_pi_format: ffi::spdk_dif_pi_format = spdk_bdev_get_dif_pi_format;
    /// Whether protection information stands in the first bytes of the metadata.
    is_dif_head_of_md: bool = spdk_bdev_is_dif_head_of_md;
    /// How many blocks one copy command can copy; 0 for no limit.
    max_copy: u32 = spdk_bdev_get_max_copy;
}

impl Desc {
    /// Which parts of the protection information are checked: `SPDK_DIF_FLAGS_*`.
    pub fn dif_check_flags(&self) -> u32 {
        // SAFETY: the bdev is alive while it is open; a field without a getter.
        unsafe { (*self.bdev()).dif_check_flags }
    }
}

fn text<'a>(name: *const core::ffi::c_char) -> &'a str {
    if name.is_null() {
        return "";
    }
    // SAFETY: the callers pass strings of a bdev that is open, and borrow it for the result.
    unsafe { CStr::from_ptr(name) }
        .to_str()
        .unwrap_or("(not UTF-8)")
}

unsafe extern "C" fn on_event(
    event: ffi::spdk_bdev_event_type,
    _bdev: *mut ffi::spdk_bdev,
    home: *mut c_void,
) {
    // SAFETY: SPDK calls this on the thread that opened the descriptor, and not after it was closed.
    // The handler may drop the last `Desc`: that closes by a message, so later.
    let home = unsafe { &*home.cast::<Home>() };
    // SPDK sends events by messages, so a handler is never called from inside itself.
    if let Ok(mut handler) = home.handler.try_borrow_mut() {
        handler(Event::from_raw(event));
    }
}

impl Drop for DescInner {
    fn drop(&mut self) {
        if let Err(error) = self.record.send(Origin::Runtime, Close(self.home)) {
            // Open for ever is bad; closed on the wrong thread, or under its own event, is worse.
            crate::log_error!("bdev descriptor leaked: {}", error.errno);
        }
    }
}

/// Closes a descriptor, with the box that `open` made. Does nothing where it is dropped.
struct Close(*mut Home);

// SAFETY: it is run on the thread that opened the descriptor, and has no use elsewhere.
unsafe impl Send for Close {}

impl Job for Close {
    fn run(self) {
        // SAFETY: `DescInner::drop` sends this once, to the thread that opened the descriptor.
        // Channels and I/O are gone, as each keeps a `Desc`.
        unsafe {
            let home = Box::from_raw(self.0);
            let raw = home.raw.get();
            if home.claimed.get() {
                ffi::spdk_bdev_module_release_bdev(ffi::spdk_bdev_desc_get_bdev(raw));
            }
            ffi::spdk_bdev_close(raw);
            home.record.channel_closed();
        }
    }
}

impl fmt::Debug for Desc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Desc").field(&self.name()).finish()
    }
}
