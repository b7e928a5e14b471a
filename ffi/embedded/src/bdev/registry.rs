//! What there is: modules, bdevs and their names.

use std::collections::BTreeMap;
use std::ffi::{CStr, CString, c_char};
use std::ptr::{self, NonNull};
use std::sync::{Mutex, MutexGuard};

use barespdk_sys::*;

use super::device::Bdev;
use super::examine::Waiting;

/// Options of the layer, `bdev_set_options`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Options {
    pub(super) bdev_io_pool_size: u32,
    pub(super) bdev_io_cache_size: u32,
    pub(super) bdev_auto_examine: bool,
    pub(super) iobuf_small_cache_size: u32,
    pub(super) iobuf_large_cache_size: u32,
}

/// A module that has made itself known.
#[derive(Clone, Copy)]
pub(super) struct Module {
    pub(super) raw: NonNull<spdk_bdev_module>,
    /// Initialisations and examinations that have not ended.
    pub(super) actions: usize,
}

impl Module {
    /// The module's functions and name, which are static and do not change.
    pub(super) fn get<'a>(self) -> &'a spdk_bdev_module {
        // SAFETY: static memory, see `spdk_bdev_module`; nobody writes to it.
        unsafe { self.raw.as_ref() }
    }

    pub(super) fn name<'a>(self) -> &'a CStr {
        // SAFETY: static.
        unsafe { CStr::from_ptr(self.get().name) }
    }
}

/// All that there is, under one lock. It is held for no call to others.
pub(super) struct Registry {
    pub(super) options: Options,
    /// Those that examine come first, so that they are ready for the bdevs of the others.
    pub(super) modules: Vec<Module>,
    /// In the order of registration.
    pub(super) bdevs: Vec<Bdev>,
    /// By name and alias.
    names: BTreeMap<CString, Bdev>,
    /// What is examined where not all is.
    pub(super) examine_list: Vec<CString>,
    pub(super) waiting: Waiting,
}

// SAFETY: what the handles stand for may be used on any thread, under the rules of the ABI; what
// waits is touched on the app thread only.
unsafe impl Send for Registry {}

const OPTIONS: Options = Options {
    bdev_io_pool_size: 65535,
    bdev_io_cache_size: 256,
    bdev_auto_examine: true,
    iobuf_small_cache_size: 128,
    iobuf_large_cache_size: 16,
};

static REGISTRY: Mutex<Registry> = Mutex::new(Registry {
    options: OPTIONS,
    modules: Vec::new(),
    bdevs: Vec::new(),
    names: BTreeMap::new(),
    examine_list: Vec::new(),
    waiting: Waiting::new(),
});

/// The registry. Where a bdev's lock is wanted too, this one comes first.
pub(super) fn registry() -> MutexGuard<'static, Registry> {
    super::lock(&REGISTRY)
}

impl Registry {
    pub(super) fn by_name(&self, name: &CStr) -> Option<Bdev> {
        self.names.get(name).copied()
    }

    /// Gives a bdev one more name, unless there is one of this name.
    pub(super) fn add_name(&mut self, name: &CStr, bdev: Bdev) -> bool {
        if self.names.contains_key(name) {
            return false;
        }
        self.names.insert(name.to_owned(), bdev);
        true
    }

    pub(super) fn remove_name(&mut self, name: &CStr) {
        self.names.remove(name);
        self.examine_list.retain(|listed| listed.as_c_str() != name);
    }

    /// Forgets what RPCs have set, so that another start in this process is like the first.
    pub(super) fn forget(&mut self) {
        self.options = OPTIONS;
        self.examine_list.clear();
    }

    pub(super) fn module(&mut self, raw: *mut spdk_bdev_module) -> Option<&mut Module> {
        self.modules
            .iter_mut()
            .find(|module| ptr::eq(module.raw.as_ptr(), raw))
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn spdk_bdev_get_by_name(bdev_name: *const c_char) -> *mut spdk_bdev {
    // SAFETY: the caller passes a string.
    let name = unsafe { CStr::from_ptr(bdev_name) };
    registry().by_name(name).map_or(ptr::null_mut(), Bdev::raw)
}

#[unsafe(no_mangle)]
unsafe extern "C" fn spdk_bdev_module_list_add(bdev_module: *mut spdk_bdev_module) {
    let Some(raw) = NonNull::new(bdev_module) else {
        return;
    };
    let module = Module { raw, actions: 0 };
    let mut registry = registry();
    let name = module.name();
    if registry.modules.iter().any(|known| known.name() == name) {
        error_log!("there is a bdev module {name:?} already\n");
        return;
    }
    let examines = module.get().examine_config.is_some() || module.get().examine_disk.is_some();
    let place = if examines { 0 } else { registry.modules.len() };
    registry.modules.insert(place, module);
}

#[unsafe(no_mangle)]
unsafe extern "C" fn spdk_bdev_module_list_find(name: *const c_char) -> *mut spdk_bdev_module {
    // SAFETY: the caller passes a string.
    let name = unsafe { CStr::from_ptr(name) };
    let registry = registry();
    let module = registry.modules.iter().find(|known| known.name() == name);
    module.map_or(ptr::null_mut(), |module| module.raw.as_ptr())
}

same_as_declared!(
    spdk_bdev_get_by_name,
    spdk_bdev_module_list_add,
    spdk_bdev_module_list_find
);
