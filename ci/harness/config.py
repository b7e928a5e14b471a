"""SPDK configuration files, as `--json` reads them."""

import json


def document(calls):
    """`calls`: (method, params) pairs for the bdev subsystem."""
    config = [{"method": method, "params": params} for method, params in calls]
    return json.dumps({"subsystems": [{"subsystem": "bdev", "config": config}]}, indent=1)


def null(name, mebibytes=128, block_size=512):
    """A bdev that moves no data."""
    blocks = mebibytes * 1024 * 1024 // block_size
    return ("bdev_null_create", {"name": name, "num_blocks": blocks, "block_size": block_size})


def malloc(name, mebibytes=64, block_size=512):
    """A bdev in memory."""
    blocks = mebibytes * 1024 * 1024 // block_size
    return ("bdev_malloc_create", {"name": name, "num_blocks": blocks, "block_size": block_size})


def aio(name, path, block_size=512):
    """A bdev in a file."""
    return ("bdev_aio_create", {"name": name, "filename": str(path), "block_size": block_size})


def passthru(name, base):
    """A bdev that hands each request down: the least that a stacked bdev can cost."""
    return ("bdev_passthru_create", {"name": name, "base_bdev_name": base})


def stock_mirror(name, legs):
    """A mirror of SPDK's own raid module."""
    return ("bdev_raid_create", {"name": name, "raid_level": "raid1", "base_bdevs": legs})


def mirror(name, legs, superblock=False, **metadata):
    """A mirror of ours: as SPDK's own one, without metadata unless it is asked for."""
    return ("raid1_create",
            {"name": name, "base_bdevs": legs, "superblock": superblock, **metadata})
