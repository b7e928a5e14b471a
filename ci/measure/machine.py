"""What a measurement ran on."""

import platform
import subprocess
from pathlib import Path

from harness import spdk


def output(*command):
    """Standard output of a command, or "unknown"."""
    try:
        done = subprocess.run(command, cwd=spdk.ROOT, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return done.stdout.strip()


def cpu():
    """Model and number of processors."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return f"{len(models)} x {models[0]}" if models else platform.machine()


def describe():
    """Lines of Markdown."""
    pages = "no (--no-huge)" if "--no-huge" in spdk.memory_args() else "2 MiB"
    changed = " with local changes" if output("git", "status", "--porcelain", "-uno") else ""
    return "\n".join([
        f"- CPU: {cpu()}; kernel {platform.release()}",
        f"- {spdk.version()}; huge pages: {pages}",
        f"- commit {output('git', 'rev-parse', '--short', 'HEAD')}{changed}; "
        f"{output('rustc', '--version')}",
    ])
