//! Bdevs of one's own: a module, its devices, and their requests. No C is needed.
//!
//! ```text
//!  Module ──make──► Bdev<D> (a registered D: Device)
//!                     │ open_channel, on each thread that uses it
//!                     ▼
//!                   D::Channel ◄── D::pass(&self, &channel, request), where D::PASSES
//!                            ▲        │ all of it done ─► D::passed, where asked for ─► Success
//!                            │        ▼ not passed on, or in vain
//!                            └─────── D::submit(&self, &channel, request) ───────────► Status
//! ```

mod answer;
mod by_name;
mod device;
mod fan;
mod fan_out;
mod lanes;
mod options;
mod pass;
mod request;

use core::cell::UnsafeCell;
use core::ffi::{CStr, c_int};
use core::future::Future;
use core::marker::PhantomData;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicU8, Ordering};

use alloc::string::String;

use barespdk_sys as ffi;

pub use answer::RequestId;
pub use device::{Bdev, Device, Refused};
pub use fan::LANES_MAX;
pub use fan_out::{Failed, FanOut};
pub use options::{Options, Zones};
pub use pass::{Pass, PassedOn};
pub use request::{GetBuffer, Request};

use crate::bdev::Desc;
use crate::errno::Errno;
use crate::json::{ArrayWriter, JsonWriter};
use crate::mutex::Mutex;
use crate::runtime;
use crate::thread::Thread;

/// What a bdev module does besides its devices. All is called on the app thread.
pub trait Driver: Sized + 'static {
    /// The devices of this module.
    type Device: Device;

    /// The name of the module, as `bdev_get_bdevs` shows it. No other module of the process has it.
    const NAME: &'static CStr;

    /// Whether [`Driver::examine`] is to be called.
    const EXAMINES: bool = false;

    /// Called when SPDK's bdev layer starts.
    ///
    /// # Errors
    /// Any: the application then does not start.
    fn init() -> Result<(), Errno> {
        Ok(())
    }

    /// Called when the application begins to shut down, before bdevs are taken away.
    fn shutdown() {}

    /// Called last, when no bdev is left.
    fn fini() {}

    /// Looks at a bdev that has just appeared; it may be opened, read and claimed. SPDK waits for
    /// the end before it says that examination is done.
    fn examine(_name: String) -> impl Future<Output = ()> + 'static {
        async {}
    }

    /// Writes RPCs that make the module's own state again, as elements
    /// `{"method": .., "params": ..}`; those of its bdevs see [`Device::write_config`].
    fn write_config(_calls: &mut ArrayWriter<'_>) {}
}

/// A bdev module: a static, registered with SPDK before that starts.
///
/// ```
/// # use barespdk::{bdev::{IoType, Status}, errno::Errno, module::{Device, Driver, Module, Request}};
/// # struct Null;
/// # impl Device for Null {
/// #     type Channel = ();
/// #     fn open_channel(&self) -> Result<(), Errno> { Ok(()) }
/// #     fn supports(&self, _: IoType) -> bool { false }
/// #     async fn submit<'a>(&'a self, _: &'a (), _: Request<'a>) -> Status { Status::Success }
/// # }
/// struct NullDriver;
/// impl Driver for NullDriver {
///     type Device = Null;
///     const NAME: &'static core::ffi::CStr = c"my_null";
/// }
/// static MODULE: Module<NullDriver> = Module::new();
/// ```
#[repr(C)]
pub struct Module<M: Driver> {
    /// First, so that SPDK's pointer to it is one to the module.
    raw: UnsafeCell<ffi::spdk_bdev_module>,
    life: AtomicU8,
    _driver: PhantomData<fn() -> M>,
}

// SAFETY: `raw` is SPDK's once it was added, and that is done once, as the flag ensures.
unsafe impl<M: Driver> Sync for Module<M> {}

/// Where a module stands.
#[repr(u8)]
enum Life {
    New,
    /// In SPDK's list.
    Added,
    /// Started by SPDK, which has seen to it that its requests have memory.
    Started,
    Ended,
}

/// Held while SPDK's list of modules, which has no lock, is changed.
static LIST: Mutex<()> = Mutex::new(());

impl<M: Driver> Module<M> {
    /// A module that SPDK does not know yet.
    pub const fn new() -> Self {
        Self {
            raw: UnsafeCell::new(ffi::spdk_bdev_module {
                module_init: Some(module_init::<M>),
                init_complete: None,
                fini_start: Some(fini_start::<M>),
                module_fini: Some(module_fini::<M>),
                config_json: Some(config_json::<M>),
                name: M::NAME.as_ptr(),
                get_ctx_size: Some(get_ctx_size::<M>),
                examine_config: None,
                examine_disk: if M::EXAMINES {
                    Some(examine_disk::<M>)
                } else {
                    None
                },
                async_init: false,
                async_fini: false,
                async_fini_start: false,
                _tail: [0; 77],
            }),
            life: AtomicU8::new(Life::New as u8),
            _driver: PhantomData,
        }
    }

    /// Makes the module known to SPDK, which then starts it with its bdev layer. Before that
    /// starts: at load time, by [`at_load!`](crate::at_load), or early in `main`.
    ///
    /// # Errors
    /// `EEXIST` where it was added already, or another module has its name; `EBUSY` where SPDK has
    /// started.
    pub fn add(&'static self) -> Result<(), Errno> {
        // SAFETY: reads a pointer.
        if !unsafe { ffi::spdk_thread_get_app_thread() }.is_null() {
            return Err(Errno::EBUSY);
        }
        let _list = LIST.lock();
        if self.life.load(Ordering::Relaxed) != Life::New as u8 {
            return Err(Errno::EEXIST);
        }
        // SAFETY: SPDK has not started, so only those who add modules look at the list, which the
        // lock keeps apart; C's are added before `main`. The module is a static.
        unsafe {
            if !ffi::spdk_bdev_module_list_find(M::NAME.as_ptr()).is_null() {
                return Err(Errno::EEXIST);
            }
            ffi::spdk_bdev_module_list_add(core::ptr::from_ref(self).cast_mut().cast());
        }
        self.life.store(Life::Added as u8, Ordering::Relaxed);
        Ok(())
    }

    /// Registers a bdev of this module. On the app thread.
    ///
    /// # Errors
    /// Gives the device back, unless memory ran out (`ENOMEM`) when SPDK knew the bdev already: it then
    /// takes it away as it would any other, down to [`Device::destruct`]. With `EEXIST` where there is a bdev of this name, `EINVAL` where the
    /// name is empty or has a NUL, where SPDK does not take the options, or on another thread;
    /// `ENODEV` where SPDK has not started the module: it was not [added](Module::add), or it is too
    /// early, or too late.
    pub fn register(
        &'static self,
        name: &str,
        product_name: &'static CStr,
        options: &Options,
        device: M::Device,
    ) -> Result<Bdev<M::Device>, Refused<M::Device>> {
        // SPDK's I/O have memory for the requests of those modules alone that it has started.
        if self.life.load(Ordering::Relaxed) != Life::Started as u8 {
            return Err((Errno::ENODEV, Some(device)));
        }
        Bdev::register(self.raw.get(), name, product_name, options, device)
    }

    /// Claims a bdev: nobody else can open it for writing as long as the descriptor is open. On the
    /// thread that opened it.
    ///
    /// # Errors
    /// `EPERM` where it is claimed already, or on another thread.
    pub fn claim(&'static self, desc: &Desc) -> Result<(), Errno> {
        desc.claim(self.raw.get())
    }

    /// The bytes of `driver_ctx` that a request of this module takes.
    pub const fn request_size() -> usize {
        device::context_size::<M::Device>()
    }
}

impl<M: Driver> Default for Module<M> {
    fn default() -> Self {
        Self::new()
    }
}

/// Notes where the module stands whose callback SPDK calls.
fn note<M: Driver>(life: Life) {
    // SAFETY: the module of this driver is in the list, being called, under a name that is its alone.
    let module = unsafe { ffi::spdk_bdev_module_list_find(M::NAME.as_ptr()) };
    // SAFETY: `add` has put a `Module<M>` there, which is a static.
    if let Some(module) = unsafe { module.cast::<Module<M>>().as_ref() } {
        module.life.store(life as u8, Ordering::Relaxed);
    }
}

unsafe extern "C" fn module_init<M: Driver>() -> c_int {
    note::<M>(Life::Started);
    runtime::register();
    // Makes the app thread known, so that `Thread::app` finds it from other threads.
    let _known = Thread::current();
    match M::init() {
        Ok(()) => 0,
        Err(errno) => {
            note::<M>(Life::Ended);
            runtime::unregister();
            errno.to_rc()
        }
    }
}

unsafe extern "C" fn fini_start<M: Driver>() {
    M::shutdown();
}

unsafe extern "C" fn module_fini<M: Driver>() {
    note::<M>(Life::Ended);
    M::fini();
    runtime::unregister();
}

unsafe extern "C" fn get_ctx_size<M: Driver>() -> c_int {
    const {
        assert!(Module::<M>::request_size() <= i32::MAX as usize);
    }
    Module::<M>::request_size() as c_int
}

unsafe extern "C" fn config_json<M: Driver>(w: *mut ffi::spdk_json_write_ctx) -> c_int {
    let Some(w) = NonNull::new(w) else {
        return -libc::EINVAL;
    };
    // SAFETY: SPDK lends a writer that is inside of an array.
    let mut writer = unsafe { JsonWriter::from_raw(w) };
    match writer.elements(M::write_config) {
        Ok(()) => 0,
        Err(_) => -libc::ENOMEM,
    }
}

unsafe extern "C" fn examine_disk<M: Driver>(bdev: *mut ffi::spdk_bdev) {
    // SAFETY: SPDK hands over a bdev that is registered; its name is a C string.
    let name = unsafe { CStr::from_ptr(ffi::spdk_bdev_get_name(bdev)) };
    let Ok(name) = name.to_str().map(String::from) else {
        // Not a name that anybody could have given to this crate.
        examine_done::<M>();
        return;
    };
    let spawned = runtime::spawn_local(async move {
        M::examine(name).await;
        examine_done::<M>();
    });
    if let Err(errno) = spawned {
        crate::log_error!("bdev not examined: {errno}");
        examine_done::<M>();
    }
}

fn examine_done<M: Driver>() {
    // SAFETY: the module is in the list, as SPDK has asked it to examine.
    unsafe {
        ffi::spdk_bdev_module_examine_done(ffi::spdk_bdev_module_list_find(M::NAME.as_ptr()))
    };
}

/// Runs a function when the program, or the shared object, is loaded: to add modules and RPCs, so
/// that they are there wherever SPDK starts. The function is `fn()`; SPDK does not run yet.
///
/// ```
/// fn register() {}
/// barespdk::at_load!(register);
/// ```
#[macro_export]
macro_rules! at_load {
    ($function:path) => {
        const _: () = {
            extern "C" fn run() {
                let function: fn() = $function;
                function();
            }
            // The dynamic linker calls what stands in this section.
            #[used]
            #[unsafe(link_section = ".init_array")]
            static RUN: extern "C" fn() = run;
        };
    };
}
