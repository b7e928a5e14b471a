"""The bdev module that the README shows, as it is compiled: data goes through it, and it goes with
its base bdev."""

import json
import random
import subprocess
import time

import pytest

from harness import spdk
from harness.application import Application, Error
from test_nvmf import NQN, export

EXAMPLE = spdk.TARGET / "debug" / "examples" / "tail_bdev"
BLOCK_BYTES, FIRST_BLOCK = 512, 2048
DATA_BYTES = 8 << 20


@pytest.fixture
def example(request, scratch, backend):
    """The example with a base bdev in a file and a bdev behind its first blocks."""
    if not EXAMPLE.is_file():
        pytest.skip("not built: cargo build -p barespdk --example tail_bdev, with the features of "
                    "the backend")
    is_embedded = "embedded" in spdk.version(EXAMPLE)
    if is_embedded != (backend == "embedded"):
        pytest.skip(f"{EXAMPLE} is of the other backend")
    with (scratch / "base").open("wb") as base:
        base.truncate(64 << 20)
    # All of SPDK's subsystems start in it.
    application = Application(EXAMPLE, scratch / "app", memory=spdk.memory_args(1024))
    request.node.applications = [application]
    application.ready()
    application.call("bdev_aio_create", name="Base0", filename=str(scratch / "base"),
                     block_size=BLOCK_BYTES)
    application.call("tail_create", name="Tail0", base_bdev="Base0", first_block=FIRST_BLOCK)
    yield application
    application.kill()


def copy(where, scratch, *args):
    """Runs spdk_dd with the exported bdev as `N0n1`."""
    program = spdk.program("spdk_dd")
    if program is None:
        pytest.skip("spdk_dd is neither in SPDK_DIR nor in PATH")
    address = dict(part.split(":", 1) for part in where.split())
    params = {"name": "N0", "trtype": "TCP", "adrfam": "IPv4", "subnqn": NQN,
              "traddr": address["traddr"], "trsvcid": address["trsvcid"]}
    call = {"method": "bdev_nvme_attach_controller", "params": params}
    path = scratch / "dd.json"
    path.write_text(json.dumps({"subsystems": [{"subsystem": "bdev", "config": [call]}]}))
    done = subprocess.run([program, "-m", "0x2", *spdk.memory_args(), "--json", path, *args],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120,
                          check=False)
    assert done.returncode == 0, done.stdout


def test_data_goes_through_behind_the_first_blocks(example, scratch, backend):
    if backend == "embedded":
        pytest.skip("the embedded backend exports over NBD alone, and the example does not do that")
    where = export(example, "Tail0")
    data = random.Random(7).randbytes(DATA_BYTES)
    (scratch / "data").write_bytes(data)
    copy(where, scratch, "--if", scratch / "data", "--ob", "N0n1", "--bs", "65536")
    copy(where, scratch, "--ib", "N0n1", "--of", scratch / "back", "--bs", "4096",
         "--count", str(DATA_BYTES // 4096))
    assert (scratch / "back").read_bytes() == data
    begin = FIRST_BLOCK * BLOCK_BYTES
    base = (scratch / "base").read_bytes()
    assert base[begin:begin + DATA_BYTES] == data
    assert not any(base[:begin])
    assert example.stop() == 0


def test_it_goes_with_its_base_bdev(example):
    example.call("bdev_aio_delete", name="Base0")
    deadline = time.monotonic() + 10
    while example.call("bdev_get_bdevs"):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert example.stop() == 0


@pytest.mark.parametrize("params, code, words", [
    ({}, -32602, "'name'"),
    ({"name": "T"}, -32602, "'base_bdev'"),
    ({"name": "T", "base_bdev": "Base0", "first_block": -1}, -32602, "'first_block'"),
    ({"name": "T", "base_bdev": "Nope", "first_block": 0}, -19, "ENODEV"),
    ({"name": "T", "base_bdev": "Base0", "first_block": 0}, -1, "EPERM"),
])
def test_wrong_input(example, params, code, words):
    with pytest.raises(Error) as caught:
        example.call("tail_create", **params)
    assert caught.value.code == code
    assert words in caught.value.message
    assert example.stop() == 0
