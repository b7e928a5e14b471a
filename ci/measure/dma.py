"""Arenas of DMA memory against spdk_dma_malloc: the benchmark of barespdk-alloc-dma."""

import subprocess

from harness import spdk


def report():
    """(Markdown, whether it ran)."""
    done = subprocess.run(["cargo", "bench", "--quiet", "--features", "spdk", "--package",
                           "barespdk-alloc-dma", "--bench", "arena"],
                          cwd=spdk.ROOT, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        return f"failed:\n{done.stderr}", False
    return done.stdout.strip(), True
