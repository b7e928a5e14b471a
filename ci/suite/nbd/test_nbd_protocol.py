"""The protocol, as an honest client speaks it."""

import random
import struct

import nbd_client as nbd
from nbd_client import Client
from nbd_server import wait

MIB = 1 << 20


def test_options(server):
    with Client(server.path).greet() as client:
        assert client.option(nbd.STRUCTURED_REPLY) == [(nbd.UNSUPPORTED, client_text())]
        assert client.option(nbd.LIST) == [(2, b"\0\0\0\x02M0"), (nbd.ACK, b"")]
        ((kind, text),) = client.option(nbd.INFO, b"\0\0\0\x03xyz\0\0")
        assert kind == nbd.UNKNOWN and b"xyz" in text
        assert client.option(nbd.ABORT) == [(nbd.ACK, b"")]
        assert client.is_closed()


def client_text():
    """What is said of options that are not supported."""
    return b"the option is not supported"


def test_export_name(server):
    for flags, zeroes in ((3, 0), (1, 124)):
        with Client(server.path).greet(flags) as client:
            client.send(nbd.OPTION + struct.pack(">II", nbd.EXPORT_NAME, 2) + b"M0")
            size, _ = struct.unpack(">QH", client.receive(10))
            assert size == 64 * MIB
            assert client.receive(zeroes) == bytes(zeroes)
            assert client.write(0, b"y" * 512) == 0


def test_all_in_one_segment(server):
    """A client that does not wait for answers is served all the same."""
    with Client(server.path) as client:
        go = nbd.OPTION + struct.pack(">II", nbd.GO, 6) + bytes(6)
        write = struct.pack(">IHHQQI", nbd.REQUEST_MAGIC, 0, nbd.WRITE, 5, 0, 512) + b"z" * 512
        read = struct.pack(">IHHQQI", nbd.REQUEST_MAGIC, 0, nbd.READ, 6, 8192, 512)
        disconnect = struct.pack(">IHHQQI", nbd.REQUEST_MAGIC, 0, nbd.DISC, 7, 0, 0)
        client.send(struct.pack(">I", 3) + go + write + read + disconnect)
        client.receive(18)
        while True:
            _, _, kind, length = struct.unpack(">QIII", client.receive(20))
            client.receive(length)
            if kind == nbd.ACK:
                break
        replies = set()
        for _ in range(2):
            error, cookie = client.reply()
            replies.add((error, cookie))
            client.receive(512 if cookie == 6 else 0)
        assert replies == {(0, 5), (0, 6)}
        assert client.is_closed()


def test_commands(server):
    with server.client() as client:
        assert client.size == 64 * MIB
        assert client.write(0, b"a" * 4096) == 0
        assert client.call(nbd.WRITE_ZEROES, 512, 1024, flags=nbd.FUA) == 0
        assert client.read(0, 4096) == b"a" * 512 + bytes(1024) + b"a" * 2560
        assert client.call(nbd.TRIM, 0, 4096) == 0
        assert client.call(nbd.FLUSH) == 0
        assert client.write(0, b"") == 0
        assert client.read(0, 0) == b""
        assert client.write(32 * MIB, bytes(32 * MIB)) == 0
        assert client.read(32 * MIB, 32 * MIB) == bytes(32 * MIB)


def test_requests_that_are_refused(server):
    end = 64 * MIB
    with server.client() as client:
        assert client.read(end, 512) == nbd.EINVAL
        assert client.read(end - 512, 1024) == nbd.EINVAL
        assert client.write(end, bytes(512)) == nbd.ENOSPC
        assert client.write((1 << 64) - 512, bytes(512)) == nbd.ENOSPC
        assert client.call(nbd.WRITE_ZEROES, end - 512, 1024) == nbd.ENOSPC
        assert client.call(nbd.TRIM, end, 512) == nbd.EINVAL
        assert client.read(1, 512) == nbd.EINVAL
        assert client.write(0, bytes(511)) == nbd.EINVAL
        assert client.read(0, 33 * MIB) == nbd.EINVAL
        assert client.read(0, (1 << 32) - 512) == nbd.EINVAL
        assert client.write(0, bytes(33 * MIB)) == nbd.EINVAL
        assert client.call(7, 0, 512) == nbd.EINVAL
        assert client.call(0xFFFF, 0, 512) == nbd.EINVAL
        assert client.call(nbd.READ, 0, 512, flags=4) == nbd.EINVAL
        assert client.call(nbd.WRITE, 0, 512, bytes(512), flags=0x8000) == nbd.EINVAL
        assert client.write(0, b"b" * 512) == 0
        assert client.read(0, 512) == b"b" * 512
    wait(lambda: server.get()["connections"] == 0)
    assert server.get()["num_errors"] == 15


def test_many_in_flight(server):
    """More than there are slots, and memory, for: the rest waits, and nothing is lost."""
    with server.client() as client:
        assert client.write(0, random.randbytes(MIB)) == 0
        for count, length in ((2000, 4096), (100, MIB)):
            client.reads(count, length, step=512)
            seen = set()
            for _ in range(count):
                error, cookie = client.reply()
                assert error == 0
                client.receive(length)
                seen.add(cookie)
            assert seen == set(range(count))


def test_read_only(server):
    export = server.start("M0", export_name="ro", read_only=True)
    assert export["read_only"] is True
    with server.client("ro") as client:
        assert client.flags & 2
        assert client.write(0, bytes(512)) == nbd.EPERM
        assert client.call(nbd.TRIM, 0, 512) == nbd.EPERM
        assert client.call(nbd.WRITE_ZEROES, 0, 512) == nbd.EPERM
        assert client.call(nbd.FLUSH) == 0
        assert len(client.read(0, 512)) == 512
