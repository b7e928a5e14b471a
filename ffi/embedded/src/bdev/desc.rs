//! Open descriptors.

use std::cell::Cell;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr::{self, NonNull};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use barespdk_sys::*;

use super::device::{Bdev, Life};
use super::register;
use super::registry::{Registry, registry};
use super::timeout::Timeout;

/// An open bdev. Opened, told of events and closed on one thread; requests with it come from any.
pub(super) struct Desc {
    pub(super) device: Bdev,
    writes: AtomicBool,
    pub(super) thread: *mut spdk_thread,
    event_cb: spdk_bdev_event_cb_t,
    event_ctx: *mut c_void,
    use_: Mutex<Use>,
    /// Of the thread that opened it.
    pub(super) timeout: Cell<Timeout>,
}

/// Who still has a descriptor.
struct Use {
    closed: bool,
    /// Messages and walks under way that have it.
    references: u32,
}

/// What an event is told by: a message of its own each, as the message carries the descriptor.
#[derive(Clone, Copy)]
pub(super) enum Event {
    Remove,
    Resize,
}

impl Desc {
    fn new(
        device: Bdev,
        writes: bool,
        thread: *mut spdk_thread,
        event_cb: spdk_bdev_event_cb_t,
        event_ctx: *mut c_void,
    ) -> NonNull<Self> {
        NonNull::from(Box::leak(Box::new(Self {
            device,
            writes: AtomicBool::new(writes),
            thread,
            event_cb,
            event_ctx,
            use_: Mutex::new(Use {
                closed: false,
                references: 0,
            }),
            timeout: Cell::new(Timeout::NONE),
        })))
    }

    /// # Safety
    /// A descriptor that is open, or referenced, during `'a`.
    #[inline]
    pub(super) unsafe fn of<'a>(raw: *mut spdk_bdev_desc) -> &'a Self {
        // SAFETY: the caller's word; the pointer was given out by `open`.
        unsafe { &*raw.cast() }
    }

    #[inline]
    pub(super) fn raw(&self) -> *mut spdk_bdev_desc {
        ptr::from_ref(self).cast_mut().cast()
    }

    #[inline]
    pub(super) fn writes(&self) -> bool {
        self.writes.load(Ordering::Relaxed)
    }

    pub(super) fn make_writable(&self) {
        self.writes.store(true, Ordering::Relaxed);
    }

    /// Keeps the descriptor's memory until [`Desc::release`], though it may be closed meanwhile.
    pub(super) fn hold(&self) {
        super::lock(&self.use_).references += 1;
    }

    pub(super) fn is_closed(&self) -> bool {
        super::lock(&self.use_).closed
    }

    /// Gives a reference back, and says whether the descriptor is open, and so still there.
    ///
    /// # Safety
    /// Held by the caller, who does not touch it again if the answer is no.
    pub(super) unsafe fn release(desc: NonNull<Self>) -> bool {
        // SAFETY: held.
        let mut use_ = super::lock(unsafe { &(*desc.as_ptr()).use_ });
        use_.references -= 1;
        let (open, last) = (!use_.closed, use_.references == 0);
        drop(use_);
        if !open && last {
            // SAFETY: closed, and this was the last one who had it.
            drop(unsafe { Box::from_raw(desc.as_ptr()) });
        }
        open
    }

    /// # Safety
    /// Open, and closed by this, once.
    unsafe fn shut(desc: NonNull<Self>) {
        // SAFETY: open.
        let mut use_ = super::lock(unsafe { &(*desc.as_ptr()).use_ });
        use_.closed = true;
        let last = use_.references == 0;
        drop(use_);
        if last {
            // SAFETY: nobody else has it.
            drop(unsafe { Box::from_raw(desc.as_ptr()) });
        }
    }

    /// Tells the opener of an event, by a message, so that nobody is called from inside a call.
    pub(super) fn notify(&self, event: Event) {
        self.hold();
        let f: spdk_msg_fn = match event {
            Event::Remove => Some(removed),
            Event::Resize => Some(resized),
        };
        // SAFETY: the thread has a descriptor open, so it has not ended.
        unsafe { spdk_thread_send_msg(self.thread, f, self.raw().cast()) };
    }

    /// # Safety
    /// Held by the message that calls this.
    unsafe fn tell(desc: *mut c_void, event: spdk_bdev_event_type) {
        // SAFETY: held.
        let this = unsafe { NonNull::new_unchecked(desc.cast::<Self>()) };
        // SAFETY: as above; an open descriptor is closed on this thread only, so not meanwhile.
        unsafe {
            let (cb, ctx) = ((*this.as_ptr()).event_cb, (*this.as_ptr()).event_ctx);
            let bdev = (*this.as_ptr()).device.raw();
            if Self::release(this)
                && let Some(cb) = cb
            {
                cb(event, bdev, ctx);
            }
        }
    }
}

unsafe extern "C" fn removed(desc: *mut c_void) {
    // SAFETY: sent by `notify`.
    unsafe { Desc::tell(desc, SPDK_BDEV_EVENT_REMOVE) };
}

unsafe extern "C" fn resized(desc: *mut c_void) {
    // SAFETY: sent by `notify`.
    unsafe { Desc::tell(desc, SPDK_BDEV_EVENT_RESIZE) };
}

/// The event callback of descriptors that this layer opens: they are closed in good time.
pub(super) unsafe extern "C" fn no_event(
    _: spdk_bdev_event_type,
    _: *mut spdk_bdev,
    _: *mut c_void,
) {
}

/// Opens a bdev on the current thread.
pub(super) fn open(
    _registry: &Registry,
    device: Bdev,
    write: bool,
    event_cb: spdk_bdev_event_cb_t,
    event_ctx: *mut c_void,
) -> Result<NonNull<Desc>, c_int> {
    // SAFETY: any OS thread.
    let thread = unsafe { spdk_get_thread() };
    if thread.is_null() {
        error_log!("a bdev can only be opened on an SPDK thread\n");
        return Err(-libc::ENOTSUP);
    }
    let mut control = device.control();
    if control.life != Life::Ready {
        return Err(-libc::ENODEV);
    }
    if let Some(module) = control.claim
        && write
    {
        // SAFETY: modules and their names are static.
        let module = unsafe { CStr::from_ptr((*module.as_ptr()).name) };
        error_log!("bdev {:?} is claimed by module {module:?}\n", device.name());
        return Err(-libc::EPERM);
    }
    let desc = Desc::new(device, write, thread, event_cb, event_ctx);
    control.descs.push(desc);
    Ok(desc)
}

/// Opens a bdev by name for reading, for this layer's own purposes.
pub(super) fn open_by_name(name: &CStr) -> Result<NonNull<Desc>, c_int> {
    let registry = registry();
    let device = registry.by_name(name).ok_or(-libc::ENODEV)?;
    open(&registry, device, false, Some(no_event), ptr::null_mut())
}

/// Closes a descriptor, and ends its bdev where that waits for it.
///
/// # Safety
/// Open, and closed by this, once, on the thread that opened it.
pub(super) unsafe fn close(desc: NonNull<Desc>) {
    // SAFETY: open.
    let device = unsafe { desc.as_ref() }.device;
    let mut registry = registry();
    let mut control = device.control();
    control.descs.retain(|other| *other != desc);
    // SAFETY: the caller's word.
    unsafe { Desc::shut(desc) };
    let gone = control.life == Life::Removing
        && control.descs.is_empty()
        && register::remove(&mut registry, &mut control, device);
    drop((control, registry));
    if gone {
        register::destroy(device);
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn spdk_bdev_open_ext(
    bdev_name: *const c_char,
    write: bool,
    event_cb: spdk_bdev_event_cb_t,
    event_ctx: *mut c_void,
    desc: *mut *mut spdk_bdev_desc,
) -> c_int {
    if event_cb.is_none() {
        error_log!("a bdev is opened without an event callback\n");
        return -libc::EINVAL;
    }
    // SAFETY: the caller passes a string.
    let name = unsafe { CStr::from_ptr(bdev_name) };
    let registry = registry();
    let Some(device) = registry.by_name(name) else {
        return -libc::ENODEV;
    };
    let opened = open(&registry, device, write, event_cb, event_ctx);
    drop(registry);
    let (raw, rc) = match opened {
        Ok(opened) => (opened.as_ptr().cast(), 0),
        Err(rc) => (ptr::null_mut(), rc),
    };
    // SAFETY: the caller passes a place for it.
    unsafe { desc.write(raw) };
    rc
}

#[unsafe(no_mangle)]
unsafe extern "C" fn spdk_bdev_close(desc: *mut spdk_bdev_desc) {
    // SAFETY: the caller has it open, on this thread, and gives it up.
    unsafe {
        let desc = NonNull::new_unchecked(desc.cast::<Desc>());
        desc.as_ref().stop_timeout();
        close(desc);
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn spdk_bdev_desc_get_bdev(desc: *mut spdk_bdev_desc) -> *mut spdk_bdev {
    // SAFETY: the caller has it open.
    unsafe { Desc::of(desc) }.device.raw()
}

#[unsafe(no_mangle)]
unsafe extern "C" fn spdk_bdev_desc_get_block_size(desc: *mut spdk_bdev_desc) -> u32 {
    // SAFETY: the caller has it open.
    unsafe { Desc::of(desc) }.device.blocklen()
}

same_as_declared!(
    spdk_bdev_open_ext,
    spdk_bdev_close,
    spdk_bdev_desc_get_bdev,
    spdk_bdev_desc_get_block_size
);
