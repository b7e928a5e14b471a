//! A deterministic simulator: the whole application on one OS thread, under virtual time, in an order
//! that follows from a seed.
//!
//! [`install`] is called before the application starts; everything else stays as it is. What then
//! happens is a function of the seed and of what the application does, to the last message and the last
//! nanosecond, so that a fault that was seen once is seen again:
//!
//! - The reactors of all cores take their turns on the OS thread that started the application. Each
//!   turn is one message, one timer or one poller of one SPDK thread, chosen at random among all that
//!   have something to do. Messages to a thread stay in their order.
//! - Now and then a thread stands still for a while, as if its core were taken away.
//! - Time stands still but for [`STEP_TICKS`] a turn. When nobody has anything to do, it jumps to the
//!   next timer; or for a short while if there are pollers without a period, which are then asked again.
//! - [`random_u64`], UUIDs and all else that is random come from the seed.
//!
//! What it cannot foresee: other OS threads, files, sockets, and code whose behaviour depends on
//! addresses or on the real time.

use std::ffi::CStr;
use std::ptr::null;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use barespdk_sys::{
    spdk_env_fini, spdk_env_init, spdk_env_opts, spdk_env_opts_init, spdk_thread_create,
};

use crate::env::{clock, seed_random};
use crate::reactor;
use crate::thread::on_thread;

pub use crate::env::random_u64;
pub use crate::reactor::sim_turns as turns;

/// Where virtual time starts, in ticks: not at 0, which stands for no time here and there.
const START_TICKS: u64 = clock::HZ;

/// How much virtual time a turn takes, in ticks.
pub const STEP_TICKS: u64 = 100;

/// Has the application that starts next run as a simulation. Before `spdk_app_start` or `App::run`, on the
/// same OS thread. Once a process.
pub fn install(seed: u64) {
    seed_random(Some(seed));
    clock::set_virtual(START_TICKS);
}

/// Calls a method of JSON-RPC, as a client would: there are no sockets under virtual time. `done` gets the
/// result, or code and message, on the app thread, on which this is called too.
pub fn call_rpc(
    method: &str,
    params: Option<&serde_json::Value>,
    done: impl FnOnce(Result<serde_json::Value, (i32, String)>) + 'static,
) {
    crate::rpc::call(method, params, |outcome| {
        done(outcome.map_err(|error| (error.code, error.message)));
    });
}

/// Runs threads and nothing else, no bdevs nor RPCs, as a simulation: `body` on the first thread, until
/// [`stop`]. For what needs no application.
///
/// # Panics
///
/// If the core mask is wrong.
pub fn run_threads(seed: u64, core_mask: &CStr, body: impl FnOnce() + Send + 'static) {
    install(seed);
    // SAFETY: the options are plain C data, valid as zeroes, and filled with defaults; the rest is the
    // life of the environment, in order.
    unsafe {
        let mut opts: spdk_env_opts = std::mem::zeroed();
        opts.opts_size = size_of::<spdk_env_opts>();
        spdk_env_opts_init(&mut opts);
        opts.core_mask = core_mask.as_ptr();
        assert_eq!(spdk_env_init(&opts), 0, "the environment does not start");
        reactor::start().expect("a simulated reactor needs no resources");
        let app = spdk_thread_create(c"app_thread".as_ptr(), null());
        on_thread(app, Box::new(body));
        reactor::run().expect("it has just been started");
        reactor::finish();
        spdk_env_fini();
    }
}

/// Ends [`run_threads`], once all threads have exited; those that were not asked to are.
pub fn stop() {
    reactor::stop();
}

/// Whether there is a simulation.
pub fn is_installed() -> bool {
    clock::is_virtual()
}

/// Microseconds of virtual time since the start.
pub fn now_us() -> u64 {
    clock::now().saturating_sub(START_TICKS) / (clock::HZ / 1_000_000)
}

/// The end of virtual time, in ticks.
static LIMIT: AtomicU64 = AtomicU64::new(u64::MAX);

/// What then happens.
static AT_LIMIT: Mutex<Option<fn()>> = Mutex::new(None);

/// Has `at_limit` called once this much virtual time has passed from now on, instead of any limit that
/// was set before: what waits in vain shows so.
pub fn limit_us(us: u64, at_limit: fn()) {
    let ticks = us.saturating_mul(clock::HZ / 1_000_000);
    LIMIT.store(clock::now().saturating_add(ticks), Ordering::Relaxed);
    *AT_LIMIT.lock().unwrap_or_else(PoisonError::into_inner) = Some(at_limit);
}

/// Calls what is to be called at the limit, if it is reached.
#[inline]
pub(crate) fn check_limit(now: u64) {
    if now < LIMIT.load(Ordering::Relaxed) {
        return;
    }
    LIMIT.store(u64::MAX, Ordering::Relaxed);
    let at_limit = AT_LIMIT
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .take();
    if let Some(at_limit) = at_limit {
        at_limit();
    }
}

/// A random number below `bound`, which is not 0.
///
/// # Panics
///
/// If `bound` is 0.
pub fn random_below(bound: u64) -> u64 {
    assert_ne!(bound, 0, "there is no number below 0");
    // Not quite uniform, by far less than any simulation can notice.
    ((u128::from(random_u64()) * u128::from(bound)) >> 64) as u64
}

/// Number of allocations of DMA memory that were not freed.
pub fn dma_allocations() -> usize {
    crate::env::memory::in_use()
}

/// Number of io_devices that are registered.
pub fn io_devices() -> usize {
    crate::thread::device_count()
}
