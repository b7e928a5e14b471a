"""The RPCs, and the life of exports."""

import json
import os
import socket
import sys
import time
from pathlib import Path

import nbd_client as nbd
import pytest
from harness import config, spdk
from harness.application import Error
from harness.mirror import Mirrors
from nbd_client import Client
from nbd_server import run, wait

MIB = 1 << 20


def test_what_is_said_of_exports(server):
    with server.client() as client:
        client.write(0, bytes(4096))
        client.read(0, 8192)
        client.read(0, 1)
        entry = server.get()
        expected = {
            "bdev_name": "M0", "export_name": "M0", "address": server.address, "state": "online",
            "uri": f"nbd+unix:///M0?socket={server.path}", "read_only": False, "size": 64 * MIB,
            "block_size": 512, "connections": 1, "connections_total": 1, "num_read_ops": 1,
            "bytes_read": 8192, "num_write_ops": 1, "bytes_written": 4096, "num_errors": 1,
        }
        assert {key: entry[key] for key in expected} == expected
    wait(lambda: server.get()["connections"] == 0)


def fails(code, call, *args, **params):
    """Whether a call fails with a code; the message."""
    with pytest.raises(Error) as caught:
        call(*args, **params)
    assert caught.value.code == code, caught.value
    return str(caught.value)


def test_wrong_calls(server, scratch):
    assert "Nobody" in fails(-19, server.start, "Nobody")
    fails(-17, server.start, "M0")
    for address in ("tcp:0.0.0.0:1", "tcp:192.0.2.1:1", "unix:", "nonsense"):
        assert "address" in fails(-32602, server.start, "M0", address)
    file = scratch / "file"
    file.write_bytes(b"precious")
    fails(-17, server.start, "M0", f"unix:{file}")
    assert file.read_bytes() == b"precious"
    fails(-2, server.start, "M0", f"unix:{scratch}/no/such/directory")
    fails(-19, server.stop, bdev_name="Nobody")
    fails(-32602, server.stop)
    fails(-32602, server.app.call, "nbd_exports_get", what=1)
    method, params = config.malloc("L0", 16)
    server.app.call(method, **params)
    Mirrors(server.app).create("Mirror0", ["L0"])
    assert "claimed" in fails(-1, server.start, "L0")
    assert [entry["export_name"] for entry in server.app.call("nbd_exports_get")] == ["M0"]
    server.assert_well()


def test_the_socket_file(server, scratch):
    assert server.path.stat().st_mode & 0o777 == 0o600
    assert server.stop(export_name="M0") is True
    assert not server.path.exists()
    # What a killed process leaves is replaced, what is in use is not.
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(server.path))
    server.start("M0")
    server.assert_well()
    used = scratch / "used.sock"
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(used))
        other.listen()
        fails(-98, server.start, "M0", f"unix:{used}")
    assert server.app.stop() == 0
    assert not server.path.exists()


def test_two_exports_at_one_address(server):
    method, params = config.malloc("M1", 16, 4096)
    server.app.call(method, **params)
    server.start("M1", export_name="other")
    with Client(server.path).greet() as client:
        names = [data[4:] for kind, data in client.option(nbd.LIST) if kind == 2]
        assert names == [b"M0", b"other"]
    with server.client("other") as other, server.client() as first:
        assert (other.size, first.size) == (16 * MIB, 64 * MIB)
        assert server.stop(export_name="other") is True
        assert other.is_closed()
        assert first.write(0, bytes(512)) == 0
    server.assert_well()


def test_stopping_finishes_what_is_in_flight(server):
    server.app.call("bdev_delay_create", name="D0", base_bdev_name="M0", avg_read_latency=500_000,
                    p99_read_latency=500_000, avg_write_latency=500_000, p99_write_latency=500_000)
    server.stop(bdev_name="M0")
    server.start("D0")
    with server.client() as client:
        for cookie in range(8):
            client.request(nbd.WRITE, cookie * 512, 512, b"d" * 512, cookie=cookie)
        wait(lambda: server.get("D0")["connections"] == 1)
        time.sleep(0.1)
        call = server.app.call_in_background("nbd_export_stop", bdev_name="D0")
        assert {client.reply() for _ in range(8)} == {(0, cookie) for cookie in range(8)}
        assert client.is_closed()
        assert call.result(20) is True
    server.start("D0")
    with server.client() as client:
        assert client.read(0, 4096) == b"d" * 4096


def test_stopping_does_not_wait_for_a_client(server):
    """One that takes no replies has five seconds."""
    with server.client() as client:
        client.reads(100, MIB)
        begin = time.monotonic()
        assert server.stop(bdev_name="M0") is True
        assert time.monotonic() - begin < 15


def test_the_bdev_goes(server):
    with server.client() as client:
        client.reads(64, 4096)
        assert server.app.call("bdev_malloc_delete", name="M0") is True
        assert client.is_closed()
    wait(lambda: server.app.call("nbd_exports_get") == [])
    assert "its bdev is removed" in server.app.output()
    assert not server.path.exists()
    assert server.app.call("bdev_get_bdevs") == []
    assert server.app.stop() == 0


def test_started_and_stopped_again_and_again(server):
    for _ in range(30):
        with server.client() as client:
            assert client.write(0, bytes(512)) == 0
            assert server.stop(bdev_name="M0") is True
            assert client.is_closed()
        server.start("M0")
    server.assert_well()
    assert server.app.stop() == 0


def test_the_application_stops_under_load(server):
    clients = [server.client() for _ in range(5)]
    for client in clients:
        client.reads(100, 65536)
    assert server.app.stop() == 0
    assert all(client.is_closed() for client in clients)


def test_exports_are_saved_and_loaded(server, start, scratch):
    server.start("M0", export_name="second", read_only=True)
    calls = server.app.call("framework_get_config", name="bdev")
    before = server.app.call("nbd_exports_get")
    assert server.app.stop() == 0
    path = scratch / "config.json"
    path.write_text(json.dumps({"subsystems": [{"subsystem": "bdev", "config": calls}]}))
    again = start("raid1", "--json", path)
    wait(lambda: all(entry["state"] == "online" for entry in again.call("nbd_exports_get")))
    keys = ("bdev_name", "address", "export_name", "read_only", "uri", "size")
    after = again.call("nbd_exports_get")
    assert [[entry[key] for key in keys] for entry in after] == \
        [[entry[key] for key in keys] for entry in before]
    assert again.stop() == 0


def test_by_the_plugin(server):
    """As an operator types it."""
    environment = dict(os.environ, PYTHONPATH=str(spdk.ROOT / "raid1" / "plugin"))

    def rpc(*words):
        return run(Path(sys.executable).parent / "spdk-rpc", "-s", server.app.address, "--plugin",
                   "barespdk_raid1", *words, env=environment)

    started = json.loads(rpc("nbd_export_start", "M0", server.address, "-n", "other", "-r"))
    assert (started["export_name"], started["read_only"]) == ("other", True)
    exports = json.loads(rpc("nbd_exports_get", "-b", "M0"))
    assert [entry["export_name"] for entry in exports] == ["M0", "other"]
    rpc("nbd_export_stop", "-n", "other", "-a", server.address)
    assert len(json.loads(rpc("nbd_exports_get"))) == 1


def test_an_export_waits_for_its_bdev(server):
    export = server.start("Later", export_name="later", wait_for_bdev=True)
    assert export["state"] == "waiting"
    method, params = config.malloc("Later", 16)
    server.app.call(method, **params)
    wait(lambda: server.get("later")["state"] == "online")
    with server.client("later") as client:
        assert client.size == 16 * MIB
    server.start("Never", export_name="never", wait_for_bdev=True)
    assert server.stop(export_name="never") is True
    assert server.app.stop() == 0


def test_exports_wait_for_bdevs_that_come_together(start, scratch):
    """Each starts once, though another bdev comes while the first export starts."""
    calls = [{"method": "nbd_export_start",
              "params": {"bdev_name": f"M{number}", "address": f"unix:{scratch}/{number}.sock",
                         "wait_for_bdev": True}} for number in range(4)]
    for number in range(4):
        method, params = config.malloc(f"M{number}", 1)
        calls.append({"method": method, "params": params})
    path = scratch / "config.json"
    path.write_text(json.dumps({"subsystems": [{"subsystem": "bdev", "config": calls}]}))
    app = start("raid1", "--json", path)
    wait(lambda: [entry["state"] for entry in app.call("nbd_exports_get")] == ["online"] * 4)
    for number in range(4):
        with Client(scratch / f"{number}.sock") as client:
            client.greet()
            assert len(client.option(nbd.LIST)) == 2
        assert app.call("bdev_malloc_delete", name=f"M{number}") is True
    wait(lambda: app.call("nbd_exports_get") == [])
    assert app.stop() == 0
