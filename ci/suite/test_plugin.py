"""The plugin of spdk-rpc, as a user runs it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness import config, spdk

PLUGIN = "barespdk_raid1"
COMMANDS = ["raid1_create", "raid1_delete", "raid1_get_bdevs", "raid1_remove_base_bdev",
            "raid1_add_base_bdev", "raid1_start", "raid1_stop", "raid1_set_options",
            "raid1_import", "raid1_export"]
SPDK_RPC = Path(sys.executable).parent / "spdk-rpc"


def rpc(*args, address="/nowhere"):
    """Runs spdk-rpc with the plugin."""
    environment = dict(os.environ, PYTHONPATH=str(spdk.ROOT / "raid1" / "plugin"))
    return subprocess.run([SPDK_RPC, "-s", address, "--plugin", PLUGIN, *args], env=environment,
                          capture_output=True, text=True, timeout=60, check=False,
                          stdin=subprocess.DEVNULL)


@pytest.mark.parametrize("command", COMMANDS)
def test_help(command):
    done = rpc(command, "--help")
    assert done.returncode == 0, done
    assert "mirror" in done.stdout


def test_every_command_is_listed():
    done = rpc("--help")
    for command in COMMANDS:
        assert command in done.stdout


@pytest.mark.parametrize("args", [
    ["raid1_create"], ["raid1_create", "-n", "M"], ["raid1_create", "-b", "L0"], ["raid1_delete"],
    ["raid1_get_bdevs"], ["raid1_get_bdevs", "some"], ["raid1_remove_base_bdev"],
    ["raid1_create", "-n", "M", "-b", "L0", "--sync", "some"],
    ["raid1_create", "-n", "M", "-b", "L0", "--region-size-kib", "4k"],
    ["raid1_add_base_bdev"], ["raid1_add_base_bdev", "M"], ["raid1_start"],
    ["raid1_start", "M", "--uuid", "u"], ["raid1_stop"], ["raid1_set_options", "some"],
    ["raid1_import"], ["raid1_import", "-b", "L0", "--source", "L0", "--assume-clean"],
    ["raid1_export"],
])
def test_usage_errors(args):
    done = rpc(*args)
    assert done.returncode == 2
    assert "usage:" in done.stderr


@pytest.mark.parametrize("words, params", [
    (["raid1_create", "-n", "M", "-b", " L0  L1 ", "--uuid", "u", "-s"],
     {"name": "M", "base_bdevs": ["L0", "L1"], "uuid": "u", "superblock": True}),
    (["raid1_create", "-n", "M", "-b", "L0"], {"name": "M", "base_bdevs": ["L0"]}),
    (["raid1_create", "-n", "M", "-b", "L0", "--no-superblock"],
     {"name": "M", "base_bdevs": ["L0"], "superblock": False}),
    (["raid1_create", "-n", "M", "-b", "L0", "--sync", "assume_clean", "--region-size-kib", "64",
      "--force"],
     {"name": "M", "base_bdevs": ["L0"], "sync": "assume_clean", "region_size_kib": 64,
      "force": True}),
    (["raid1_add_base_bdev", "M", "L0"], {"raid_bdev": "M", "base_bdev": "L0"}),
    (["raid1_add_base_bdev", "M", "L0", "-f"],
     {"raid_bdev": "M", "base_bdev": "L0", "force": True}),
    (["raid1_delete", "M"], {"name": "M"}),
    (["raid1_delete", "M", "--keep-metadata"], {"name": "M", "keep_metadata": True}),
    (["raid1_start", "M", "--source", "L1"], {"name": "M", "source": "L1"}),
    (["raid1_start", "--uuid", "u"], {"uuid": "u"}),
    (["raid1_stop", "M"], {"name": "M"}),
    (["raid1_import", "-b", "L0 L1", "--source", "L1"],
     {"base_bdevs": ["L0", "L1"], "source": "L1"}),
    (["raid1_import", "-b", "L0", "-n", "M", "--assume-clean", "--region-size-kib", "64"],
     {"base_bdevs": ["L0"], "name": "M", "assume_clean": True, "region_size_kib": 64}),
    (["raid1_export", "M"], {"name": "M"}),
    (["raid1_set_options", "--assemble-timeout-s", "5"], {"assemble_timeout_s": 5}),
    (["raid1_set_options", "--rebuild-limit-mib-s", "100"], {"rebuild_limit_mib_s": 100}),
])
def test_the_requests(words, params):
    """What is sent, seen without a server."""
    done = rpc("--dry-run", *words)
    request = json.loads(done.stdout.removeprefix("Request:\n"))
    assert request == {"method": words[0], "params": params}


def test_on_a_target(app, stock):
    if stock:
        pytest.skip("the plugin is for our methods")
    address = str(app.address)
    for leg in ("L0", "L1"):
        method, params = config.malloc(leg, 8)
        app.call(method, **params)
    assert rpc("raid1_create", "-n", "M", "-b", "L0 L1", address=address).returncode == 0
    listed = rpc("raid1_get_bdevs", "all", address=address)
    assert json.loads(listed.stdout) == app.call("raid1_get_bdevs", category="all")
    assert rpc("raid1_remove_base_bdev", "L1", address=address).returncode == 0
    assert rpc("raid1_add_base_bdev", "M", "L1", "--force", address=address).returncode == 0
    assert rpc("raid1_remove_base_bdev", "L1", address=address).returncode == 0
    again = rpc("raid1_create", "-n", "M", "-b", "L1", address=address)
    assert again.returncode == 1
    assert "M" in again.stdout
    assert rpc("raid1_delete", "M", address=address).returncode == 0
    assert app.call("raid1_get_bdevs", category="all") == []
