//! The environment: DMA memory, cores, ticks. C: `spdk/env.h`.

pub(crate) mod clock;
pub(crate) mod cores;
pub(crate) mod cpuset;
pub(crate) mod memory;
mod random;

use std::ffi::{CStr, c_char, c_int};
use std::mem::offset_of;
use std::ptr::null;
use std::sync::atomic::{AtomicBool, Ordering};

use barespdk_sys::spdk_env_opts;

pub use self::random::random_u64;
pub(crate) use self::random::{seed_random, split_mix};

/// Bytes of the options as of this version.
const OPTS_SIZE: usize = size_of::<spdk_env_opts>();

/// Whether the environment is initialised.
static READY: AtomicBool = AtomicBool::new(false);
/// Whether it ever was: it can then be initialised again without options.
static WAS_READY: AtomicBool = AtomicBool::new(false);

#[unsafe(no_mangle)]
unsafe extern "C" fn spdk_env_opts_init(opts: *mut spdk_env_opts) {
    if opts.is_null() {
        return;
    }
    // SAFETY: options of `opts_size` bytes, as the caller says; the size itself has to be there.
    let size = unsafe { (*opts).opts_size };
    if size == 0 {
        error_log!("Invalid opts->opts_size, it must be set before the call\n");
        return;
    }
    let defaults = spdk_env_opts {
        name: c"spdk".as_ptr(),
        core_mask: c"0x1".as_ptr(),
        lcore_map: null(),
        shm_id: -1,
        mem_channel: -1,
        main_core: -1,
        mem_size: -1,
        no_pci: false,
        hugepage_single_segments: false,
        unlink_hugepage: false,
        no_huge: false,
        reserved: 0,
        num_pci_addr: 0,
        hugedir: null(),
        pci_blocked: std::ptr::null_mut(),
        pci_allowed: std::ptr::null_mut(),
        iova_mode: null(),
        base_virtaddr: 0x2000_0000_0000,
        env_context: std::ptr::null_mut(),
        vf_token: null(),
        opts_size: size,
        enforce_numa: false,
        reserved2: [0; 7],
    };
    // SAFETY: both are at least as long as what is copied; they do not overlap.
    unsafe {
        std::ptr::copy_nonoverlapping(
            (&raw const defaults).cast::<u8>(),
            opts.cast::<u8>(),
            size.min(OPTS_SIZE),
        );
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn spdk_env_init(opts: *const spdk_env_opts) -> c_int {
    if READY.load(Ordering::Acquire) {
        error_log!("The environment is initialised already\n");
        return -libc::EALREADY;
    }
    if opts.is_null() {
        if WAS_READY.load(Ordering::Acquire) {
            READY.store(true, Ordering::Release);
            memory::open();
            return 0;
        }
        error_log!("NULL options, and the environment never had any\n");
        return -libc::EINVAL;
    }
    // SAFETY: options of the caller, valid during the call.
    let opts = unsafe { &*opts };
    if opts.opts_size < offset_of!(spdk_env_opts, opts_size) {
        error_log!("Invalid opts->opts_size {}\n", opts.opts_size);
        return -libc::EINVAL;
    }
    if !opts.lcore_map.is_null() {
        error_log!("A mapping of lcores to CPUs is not supported: give a core mask\n");
        return -libc::ENOTSUP;
    }
    // SAFETY: NULL or a C string that lives during the call.
    let mask = unsafe { text(opts.core_mask) }.unwrap_or("0x1".into());
    let check = |cores| match clock::is_virtual() {
        true => Ok(cores),
        false => cores::check(cores, &mask),
    };
    let cores = match cpuset::parse(&mask).and_then(check) {
        Ok(cores) => cores,
        Err(reason) => {
            error_log!("{reason}\n");
            return -libc::EINVAL;
        }
    };
    let main_core = match u32::try_from(opts.main_core) {
        Ok(core) if cpuset::contains(&cores, core) => core,
        Ok(core) => {
            error_log!("The main core {core} is not among the cores {mask}\n");
            return -libc::EINVAL;
        }
        Err(_) => cpuset::iter(&cores).next().unwrap_or(0),
    };
    let limit_bytes = u64::try_from(opts.mem_size)
        .ok()
        .filter(|mib| *mib > 0)
        .map(|mib| mib << 20);
    clock::start();
    cores::set(&cores, main_core);
    WAS_READY.store(true, Ordering::Release);
    READY.store(true, Ordering::Release);
    memory::start(!opts.no_huge, limit_bytes);
    0
}

#[unsafe(no_mangle)]
unsafe extern "C" fn spdk_env_fini() {
    if READY.swap(false, Ordering::AcqRel) {
        memory::stop();
    }
}

/// The text of a C string, or none for NULL.
///
/// # Safety
///
/// `c_str` is NULL or a C string.
unsafe fn text<'a>(c_str: *const c_char) -> Option<std::borrow::Cow<'a, str>> {
    // SAFETY: a C string, as the caller promises.
    (!c_str.is_null()).then(|| unsafe { CStr::from_ptr(c_str) }.to_string_lossy())
}

same_as_declared!(spdk_env_opts_init, spdk_env_init, spdk_env_fini);
