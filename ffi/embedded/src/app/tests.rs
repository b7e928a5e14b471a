use barespdk_sys::{SPDK_LOG_INFO, spdk_app_opts, spdk_app_opts_init};

use super::args::{mem_size_mib, number};
use super::options::effective;

#[test]
fn sizes_of_memory() {
    assert_eq!(mem_size_mib("256"), Some(256));
    assert_eq!(mem_size_mib("2G"), Some(2048));
    assert_eq!(mem_size_mib("512m"), Some(512));
    assert_eq!(mem_size_mib("2048k"), Some(2));
    for wrong in ["", "nonsense", "1T", "-1", "1GB", "99999999999", "G"] {
        assert_eq!(mem_size_mib(wrong), None, "{wrong}");
    }
}

#[test]
fn numbers_have_the_prefixes_of_c() {
    assert_eq!(number("10"), Some(10));
    assert_eq!(number("0x1F"), Some(31));
    assert_eq!(number("010"), Some(8));
    assert_eq!(number("0"), Some(0));
    for wrong in ["", "x", "-1", "08", "0x", "1 "] {
        assert_eq!(number(wrong), None, "{wrong}");
    }
}

#[test]
fn callers_may_know_fewer_options() {
    // SAFETY: zeroes are options; the size is theirs.
    let mut opts: spdk_app_opts = unsafe { std::mem::zeroed() };
    // SAFETY: as many bytes as the size says.
    unsafe { spdk_app_opts_init(&raw mut opts, 200) };
    assert_eq!({ opts.opts_size }, 200);
    assert_eq!({ opts.print_level }, SPDK_LOG_INFO);
    assert_eq!({ opts.num_entries }, 32 * 1024);
    assert!({ opts.rpc_allowlist }.is_null());
    opts.rpc_log_level = 3;
    opts.mem_size = 7;
    // SAFETY: more than as many bytes as the size says.
    let effective = unsafe { effective(&raw const opts) };
    assert_eq!({ effective.mem_size }, 7);
    assert_eq!({ effective.rpc_log_level }, -1);
}
