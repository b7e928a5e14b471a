//! Examination: every module is shown each new bdev, and may build others on it.

use std::ffi::{CStr, CString, c_int, c_void};
use std::ptr::{self, NonNull};

use barespdk_sys::*;

use super::device::Bdev;
use super::registry::{Module, registry};
use super::start;

/// What is to be done when all examinations have ended. Of the app thread.
pub(super) struct Waiting {
    jobs: Vec<Box<dyn FnOnce()>>,
    /// Whether a message is under way that does it.
    called: bool,
}

impl Waiting {
    pub(super) const fn new() -> Self {
        Self {
            jobs: Vec::new(),
            called: false,
        }
    }
}

fn is_to_be_examined(device: Bdev) -> bool {
    if !device.handles(SPDK_BDEV_IO_TYPE_READ) {
        return false;
    }
    let registry = registry();
    let is_listed = |name: &CStr| {
        registry
            .examine_list
            .iter()
            .any(|listed| listed.as_c_str() == name)
    };
    registry.options.bdev_auto_examine
        || is_listed(device.name())
        || device
            .control()
            .aliases
            .iter()
            .any(|alias| is_listed(alias))
}

/// Shows a bdev to the modules. On the app thread.
pub(super) fn examine(device: Bdev) {
    if !is_to_be_examined(device) {
        return;
    }
    let modules = registry().modules.clone();
    for module in &modules {
        if let Some(examine_config) = module.get().examine_config {
            begin_action(*module);
            // SAFETY: the bdev is open; on the app thread.
            unsafe { examine_config(device.raw()) };
        }
    }
    // Whoever has claimed it by now is the only one who looks at what is on it.
    let claim = device.control().claim;
    for module in &modules {
        if claim.is_some_and(|claimer| claimer != module.raw) {
            continue;
        }
        if let Some(examine_disk) = module.get().examine_disk {
            begin_action(*module);
            // SAFETY: as above.
            unsafe { examine_disk(device.raw()) };
            // The first that claims it does not keep the others from it, as with SPDK.
        }
    }
}

/// Notes an initialisation or examination that begins.
pub(super) fn begin_action(module: Module) {
    if let Some(module) = registry().module(module.raw.as_ptr()) {
        module.actions += 1;
    }
}

/// Notes one that has ended. On the app thread.
pub(super) fn end_action(module: NonNull<spdk_bdev_module>) {
    let mut registry = registry();
    if let Some(module) = registry.module(module.as_ptr()) {
        module.actions = module.actions.saturating_sub(1);
    }
    drop(registry);
    call_waiting();
    start::action_ended();
}

/// Whether no initialisation and no examination is going on.
pub(super) fn is_quiet() -> bool {
    registry().modules.iter().all(|module| module.actions == 0)
}

/// Does something when all examinations have ended, later. On the app thread.
pub(super) fn wait(job: impl FnOnce() + 'static) {
    registry().waiting.jobs.push(Box::new(job));
    call_waiting();
}

fn call_waiting() {
    if !is_quiet() {
        return;
    }
    let mut registry = registry();
    if registry.waiting.called || registry.waiting.jobs.is_empty() {
        return;
    }
    registry.waiting.called = true;
    drop(registry);
    // SAFETY: the app thread is there.
    unsafe {
        spdk_thread_send_msg(
            spdk_thread_get_app_thread(),
            Some(run_waiting),
            ptr::null_mut(),
        );
    }
}

unsafe extern "C" fn run_waiting(_: *mut c_void) {
    registry().waiting.called = false;
    if !is_quiet() {
        return;
    }
    let jobs = std::mem::take(&mut registry().waiting.jobs);
    for job in jobs {
        job();
    }
}

/// Examines a bdev, now or when it comes, where not all are. On the app thread.
pub(super) fn examine_by_name(name: &CStr) -> Result<(), c_int> {
    let mut registry = registry();
    if registry.options.bdev_auto_examine {
        error_log!("all bdevs are examined as they come\n");
        return Err(-libc::EINVAL);
    }
    if registry
        .examine_list
        .iter()
        .any(|listed| listed.as_c_str() == name)
    {
        return Err(-libc::EEXIST);
    }
    registry.examine_list.push(CString::from(name));
    let device = registry.by_name(name);
    drop(registry);
    if let Some(device) = device {
        examine(device);
    }
    Ok(())
}

#[unsafe(no_mangle)]
unsafe extern "C" fn spdk_bdev_module_examine_done(module: *mut spdk_bdev_module) {
    let Some(known) = NonNull::new(module) else {
        return;
    };
    // SAFETY: any thread; then the message goes to the app thread, which is there.
    unsafe {
        let app_thread = spdk_thread_get_app_thread();
        if spdk_get_thread() == app_thread {
            end_action(known);
        } else {
            spdk_thread_send_msg(app_thread, Some(end_action_message), module.cast());
        }
    }
}

unsafe extern "C" fn end_action_message(module: *mut c_void) {
    if let Some(module) = NonNull::new(module.cast()) {
        end_action(module);
    }
}

same_as_declared!(spdk_bdev_module_examine_done);
