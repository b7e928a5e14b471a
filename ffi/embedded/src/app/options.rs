//! Options of an application, as the ABI has them.

use std::ffi::{CStr, c_char};

use barespdk_sys::{SPDK_LOG_DISABLED, SPDK_LOG_INFO, spdk_app_opts};

/// Where the RPC server listens unless it is told otherwise.
pub(super) const RPC_ADDR: &CStr = c"/var/tmp/spdk.sock";
/// Trace entries a core. There are no traces here; the number is what tools expect to read back.
const TRACE_ENTRIES: u64 = 32 * 1024;

fn defaults(opts_size: usize) -> spdk_app_opts {
    // SAFETY: plain C data, for which zeroes are a value: NULL, false and 0.
    let mut opts: spdk_app_opts = unsafe { std::mem::zeroed() };
    opts.opts_size = opts_size;
    opts.enable_coredump = true;
    opts.shm_id = -1;
    opts.mem_size = -1;
    opts.main_core = -1;
    opts.mem_channel = -1;
    opts.base_virtaddr = 0x2000_0000_0000;
    opts.print_level = SPDK_LOG_INFO;
    opts.rpc_addr = RPC_ADDR.as_ptr();
    opts.num_entries = TRACE_ENTRIES;
    opts.rpc_log_level = SPDK_LOG_DISABLED;
    opts
}

/// The options of a caller that may know fewer of them: the rest are the defaults.
///
/// # Safety
/// `user` points to options of as many bytes as their `opts_size` says.
pub(super) unsafe fn effective(user: *const spdk_app_opts) -> spdk_app_opts {
    // SAFETY: by the caller's promise; the size is the last field that every caller has.
    let size = unsafe { (&raw const (*user).opts_size).read_unaligned() };
    let mut opts = defaults(size);
    let known = size.min(size_of::<spdk_app_opts>());
    // SAFETY: both have `known` bytes and do not overlap; any bytes that C set are values of the
    // fields, by the caller's promise.
    unsafe {
        std::ptr::copy_nonoverlapping(user.cast::<u8>(), (&raw mut opts).cast(), known);
    }
    opts
}

/// The text of an option, or none for NULL.
///
/// # Safety
/// `text` is NULL or a C string.
pub(super) unsafe fn text(text: *const c_char) -> Option<String> {
    if text.is_null() {
        return None;
    }
    // SAFETY: a C string, by the caller's promise.
    let text = unsafe { CStr::from_ptr(text) };
    Some(text.to_string_lossy().into_owned())
}

#[unsafe(no_mangle)]
unsafe extern "C" fn spdk_app_opts_init(opts: *mut spdk_app_opts, opts_size: usize) {
    if opts.is_null() || opts_size == 0 {
        error_log!("opts should not be NULL, and opts_size not zero\n");
        return;
    }
    let defaults = defaults(opts_size);
    // SAFETY: the ABI's promise: `opts_size` writable bytes. What is copied is no longer than that,
    // nor than the defaults.
    unsafe {
        std::ptr::write_bytes(opts.cast::<u8>(), 0, opts_size);
        std::ptr::copy_nonoverlapping(
            (&raw const defaults).cast::<u8>(),
            opts.cast::<u8>(),
            opts_size.min(size_of::<spdk_app_opts>()),
        );
    }
}

same_as_declared!(spdk_app_opts_init);
