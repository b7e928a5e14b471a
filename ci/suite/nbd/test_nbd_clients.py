"""Usual clients."""

import json
import random

import nbd_client as nbd
import pytest
from harness import config
from harness.mirror import Mirrors
from nbd_client import Client
from nbd_server import Server, run, wait

MIB = 1 << 20


@pytest.fixture
def image(scratch, tool):
    """An ext4 file system of 64 MiB with files in it."""
    path, content = scratch / "image", scratch / "content"
    content.mkdir()
    random.seed(1)
    for number in range(200):
        (content / f"file{number}").write_bytes(random.randbytes(random.randrange(100_000)))
    run(tool("mkfs.ext4"), "-q", "-d", content, path, "64M")
    return path


def test_nbdinfo_knows_all(server, tool):
    info = json.loads(run(tool("nbdinfo"), "--json", server.uri))
    (export,) = info["exports"]
    expected = {
        "export-name": "M0", "export-size": 64 * MIB, "description": "Malloc disk",
        "is_read_only": False, "can_flush": True, "can_fua": True, "can_trim": True,
        "can_zero": True, "can_multi_conn": True, "can_df": False,
        "block_size_minimum": 512, "block_size_preferred": 4096, "block_size_maximum": 32 * MIB,
    }
    assert {key: export[key] for key in expected} == expected
    assert not info["TLS"] and info["protocol"] == "newstyle-fixed"


def test_nbdcopy_of_a_file_system(server, image, scratch, tool):
    run(tool("nbdcopy"), "--flush", image, server.uri)
    run(tool("nbdcopy"), server.uri, scratch / "copy")
    assert (scratch / "copy").read_bytes() == image.read_bytes()
    run(tool("e2fsck"), "-fn", scratch / "copy")
    assert server.get()["num_errors"] == 0


def test_a_mirror_by_nbd(server, image, scratch, tool):
    for leg in ("L0", "L1"):
        method, params = config.malloc(leg, 64)
        server.app.call(method, **params)
    Mirrors(server.app).create("Mirror0", ["L0", "L1"], superblock=False)
    uri = server.start("Mirror0")["uri"]
    run(tool("nbdcopy"), image, uri)
    server.app.call("raid1_delete", name="Mirror0")
    wait(lambda: [entry["export_name"] for entry in server.app.call("nbd_exports_get")] == ["M0"])
    for leg in ("L0", "L1"):
        uri = server.start(leg)["uri"]
        run(tool("nbdcopy"), uri, scratch / leg)
        assert (scratch / leg).read_bytes() == image.read_bytes()


def test_fio_verifies(server, scratch, tool, quick):
    fio = tool("fio")
    if "nbd" not in run(fio, "--enghelp").split():
        pytest.skip("fio has no nbd engine")
    run(fio, "--name=verify", "--ioengine=nbd", f"--uri={server.uri}", "--rw=randrw",
        "--bsrange=512-256k", "--blockalign=512", "--iodepth=32", "--size=64M", "--verify=crc32c",
        "--verify_fatal=1", "--do_verify=1", f"--loops={1 if quick else 8}", cwd=scratch)
    assert server.get()["num_errors"] == 0


def test_qemu_img_and_io(server, image, tool):
    qemu_img, qemu_io = tool("qemu-img"), tool("qemu-io")
    run(qemu_img, "convert", "-n", "-f", "raw", "-O", "raw", image, server.uri)
    assert "identical" in run(qemu_img, "compare", "-f", "raw", "-F", "raw", image, server.uri)
    out = run(qemu_io, "-f", "raw", "-c", "write -P 7 0 1M", "-c", "write -z 64k 64k",
              "-c", "discard 128k 64k", "-c", "write -f -P 8 4096 512", "-c", "flush",
              "-c", "read -P 0 64k 64k", "-c", "read -P 8 4096 512", "-c", "read -P 7 0 4096",
              server.uri)
    assert "Pattern verification failed" not in out


def test_loopback_tcp(server, tool):
    export = server.start("M0", "tcp:127.0.0.1:0")
    host, port = export["address"].removeprefix("tcp:").split(":")
    assert host == "127.0.0.1" and int(port) > 0
    run(tool("nbdinfo"), export["uri"])
    with Client((host, int(port))).go("M0") as client:
        assert client.write(0, b"x" * 512) == 0
        assert client.read(0, 512) == b"x" * 512
    assert server.stop(address=export["address"]) is True
    with pytest.raises(ConnectionRefusedError):
        Client((host, int(port)))


def test_in_a_stock_application(start, scratch, tool):
    server = Server(start("spdk_tgt"), scratch / "nbd.sock")
    run(tool("nbdinfo"), server.uri)
    server.assert_well()
    assert server.app.stop() == 0


def test_connections_over_two_cores(start, scratch):
    server = Server(start("raid1", cores="0x3"), scratch / "nbd.sock")
    clients = [server.client() for _ in range(4)]
    for number, client in enumerate(clients):
        assert client.write(number * 512, bytes([number]) * 512) == 0
    for client in clients:
        assert client.call(nbd.FLUSH) == 0
        assert client.read(0, 2048) == b"".join(bytes([number]) * 512 for number in range(4))
    assert server.get()["connections"] == 4
    names = [thread["name"] for thread in server.app.call("thread_get_stats")["threads"]]
    assert {"nbd_0", "nbd_1"} <= set(names)
    assert server.stop(bdev_name="M0") is True
    assert all(client.is_closed() for client in clients)
    assert server.app.stop() == 0
