//! From the start of an application to its end.

use std::ffi::{c_int, c_void};
use std::ptr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use barespdk_sys::{
    SPDK_LOG_NOTICE, spdk_app_opts, spdk_app_shutdown_cb, spdk_env_fini, spdk_env_init,
    spdk_env_opts, spdk_env_opts_init, spdk_msg_fn, spdk_thread_create, spdk_thread_get_app_thread,
    spdk_thread_send_msg,
};

use super::config::Config;
use super::options::{effective, text};
use super::signals::Signals;
use crate::env::{cores, cpuset};
use crate::rpc::{self, Reply, RpcError, State};
use crate::{bdev, log, modules, reactor};

/// Core dumps of up to 5 GiB.
const CORE_LIMIT: libc::rlim_t = 5 << 30;

/// How far the subsystems are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Subsystems {
    Down,
    Starting,
    Up,
}

/// The application that runs. Used on the app thread; by the thread that waits for signals too.
struct Running {
    start_fn: spdk_msg_fn,
    start_arg: *mut c_void,
    shutdown_cb: spdk_app_shutdown_cb,
    rpc_addr: Option<String>,
    config: Option<Config>,
    waits_for_rpc: bool,
    subsystems: Subsystems,
    /// Who waits for the subsystems.
    waiting: Vec<Reply>,
    stopping: bool,
    /// Whether a signal has asked for the end.
    asked: bool,
    code: c_int,
}

// SAFETY: the pointers are the application's functions and their context, which are used on the app
// thread alone.
unsafe impl Send for Running {}

static RUNNING: Mutex<Option<Running>> = Mutex::new(None);

fn running() -> MutexGuard<'static, Option<Running>> {
    RUNNING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Uses the running application for a moment. Nothing may be called from within that comes back here.
fn with<R>(use_it: impl FnOnce(&mut Running) -> R) -> Option<R> {
    running().as_mut().map(use_it)
}

/// Whether the application is about to end.
pub(super) fn is_stopping() -> bool {
    with(|running| running.stopping).unwrap_or(true)
}

#[unsafe(no_mangle)]
unsafe extern "C" fn spdk_app_start(
    opts_user: *mut spdk_app_opts,
    start_fn: spdk_msg_fn,
    ctx: *mut c_void,
) -> c_int {
    if opts_user.is_null() {
        error_log!("opts_user should not be NULL\n");
        return 1;
    }
    // SAFETY: the ABI's promise: options of as many bytes as they say.
    let opts = unsafe { effective(opts_user) };
    if opts.opts_size == 0 || opts.name.is_null() || start_fn.is_none() {
        error_log!("the options' size, the name and start_fn must be given\n");
        return 1;
    }
    // SAFETY: the ABI's promise: the strings of the options live until this returns.
    match unsafe { prepare(&opts, start_fn, ctx) } {
        Ok(signals) => {
            if let Err(error) = reactor::run() {
                error_log!("The reactors cannot run: {error}\n");
                with(|running| running.code = 1);
            }
            drop(signals);
        }
        Err(reason) => {
            error_log!("{reason}\n");
            // Without `run` nobody lets the app thread exit; `finish` takes it away.
            return 1;
        }
    }
    let ended = running().take();
    rpc::set_state(State::Startup);
    ended.map_or(1, |ended| ended.code)
}

/// Makes all that is there before the reactors run.
///
/// # Safety
/// The options hold NULL or C strings that live until the application ends.
unsafe fn prepare(
    opts: &spdk_app_opts,
    start_fn: spdk_msg_fn,
    start_arg: *mut c_void,
) -> Result<Option<Signals>, String> {
    // SAFETY: by the caller's promise.
    let (rpc_addr, config_file) = unsafe { (text(opts.rpc_addr), text(opts.json_config_file)) };
    if rpc_addr.is_none() && opts.delay_subsystem_init {
        return Err("Cannot use '--wait-for-rpc' if no RPC server is going to be started.".into());
    }
    log::set_print_level(opts.print_level);
    log::set_log_level(SPDK_LOG_NOTICE);
    if opts.enable_coredump {
        let limit = libc::rlimit {
            rlim_cur: CORE_LIMIT,
            rlim_max: CORE_LIMIT,
        };
        // SAFETY: a whole structure. A limit that may not be raised stays as it is.
        unsafe { libc::setrlimit(libc::RLIMIT_CORE, &limit) };
    }
    // SAFETY: by the caller's promise.
    let config = unsafe { read_config(opts, config_file) }?;
    // SAFETY: by the caller's promise.
    unsafe { start_env(opts) }?;
    // SAFETY: by the caller's promise.
    rpc::set_allowed(unsafe { allowed(opts) });
    // SPDK can be started again in the process, and its methods are there but once.
    static MODULES: std::sync::Once = std::sync::Once::new();
    MODULES.call_once(modules::register);
    notice_log!(
        "Total cores available: {}\n",
        cpuset::iter(&cores::mask()).count()
    );
    reactor::start().map_err(|error| format!("The reactors cannot be made: {error}"))?;
    let mut cpumask = barespdk_sys::spdk_cpuset {
        str: [0; 257],
        cpus: [0; 128],
    };
    cpuset::add(&mut cpumask, cores::main_core());
    // SAFETY: a C string and a set, both of which are copied.
    let app_thread = unsafe { spdk_thread_create(c"app_thread".as_ptr(), &raw const cpumask) };
    if app_thread.is_null() {
        return Err("Unable to create an spdk_thread for initialization".into());
    }
    *running() = Some(Running {
        start_fn,
        start_arg,
        shutdown_cb: opts.shutdown_cb,
        rpc_addr,
        config,
        waits_for_rpc: opts.delay_subsystem_init,
        subsystems: Subsystems::Down,
        waiting: Vec::new(),
        stopping: false,
        asked: false,
        code: 0,
    });
    // A simulation may never come to look at a signal: it ends at once.
    let signals = if opts.disable_signal_handlers || crate::sim::is_installed() {
        None
    } else {
        let signals = Signals::install(ask_for_end);
        Some(signals.map_err(|error| format!("The signal handlers cannot be set: {error}"))?)
    };
    // SAFETY: the app thread was just created, and exits in `run` at the earliest.
    unsafe { spdk_thread_send_msg(app_thread, Some(bootstrap), ptr::null_mut()) };
    Ok(signals)
}

/// # Safety
/// The options hold NULL or C strings.
unsafe fn start_env(opts: &spdk_app_opts) -> Result<(), String> {
    // SAFETY: plain C data, for which zeroes are a value.
    let mut env: spdk_env_opts = unsafe { std::mem::zeroed() };
    env.opts_size = size_of::<spdk_env_opts>();
    // SAFETY: whole options, which say their size.
    unsafe { spdk_env_opts_init(&raw mut env) };
    env.name = opts.name;
    env.core_mask = opts.reactor_mask;
    if opts.reactor_mask.is_null() && opts.lcore_map.is_null() {
        env.core_mask = c"0x1".as_ptr();
    }
    env.lcore_map = opts.lcore_map;
    env.shm_id = opts.shm_id;
    env.mem_channel = opts.mem_channel;
    env.main_core = opts.main_core;
    env.mem_size = opts.mem_size;
    env.no_pci = opts.no_pci;
    env.no_huge = opts.no_huge;
    env.hugedir = opts.hugedir;
    // SAFETY: whole options; their strings live during the call, by the caller's promise.
    match unsafe { spdk_env_init(&raw const env) } {
        0 => Ok(()),
        code => Err(format!("The environment cannot be initialized: {code}")),
    }
}

/// # Safety
/// The options hold NULL or C strings, and NULL or as much JSON as they say.
unsafe fn read_config(
    opts: &spdk_app_opts,
    file: Option<String>,
) -> Result<Option<Config>, String> {
    let (name, json) = match (file, opts.json_data.is_null()) {
        (None, true) => return Ok(None),
        (Some(_), false) => {
            return Err("A configuration is given both as a file and as data".into());
        }
        (Some(file), true) => {
            let json = std::fs::read(&file)
                .map_err(|error| format!("Read JSON configuration file {file} failed: {error}"))?;
            (file, json)
        }
        (None, false) => {
            // SAFETY: as many bytes as the options say, by the caller's promise.
            let json = unsafe {
                std::slice::from_raw_parts(opts.json_data.cast::<u8>(), opts.json_data_size)
            };
            ("configuration".into(), json.to_vec())
        }
    };
    Config::parse(&name, &json, opts.json_config_ignore_errors)
        .map(Some)
        .map_err(|error| format!("JSON configuration {name}, {error}"))
}

/// # Safety
/// The list is NULL, or C strings that NULL ends.
unsafe fn allowed(opts: &spdk_app_opts) -> Option<Vec<String>> {
    let mut next = opts.rpc_allowlist.cast_const();
    if next.is_null() {
        return None;
    }
    let mut allowed = Vec::new();
    // SAFETY: by the caller's promise; the loop ends at the NULL.
    while let Some(name) = unsafe { text(*next) } {
        allowed.push(name);
        // SAFETY: this was not the last.
        next = unsafe { next.add(1) };
    }
    Some(allowed)
}

/// The first message of the app thread.
unsafe extern "C" fn bootstrap(_: *mut c_void) {
    match with(|running| running.config.clone()).flatten() {
        Some(config) => config.load(started_up),
        None => started_up(0),
    }
}

/// The configuration's methods for the start have been called.
fn started_up(code: c_int) {
    if code != 0 {
        return stop(code);
    }
    let (address, waits) =
        with(|running| (running.rpc_addr.clone(), running.waits_for_rpc)).unwrap_or_default();
    // What comes in by a socket does not follow from a seed.
    if let Some(address) = address.filter(|_| !crate::sim::is_installed()) {
        if !rpc::correct() {
            error_log!("The RPC server does not start: a method is registered twice\n");
            return stop(-libc::EINVAL);
        }
        if let Err(error) = rpc::listen(&address) {
            error_log!("Unable to start RPC service: {error}\n");
            return stop(-libc::EINVAL);
        }
        if waits {
            return;
        }
    }
    init_subsystems(None);
}

/// Initialises the subsystems; `reply` is for whoever asked for it.
pub(super) fn init_subsystems(reply: Option<Reply>) {
    rpc::pause();
    let starts = with(|running| {
        let starts = running.subsystems == Subsystems::Down && !running.stopping;
        if starts {
            running.subsystems = Subsystems::Starting;
        }
        starts
    });
    if starts != Some(true) {
        rpc::resume();
        let error = RpcError::internal("framework_initialization failed");
        return reply
            .into_iter()
            .for_each(|reply| reply.send(Err(error.clone())));
    }
    bdev::start(move |code| {
        let stopping = with(|running| {
            running.subsystems = Subsystems::Up;
            running.stopping
        });
        match reply {
            Some(reply) if code != 0 => {
                rpc::resume();
                let error = RpcError::internal("framework_initialization failed");
                reply.send(Err(error));
            }
            Some(reply) => reply.send(Ok(true.into())),
            None => (),
        }
        if stopping != Some(false) {
            return finish_subsystems();
        }
        initialised(code);
    });
}

fn initialised(code: c_int) {
    if code != 0 {
        error_log!("Subsystem initialization failed with code: {code}\n");
        return stop(code);
    }
    rpc::set_state(State::Runtime);
    match with(|running| running.config.take()).flatten() {
        Some(config) => config.load(loaded),
        None => loaded(0),
    }
}

/// All of the configuration has been loaded.
fn loaded(code: c_int) {
    if code != 0 {
        error_log!("Failed to load subsystems for RUNTIME state with code: {code}\n");
        return stop(code);
    }
    rpc::resume();
    let start = with(|running| {
        let waiting = std::mem::take(&mut running.waiting);
        (waiting, running.start_fn, running.start_arg)
    });
    let Some((waiting, start_fn, start_arg)) = start else {
        return;
    };
    for reply in waiting {
        reply.send(Ok(true.into()));
    }
    if let Some(start_fn) = start_fn {
        // SAFETY: the application's function and its context, called once, on the app thread.
        unsafe { start_fn(start_arg) };
    }
}

/// Answers once the subsystems are initialised.
pub(super) fn when_initialised(reply: Reply) {
    if rpc::state() == State::Runtime {
        return reply.send(Ok(true.into()));
    }
    with(|running| running.waiting.push(reply));
}

/// On the thread that waits for signals: only the first one counts, as in SPDK.
fn ask_for_end() {
    with(|running| {
        if !running.asked && !running.stopping {
            running.asked = true;
            // SAFETY: takes nothing.
            let app_thread = unsafe { spdk_thread_get_app_thread() };
            // SAFETY: the app thread lives at least until the application has been told to stop,
            // which needs the lock that is held here.
            unsafe { spdk_thread_send_msg(app_thread, Some(asked), ptr::null_mut()) };
        }
    });
}

/// The message of [`ask_for_end`] to the app thread.
unsafe extern "C" fn asked(_: *mut c_void) {
    match with(|running| running.shutdown_cb.take()).flatten() {
        // SAFETY: the application's function for this, on the app thread.
        Some(shutdown) => unsafe { shutdown() },
        None => stop(0),
    }
}

fn stop(code: c_int) {
    // SAFETY: on the app thread, so that there is one.
    unsafe { spdk_app_stop(code) };
}

#[unsafe(no_mangle)]
unsafe extern "C" fn spdk_app_stop(rc: c_int) {
    if rc != 0 {
        warn_log!("spdk_app_stop'd on non-zero\n");
    }
    // SAFETY: takes nothing.
    let app_thread = unsafe { spdk_thread_get_app_thread() };
    if app_thread.is_null() {
        error_log!("spdk_app_stop without an application\n");
        return;
    }
    let code = ptr::without_provenance_mut(rc as isize as usize);
    // SAFETY: the ABI's promise: the application runs, and so does its thread. The context is a
    // number.
    unsafe { spdk_thread_send_msg(app_thread, Some(stop_asked), code) };
}

/// The message of [`spdk_app_stop`] to the app thread.
unsafe extern "C" fn stop_asked(code: *mut c_void) {
    let code = code.addr() as isize as c_int;
    let subsystems = with(|running| {
        if running.code == 0 {
            running.code = code;
        }
        let twice = std::mem::replace(&mut running.stopping, true);
        (!twice).then_some(running.subsystems)
    });
    match subsystems.flatten() {
        None => notice_log!("spdk_app_stop called twice\n"),
        Some(Subsystems::Down) => finished(),
        // They end once they have started.
        Some(Subsystems::Starting) => (),
        Some(Subsystems::Up) => finish_subsystems(),
    }
}

fn finish_subsystems() {
    bdev::finish(|_| finished());
}

fn finished() {
    // Those who still wait get an error, as long as there is a server to send it.
    drop(with(|running| std::mem::take(&mut running.waiting)));
    rpc::shutdown();
    reactor::stop();
}

#[unsafe(no_mangle)]
unsafe extern "C" fn spdk_app_fini() {
    reactor::finish();
    // SAFETY: on the thread of `spdk_app_start`, after it, by the ABI's promise; nothing runs that
    // uses the environment.
    unsafe { spdk_env_fini() };
}

same_as_declared!(spdk_app_start, spdk_app_stop, spdk_app_fini);
