//! DMA memory through the ABI. One test: the environment starts once in a process.

use std::ffi::c_void;
use std::ptr::{null_mut, without_provenance};

use barespdk_embedded as _;
use barespdk_sys::*;

const MEM_SIZE_MIB: usize = 64;

fn zeroed(size: usize, align: usize) -> *mut c_void {
    // SAFETY: plain numbers.
    unsafe {
        spdk_zmalloc(
            size,
            align,
            null_mut(),
            SPDK_ENV_NUMA_ID_ANY,
            SPDK_MALLOC_DMA,
        )
    }
}

#[test]
fn memory_of_the_environment() {
    assert!(zeroed(64, 0).is_null(), "too early");
    // SAFETY: the environment is started and ended in order; memory is used as long as it is ours.
    unsafe {
        let mut opts: spdk_env_opts = std::mem::zeroed();
        opts.opts_size = size_of::<spdk_env_opts>();
        spdk_env_opts_init(&mut opts);
        assert_eq!((opts.shm_id, opts.mem_size, opts.main_core), (-1, -1, -1));
        opts.mem_size = MEM_SIZE_MIB as i32;
        opts.core_mask = c"0xZ".as_ptr();
        assert_eq!(spdk_env_init(&opts), -libc::EINVAL);
        opts.core_mask = c"[1000]".as_ptr();
        assert_eq!(spdk_env_init(&opts), -libc::EINVAL);
        opts.core_mask = c"[0]".as_ptr();
        assert_eq!(spdk_env_init(&opts), 0);
        assert_eq!(
            (spdk_env_get_core_count(), spdk_env_get_first_core()),
            (1, 0)
        );
        assert_eq!(spdk_env_get_next_core(0), u32::MAX);

        what_is_allocated_is_zero_and_aligned();
        addresses();
        memory_runs_out_and_comes_back();

        let kept = zeroed(4096, 4096);
        spdk_env_fini();
        assert!(zeroed(64, 0).is_null(), "too late");
        kept.write_bytes(1, 4096);
        spdk_free(kept);
    }
}

unsafe fn what_is_allocated_is_zero_and_aligned() {
    for (size, align) in [
        (1, 0),
        (4096, 4096),
        (5000, 64),
        (600 << 10, 1 << 20),
        (3 << 20, 4096),
    ] {
        for _ in 0..3 {
            let block = zeroed(size, align);
            assert!(!block.is_null(), "{size} {align}");
            assert_eq!(block.addr() % align.max(64), 0);
            // SAFETY: that many bytes, ours until they are freed.
            unsafe {
                let bytes = std::slice::from_raw_parts_mut(block.cast::<u8>(), size);
                assert!(bytes.iter().all(|byte| *byte == 0));
                bytes.fill(0xA5);
                spdk_free(block);
            }
        }
    }
    assert!(zeroed(0, 0).is_null());
    assert!(zeroed(64, 48).is_null());
    assert!(zeroed(64, 4 << 20).is_null());
    assert!(zeroed(usize::MAX - 100, 64).is_null());
    // SAFETY: NULL is ignored.
    unsafe {
        spdk_free(null_mut());
        spdk_dma_free(null_mut());
    }
}

unsafe fn addresses() {
    // SAFETY: addresses are looked up alone; the block is freed last.
    unsafe {
        let block = spdk_dma_malloc(8192, 4096, null_mut());
        let mut len = 8192;
        assert_eq!(spdk_vtophys(block, &mut len), block.addr() as u64);
        assert_eq!(len, 8192);
        let mut len = u64::MAX;
        let inside = block.byte_add(100);
        assert_eq!(spdk_vtophys(inside, &mut len), block.addr() as u64 + 100);
        assert!((8092..=2 << 20).contains(&len));
        spdk_dma_free(block);
        let stack = 0_u8;
        assert_eq!(
            spdk_vtophys((&raw const stack).cast(), null_mut()),
            SPDK_VTOPHYS_ERROR
        );
        assert_eq!(
            spdk_vtophys(without_provenance(4096), null_mut()),
            SPDK_VTOPHYS_ERROR
        );
    }
}

unsafe fn memory_runs_out_and_comes_back() {
    const BLOCK: usize = 256 << 10;
    for _ in 0..3 {
        let mut blocks = Vec::new();
        loop {
            let block = zeroed(BLOCK, 0);
            if block.is_null() {
                break;
            }
            blocks.push(block);
        }
        let got_mib = (blocks.len() * BLOCK) >> 20;
        assert!(
            (MEM_SIZE_MIB - 16..=MEM_SIZE_MIB).contains(&got_mib),
            "{got_mib} MiB"
        );
        assert!(zeroed(3 << 20, 0).is_null());
        // SAFETY: allocated above, and freed once.
        blocks
            .into_iter()
            .for_each(|block| unsafe { spdk_free(block) });
        let large = zeroed((MEM_SIZE_MIB - 16) << 20, 0);
        assert!(!large.is_null());
        // SAFETY: as above.
        unsafe { spdk_free(large) };
    }
}
