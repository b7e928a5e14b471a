"""Heap allocations per request, counted: the difference of two runs of different length."""

import os
import subprocess
import tempfile
from pathlib import Path

from harness import config, spdk
from measure import bdevperf

COUNTER_SOURCE = spdk.ROOT / "ci" / "alloc_count.rs"
PATTERNS = ["randread", "randwrite", "randrw", "write_zeroes", "unmap", "flush"]
DEPTHS = [128, 1]
LEGS = ["L0", "L1"]
SECONDS = (1, 4)

# bdevperf itself allocates a little for each line that it prints, once a second.
ALLOCATIONS_PER_REQUEST_MAX = 1e-4


def build_counter(directory):
    """Path of the counting library."""
    library = Path(directory) / "liballoc_count.so"
    subprocess.run(["rustc", "--edition", "2024", "-O", "--crate-type", "cdylib", "-o", library,
                    COUNTER_SOURCE], check=True)
    return library


def count(mirror, pattern, depth, counter, preload):
    """(allocations, requests) by which the longer run exceeds the shorter."""
    calls = [config.malloc(leg) for leg in LEGS] + [mirror("M", LEGS)]
    seen = []
    for seconds in SECONDS:
        file = counter.parent / "count"
        file.unlink(missing_ok=True)
        os.environ["ALLOC_COUNT_FILE"] = str(file)
        load = bdevperf.Load(pattern, depth, 1, seconds)
        result = bdevperf.run(config.document(calls), "M", load, [counter, *preload])
        seen.append((int(file.read_text(encoding="ascii")), result.io_count))
    (fewer_calls, fewer_requests), (more_calls, more_requests) = seen
    if fewer_calls == 0:
        raise bdevperf.Failed("no allocation was seen at all: the counter does not count")
    return more_calls - fewer_calls, more_requests - fewer_requests


def recorded(name, legs):
    """A mirror with metadata, of legs that are equal."""
    return config.mirror(name, legs, superblock=True, sync="assume_clean")


def report(ours):
    """(Markdown, whether the limit holds)."""
    subjects = {"bdev_raid": (config.stock_mirror, [])}
    if ours:
        subjects["raid1"] = (config.mirror, [spdk.MODULE])
        subjects["raid1, metadata"] = (recorded, [spdk.MODULE])
    lines = ["| device | request | depth | requests | allocations | per request |",
             "|---|---|---:|---:|---:|---:|"]
    good = True
    with tempfile.TemporaryDirectory(prefix="barespdk-count-") as directory:
        counter = build_counter(directory)
        for name, (mirror, preload) in subjects.items():
            for pattern in PATTERNS:
                for depth in DEPTHS:
                    calls, requests = count(mirror, pattern, depth, counter, preload)
                    each = calls / requests
                    if name != "bdev_raid":
                        good = good and each <= ALLOCATIONS_PER_REQUEST_MAX
                    lines.append(f"| {name} | {pattern} | {depth} | {requests} | {calls} | "
                                 f"{each:.7f} |")
    lines.append("")
    lines.append(f"Limit {ALLOCATIONS_PER_REQUEST_MAX} per request (what bdevperf prints once a "
                 f"second): {'held' if good else 'EXCEEDED'}")
    return "\n".join(lines), good
