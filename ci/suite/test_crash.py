"""Processes that are killed under load, again and again, at any moment: what was acknowledged is
there afterwards, on each leg, and the legs are equal."""

import os
import random
import shutil
import signal
import threading
import time

import nbd_client as nbd
import pytest
from harness import config, spdk
from harness.application import Application, Error
from history import SECTOR, History
from nbd_client import Client, Closed

MIB = 1 << 20
FILES = ["L0", "L1", "L2"]
# L1 can be told to fail.
LEGS = ["L0", "EE_L1", "L2"]
LEG_BYTES = 17 * MIB
# Small, so that many of them are written to for the first time: each time metadata is written.
REGION_KIB = 16
WRITE_SECTORS_MAX = 48


@pytest.fixture(autouse=True)
def ours(stock):
    """SPDK's own module loses data here."""
    if stock:
        pytest.skip("SPDK's own module keeps no log of what is dirty")


class Load(threading.Thread):
    """A client that writes until its server is gone, and notes what was acknowledged."""

    def __init__(self, address, history, seed, depth=8):
        super().__init__(daemon=True)
        self.address, self.history, self.depth = address, history, depth
        self.random = random.Random(seed)
        self.errors, self.acknowledged, self.trouble = [], 0, None
        self.ends = False
        self.start()

    def run(self):
        try:
            self.write()
        except (Closed, ConnectionRefusedError, FileNotFoundError):
            pass
        except Exception as trouble:  # pylint: disable=broad-exception-caught
            self.trouble = trouble

    def write(self):
        """Keeps some requests in flight."""
        in_flight = {}
        with Client(self.address, 30).go("M") as client:
            for cookie in range(1 << 62):
                # Flushes among them: they write metadata, too.
                write = None if self.random.random() < 0.02 else self.next()
                in_flight[cookie] = write
                if write is None:
                    client.request(nbd.FLUSH, cookie=cookie)
                elif write.zeroes:
                    client.request(nbd.WRITE_ZEROES, write.first * SECTOR, write.count * SECTOR,
                                   cookie=cookie)
                else:
                    flags = nbd.FUA if self.random.random() < 0.1 else 0
                    client.request(nbd.WRITE, write.first * SECTOR, write.count * SECTOR,
                                   write.data(), flags, cookie)
                while len(in_flight) >= self.depth or self.ends and in_flight:
                    error, answered = client.reply()
                    write = in_flight.pop(answered)
                    if error:
                        self.errors.append((error, write))
                    elif write is not None:
                        self.history.end(write)
                        self.acknowledged += 1
                if self.ends:
                    return

    def next(self):
        """A write to somewhere; half of them to a place where others write, too."""
        sectors = len(self.history.content) // SECTOR
        count = self.random.randint(1, WRITE_SECTORS_MAX)
        span = 256 if self.random.random() < 0.5 else sectors
        first = self.random.randrange(span - count)
        return self.history.begin(first, count, self.random.random() < 0.1)


class Crashing:
    """A mirror of three files in processes that do not live long."""

    def __init__(self, path, preload, scratch, seed):
        self.path, self.preload, self.scratch = path, preload, scratch
        self.random = random.Random(seed)
        self.socket = scratch / "nbd.sock"
        self.app = self.history = None
        self.starts = 0
        self.here = list(FILES)
        # Files with different contents: the first sync has something to do.
        for name in FILES:
            (scratch / name).write_bytes(MIB * b"\0" + self.random.randbytes(LEG_BYTES - MIB))

    def calls(self, files):
        """A configuration with these files. Nothing is examined by itself, because L1 must not be
        taken for what EE_L1 is."""
        calls = [("bdev_set_options", {"bdev_auto_examine": False})]
        calls += [self.aio(name) for name in files]
        if "L1" in files:
            calls.append(("bdev_error_create", {"base_name": "L1"}))
        calls += [("bdev_examine", {"name": leg}) for leg in self.legs(files)]
        return calls

    def aio(self, name):
        """The call that makes a bdev of a file."""
        method, params = config.aio(name, self.scratch / name)
        return method, {**params, "fallocate": True}

    @staticmethod
    def legs(files):
        """Legs of these files."""
        return [leg for leg in LEGS if leg.removeprefix("EE_") in files]

    def start(self, files=None, wait=True):
        """Starts a process with these files, or with all."""
        files = FILES if files is None else files
        self.here = list(files)
        document = self.scratch / "config.json"
        document.write_text(config.document(self.calls(files)), encoding="utf-8")
        self.starts += 1
        home = self.scratch / f"app{self.starts % 8}"
        self.app = Application(self.path, home, "--json", document, preload=self.preload,
                               memory=spdk.memory_args(256))
        if wait:
            self.app.ready()

    def kill(self):
        """In the middle of what it does."""
        self.app.process.send_signal(signal.SIGKILL)
        self.app.process.wait()

    def mirror(self):
        """What it says of the mirror, if there is one."""
        return next(iter(self.app.call("raid1_get_bdevs", category="all")), None)

    def wait(self, what, condition, seconds=30):
        """Until the mirror is in some state."""
        deadline = time.monotonic() + seconds
        while True:
            mirror = self.mirror()
            if mirror is not None and condition(mirror):
                return mirror
            assert time.monotonic() < deadline, f"waited for {what}, still {mirror}"
            time.sleep(0.01)

    def create(self):
        """Makes the mirror, and knows what is on it when its legs are equal."""
        self.start()
        self.app.call("raid1_create", name="M", base_bdevs=LEGS, region_size_kib=REGION_KIB)
        self.wait("the first sync", is_equal)
        self.history = History(self.read())
        self.assert_legs_equal()

    def read(self):
        """All that is on the mirror."""
        self.export()
        with Client(self.socket).go("M") as client:
            pieces = [client.read(offset, MIB) for offset in range(0, client.size, MIB)]
        assert all(isinstance(piece, bytes) for piece in pieces), "a read failed"
        return b"".join(pieces)

    def export(self):
        """Serves clients."""
        if not self.app.call("nbd_exports_get"):
            self.wait("a mirror", lambda mirror: mirror["state"] == "online")
            self.app.call("nbd_export_start", bdev_name="M", address=f"unix:{self.socket}")

    def assert_legs_equal(self):
        """Each file holds what was read."""
        (mirror,) = self.app.call("raid1_get_bdevs", category="all")
        for leg, name in zip(mirror["base_bdevs_list"], FILES):
            begin = leg["data_offset"] * SECTOR
            content = (self.scratch / name).read_bytes()[begin:begin + leg["data_size"] * SECTOR]
            if content != self.history.content:
                sectors = [sector for sector in range(len(content) // SECTOR)
                           if content[sector * SECTOR:][:SECTOR] !=
                           self.history.content[sector * SECTOR:][:SECTOR]]
                raise AssertionError(f"{name} differs from what was read in {len(sectors)} sectors, "
                                     f"such as {sectors[:10]}; {mirror}")

    def check(self):
        """All legs are taken back, and hold what they must."""
        self.wait("equal legs", is_equal)
        content = self.read()
        wrong = self.history.wrong(content)
        assert not wrong, f"{len(wrong)} sectors hold what they cannot, such as {wrong[:4]}"
        self.history.settle(content)
        self.assert_legs_equal()

    # What happens to the process, or to a leg, while it works.

    def nothing(self):
        """Just load."""

    def fail(self):
        """A leg fails writes: some only, which does nothing, or for long, so that it is ejected."""
        many = self.random.random() < 0.8
        self.app.call("bdev_error_inject_error", name="EE_L1", io_type="write",
                      error_type="failure", num=1_000_000 if many else 2)
        if many:
            self.wait("a failed leg", lambda mirror: not is_whole(mirror))
            if self.random.random() < 0.5:
                self.pause(0.05)
                self.app.call("bdev_error_inject_error", name="EE_L1", io_type="clear",
                              error_type="failure", num=0)
                self.put_back("EE_L1")

    def put_back(self, leg):
        """Adds a leg that has failed; it may still be leaving, and is claimed until it has left."""
        deadline = time.monotonic() + 10
        while True:
            try:
                return self.app.call("raid1_add_base_bdev", raid_bdev="M", base_bdev=leg, force=True)
            except Error as error:
                assert "claimed" in error.message and time.monotonic() < deadline, error
            time.sleep(0.01)

    def vanish(self):
        """A leg is pulled, and perhaps comes back while all works."""
        name = self.random.choice(["L0", "L2"])
        self.app.call("bdev_aio_delete", name=name)
        self.wait("a leg that is gone", lambda mirror: not is_whole(mirror))
        self.pause(0.1)
        if self.random.random() < 0.7:
            method, params = self.aio(name)
            self.app.call(method, **params)
            self.app.call("bdev_examine", name=name)
            if self.random.random() < 0.5:
                self.wait("the leg's return", is_whole)

    def absent(self):
        """The process starts again without a leg, and works without it."""
        self.end()
        name = self.random.choice(FILES)
        self.start([file for file in FILES if file != name])
        try:
            self.app.call("raid1_start", name="M")
        except Error:
            # Without a leg that is up to date there is no mirror. The others alone have it.
            self.app.kill()
            self.start()
        self.loads = self.load()

    def pause(self, seconds):
        """Some time, up to so much."""
        time.sleep(self.random.uniform(0, seconds))

    def load(self):
        """Clients under way."""
        self.export()
        return [Load(self.socket, self.history, self.random.random()) for _ in range(2)]

    def end(self):
        """Kills the process, now and then stops it, and looks at what clients saw."""
        if self.random.random() < 0.15:
            assert self.app.stop() == 0, "it did not stop cleanly"
        else:
            self.kill()
        for load in self.loads:
            load.join(60)
            assert not load.is_alive(), "a client hangs"
            assert load.trouble is None, f"a client: {load.trouble!r}"
            assert not load.errors, f"requests failed: {load.errors[:4]}"
        self.loads = []

    def cycle(self):
        """Load, something that happens, an end; some more that end early; all is well."""
        kind = self.random.choice([self.nothing, self.nothing, self.fail, self.vanish, self.absent])
        self.kind = kind.__name__
        self.loads = self.load()
        self.pause(0.15)
        kind()
        self.pause(0.15)
        self.end()
        # In assembly, in resync, in rebuilds.
        for _ in range(self.random.choice([0, 0, 1, 2])):
            self.start(wait=False)
            self.pause(0.3)
            self.kill()
        self.start()
        self.check()


def is_whole(mirror):
    """All legs are in sync."""
    return mirror["state"] == "online" and all(
        leg["state"] == "in_sync" for leg in mirror["base_bdevs_list"])


def is_equal(mirror):
    """And none may differ from another."""
    return is_whole(mirror) and mirror["unequal_regions"] == 0


def kept(scratch, seed):
    """Where the files of a failed test are kept."""
    place = f"/tmp/barespdk-crash-{seed}"
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(scratch, place, ignore=shutil.ignore_patterns("*.sock"))
    return place


@pytest.fixture
def seed(request):
    """Of this run: the same seed does the same, as far as time allows."""
    return request.config.getoption("--seed") or int.from_bytes(os.urandom(4), "little")


def run(scratch, seed, crashing, cycles, act):
    """So many cycles; tells where it failed, and with what."""
    print(f"seed {seed}")
    cycle = 0
    try:
        for cycle in range(cycles):
            act(cycle)
    except BaseException as error:
        log = crashing.app.output()[-4000:] if crashing.app else ""
        if crashing.app:
            crashing.app.kill()
        if not isinstance(error, Exception):
            raise
        raise AssertionError(
            f"seed {seed}, cycle {cycle} ({crashing.kind}), files in {kept(scratch, seed)}: "
            f"{type(error).__name__}: {error}\n{log}") from error
    crashing.app.kill()


@pytest.mark.timeout(3600)
def test_killed_under_load(scratch, program, quick, seed):
    crashing = Crashing(*program("raid1"), scratch, seed)
    crashing.kind, crashing.loads = "create", []
    began = time.monotonic()

    def act(cycle):
        if cycle == 0:
            crashing.create()
        crashing.cycle()

    cycles = 15 if quick else 300
    run(scratch, seed, crashing, cycles, act)
    print(f"{cycles} cycles, {crashing.starts} starts, {crashing.history.acknowledged} writes "
          f"acknowledged, {time.monotonic() - began:.0f} s")
    assert crashing.history.acknowledged > 50 * cycles, "hardly any load"


@pytest.mark.timeout(1200)
def test_killed_while_it_is_made(scratch, program, quick, seed):
    """A mirror that was being made is there, or is made again; its legs become equal."""
    crashing = Crashing(*program("raid1"), scratch, seed)
    crashing.kind = "create"

    def act(cycle):
        for name in FILES:
            with (scratch / name).open("r+b") as file:
                file.write(bytes(MIB))
        crashing.start()
        crashing.app.call_in_background("raid1_create", name="M", base_bdevs=LEGS,
                                        region_size_kib=REGION_KIB)
        crashing.pause(0.15)
        crashing.kill()
        crashing.start()
        crashing.app.call("bdev_wait_for_examine")
        try:
            crashing.wait("a mirror", lambda mirror: mirror["state"] == "online", 0.5)
        except AssertionError:
            # What is there of it is not enough, and in the way.
            crashing.app.call("raid1_create", name="M", base_bdevs=LEGS, force=True,
                              region_size_kib=REGION_KIB)
        crashing.wait("equal legs", is_equal)
        crashing.history = History(crashing.read())
        crashing.assert_legs_equal()
        crashing.kill()
        del cycle

    run(scratch, seed, crashing, 5 if quick else 60, act)


def test_a_lost_write_is_noticed():
    """The canary: a disk that forgets, or makes up, what was written."""
    history = History(bytes(8 * SECTOR))
    first, second, third = history.begin(0, 2), history.begin(1, 2), history.begin(4, 1)
    history.end(first)
    content = bytearray(8 * SECTOR)
    content[:2 * SECTOR] = first.data()
    assert not history.wrong(content)
    content[SECTOR:2 * SECTOR] = second.sector(1)
    assert not history.wrong(content)
    content[4 * SECTOR:5 * SECTOR] = third.data()
    assert not history.wrong(content)
    history.end(third)
    content[4 * SECTOR:5 * SECTOR] = bytes(SECTOR)
    assert [sector for sector, _, _ in history.wrong(content)] == [4]
    content[4 * SECTOR:5 * SECTOR] = third.data()
    later = history.begin(0, 1)
    history.end(later)
    assert [sector for sector, _, _ in history.wrong(content)] == [0]
    content[:SECTOR] = later.data()
    content[7 * SECTOR] = 1
    assert [sector for sector, _, _ in history.wrong(content)] == [7]
