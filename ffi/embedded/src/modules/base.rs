//! A bdev below another one: opened and claimed by the module of that, and followed in its end.

mod pass;

use std::ffi::{CStr, CString, c_int, c_void};
use std::mem::ManuallyDrop;
use std::ptr::{self, NonNull};

use barespdk_sys::{
    SPDK_BDEV_EVENT_REMOVE, spdk_bdev, spdk_bdev_close, spdk_bdev_desc, spdk_bdev_desc_get_bdev,
    spdk_bdev_event_type, spdk_bdev_get_io_channel, spdk_bdev_io_type, spdk_bdev_io_type_supported,
    spdk_bdev_module_claim_bdev, spdk_bdev_module_release_bdev, spdk_bdev_open_ext,
    spdk_bdev_unregister_by_name, spdk_get_thread, spdk_thread, spdk_thread_send_msg,
};

use super::channel::ChannelRef;
use super::device;
use super::module::Module;
use super::uuid::Uuid;

pub(super) use self::pass::{OnBase, ctx_size, is_passed, pass_on};

/// One thread's channel of a base.
pub(super) type BaseChannel = ChannelRef<()>;

/// Whose base it is: what goes when the base goes.
struct Owner {
    name: CString,
    module: &'static Module,
}

/// An open and claimed bdev. Closed when dropped, on the thread that opened it.
pub(super) struct Base(ManuallyDrop<Box<Open>>);

struct Open {
    bdev: NonNull<spdk_bdev>,
    desc: NonNull<spdk_bdev_desc>,
    thread: *mut spdk_thread,
    claimed: bool,
    /// The descriptor's context.
    owner: Box<Owner>,
}

// SAFETY: descriptor and bdev may be used from any thread while they are open, and the descriptor is
// closed on its own.
unsafe impl Send for Base {}
// SAFETY: as above; nothing is changed through a shared reference.
unsafe impl Sync for Base {}

impl Base {
    /// Opens and claims a bdev for one of `owner`'s that will have the name `owner_name`, and is
    /// unregistered when the base is. On the application thread. A negative errno value otherwise:
    /// `-ENODEV` if there is no such bdev, `-EPERM` if somebody else claimed it.
    pub(super) fn open(
        name: &CStr,
        write: bool,
        owner: &'static Module,
        owner_name: &CStr,
    ) -> Result<Self, c_int> {
        let owner = Box::new(Owner {
            name: owner_name.to_owned(),
            module: owner,
        });
        let mut desc = ptr::null_mut();
        // SAFETY: the context lives as long as the descriptor.
        let rc = unsafe {
            spdk_bdev_open_ext(
                name.as_ptr(),
                write,
                Some(event),
                ptr::from_ref(&*owner).cast_mut().cast(),
                &mut desc,
            )
        };
        let Some(desc) = NonNull::new(desc).filter(|_| rc == 0) else {
            return Err(if rc == 0 { -libc::EINVAL } else { rc });
        };
        // SAFETY: open, and an open descriptor has a bdev.
        let mut open = unsafe {
            Open {
                bdev: NonNull::new_unchecked(spdk_bdev_desc_get_bdev(desc.as_ptr())),
                desc,
                thread: spdk_get_thread(),
                claimed: false,
                owner,
            }
        };
        let module = open.owner.module.as_ptr();
        // SAFETY: both are open.
        let rc = unsafe { spdk_bdev_module_claim_bdev(open.bdev.as_ptr(), desc.as_ptr(), module) };
        open.claimed = rc == 0;
        // Closes it again if it is not to be had.
        let base = Self(ManuallyDrop::new(Box::new(open)));
        match rc {
            0 => Ok(base),
            rc => Err(rc),
        }
    }

    /// The bdev's properties. They do not change, but for its number of blocks, which only changes
    /// on the application thread.
    pub(super) fn bdev(&self) -> &spdk_bdev {
        // SAFETY: registered while it is open. What the bdev layer changes meanwhile is not read.
        unsafe { self.0.bdev.as_ref() }
    }

    /// Its name, for JSON.
    pub(super) fn name_text(&self) -> String {
        // SAFETY: a registered bdev has a name, which does not change.
        unsafe { CStr::from_ptr(self.bdev().name) }
            .to_string_lossy()
            .into_owned()
    }

    /// Its UUID.
    pub(super) fn uuid(&self) -> Uuid {
        self.bdev().uuid.into()
    }

    /// Properties that a bdev of the same blocks has.
    pub(super) fn inherited(&self) -> spdk_bdev {
        let base = self.bdev();
        let mut bdev = spdk_bdev {
            write_cache: base.write_cache,
            required_alignment: base.required_alignment,
            blocklen: base.blocklen,
            blockcnt: base.blockcnt,
            md_len: base.md_len,
            dif_type: base.dif_type,
            dif_check_flags: base.dif_check_flags,
            numa: base.numa,
            ..device::blank()
        };
        bdev.set_md_interleave(base.md_interleave());
        bdev.set_dif_is_head_of_md(base.dif_is_head_of_md());
        bdev
    }

    /// Whether it takes requests of a type, also by emulation.
    pub(super) fn supports(&self, kind: spdk_bdev_io_type) -> bool {
        // SAFETY: registered while it is open.
        unsafe { spdk_bdev_io_type_supported(self.0.bdev.as_ptr(), kind) }
    }

    /// Whether its module takes requests of a type itself.
    pub(super) fn supports_natively(&self, kind: spdk_bdev_io_type) -> bool {
        let bdev = self.bdev();
        // SAFETY: a registered bdev has functions, which may be called with its context.
        unsafe {
            (*bdev.fn_table)
                .io_type_supported
                .is_some_and(|supports| supports(bdev.ctxt, kind))
        }
    }

    /// The current thread's channel of it.
    pub(super) fn channel(&self) -> Result<BaseChannel, c_int> {
        // SAFETY: an open descriptor; the reference becomes the caller's.
        unsafe {
            let raw = spdk_bdev_get_io_channel(self.desc());
            let raw = NonNull::new(raw).ok_or(-libc::ENOMEM)?;
            Ok(BaseChannel::from_raw(raw))
        }
    }

    fn desc(&self) -> *mut spdk_bdev_desc {
        self.0.desc.as_ptr()
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        // SAFETY: claimed and open, and on the descriptor's thread: `Base` sees to that.
        unsafe {
            if self.claimed {
                spdk_bdev_module_release_bdev(self.bdev.as_ptr());
            }
            spdk_bdev_close(self.desc.as_ptr());
        }
    }
}

impl Drop for Base {
    fn drop(&mut self) {
        // SAFETY: taken once, as the value goes.
        let open = unsafe { ManuallyDrop::take(&mut self.0) };
        // SAFETY: asks which thread runs.
        if open.thread == unsafe { spdk_get_thread() } {
            drop(open);
            return;
        }
        let thread = open.thread;
        // SAFETY: a thread lives while it has descriptors; `close` takes the box.
        unsafe { spdk_thread_send_msg(thread, Some(close), Box::into_raw(open).cast()) };
    }
}

unsafe extern "C" fn close(open: *mut c_void) {
    // SAFETY: from `Box::into_raw`, once, on the thread that opened it.
    drop(unsafe { Box::from_raw(open.cast::<Open>()) });
}

unsafe extern "C" fn event(kind: spdk_bdev_event_type, _bdev: *mut spdk_bdev, owner: *mut c_void) {
    if kind != SPDK_BDEV_EVENT_REMOVE {
        return;
    }
    // SAFETY: the context of the descriptor, which is open.
    let owner = unsafe { &*owner.cast::<Owner>() };
    // SAFETY: on the application thread. It closes the base at its end; if it is going already, or
    // is not there yet, there is nothing to do.
    unsafe {
        spdk_bdev_unregister_by_name(
            owner.name.as_ptr(),
            owner.module.as_ptr(),
            None,
            ptr::null_mut(),
        );
    }
}
