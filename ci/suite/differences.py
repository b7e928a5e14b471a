"""Where the embedded backend answers otherwise than SPDK v26.01, and why: (method/path, reason).

A pattern is of the shell's kind and stands for all paths that fit; or for whole lines as the test
prints them, where the values matter. One that no answer needs any more fails the test."""

NOT_HERE = "has no such subsystem: it serves bdevs of the modules malloc, null, aio, error, delay, " \
           "passthru and raid1, over NBD"

DIFFERENCES = [
    ("spdk_get_version/result/version", "was not built from a commit of SPDK"),
    ("spdk_get_version/result/fields/commit", "was not built from a commit of SPDK"),

    ("rpc_get_methods/result/(order)", "sorts them; SPDK has them in the order of linking"),
    ("rpc_get_methods/result/accel_*", NOT_HERE),
    ("rpc_get_methods/result/bdev_ftl_*", NOT_HERE),
    ("rpc_get_methods/result/bdev_lvol_*", NOT_HERE),
    ("rpc_get_methods/result/bdev_nvme_*", NOT_HERE),
    ("rpc_get_methods/result/bdev_opal_*", NOT_HERE),
    ("rpc_get_methods/result/bdev_raid_*", "has our mirror alone, not SPDK's own raid module"),
    ("rpc_get_methods/result/bdev_split_*", NOT_HERE),
    ("rpc_get_methods/result/bdev_virtio_*", NOT_HERE),
    ("rpc_get_methods/result/bdev_zone_block_*", NOT_HERE),
    ("rpc_get_methods/result/fsdev_*", NOT_HERE),
    ("rpc_get_methods/result/iscsi_*", NOT_HERE),
    ("rpc_get_methods/result/keyring_*", NOT_HERE),
    ("rpc_get_methods/result/nbd_*_disk*", "serves NBD itself, without the kernel's device"),
    ("rpc_get_methods/result/nvmf_*", NOT_HERE),
    ("rpc_get_methods/result/scsi_*", NOT_HERE),
    ("rpc_get_methods/result/sock_*", NOT_HERE),
    ("rpc_get_methods/result/ublk_*", NOT_HERE),
    ("rpc_get_methods/result/vhost_*", NOT_HERE),
    ("rpc_get_methods/result/virtio_*", NOT_HERE),
    ("rpc_get_methods/result/vmd_*", NOT_HERE),
    ("rpc_get_methods/result/env_dpdk_get_mem_stats", "has no DPDK"),
    ("rpc_get_methods/result/framework_enable_cpumask_locks", "never locks its cores"),
    ("rpc_get_methods/result/framework_*_scheduler",
     "has the static scheduler alone: a thread stays on its reactor"),
    ("rpc_get_methods/result/framework_get_governor", "leaves the frequency to the kernel"),
    ("rpc_get_methods/result/thread_set_cpumask", "a thread stays on its reactor"),
    ("rpc_get_methods/result/trace_*", "has no trace points"),

    ("framework_get_reactors/result/reactors/0/lw_threads/iscsi_poll_group_0/*", NOT_HERE),
    ("framework_get_reactors/result/reactors/0/lw_threads/nvmf_tgt_poll_group_000/*", NOT_HERE),
    ("thread_get_stats/result/threads/iscsi_poll_group_0/*", NOT_HERE),
    ("thread_get_stats/result/threads/nvmf_tgt_poll_group_000/*", NOT_HERE),
    ("thread_get_stats/result/threads/app_thread/*_pollers_count",
     "pauses the poller of the RPC server while it sleeps, and has none for NVMe hotplug"),
    ("framework_get_subsystems/result/[!(bi]*", NOT_HERE),
    ("framework_get_subsystems/result/iscsi/*", NOT_HERE),
    ("framework_get_subsystems/result/bdev/depends_on/*", NOT_HERE),
    ("notify_get_types/result/fsdev_*", NOT_HERE),

    ("*/error: here ?-32602: *, on SPDK '-32603: spdk_json_decode_object failed'",
     "says which parameter makes no sense and why, with the code that JSON-RPC has for it, where "
     "SPDK writes that to its log alone"),

    ("bdev_get_bdevs/result/*/memory_domains/*",
     "lists those of the accel framework, which it does not have"),
    ("bdev_get_iostat/result/bdevs/*/bytes_read", "has no lvol, gpt and raid superblocks to look for "
                                                  "on a bdev that comes"),
    ("bdev_get_iostat/result/bdevs/*/num_read_ops", "as above"),
    ("bdev_get_histogram/result/min_range", "its ticks are nanoseconds, SPDK's are cycles"),
    ("bdev_get_histogram/result/max_range", "as above; and the product of 120 s in nanoseconds and "
                                            "the tick rate does not overflow here"),
    ("bdev_get_histogram/result/histogram", "as above: another number of buckets"),
    ("framework_get_config/result/bdev_nvme_set_*", NOT_HERE),
    ("framework_get_config/result/bdev_raid_set_options/*", "has not SPDK's own raid module"),
]

# Of these the record is that of one machine and one build of SPDK: where it was built without ublk, or
# ticks at another rate, a real SPDK differs from it, too.
OF_THE_BUILD = {
    "rpc_get_methods/result/ublk_*", "framework_get_subsystems/result/[!(bi]*",
    "bdev_get_histogram/result/min_range", "bdev_get_histogram/result/max_range",
    "bdev_get_histogram/result/histogram",
}
