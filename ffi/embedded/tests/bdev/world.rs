//! The application: starts a disk, lets clients loose on it, and sees that all is gone at the end.

use std::cell::Cell;
use std::ffi::{c_int, c_void};
use std::ptr::null_mut;

use barespdk_embedded::sim;
use barespdk_sys::*;

use crate::client::Client;
use crate::disk::{self, Disk};
use crate::quiet;

pub(crate) const CLIENTS: u64 = 3;

thread_local! {
    // One OS thread runs all of a simulation.
    static DIGEST: Cell<u64> = const { Cell::new(0) };
    static DISK: Cell<*mut Disk> = const { Cell::new(null_mut()) };
    static LEFT: Cell<u64> = const { Cell::new(CLIENTS) };
    static COUNTER: Cell<(u64, u64)> = const { Cell::new((0, 0)) };
    static KEEPER: Cell<*mut spdk_bdev_desc> = const { Cell::new(null_mut()) };
    static UNREGISTERED: Cell<bool> = const { Cell::new(false) };
}

/// Whether one of `n` equally likely things happens.
pub(crate) fn chance(n: u64) -> bool {
    sim::random_below(n) == 0
}

/// Adds to a digest of all that happened, in its order and with its time.
pub(crate) fn note(what: u64) {
    let digest = DIGEST.get().rotate_left(5) ^ what ^ (sim::now_us() << 32);
    DIGEST.set(digest.wrapping_mul(0x9E37_79B9_7F4A_7C15));
}

/// Notes increments of the last block that succeeded, and such of which nobody knows.
pub(crate) fn counted(sure: u64, unsure: u64) {
    let (all_sure, all_unsure) = COUNTER.get();
    COUNTER.set((all_sure + sure, all_unsure + unsure));
}

pub(crate) fn disk() -> *mut Disk {
    DISK.get()
}

const CONFIG: &str = r#"{"subsystems": [{"subsystem": "iobuf", "config": [
    {"method": "iobuf_set_options", "params": {"small_pool_count": 64, "large_pool_count": 16}}
]}, {"subsystem": "bdev", "config": [
    {"method": "bdev_set_options", "params": {"bdev_io_pool_size": 96, "bdev_io_cache_size": 6,
        "iobuf_small_cache_size": 2, "iobuf_large_cache_size": 1}}
]}]}"#;

/// Runs a seed, and gives a digest of what happened.
pub(crate) fn run(seed: u64) -> String {
    sim::install(seed);
    disk::add_module();
    let mut config = CONFIG.as_bytes().to_vec();
    // SAFETY: plain data, for which zeroes will do; what it points to lives until the end.
    let code = unsafe {
        let mut opts: spdk_app_opts = std::mem::zeroed();
        spdk_app_opts_init(&mut opts, size_of::<spdk_app_opts>());
        opts.name = c"bdev_simulation".as_ptr();
        opts.reactor_mask = c"0x7".as_ptr();
        opts.rpc_addr = std::ptr::null();
        opts.json_data = config.as_mut_ptr().cast();
        opts.json_data_size = config.len();
        opts.print_level = SPDK_LOG_DISABLED;
        let code = spdk_app_start(&mut opts, Some(started), null_mut());
        spdk_app_fini();
        code
    };
    assert_eq!(code, 0);
    assert!(UNREGISTERED.get());
    assert_eq!(sim::io_devices(), 0, "io_devices are left");
    assert_eq!(sim::dma_allocations(), 0, "DMA memory is left");
    format!("{:016x} {}", DIGEST.get(), sim::now_us())
}

unsafe extern "C" fn started(_: *mut c_void) {
    DISK.set(Disk::register(c"trouble0"));
    for index in 0..CLIENTS {
        // SAFETY: on the app thread; the clients' threads end by themselves.
        unsafe {
            let thread = spdk_thread_create(std::ptr::null(), std::ptr::null());
            spdk_thread_send_msg(thread, Some(Client::start), index as *mut c_void);
        }
    }
    quiet::begin();
    // Keeps the disk open, so that its end has to wait.
    // SAFETY: on the app thread; closed in the event.
    unsafe {
        let mut desc = null_mut();
        let rc = spdk_bdev_open_ext(
            c"trouble0".as_ptr(),
            false,
            Some(event),
            null_mut(),
            &mut desc,
        );
        assert_eq!(rc, 0);
        KEEPER.set(desc);
    }
}

unsafe extern "C" fn event(kind: spdk_bdev_event_type, _: *mut spdk_bdev, _: *mut c_void) {
    assert_eq!(kind, SPDK_BDEV_EVENT_REMOVE);
    assert!(!UNREGISTERED.get());
    let desc = KEEPER.replace(null_mut());
    assert!(!desc.is_null(), "removed twice");
    // SAFETY: opened on this thread, closed once.
    unsafe { spdk_bdev_close(desc) };
}

/// Whether there are clients.
pub(crate) fn goes_on() -> bool {
    LEFT.get() != 0
}

/// A client has ended. On the app thread.
pub(crate) unsafe extern "C" fn client_ended(last_count: *mut c_void) {
    LEFT.set(LEFT.get() - 1);
    if LEFT.get() != 0 {
        return;
    }
    let (sure, unsure) = COUNTER.get();
    let found = last_count as u64;
    assert!(
        (sure..=sure + unsure).contains(&found),
        "{found} increments of {sure} and {unsure} unsure ones"
    );
    note(found);
    // SAFETY: registered, on the app thread.
    unsafe {
        note((*DISK.get()).submissions.get());
        let bdev = &raw mut (*DISK.get()).bdev;
        spdk_bdev_unregister(bdev, Some(unregistered), null_mut());
        // A second time is refused, at once.
        spdk_bdev_unregister(bdev, Some(refused), null_mut());
    }
}

unsafe extern "C" fn refused(_: *mut c_void, rc: c_int) {
    assert_eq!(rc, -libc::EBUSY);
}

unsafe extern "C" fn unregistered(_: *mut c_void, rc: c_int) {
    assert_eq!(rc, 0);
    assert!(KEEPER.get().is_null());
    UNREGISTERED.set(true);
    // SAFETY: on the app thread; the disk is not freed.
    unsafe {
        assert!((*DISK.get()).destructed.get());
        assert!(spdk_bdev_get_by_name(c"trouble0".as_ptr()).is_null());
        spdk_app_stop(0);
    }
}
