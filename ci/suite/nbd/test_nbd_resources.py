"""Memory, time, connections and file descriptors: what clients may take of them."""

import os
import resource
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import nbd_client as nbd
import pytest
from harness import config
from nbd_client import Client, Closed
from nbd_server import wait

MIB = 1 << 20


def test_a_slow_reader_gets_all(server):
    with server.client() as slow:
        slow.reads(50, MIB)
        for _ in range(10):
            server.assert_well()
        for _ in range(50):
            assert slow.reply()[0] == 0
            slow.receive(MIB)


def test_who_takes_no_replies_does_not_hold_up_others(server):
    """All memory for requests waits to be taken by them: small requests have some of their own, large
    ones get it when those clients are dropped."""
    slow = [server.client() for _ in range(20)]
    for client in slow:
        client.reads(20, MIB)
    time.sleep(0.5)
    begin = time.monotonic()
    for _ in range(20):
        server.assert_well()
    assert time.monotonic() - begin < 4
    with server.client(seconds=60) as client:
        assert len(client.read(0, 16 * MIB)) == 16 * MIB
    assert "memory that others wait for" in server.app.output()
    for client in slow:
        client.socket.close()
    wait(lambda: server.get()["connections"] == 0)


def test_single_bytes_do_not_keep_memory(server):
    """Of writes that never come to an end, while others wait for their memory."""
    slow = [server.client() for _ in range(8)]
    for client in slow:
        client.request(nbd.WRITE, 0, 8 * MIB)
    waiting = server.client(seconds=60)
    waiting.request(nbd.READ, 0, 16 * MIB)
    deadline = time.monotonic() + 30
    while "memory that others wait for" not in server.app.output():
        assert time.monotonic() < deadline
        for client in slow:
            with suppress(Closed):
                client.send(b"x")
        time.sleep(0.3)
    assert waiting.reply() == (0, 1)
    assert len(waiting.receive(16 * MIB)) == 16 * MIB


def test_memory_of_requests_whose_clients_were_dropped(server):
    """It is not free before those have ended: who needs some waits, and gets it."""
    method, params = config.malloc("M1", 64, 512)
    server.app.call(method, **params)
    server.app.call("bdev_delay_create", base_bdev_name="M1", name="D1", avg_read_latency=2_000_000,
                    p99_read_latency=2_000_000, avg_write_latency=0, p99_write_latency=0)
    server.start("D1")
    for _ in range(2):
        clients = [server.client("D1") for _ in range(8)]
        for client in clients:
            client.reads(8, MIB)
        time.sleep(0.3)
        for client in clients:
            client.request(nbd.READ, magic=0xDEADBEEF)
        wait(lambda: server.get("D1")["connections"] == 0)
    begin = time.monotonic()
    with server.client() as client:
        assert len(client.read(0, 8 * MIB)) == 8 * MIB
    assert time.monotonic() - begin > 0.5
    server.assert_well()


def test_a_slow_handshake_ends(server, quick):
    if quick:
        pytest.skip("takes ten seconds; not with --quick")
    with Client(server.path) as client:
        client.greet()
        assert client.is_closed()
    assert "the handshake takes too long" in server.app.output()


def test_a_handshake_that_goes_on_and_on(server, quick):
    """Options without an end, as fast as can be: others are served, and it ends."""
    if quick:
        pytest.skip("takes ten seconds; not with --quick")
    script = ("import socket, sys\n"
              "s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1])\n"
              "s.sendall(b'\\0\\0\\0\\3')\n"
              "option = b'IHAVEOPT' + b'\\0\\0\\0\\3' + (1 << 20).to_bytes(4, 'big')\n"
              "flood = (option + bytes(1 << 20)) * 4\n"
              "while True: s.sendall(flood)")
    floods = [subprocess.Popen([sys.executable, "-c", script, str(server.path)],
                               stderr=subprocess.DEVNULL) for _ in range(2)]
    try:
        time.sleep(1)
        begin = time.monotonic()
        server.assert_well()
        assert time.monotonic() - begin < 3
        for flood in floods:
            assert flood.wait(20) != 0
    finally:
        for flood in floods:
            flood.kill()
            flood.wait()
    assert "the handshake takes too long" in server.app.output()


def test_a_thousand_connections(server):
    clients = []
    for _ in range(1000):
        try:
            clients.append(Client(server.path))
        except (BlockingIOError, ConnectionError):
            time.sleep(0.01)
    served = 0
    for client in clients:
        try:
            client.greet()
            served += 1
        except Closed:
            pass
    assert served == 256
    assert "there are 256 connections" in server.app.output()
    for client in clients:
        client.socket.close()
    wait(lambda: server.get()["address_connections"] == 0)
    server.assert_well()
    assert server.app.stop() == 0


def test_no_file_descriptors_are_left(server):
    pid = server.app.process.pid
    number = max(int(name) for name in os.listdir(f"/proc/{pid}/fd")) + 6
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (number, before[1]))
    clients = [Client(server.path) for _ in range(40)]
    wait(lambda: "Too many open files" in server.app.output())
    time.sleep(2)
    assert server.app.output().count("no connection can be accepted") <= 10
    for client in clients:
        client.socket.close()
    resource.prlimit(pid, resource.RLIMIT_NOFILE, before)
    time.sleep(1.5)
    server.assert_well()


def processor_seconds(app):
    """How long an application has run on processors."""
    fields = Path(f"/proc/{app.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_who_does_nothing_costs_nothing(server, backend):
    """Reactors of the embedded backend sleep, and no client keeps them from it."""
    if backend != "embedded":
        pytest.skip("the reactors of SPDK never sleep")
    with server.client() as idle, server.client() as stalled, server.client() as full:
        assert len(idle.read(0, 4096)) == 4096
        stalled.send(b"\x25\x60")
        full.reads(100, MIB)
        time.sleep(1)
        before = processor_seconds(server.app)
        time.sleep(3)
        assert processor_seconds(server.app) - before < 3 * 0.02
        assert len(idle.read(0, 4096)) == 4096
