"""One run of bdevperf: a fresh process on a configuration file."""

import os
import re
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from harness import spdk


@dataclass(frozen=True)
class Load:
    """What bdevperf is told to do."""

    pattern: str
    depth: int
    cores: int
    seconds: int
    io_bytes: int = 4096

    def args(self):
        """Its command line. One core means core 1: core 0 serves the kernel more often."""
        mix = ["-M", "70"] if self.pattern == "randrw" else []
        cores = ["-m", "0x2"] if self.cores == 1 else ["-m", "0x3", "-C"]
        return [*cores, "-q", str(self.depth), "-o", str(self.io_bytes), "-w", self.pattern, *mix,
                "-t", str(self.seconds)]


@dataclass(frozen=True)
class Result:
    """What it did."""

    iops: float
    io_count: int


class Failed(Exception):
    """bdevperf did not end well; the message holds its output."""


def run(config, device, load, preload=()):
    """Runs `load` on `device` of the configuration document `config`."""
    program = spdk.program("bdevperf")
    with tempfile.TemporaryDirectory(prefix="barespdk-bench-") as scratch:
        file = Path(scratch) / "config.json"
        file.write_text(config, encoding="utf-8")
        command = [program, "--json", file, "-r", Path(scratch) / "rpc.sock", "-T", device,
                   "--disable-cpumask-locks", *spdk.memory_args(), *load.args()]
        environment = dict(os.environ)
        if preload:
            environment["LD_PRELOAD"] = ":".join(str(item) for item in preload)
        try:
            done = subprocess.run(command, env=environment, capture_output=True, text=True,
                                  timeout=load.seconds + 60, check=False)
        except subprocess.TimeoutExpired as error:
            raise Failed(f"bdevperf did not end in time: {error}") from error
    total = re.search(r"^\s*Total\s*:\s*([\d.]+)\s+[\d.]+\s+([\d.]+)", done.stdout, re.MULTILINE)
    if done.returncode != 0 or total is None or float(total.group(2)) != 0.0:
        raise Failed(f"bdevperf exited {done.returncode}:\n{done.stdout}\n{done.stderr}")
    iops = float(total.group(1))
    return Result(iops, round(iops * load.seconds))
