"""What the driver library costs to build from nothing."""

import os
import subprocess
import tempfile
import time

from harness import spdk

SECONDS_MAX = 20
CRATES_MAX = 15
PACKAGE = "barespdk-raid1"


def crates():
    """Names of the crates in its dependency tree, itself included."""
    done = subprocess.run(["cargo", "tree", "--quiet", "--edges", "normal,build", "--prefix",
                           "none", "--package", PACKAGE],
                          cwd=spdk.ROOT, capture_output=True, text=True, check=True)
    return sorted({line.split()[0] for line in done.stdout.splitlines() if line})


def seconds():
    """Time of a release build of the library into an empty directory."""
    subprocess.run(["cargo", "fetch", "--quiet"], cwd=spdk.ROOT, check=True)
    with tempfile.TemporaryDirectory(prefix="barespdk-build-") as directory:
        started = time.monotonic()
        subprocess.run(["cargo", "build", "--quiet", "--release", "--lib", "--package", PACKAGE],
                       cwd=spdk.ROOT, env=dict(os.environ, CARGO_TARGET_DIR=directory), check=True)
        return time.monotonic() - started


def report():
    """(Markdown, whether the limits hold)."""
    names, took = crates(), seconds()
    good = len(names) <= CRATES_MAX and took <= SECONDS_MAX
    text = (f"Cold release build of the driver library: {took:.1f} s (limit {SECONDS_MAX} s), "
            f"{len(names)} crates (limit {CRATES_MAX}): {', '.join(names)}")
    return text, good
