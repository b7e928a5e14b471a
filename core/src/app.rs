//! An application of SPDK's framework: arguments, start, shutdown, finalisation, exit code.
//!
//! ```no_run
//! use barespdk::app::{self, App};
//!
//! let outcome = App::new("example").run(std::env::args(), || {
//!     barespdk::log_notice!("started");
//!     let _ = app::stop(0);
//! });
//! let code = outcome.unwrap_or_else(|error| {
//!     eprintln!("example: {error}");
//!     1
//! });
//! std::process::exit(code);
//! ```
//!
//! C: `spdk/event.h`.

mod args;
mod options;

use alloc::boxed::Box;
use alloc::ffi::CString;
use alloc::string::String;
use alloc::vec::Vec;
use core::cell::Cell;
use core::ffi::{CStr, c_int, c_void};
use core::fmt;
use core::marker::PhantomData;
use core::mem::MaybeUninit;
use core::ptr;
use core::sync::atomic::{AtomicBool, AtomicPtr, Ordering};

use barespdk_sys::{event as ffi, thread};

use crate::errno::Errno;
use crate::rpc::{Method, RegisterError};
use crate::runtime;
use crate::thread::Thread;

use args::Args;
pub use options::CliOption;
use options::OptionTable;

/// An application before it runs.
///
/// What is set here are defaults; SPDK's arguments (`-m`, `-r`, `--json`, `--no-huge` and many more;
/// `-h` lists them) override them.
pub struct App<'a> {
    name: String,
    reactor_mask: Option<String>,
    rpc_addr: Option<String>,
    json_config: Option<String>,
    json_config_data: Option<Vec<u8>>,
    methods: Vec<&'a [Method]>,
    options: OptionTable<'a>,
    before_start: Option<BeforeStart<'a>>,
    on_shutdown: Option<Callback>,
}

type Callback = Box<dyn FnOnce() + Send>;
type BeforeStart<'a> = Box<dyn FnOnce(&Startup<'_>) -> Result<(), String> + 'a>;

/// Why an application did not run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AppError {
    /// SPDK runs, or has run, in this process. It can be initialised only once.
    AlreadyRun,
    /// A text has a NUL in it, which C takes for its end: what it is, and the text.
    Nul(&'static str, String),
    /// There are more arguments than C can count.
    TooManyArguments,
    /// An option of the application's own is no good: its long name, and why.
    Option(String, &'static str),
    /// A method could not be registered.
    Method(RegisterError),
    /// There is a configuration in memory, by [`App::json_config_data`], and a file to load as well.
    /// This is the path of the file.
    TwoConfigs(String),
    /// [`App::before_start`] gave up, with this message.
    BeforeStart(String),
}

impl fmt::Display for AppError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AlreadyRun => {
                f.write_str("SPDK runs, or has run, in this process: it can be started only once")
            }
            Self::Nul(what, text) => write!(f, "{what} contains a NUL character: {text:?}"),
            Self::TooManyArguments => f.write_str("too many arguments"),
            Self::Option(name, why) => write!(f, "option --{name}: {why}"),
            Self::Method(error) => fmt::Display::fmt(error, f),
            Self::TwoConfigs(path) => write!(
                f,
                "the configuration file {path:?} cannot be loaded: there is another configuration"
            ),
            Self::BeforeStart(message) => f.write_str(message),
        }
    }
}

impl core::error::Error for AppError {}

impl<'a> App<'a> {
    /// An application of this name, which logs and traces carry.
    pub fn new(name: &str) -> Self {
        Self {
            name: name.into(),
            reactor_mask: None,
            rpc_addr: None,
            json_config: None,
            json_config_data: None,
            methods: Vec::new(),
            options: OptionTable::new(),
            before_start: None,
            on_shutdown: None,
        }
    }

    /// The cores to run on unless `-m` says otherwise, in the form of
    /// [`Cpuset::parse`](crate::cpuset::Cpuset::parse). SPDK's own default is core 0.
    pub fn reactor_mask(mut self, mask: &str) -> Self {
        self.reactor_mask = Some(mask.into());
        self
    }

    /// The path of the JSON-RPC socket unless `-r` says otherwise. SPDK's own default is
    /// `/var/tmp/spdk.sock`.
    pub fn rpc_addr(mut self, path: &str) -> Self {
        self.rpc_addr = Some(path.into());
        self
    }

    /// The path of the configuration to load unless `--json` says otherwise.
    pub fn json_config(mut self, path: &str) -> Self {
        self.json_config = Some(path.into());
        self
    }

    /// A configuration to load at the start: the text of what would be a file for `--json`. Only one
    /// of the two can be loaded; see [`AppError::TwoConfigs`].
    pub fn json_config_data(mut self, json: impl Into<Vec<u8>>) -> Self {
        self.json_config_data = Some(json.into());
        self
    }

    /// JSON-RPC methods to register before the start, so that a configuration may call them.
    pub fn methods(mut self, methods: &'a [Method]) -> Self {
        self.methods.push(methods);
        self
    }

    /// An option of the application's own. `parse` is called once for each time it is given, with
    /// its value if it takes one; its error is shown and ends the run.
    pub fn option(
        mut self,
        option: CliOption,
        parse: impl FnMut(Option<&str>) -> Result<(), String> + 'a,
    ) -> Self {
        self.options.push(option, Box::new(parse));
        self
    }

    /// Something to do after the arguments are read and before SPDK starts, such as registering
    /// methods that an argument asks for. Its error ends the run.
    pub fn before_start(
        mut self,
        prepare: impl FnOnce(&Startup<'_>) -> Result<(), String> + 'a,
    ) -> Self {
        self.before_start = Some(Box::new(prepare));
        self
    }

    /// What to do, on the app thread, when the application is asked to end: by `SIGINT` or
    /// `SIGTERM`, or the RPC `spdk_kill_instance`. It must lead to [`stop`], sooner or later; without
    /// it the application stops at once, with code 0.
    pub fn on_shutdown(mut self, shutdown: impl FnOnce() + Send + 'static) -> Self {
        self.on_shutdown = Some(Box::new(shutdown));
        self
    }

    /// Runs the application: reads the arguments, the first of which is the program's name, starts
    /// SPDK, and calls `start` on the app thread. Returns after [`stop`], when everything is
    /// finalised, with the code that is to be the process's exit code.
    ///
    /// `-h` and `-v` print to the standard output and end with 0, and wrong arguments print the
    /// reason and end with 2, both without calling `start`. So does a failed start of SPDK, which
    /// logs the reason, with another code than 0.
    ///
    /// # Errors
    /// See [`AppError`]: nothing was started.
    pub fn run<A: Into<Vec<u8>>>(
        self,
        args: impl IntoIterator<Item = A>,
        start: impl FnOnce() + Send + 'static,
    ) -> Result<c_int, AppError> {
        let name = c_string("the application's name", self.name)?;
        let reactor_mask = self
            .reactor_mask
            .map(|mask| c_string("the core mask", mask));
        let reactor_mask = reactor_mask.transpose()?;
        let rpc_addr = self
            .rpc_addr
            .map(|path| c_string("the RPC socket's path", path));
        let rpc_addr = rpc_addr.transpose()?;
        let json_config = self
            .json_config
            .map(|path| c_string("the configuration's path", path));
        let json_config = json_config.transpose()?;
        let mut json_config_data = self.json_config_data;
        let mut args = Args::new(&name, args)?;
        let options = self.options.prepare()?;
        let startup = Startup::claim()?;

        let mut opts = default_opts();
        opts.name = name.as_ptr();
        opts.shutdown_cb = Some(shutdown_asked);
        if let Some(mask) = &reactor_mask {
            opts.reactor_mask = mask.as_ptr();
        }
        if let Some(path) = &rpc_addr {
            opts.rpc_addr = path.as_ptr();
        }
        if let Some(path) = &json_config {
            opts.json_config_file = path.as_ptr();
        }
        match options.parse(&mut args, &mut opts) {
            ffi::SPDK_APP_PARSE_ARGS_SUCCESS => (),
            ffi::SPDK_APP_PARSE_ARGS_HELP => return Ok(0),
            _ => return Ok(WRONG_ARGUMENTS),
        }
        if let Some(json) = &mut json_config_data {
            let file = opts.json_config_file;
            if !file.is_null() {
                // SAFETY: a path of ours or an argument, both of which end in NUL and still live.
                let path = unsafe { CStr::from_ptr(file) };
                return Err(AppError::TwoConfigs(path.to_string_lossy().into_owned()));
            }
            opts.json_data = json.as_mut_ptr().cast();
            opts.json_data_size = json.len();
        }

        for method in self.methods.into_iter().flatten() {
            startup.register(method).map_err(AppError::Method)?;
        }
        if let Some(prepare) = self.before_start {
            prepare(&startup).map_err(AppError::BeforeStart)?;
        }

        let running = Box::new(Running {
            start: Cell::new(Some(Box::new(start))),
            shutdown: Cell::new(self.on_shutdown),
            uses_runtime: Cell::new(false),
        });
        let context = ptr::from_ref(&*running).cast_mut();
        RUNNING.store(context, Ordering::Release);
        // SAFETY: `startup` shows that SPDK has not been started in this process. The options and
        // all that they point to - our texts and the arguments - live until after
        // `spdk_app_fini`, and so does `running`, which is accessed on the app thread alone until
        // this call returns.
        let code = unsafe { ffi::spdk_app_start(&raw mut opts, Some(started), context.cast()) };
        RUNNING.store(ptr::null_mut(), Ordering::Release);
        #[cfg(not(loom))]
        crate::dma::end();
        // SAFETY: once, after `spdk_app_start`, on its thread; no call of the environment is under way.
        unsafe { ffi::spdk_app_fini() };
        Ok(code)
    }
}

impl fmt::Debug for App<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("App")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// The exit code for wrong arguments, that of SPDK's own applications.
const WRONG_ARGUMENTS: c_int = ffi::SPDK_APP_PARSE_ARGS_FAIL as c_int;

fn c_string(what: &'static str, text: String) -> Result<CString, AppError> {
    CString::new(text).map_err(|error| {
        AppError::Nul(
            what,
            String::from_utf8_lossy(&error.into_vec()).into_owned(),
        )
    })
}

fn default_opts() -> ffi::spdk_app_opts {
    let mut opts = MaybeUninit::<ffi::spdk_app_opts>::zeroed();
    // SAFETY: the pointer is to as many writable bytes as the size says.
    unsafe { ffi::spdk_app_opts_init(opts.as_mut_ptr(), size_of::<ffi::spdk_app_opts>()) };
    // SAFETY: SPDK has filled it; and zeros, which were there before, are a value too: NULL
    // pointers, false and 0.
    unsafe { opts.assume_init() }
}

/// The time between reading the arguments and the start of SPDK. See [`App::before_start`].
#[derive(Debug)]
pub struct Startup<'a> {
    /// Bound to the thread that runs the application, and to its time.
    _here_and_now: PhantomData<(&'a (), *const ())>,
}

/// Whether an application has been run in this process.
static CLAIMED: AtomicBool = AtomicBool::new(false);

impl Startup<'_> {
    fn claim() -> Result<Self, AppError> {
        // SAFETY: takes nothing and reads a pointer.
        let hosted = !unsafe { thread::spdk_thread_get_app_thread() }.is_null();
        if hosted || CLAIMED.swap(true, Ordering::AcqRel) {
            return Err(AppError::AlreadyRun);
        }
        Ok(Self {
            _here_and_now: PhantomData,
        })
    }

    /// Makes a JSON-RPC method known to SPDK.
    ///
    /// # Errors
    /// There is a method of this name.
    pub fn register(&self, method: &Method) -> Result<(), RegisterError> {
        // SAFETY: SPDK has not started, so that there is no app thread; and this is the only thread
        // that registers: there is one `Startup` in the process, and it stays on its thread.
        unsafe { method.register_unsynchronized() }
    }
}

/// The application that runs; NULL before and after. Set while `spdk_app_start` runs.
static RUNNING: AtomicPtr<Running> = AtomicPtr::new(ptr::null_mut());

/// What the callbacks from C need. Accessed on the app thread alone, while it runs.
struct Running {
    start: Cell<Option<Callback>>,
    shutdown: Cell<Option<Callback>>,
    /// Whether the runtime is registered on our behalf. It stays so if C ends the application past
    /// [`stop`]; SPDK then forgets it when it is finalised.
    uses_runtime: Cell<bool>,
}

/// SPDK calls this on the app thread when everything is initialised.
unsafe extern "C" fn started(context: *mut c_void) {
    // SAFETY: `run` passed a `Running` that lives while `spdk_app_start` runs; on the app thread.
    let running = unsafe { &*context.cast_const().cast::<Running>() };
    runtime::register();
    // Makes the app thread known, so that `Thread::app` finds it from other threads.
    let _known = Thread::current();
    running.uses_runtime.set(true);
    if let Some(start) = running.start.take() {
        start();
    }
}

/// SPDK calls this on the app thread, once, when the application is asked to end.
unsafe extern "C" fn shutdown_asked() {
    // SAFETY: SPDK calls this from within `spdk_app_start`, on the app thread: not NULL, and live.
    let shutdown = unsafe { RUNNING.load(Ordering::Acquire).as_ref() }
        .and_then(|running| running.shutdown.take());
    match shutdown {
        Some(shutdown) => shutdown(),
        // SAFETY: on the app thread.
        None => unsafe { stop_here(0) },
    }
}

/// Ends the application: [`App::run`] finalises everything and returns `code`, if it is the first
/// that is not 0.
///
/// From any SPDK thread of an application that runs; it takes effect later, on the app thread.
///
/// # Errors
/// - `EPERM` outside of SPDK's threads,
/// - `ENODEV` if no [`App`] runs: a driver does not stop the application that hosts it,
/// - `ENOMEM`.
pub fn stop(code: c_int) -> Result<(), Errno> {
    // SAFETY: takes nothing; NULL outside of SPDK's threads.
    if unsafe { thread::spdk_get_thread() }.is_null() {
        return Err(Errno::EPERM);
    }
    // SAFETY: takes nothing; NULL without an application.
    let app_thread = unsafe { thread::spdk_thread_get_app_thread() };
    if app_thread.is_null() || RUNNING.load(Ordering::Acquire).is_null() {
        return Err(Errno::ENODEV);
    }
    let context = ptr::without_provenance_mut(code as isize as usize);
    // SAFETY: the app thread exists; it is the last to exit, and we are on one that has not. The
    // context is a number.
    Errno::check(unsafe { thread::spdk_thread_send_msg(app_thread, Some(stop_asked), context) })
}

/// The message of [`stop`] to the app thread.
unsafe extern "C" fn stop_asked(code: *mut c_void) {
    // SAFETY: on the app thread.
    unsafe { stop_here(code.addr() as isize as c_int) };
}

/// # Safety
/// On the app thread.
unsafe fn stop_here(code: c_int) {
    // SAFETY: on the app thread, which runs within `spdk_app_start`: NULL or live.
    if let Some(running) = unsafe { RUNNING.load(Ordering::Acquire).as_ref() }
        && running.uses_runtime.replace(false)
    {
        runtime::unregister();
    }
    // SAFETY: there is an app thread: this one.
    unsafe { ffi::spdk_app_stop(code) };
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn nul_in_a_text_is_an_error_that_shows_it() {
        let error = c_string("the core mask", "a\0b".into()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the core mask contains a NUL character: \"a\\0b\""
        );
        assert_eq!(
            c_string("the core mask", "0x3".into()).unwrap().as_c_str(),
            c"0x3"
        );
    }
}
