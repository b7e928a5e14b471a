//! The help.

use std::ffi::CString;

/// Prints the help, with what the application adds at its end. Through C's standard output, so that
/// it comes before the application's own lines, which C code prints there.
pub(super) fn print(program: &str, mem_size_mib: i32, own: Option<unsafe extern "C" fn()>) {
    let text = TEXT
        .replace("{program}", program)
        .replace("{mem_size}", &mem_size_mib.max(0).to_string());
    put(&text);
    if let Some(own) = own {
        put("\nApplication specific:\n");
        // SAFETY: the application's function for this, which takes nothing.
        unsafe { own() };
    }
}

/// Prints a text to C's standard output.
pub(super) fn put(text: &str) {
    if let Ok(text) = CString::new(text) {
        // SAFETY: the format takes one C string.
        unsafe { libc::printf(c"%s".as_ptr(), text.as_ptr()) };
    }
}

/// In SPDK's groups and order. What SPDK has a use for and this has not says so.
const TEXT: &str = "\
{program} [options]

This program runs without SPDK, on an implementation of its own. Options marked * are taken as SPDK
takes them and change nothing here.

CPU options:
 -m, --cpumask <mask or list>    core mask (like 0xF) or core list of '[]' embraced
                                 (like [0,1,10])
     --lcores <list>       not supported: use --cpumask
     --disable-cpumask-locks    * (cores are not locked: an idle one sleeps)
     --interrupt-mode      * (an idle core always sleeps)
     --poll-always         never sleep: poll as SPDK does, for the lowest latency
 -p, --main-core <id>      main (primary) core

Configuration options:
 -c, --config, --json  <config>     JSON config file
 -r, --rpc-socket <path>   RPC listen address (default /var/tmp/spdk.sock)
     --no-rpc-server       skip RPC server initialization. This option ignores '--rpc-socket' value.
     --wait-for-rpc        wait for RPCs to initialize subsystems
     --rpcs-allowed <list> comma-separated list of permitted RPCS
     --json-ignore-init-errors    don't exit on invalid config entry

Memory options:
     --iova-mode <pa/va>   *
     --base-virtaddr <addr>      *
     --huge-dir <path>     *
 -R, --huge-unlink         *
 -n, --mem-channels <num>  *
 -s, --mem-size <size>     limit of DMA memory in MB, 0 for none (default: {mem_size}MB)
     --msg-mempool-size <size>  * (messages are not limited)
     --no-huge             run without using hugepages
     --enforce-numa        *
 -i, --shm-id <id>         *
 -g, --single-file-segments   *

PCI options:
 -A, --pci-allowed <bdf>   *
 -B, --pci-blocked <bdf>   *
 -u, --no-pci              *
     --vfio-vf-token <uuid>  *

Log options:
 -L, --logflag <flag>      enable log flag (all; there are no others)
     --silence-noticelog   disable notice level logging to stderr

Trace options:
     --num-trace-entries <num>   *
 -e, --tpoint-group <group-name>[:<tpoint_mask>]   *

Other options:
 -h, --help                show this usage
 -v, --version             print SPDK version
 -d, --limit-coredump      do not set max coredump size to RLIM_INFINITY
     --env-context <text>  *
";
