"""Exported over NVMe/TCP on loopback, with spdk_nvme_perf as the client."""

import re
import socket
import subprocess
import time

import pytest

from harness import config, spdk
from harness.mirror import Mirrors

NQN = "nqn.2026-01.org.example:mirror"


def free_port():
    """A TCP port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def export(app, bdev):
    """Exports a bdev; returns where, in the words of spdk_nvme_perf."""
    if "nvmf_create_transport" not in app.call("rpc_get_methods"):
        pytest.skip("the embedded backend exports over NBD alone")
    port = str(free_port())
    app.call("nvmf_create_transport", trtype="TCP")
    app.call("nvmf_create_subsystem", nqn=NQN, allow_any_host=True, serial_number="1")
    app.call("nvmf_subsystem_add_ns", nqn=NQN, namespace={"bdev_name": bdev})
    address = {"trtype": "TCP", "adrfam": "IPv4", "traddr": "127.0.0.1", "trsvcid": port}
    app.call("nvmf_subsystem_add_listener", nqn=NQN, listen_address=address)
    return f"trtype:TCP adrfam:IPv4 traddr:127.0.0.1 trsvcid:{port} subnqn:{NQN}"


@pytest.fixture
def client():
    """Starts spdk_nvme_perf on core 1."""
    path = spdk.program("spdk_nvme_perf")
    if path is None:
        pytest.skip("spdk_nvme_perf is neither in SPDK_DIR nor in PATH")
    started = []

    def run(where, pattern, io_bytes, depth, seconds):
        command = [path, "-r", where, "-q", depth, "-o", io_bytes, "-w", pattern, "-M", 50,
                   "-t", seconds, "-c", "0x2", *spdk.memory_args()]
        started.append(subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT, text=True))
        return started[-1]

    yield run
    for process in started:
        process.kill()
        process.wait()


def assert_served(process, seconds):
    """The client did its work without an error."""
    output, _ = process.communicate(timeout=seconds + 60)
    total = re.search(r"^Total\s*:\s*([\d.]+)", output, re.MULTILINE)
    assert process.returncode == 0, output
    assert total is not None and float(total.group(1)) > 0, output
    assert "with error" not in output, output


@pytest.mark.parametrize("io_bytes, depth", [(512, 1), (4096, 64), (1 << 17, 16)])
def test_served_to_a_client(start, stock, quick, client, io_bytes, depth):
    app = start("raid1")
    mirrors = Mirrors(app, stock)
    for leg in ("L0", "L1"):
        method, params = config.malloc(leg)
        app.call(method, **params)
    mirrors.create("M", ["L0", "L1"])
    seconds = 3 if quick else 20
    assert_served(client(export(app, "M"), "randrw", io_bytes, depth, seconds), seconds)
    assert app.stop() == 0


def test_a_leg_leaves_while_a_client_works(start, stock, client):
    app = start("raid1")
    mirrors = Mirrors(app, stock)
    for leg in ("L0", "L1"):
        method, params = config.malloc(leg)
        app.call(method, **params)
    mirrors.create("M", ["L0", "L1"])
    process = client(export(app, "M"), "randrw", 4096, 32, 5)
    time.sleep(3)
    app.call("bdev_malloc_delete", name="L0")
    assert_served(process, 5)
    assert mirrors.legs("M") == ["L1"]
    assert app.stop() == 0


def test_ends_cleanly_while_it_exports(start, stock):
    app = start("raid1")
    mirrors = Mirrors(app, stock)
    for leg in ("L0", "L1"):
        method, params = config.malloc(leg)
        app.call(method, **params)
    mirrors.create("M", ["L0", "L1"])
    export(app, "M")
    assert app.stop() == 0
