use std::cell::UnsafeCell;
use std::ffi::{CStr, c_int};
use std::ptr;

use barespdk_sys::{spdk_bdev_module, spdk_bdev_module_list_add};

/// A bdev module: static memory that the bdev layer keeps a pointer to.
#[repr(transparent)]
pub(super) struct Module(UnsafeCell<spdk_bdev_module>);

// SAFETY: nothing here reads or writes the contents after `new`; the address is handed to the bdev
// layer, which uses it on the application thread.
unsafe impl Sync for Module {}

impl Module {
    /// A module with a name and no other callbacks than those that every module needs.
    pub(super) const fn blank(name: &'static CStr) -> spdk_bdev_module {
        spdk_bdev_module {
            module_init: Some(nothing_to_init),
            init_complete: None,
            fini_start: None,
            module_fini: None,
            config_json: None,
            name: name.as_ptr(),
            get_ctx_size: None,
            examine_config: None,
            examine_disk: None,
            async_init: false,
            async_fini: false,
            async_fini_start: false,
            _tail: [0; 77],
        }
    }

    /// A module of these callbacks, not known to the bdev layer yet.
    pub(super) const fn new(module: spdk_bdev_module) -> Self {
        Self(UnsafeCell::new(module))
    }

    /// Its address, by which the bdev layer knows it.
    pub(super) const fn as_ptr(&'static self) -> *mut spdk_bdev_module {
        self.0.get()
    }

    /// Makes it known to the bdev layer. Once, before that starts.
    pub(super) fn add(&'static self) {
        // SAFETY: static memory, and no bdev subsystem runs yet.
        unsafe { spdk_bdev_module_list_add(self.as_ptr()) };
    }

    /// Whether `module` is this one.
    pub(super) fn is(&'static self, module: *const spdk_bdev_module) -> bool {
        ptr::eq(self.as_ptr(), module)
    }
}

unsafe extern "C" fn nothing_to_init() -> c_int {
    0
}
