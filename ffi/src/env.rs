//! C: spdk/env.h
//!
//! The environment: DMA memory, cores, ticks. Memory functions and ticks may be called from any
//! thread once the environment is initialised (`spdk_app_start` or `spdk_env_init` did).

use core::ffi::{c_char, c_int, c_void};

/// Any NUMA node.
pub const SPDK_ENV_NUMA_ID_ANY: c_int = -1;
/// Flag of `spdk_zmalloc`: memory that devices can reach.
pub const SPDK_MALLOC_DMA: u32 = 0x01;
/// What `spdk_vtophys` returns for memory without a known physical address.
pub const SPDK_VTOPHYS_ERROR: u64 = 0xFFFF_FFFF_FFFF_FFFF;

opaque! {
    /// Address of a PCI device; arrays of them are only passed on here.
    spdk_pci_addr
}

/// Options of `spdk_env_init`, to be filled by `spdk_env_opts_init` first. Strings are only read
/// during the call.
#[repr(C)]
pub struct spdk_env_opts {
    /// Name of the application.
    pub name: *const c_char,
    /// Cores as a hexadecimal mask or a list in brackets.
    pub core_mask: *const c_char,
    /// Mapping of lcores to CPUs, instead of a mask.
    pub lcore_map: *const c_char,
    /// Id of the shared memory, or -1.
    pub shm_id: c_int,
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
    pub reserved: u32,
    /// Length of `pci_blocked` or `pci_allowed`.
    pub num_pci_addr: usize,
    /// Where the huge pages are mounted.
    pub hugedir: *const c_char,
    /// Devices to leave alone.
    pub pci_blocked: *mut spdk_pci_addr,
    /// The only devices to use.
    pub pci_allowed: *mut spdk_pci_addr,
    /// `pa`, `va` or NULL.
    pub iova_mode: *const c_char,
    /// Where to map memory.
    pub base_virtaddr: u64,
    /// Further arguments for the environment (DPDK: a command line), or NULL.
    pub env_context: *mut c_void,
    /// VF token (a UUID), or NULL.
    pub vf_token: *const c_char,
    /// Size of this structure as the caller knows it; to be set before `spdk_env_opts_init`.
    pub opts_size: usize,
    /// Whether allocations for a node may not come from another one.
    pub enforce_numa: bool,
    /// Reserved.
    pub reserved2: [u8; 7],
}
layout! {
    struct spdk_env_opts: size 128, align 8 {
        name: 0, core_mask: 8, lcore_map: 16, shm_id: 24, mem_channel: 28, main_core: 32,
        mem_size: 36, no_pci: 40, hugepage_single_segments: 41, unlink_hugepage: 42, no_huge: 43,
        reserved: 44, num_pci_addr: 48, hugedir: 56, pci_blocked: 64, pci_allowed: 72,
        iova_mode: 80, base_virtaddr: 88, env_context: 96, vf_token: 104, opts_size: 112,
        enforce_numa: 120, reserved2: 121,
    }
}

unsafe extern "C" {
    /// Allocates `size` bytes of pinned memory on a NUMA node ([`SPDK_ENV_NUMA_ID_ANY`]: any), with
    /// `align` 0 or a power of two, zeroed. `unused` must be NULL. NULL if there is none. To be
    /// freed with `spdk_free`.
    pub fn spdk_zmalloc(
        size: usize,
        align: usize,
        unused: *mut u64,
        numa_id: c_int,
        flags: u32,
    ) -> *mut c_void;

    /// Frees memory of `spdk_zmalloc`; NULL is ignored.
    pub fn spdk_free(buf: *mut c_void);

    /// Allocates DMA memory on any node, as `spdk_zmalloc` with [`SPDK_MALLOC_DMA`] but not zeroed.
    /// To be freed with `spdk_dma_free`.
    pub fn spdk_dma_malloc(size: usize, align: usize, unused: *mut u64) -> *mut c_void;

    /// Frees memory of `spdk_dma_malloc`; NULL is ignored.
    pub fn spdk_dma_free(buf: *mut c_void);

    /// The physical (or I/O virtual) address of `buf`, or [`SPDK_VTOPHYS_ERROR`]. `size` (NULL
    /// allowed) holds the length in bytes wanted and gets how much of it is contiguous.
    pub fn spdk_vtophys(buf: *const c_void, size: *mut u64) -> u64;

    /// Fills `opts` with the defaults, as far as `opts_size` (set before) goes.
    pub fn spdk_env_opts_init(opts: *mut spdk_env_opts);

    /// Initialises the environment, once a process, on its main thread. Returns 0 or a negative
    /// errno value. `spdk_app_start` does it itself.
    pub fn spdk_env_init(opts: *const spdk_env_opts) -> c_int;

    /// Releases what `spdk_env_init` took, on the thread that called that.
    pub fn spdk_env_fini();

    /// Number of cores of the environment.
    pub fn spdk_env_get_core_count() -> u32;

    /// The first core, or `u32::MAX`.
    pub fn spdk_env_get_first_core() -> u32;

    /// The core after `prev_core`, or `u32::MAX` after the last.
    pub fn spdk_env_get_next_core(prev_core: u32) -> u32;

    /// The tick counter: monotonic, of constant rate. Any thread.
    pub fn spdk_get_ticks() -> u64;

    /// Ticks a second.
    pub fn spdk_get_ticks_hz() -> u64;
}
