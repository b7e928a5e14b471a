//! C: spdk/event.h
//!
//! The application framework.

use core::ffi::{CStr, c_char, c_int, c_uint, c_void};

use libc::{FILE, option};

use crate::env::spdk_pci_addr;
use crate::log::spdk_log_level;
use crate::thread::spdk_msg_fn;

/// The short options of `spdk_app_parse_args`.
pub const SPDK_APP_GETOPT_STRING: &CStr = c"c:de:ghi:m:n:p:r:s:uvA:B:L:RW:";

enumeration! {
    /// Result of `spdk_app_parse_args`.
    spdk_app_parse_args_rvals: c_uint {
        /// Help or the version was printed: exit with 0.
        SPDK_APP_PARSE_ARGS_HELP = 0,
        /// Go on.
        SPDK_APP_PARSE_ARGS_SUCCESS = 1,
        /// The arguments are wrong and the reason was printed: exit with an error.
        SPDK_APP_PARSE_ARGS_FAIL = 2,
    }
}

/// Called on the application thread when the application is asked to end, instead of
/// `spdk_app_stop(0)`. It must lead to `spdk_app_stop`.
pub type spdk_app_shutdown_cb = Option<unsafe extern "C" fn()>;

/// Options of an application, to be filled by `spdk_app_opts_init` first. Strings are the caller's
/// and must live until `spdk_app_start` returns.
#[repr(C, packed)]
#[derive(Clone, Copy)]
pub struct spdk_app_opts {
    /// Name of the application.
    pub name: *const c_char,
    /// Configuration to load at the start, or NULL.
    pub json_config_file: *const c_char,
    /// Whether to go on after errors in it.
    pub json_config_ignore_errors: bool,
    /// Reserved.
    pub reserved17: [u8; 7],
    /// Path of the RPC server's socket, or address and port; NULL for none.
    pub rpc_addr: *const c_char,
    /// Cores as a hexadecimal mask or a list in brackets.
    pub reactor_mask: *const c_char,
    /// Groups of trace points.
    pub tpoint_group_mask: *const c_char,
    /// Id of the shared memory, or -1.
    pub shm_id: c_int,
    /// Reserved.
    pub reserved52: [u8; 4],
    /// What to do when asked to end, or NULL.
    pub shutdown_cb: spdk_app_shutdown_cb,
    /// Whether to dump core.
    pub enable_coredump: bool,
    /// Reserved.
    pub reserved65: [u8; 3],
    /// Number of memory channels, or -1.
    pub mem_channel: c_int,
    /// The main core, or -1.
    pub main_core: c_int,
    /// Memory to reserve in MiB, or -1.
    pub mem_size: c_int,
    /// Do not look for PCI devices.
    pub no_pci: bool,
    /// One file for each huge page.
    pub hugepage_single_segments: bool,
    /// Unlink the files of the huge pages.
    pub unlink_hugepage: bool,
    /// Use ordinary pages; needs `mem_size`.
    pub no_huge: bool,
    /// Reserved.
    pub reserved84: [u8; 4],
    /// Where the huge pages are mounted.
    pub hugedir: *const c_char,
    /// Least severe level that goes to standard error.
    pub print_level: spdk_log_level,
    /// Reserved.
    pub reserved100: [u8; 4],
    /// Length of `pci_blocked` or `pci_allowed`.
    pub num_pci_addr: usize,
    /// Devices to leave alone.
    pub pci_blocked: *mut spdk_pci_addr,
    /// The only devices to use.
    pub pci_allowed: *mut spdk_pci_addr,
    /// `pa`, `va` or NULL.
    pub iova_mode: *const c_char,
    /// Whether to wait for the RPC `framework_start_init`.
    pub delay_subsystem_init: bool,
    /// Reserved.
    pub reserved137: [u8; 7],
    /// Number of trace entries a core.
    pub num_entries: u64,
    /// Further arguments for the environment (DPDK: a command line), or NULL.
    pub env_context: *mut c_void,
    /// The application's own log function (`spdk_log_cb`, which takes a `va_list`), or NULL.
    pub log: *mut c_void,
    /// Where to map memory.
    pub base_virtaddr: u64,
    /// Size of this structure as the caller knows it.
    pub opts_size: usize,
    /// Whether signals are left to the application.
    pub disable_signal_handlers: bool,
    /// Whether to sleep instead of polling.
    pub interrupt_mode: bool,
    /// Whether allocations for a node may not come from another one.
    pub enforce_numa: bool,
    /// Reserved.
    pub reserved187: [u8; 1],
    /// Number of threads with traces of their own.
    pub num_trace_threads: u32,
    /// Number of messages that may be on their way.
    pub msg_mempool_size: usize,
    /// RPC methods allowed, ended by NULL; or NULL for all.
    pub rpc_allowlist: *mut *const c_char,
    /// VF token (a UUID), or NULL.
    pub vf_token: *const c_char,
    /// Mapping of lcores to CPUs, instead of a mask.
    pub lcore_map: *const c_char,
    /// Level that RPC calls are logged at.
    pub rpc_log_level: spdk_log_level,
    /// Where RPC calls are logged, or NULL.
    pub rpc_log_file: *mut FILE,
    /// Configuration to load at the start, instead of a file; or NULL.
    pub json_data: *mut c_void,
    /// Bytes of it.
    pub json_data_size: usize,
    /// Whether not to lock the cores against other applications.
    pub disable_cpumask_locks: bool,
}
layout! {
    struct spdk_app_opts: size 253, align 1 {
        name: 0, json_config_file: 8, json_config_ignore_errors: 16, reserved17: 17,
        rpc_addr: 24, reactor_mask: 32, tpoint_group_mask: 40, shm_id: 48, reserved52: 52,
        shutdown_cb: 56, enable_coredump: 64, reserved65: 65, mem_channel: 68, main_core: 72,
        mem_size: 76, no_pci: 80, hugepage_single_segments: 81, unlink_hugepage: 82, no_huge: 83,
        reserved84: 84, hugedir: 88, print_level: 96, reserved100: 100, num_pci_addr: 104,
        pci_blocked: 112, pci_allowed: 120, iova_mode: 128, delay_subsystem_init: 136,
        reserved137: 137, num_entries: 144, env_context: 152, log: 160, base_virtaddr: 168,
        opts_size: 176, disable_signal_handlers: 184, interrupt_mode: 185, enforce_numa: 186,
        reserved187: 187, num_trace_threads: 188, msg_mempool_size: 192, rpc_allowlist: 200,
        vf_token: 208, lcore_map: 216, rpc_log_level: 224, rpc_log_file: 228, json_data: 236,
        json_data_size: 244, disable_cpumask_locks: 252,
    }
}

unsafe extern "C" {
    /// Fills `opts` of `opts_size` bytes with the defaults.
    pub fn spdk_app_opts_init(opts: *mut spdk_app_opts, opts_size: usize);

    /// Runs the application on the calling OS thread: initialises everything, calls `start_fn(ctx)`
    /// on the application thread and returns after `spdk_app_stop`. Returns the code given there, or
    /// another value than 0 if the start failed; `start_fn` may then not have been called. Once a
    /// process.
    pub fn spdk_app_start(
        opts_user: *mut spdk_app_opts,
        start_fn: spdk_msg_fn,
        ctx: *mut c_void,
    ) -> c_int;

    /// Releases what is left, after `spdk_app_start` returned, on the same OS thread.
    pub fn spdk_app_fini();

    /// Ends the application; `spdk_app_start` then returns `rc`. Any thread.
    pub fn spdk_app_stop(rc: c_int);

    /// Fills `opts` from a command line, whose strings it keeps. `getopt_str`, `app_long_opts` (ended
    /// by zeroes), `parse` (returns 0, or another value for a wrong argument) and `usage` describe
    /// the application's own options and may be NULL.
    pub fn spdk_app_parse_args(
        argc: c_int,
        argv: *mut *mut c_char,
        opts: *mut spdk_app_opts,
        getopt_str: *const c_char,
        app_long_opts: *const option,
        parse: Option<unsafe extern "C" fn(ch: c_int, arg: *mut c_char) -> c_int>,
        usage: Option<unsafe extern "C" fn()>,
    ) -> spdk_app_parse_args_rvals;
}
