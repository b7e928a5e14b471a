"""Bdevs over NBD: usual clients, the RPCs, and clients that mean no good."""

import json
import os
import random
import resource
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path

import nbd_client as nbd
import pytest
from harness import config, spdk
from harness.application import Error
from harness.mirror import Mirrors
from nbd_client import Client, Closed

MIB = 1 << 20


@pytest.fixture(autouse=True)
def ours(stock):
    """SPDK's own applications have no such server."""
    if stock:
        pytest.skip("SPDK's own modules do not serve NBD in user space")


class Server:
    """An application with a bdev of 64 MiB, exported at a unix socket."""

    def __init__(self, app, path, block_size=512):
        self.app = app
        self.path = path
        self.address = f"unix:{path}"
        method, params = config.malloc("M0", 64, block_size)
        app.call(method, **params)
        self.export = self.start("M0")
        self.uri = self.export["uri"]

    def start(self, bdev, address=None, **further):
        """Exports a bdev."""
        return self.app.call("nbd_export_start", bdev_name=bdev, address=address or self.address,
                             **further)

    def stop(self, **which):
        """Ends exports."""
        return self.app.call("nbd_export_stop", **which)

    def get(self, name="M0"):
        """What the application says of an export."""
        return next(entry for entry in self.app.call("nbd_exports_get")
                    if entry["export_name"] == name)

    def client(self, name="", seconds=20):
        """A client in the transmission phase."""
        return Client(self.path, seconds).go(name)

    def assert_well(self):
        """Whether an honest client is served."""
        data = os.urandom(8192)
        with self.client() as client:
            assert client.write(4096, data, nbd.FUA) == 0
            assert client.read(4096, 8192) == data


@pytest.fixture
def server(app, scratch):
    """Of one core."""
    return Server(app, scratch / "nbd.sock")


def run(*words, **options):
    """Runs a program and returns what it printed."""
    done = subprocess.run([str(word) for word in words], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, check=False, timeout=200, **options)
    assert done.returncode == 0, f"{words}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def wait(condition, seconds=20):
    """Until something holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "still not so"
        time.sleep(0.05)


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


# Usual clients.


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


# The protocol.


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


# Clients that mean no good.


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


def test_the_log_is_not_flooded(server):
    for _ in range(500):
        with Client(server.path) as client:
            client.greet(0xFF)
    wait(lambda: server.get()["address_connections"] == 0)
    assert server.app.output().count("unknown client flags") < 250


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


# The life of exports.


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
