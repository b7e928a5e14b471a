"""The embedded backend over NBD against nbdkit, in interleaved rounds, and what it uses idle."""

import json
import os
import shutil
import subprocess
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from harness import config, spdk
from harness.application import Application
from measure.bdevperf import Failed

MEBIBYTES = 256
DEPTH = 32
IDLE_SECONDS = 10
# What is promised: the median ratio to nbdkit, and the share of a core.
MEMORY_RATIO_MIN = 1.00
FILES_RATIO_MIN = 0.40
IDLE_PERCENT_MAX = 2.0
# (name, pattern, least ratio)
CASES = [
    ("memory", "randread", MEMORY_RATIO_MIN),
    ("memory", "randwrite", None),
    ("files", "randwrite", FILES_RATIO_MIN),
    ("files", "randread", None),
]


def obstacle():
    """Why this cannot be measured here, or None."""
    for tool in ("fio", "nbdkit"):
        if shutil.which(tool) is None:
            return f"no {tool}: install it"
    if not spdk.BINARY.exists():
        return f"no {spdk.BINARY}: cargo build --release -p barespdk-raid1"
    if "embedded" not in spdk.version(spdk.BINARY):
        return f"{spdk.BINARY} was built with feature spdk; this measures the embedded backend"
    return None


def wait_for(path):
    """Waits for a socket."""
    deadline = time.monotonic() + 30
    while not path.exists():
        if time.monotonic() > deadline:
            raise Failed(f"{path} did not appear")
        time.sleep(0.05)
    return f"nbd+unix:///?socket={path}"


@contextmanager
def ours(kind, home):
    """A running `raid1` that exports memory, or a mirror of two files; its process and URI."""
    socket = home / "ours.sock"
    if kind == "memory":
        name = "memory"
        file = home / "config.json"
        export = ("nbd_export_start", {"bdev_name": name, "address": f"unix:{socket}"})
        file.write_text(config.document([config.malloc(name, MEBIBYTES), export]), "utf-8")
        args = ["--json", file]
    else:
        legs = f"{home / 'a.img'},{home / 'b.img'}"
        args = ["--mirror", f"m={legs}", "--size", f"{MEBIBYTES}MiB", "--nbd", f"unix:{socket}"]
    with Application(spdk.BINARY, home / "app", *args, memory=[]) as application:
        yield application.ready().process, wait_for(socket)
        application.stop()


@contextmanager
def theirs(kind, home):
    """A running nbdkit with memory, or with one file; its URI."""
    socket = home / "theirs.sock"
    if kind == "memory":
        what = ["memory", f"{MEBIBYTES}M"]
    else:
        file = home / "c.img"
        with file.open("wb") as opened:
            opened.truncate(MEBIBYTES << 20)
        what = ["file", file]
    command = ["nbdkit", "--foreground", "--unix", socket, *what]
    with subprocess.Popen([str(word) for word in command]) as process:
        try:
            yield wait_for(socket)
        finally:
            process.terminate()


def fio(uri, pattern, seconds):
    """Requests a second."""
    command = ["fio", "--name=bench", "--ioengine=nbd", f"--uri={uri}", f"--rw={pattern}",
               "--bs=4k", f"--iodepth={DEPTH}", f"--size={MEBIBYTES}M", "--time_based",
               f"--runtime={seconds}", "--output-format=json"]
    out = subprocess.run(command, capture_output=True, text=True, check=False)
    if out.returncode != 0:
        raise Failed(f"fio: {out.stderr or out.stdout}")
    (job,) = json.loads(out.stdout[out.stdout.index("{"):])["jobs"]
    if job["error"]:
        raise Failed(f"fio: error {job['error']}")
    return job["read"]["iops"] + job["write"]["iops"]


def idle_percent(process):
    """Share of a core that a process uses, in percent."""
    def used():
        fields = Path(f"/proc/{process.pid}/stat").read_text("ascii").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    time.sleep(1)
    before = used()
    time.sleep(IDLE_SECONDS)
    return (used() - before) / IDLE_SECONDS * 100


def report(rounds, seconds):
    """(Markdown, whether the limits hold)."""
    lines = ["| device | pattern | ours, IOPS | nbdkit, IOPS | ratio | at least |",
             "|---|---|---:|---:|---|---:|"]
    good = True
    for kind, pattern, least in CASES:
        pairs = []
        with tempfile.TemporaryDirectory(prefix="barespdk-nbd-") as directory:
            home = Path(directory)
            with ours(kind, home) as (process, uri), theirs(kind, home) as other:
                # What was never written is read faster.
                fio(uri, "write", seconds)
                fio(other, "write", seconds)
                for _ in range(rounds):
                    pairs.append((fio(uri, pattern, seconds), fio(other, pattern, seconds)))
                idle = idle_percent(process)
        ratios = [mine / other for mine, other in pairs]
        good = good and (least is None or median(ratios) >= least) and idle < IDLE_PERCENT_MAX
        lines.append(f"| {kind} | {pattern} | {median(mine for mine, _ in pairs):.0f} "
                     f"| {median(other for _, other in pairs):.0f} "
                     f"| {min(ratios):.2f} / **{median(ratios):.2f}** / {max(ratios):.2f} "
                     f"| {least or ''} |")
    lines.append("")
    lines.append(f"`files` is a mirror of two files against nbdkit with one. Idle, with the export "
                 f"open: {idle:.1f} % of a core, at most {IDLE_PERCENT_MAX} %.")
    return "\n".join(lines), good
