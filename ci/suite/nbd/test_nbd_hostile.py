"""Clients that mean no good."""

import random
import socket
import struct

import nbd_client as nbd
import pytest
from nbd_client import Client, Closed
from nbd_server import wait

MIB = 1 << 20


def go_wrong_magic(client):
    client.go().request(nbd.READ, 0, 512, magic=0xDEADBEEF)


def go_noise(client):
    client.send(bytes(range(1, 200)) * 100)


def go_noise_after_go(client):
    client.go().send(b"\xff" * 10000)


def go_unknown_flags(client):
    client.greet(0xFFFFFFFF)


def go_huge_option(client):
    client.greet().send(nbd.OPTION + struct.pack(">II", nbd.GO, 0xFFFFFFFF))


def go_huge_name(client):
    client.greet().send(nbd.OPTION + struct.pack(">II", nbd.EXPORT_NAME, 100_000))


def go_unknown_name(client):
    client.greet().send(nbd.OPTION + struct.pack(">II", nbd.EXPORT_NAME, 1) + b"?")


def go_huge_write(client):
    client.go().request(nbd.WRITE, 0, 0xFFFFFE00, b"x" * 100)


def go_oldstyle(client):
    client.send(b"NBDMAGIC\x00\x00\x42\x02\x81\x86\x12\x53")


def go_http(client):
    client.send(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")


HOSTILE = [value for name, value in sorted(globals().items()) if name.startswith("go_")]


@pytest.mark.parametrize("hostile", HOSTILE)
def test_a_hostile_client_loses_its_connection(server, hostile):
    for _ in range(3):
        with Client(server.path) as client:
            try:
                hostile(client)
            except Closed:
                pass
            assert client.is_closed()
    server.assert_well()
    wait(lambda: server.get()["address_connections"] == 0)
    assert server.app.stop() == 0


def half_requests(server):
    """Clients that go in the middle of things."""
    greeting = struct.pack(">I", 3)
    go = nbd.OPTION + struct.pack(">II", nbd.GO, 6) + bytes(6)
    write = struct.pack(">IHHQQI", nbd.REQUEST_MAGIC, 0, nbd.WRITE, 5, 0, MIB) + bytes(MIB)
    whole = greeting + go + write
    cuts = [0, 1, 4, 5, 12, 19, 20, 25, 26, 27, 53, 54, 55, 1000, 100_000, len(whole) - 1]
    for cut in cuts:
        with Client(server.path) as client:
            client.send(whole[:cut])
            if cut % 2:
                client.socket.shutdown(socket.SHUT_WR)
                assert client.is_closed()


def test_half_requests(server):
    half_requests(server)
    server.assert_well()
    wait(lambda: server.get()["address_connections"] == 0)


def test_clients_that_go_while_requests_are_in_flight(server):
    server.app.call("bdev_delay_create", name="D0", base_bdev_name="M0", avg_read_latency=200_000,
                    p99_read_latency=200_000, avg_write_latency=200_000, p99_write_latency=200_000)
    server.stop(bdev_name="M0")
    server.start("D0")
    for _ in range(20):
        with server.client() as client:
            for cookie in range(30):
                client.request(nbd.READ, 0, 65536, cookie=cookie)
                client.request(nbd.WRITE, 0, 4096, bytes(4096), cookie=cookie)
    wait(lambda: server.get("D0")["connections"] == 0)
    with server.client() as client:
        assert len(client.read(0, 512)) == 512
    assert server.app.stop() == 0


def test_random_bytes(server):
    random.seed(7)
    for _ in range(200):
        with Client(server.path) as client:
            try:
                client.greet(random.choice([0, 1, 3]))
                for _ in range(random.randrange(4)):
                    data = random.randbytes(random.randrange(50))
                    option = random.randrange(12)
                    client.send(nbd.OPTION + struct.pack(">II", option, len(data)) + data)
                client.send(random.randbytes(random.randrange(100)))
            except Closed:
                pass
    server.assert_well()


def test_random_requests(server):
    """Requests of the right shape, with anything in them."""
    random.seed(8)
    with server.client() as client:
        for number in range(3000):
            command = random.choice([nbd.READ, nbd.FLUSH, nbd.TRIM, nbd.WRITE_ZEROES, 5, 7, 9])
            offset = random.choice([0, 512, 64 * MIB - 512, random.getrandbits(64)])
            length = random.choice([0, 512, 4096, 100, random.getrandbits(20)])
            flags = random.choice([0, 0, 1, 2, 4, 0xFFFF])
            answer = client.call(command, offset, length, flags=flags)
            if command == nbd.READ and not isinstance(answer, int):
                assert len(answer) == length, number
    server.assert_well()


def test_the_log_is_not_flooded(server):
    for _ in range(500):
        with Client(server.path) as client:
            client.greet(0xFF)
    wait(lambda: server.get()["address_connections"] == 0)
    assert server.app.output().count("unknown client flags") < 250
