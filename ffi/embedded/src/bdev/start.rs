//! The start and the end of the layer.
//!
//! ```text
//!  start: the pools ─► each module's module_init ─► (all are initialised, all is examined) ─►
//!     each init_complete ─► done
//!  finish: (all is examined) ─► each fini_start, the last module first ─► the bdevs, those first
//!     that nobody has claimed ─► each module_fini, the last module first ─► the pools ─► done
//! ```

use std::cell::RefCell;
use std::ffi::{c_int, c_void};
use std::ptr;

use barespdk_sys::*;

use super::device::Bdev;
use super::examine;
use super::registry::{Module, registry};
use super::request::zeroes;
use super::{buffer, pool};

/// Where the layer stands.
enum Stage {
    Stopped,
    /// Modules are being initialised, one after the other.
    Initialising(Box<dyn FnOnce(c_int)>),
    /// All have been called; not all are ready.
    Completing(Box<dyn FnOnce(c_int)>),
    /// So many modules, of the list, were initialised.
    Started(usize),
    Finishing(Finish),
}

struct Finish {
    done: Box<dyn FnOnce(c_int)>,
    /// How many modules were initialised.
    count: usize,
    /// The modules that are still to be called, the next one last.
    modules: Vec<Module>,
}

thread_local! {
    /// Of the OS thread that runs the app thread, which does all of this.
    static STAGE: RefCell<Stage> = const { RefCell::new(Stage::Stopped) };
}

fn replace(stage: Stage) -> Stage {
    STAGE.with(|place| place.replace(stage))
}

/// Starts the layer. On the app thread, where `done` then runs with 0 or a negative errno value.
pub(crate) fn start(done: impl FnOnce(c_int) + 'static) {
    if let Err(rc) = zeroes::start() {
        done(rc);
        return;
    }
    for kind in [c"bdev_register", c"bdev_unregister", c"bdev_resize"] {
        // SAFETY: a C string.
        unsafe { spdk_notify_type_register(kind.as_ptr()) };
    }
    pool::start();
    replace(Stage::Initialising(Box::new(done)));
    let modules = registry().modules.clone();
    for (index, module) in modules.into_iter().enumerate() {
        let functions = module.get();
        if functions.async_init {
            examine::begin_action(module);
        }
        // SAFETY: on the app thread, once.
        let rc = functions.module_init.map_or(0, |init| unsafe { init() });
        if rc != 0 {
            error_log!("module {:?} does not start: {rc}\n", module.name());
            if let Stage::Initialising(done) = replace(Stage::Started(index)) {
                done(rc);
            }
            return;
        }
    }
    if let Stage::Initialising(done) = replace(Stage::Stopped) {
        replace(Stage::Completing(done));
    }
    action_ended();
}

/// Goes on with the start when nothing is going on any more.
pub(super) fn action_ended() {
    let is_next = STAGE.with(|place| matches!(*place.borrow(), Stage::Completing(_)));
    if !is_next || !examine::is_quiet() {
        return;
    }
    let modules = registry().modules.clone();
    let Stage::Completing(done) = replace(Stage::Started(modules.len())) else {
        return;
    };
    for module in modules {
        if let Some(init_complete) = module.get().init_complete {
            // SAFETY: on the app thread, once.
            unsafe { init_complete() };
        }
    }
    done(0);
}

/// Ends the layer. On the app thread, where `done` then runs.
pub(crate) fn finish(done: impl FnOnce(c_int) + 'static) {
    let started = STAGE.with(|place| match *place.borrow() {
        Stage::Started(count) => Some(count),
        _ => None,
    });
    let Some(count) = started else {
        done(0);
        return;
    };
    examine::wait(move || {
        replace(Stage::Finishing(Finish {
            done: Box::new(done),
            count,
            modules: started_modules(count),
        }));
        next_fini_start();
    });
}

fn started_modules(count: usize) -> Vec<Module> {
    let mut modules = registry().modules.clone();
    modules.truncate(count);
    modules
}

/// The next module to be called.
fn next_module() -> Option<Module> {
    STAGE.with(|place| match &mut *place.borrow_mut() {
        Stage::Finishing(finish) => finish.modules.pop(),
        _ => None,
    })
}

fn next_fini_start() {
    while let Some(module) = next_module() {
        let functions = module.get();
        if let Some(fini_start) = functions.fini_start {
            // SAFETY: on the app thread, once.
            unsafe { fini_start() };
        }
        if functions.async_fini_start {
            return;
        }
    }
    next_bdev(None);
}

/// Unregisters the next bdev, from the top down: those that nobody has claimed first, and of these
/// the last that was registered.
fn next_bdev(refused: Option<Bdev>) {
    let mut registry = registry();
    if let Some(refused) = refused {
        registry.bdevs.retain(|bdev| *bdev != refused);
    }
    let next = registry
        .bdevs
        .iter()
        .rev()
        .find(|bdev| bdev.control().claim.is_none())
        .or(registry.bdevs.last())
        .copied();
    drop(registry);
    match next {
        // SAFETY: registered; on an SPDK thread.
        Some(bdev) => unsafe {
            spdk_bdev_unregister(bdev.raw(), Some(unregistered), bdev.raw().cast());
        },
        // Later: this may be the middle of a module's function, which uses what it would free.
        None => unsafe {
            // SAFETY: the current thread.
            spdk_thread_send_msg(spdk_get_thread(), Some(fini_message), ptr::null_mut());
        },
    }
}

unsafe extern "C" fn unregistered(bdev: *mut c_void, rc: c_int) {
    // SAFETY: an address, which is compared alone, unless the bdev is still there.
    let device = unsafe { Bdev::new(bdev.cast()) };
    next_bdev((rc != 0).then_some(device));
}

unsafe extern "C" fn fini_message(_: *mut c_void) {
    STAGE.with(|place| {
        if let Stage::Finishing(finish) = &mut *place.borrow_mut() {
            finish.modules = started_modules(finish.count);
        }
    });
    next_fini();
}

fn next_fini() {
    while let Some(module) = next_module() {
        let functions = module.get();
        if let Some(module_fini) = functions.module_fini {
            // SAFETY: on the app thread, once.
            unsafe { module_fini() };
        }
        if functions.async_fini {
            return;
        }
    }
    pool::finish(Some(finished));
}

unsafe extern "C" fn finished(_: *mut c_void) {
    pool::free_all();
    buffer::free_all();
    zeroes::finish();
    registry().forget();
    if let Stage::Finishing(finish) = replace(Stage::Stopped) {
        (finish.done)(0);
    }
}

/// A module that does so later has initialised itself.
#[unsafe(no_mangle)]
unsafe extern "C" fn spdk_bdev_module_init_done(module: *mut spdk_bdev_module) {
    // SAFETY: as an examination that has ended.
    unsafe { spdk_bdev_module_examine_done(module) };
}

/// A module that does so later has begun its end.
#[unsafe(no_mangle)]
unsafe extern "C" fn spdk_bdev_module_fini_start_done() {
    on_app_thread(fini_start_message);
}

/// A module that does so later has ended.
#[unsafe(no_mangle)]
unsafe extern "C" fn spdk_bdev_module_fini_done() {
    on_app_thread(fini_done_message);
}

/// Calls `f` on the app thread: at once where this is it.
fn on_app_thread(f: unsafe extern "C" fn(*mut c_void)) {
    // SAFETY: any thread; the app thread is there. `f` takes no argument.
    unsafe {
        let app_thread = spdk_thread_get_app_thread();
        if spdk_get_thread() == app_thread {
            f(ptr::null_mut());
        } else {
            spdk_thread_send_msg(app_thread, Some(f), ptr::null_mut());
        }
    }
}

unsafe extern "C" fn fini_start_message(_: *mut c_void) {
    next_fini_start();
}

unsafe extern "C" fn fini_done_message(_: *mut c_void) {
    next_fini();
}
