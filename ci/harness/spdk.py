"""Finds SPDK's programs, and ours."""

import os
import re
import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
BINARY = TARGET / "release" / "raid1"
MODULE = TARGET / "release" / "libbarespdk_raid1.so"


def program(name):
    """Path of a program of SPDK: from SPDK_DIR (built tree or install prefix), else from PATH."""
    spdk_dir = os.environ.get("SPDK_DIR")
    for sub in ("build/bin", "build/examples", "bin"):
        if spdk_dir and (path := Path(spdk_dir) / sub / name).is_file():
            return path
    found = shutil.which(name)
    return Path(found) if found else None


def version(path=None):
    """What a program says that it is, such as "SPDK v26.01 git sha1 2ef883ef96"; `spdk_tgt` or
    `bdevperf` unless it is named."""
    path = path or program("spdk_tgt") or program("bdevperf")
    if path is None:
        return "unknown"
    out = subprocess.run([path, "--version"], capture_output=True, text=True, check=False)
    found = re.search(r"SPDK v.*", out.stdout + out.stderr)
    return found.group(0).strip() if found else "unknown"


def huge_pages_free():
    """Free 2 MiB huge pages."""
    for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
        if line.startswith("HugePages_Free:"):
            return int(line.split()[1])
    return 0


def memory_args(mebibytes=512):
    """Huge pages where enough are free, ordinary memory otherwise."""
    if huge_pages_free() * 2 >= mebibytes:
        return ["-s", str(mebibytes)]
    return ["--no-huge", "-s", str(mebibytes)]


def hosts_modules(path):
    """Whether a program can host a preloaded module: one linked statically has no SPDK to share."""
    return b"libspdk_bdev.so" in Path(path).read_bytes()
