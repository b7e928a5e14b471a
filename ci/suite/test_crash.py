"""Processes that are killed under load, again and again, at any moment: what was acknowledged is
there afterwards, on each leg, and the legs are equal."""

import collections
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
# Files, and what is a leg of each: the second can be told to fail, the third to be slow.
FILES = {"L0": "L0", "L1": "EE_L1", "L2": "D_L2"}
LEGS = list(FILES.values())
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
        self.loads, self.decks = [], {}
        self.happened = collections.Counter()
        # Files with different contents: the first sync has something to do.
        for name in FILES:
            (scratch / name).write_bytes(MIB * b"\0" + self.random.randbytes(LEG_BYTES - MIB))

    def calls(self, files, limit):
        """A configuration with these files. Nothing is examined by itself, because L1 must not be
        taken for what EE_L1 is."""
        calls = [("bdev_set_options", {"bdev_auto_examine": False}),
                 ("raid1_set_options", {"rebuild_limit_mib_s": limit})]
        for name in files:
            if FILES[name] != name:
                calls.append(self.aio(name))
            calls.append(self.leg(name))
        return calls + [("bdev_examine", {"name": FILES[name]}) for name in files]

    def aio(self, name):
        """The call that makes a bdev of a file."""
        method, params = config.aio(name, self.scratch / name)
        return method, {**params, "fallocate": True}

    def leg(self, name):
        """The call that makes a leg."""
        latencies = ("avg_read_latency", "p99_read_latency", "avg_write_latency",
                     "p99_write_latency")
        return {
            "L0": self.aio(name),
            "L1": ("bdev_error_create", {"base_name": name}),
            "L2": ("bdev_delay_create", {"name": FILES[name], "base_bdev_name": name,
                                         **dict.fromkeys(latencies, 0)}),
        }[name]

    def delete_leg(self, name):
        """A leg is pulled."""
        kind = {"L0": "aio", "L1": "error", "L2": "delay"}[name]
        self.app.call(f"bdev_{kind}_delete", name=FILES[name])

    def start(self, files=FILES, wait=True, limit=0):
        """Starts a process with these files."""
        document = self.scratch / "config.json"
        document.write_text(config.document(self.calls(files, limit)), encoding="utf-8")
        self.starts += 1
        home = self.scratch / f"app{self.starts % 8}"
        self.app = Application(self.path, home, "--json", document, preload=self.preload,
                               memory=spdk.memory_args(256))
        if wait:
            self.app.ready()

    def kill(self):
        """In the middle of what it does."""
        code = self.app.process.poll()
        assert code is None, f"it ended by itself, with {code}"
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
                sectors = [place // SECTOR for place in range(0, len(content), SECTOR)
                           if content[place:place + SECTOR] !=
                           self.history.content[place:place + SECTOR]]
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
                self.app.call("raid1_add_base_bdev", raid_bdev="M", base_bdev="EE_L1")

    def vanish(self):
        """A leg is pulled, and perhaps comes back while all works."""
        name = self.random.choice(list(FILES))
        self.delete_leg(name)
        self.wait("a leg that is gone", lambda mirror: not is_whole(mirror))
        self.pause(0.1)
        if self.random.random() < 0.7:
            method, params = self.leg(name)
            self.app.call(method, **params)
            self.app.call("bdev_examine", name=FILES[name])
            if self.random.random() < 0.5:
                self.wait("the leg's return", is_whole)

    def absent(self):
        """The process starts again without a leg, and works without it."""
        self.end()
        name = self.random.choice(list(FILES))
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

    def stop(self):
        """Ends it in order."""
        assert self.app.stop() == 0, "it did not stop cleanly"

    def kill_while_it_records(self):
        """Kills it when it is about to take a leg out, for which it writes metadata to a slow one."""
        legs = [leg["name"] for leg in self.mirror()["base_bdevs_list"] if leg["state"] == "in_sync"]
        if "D_L2" in legs and len(legs) > 1:
            for measure in ("avg", "p99"):
                self.app.call("bdev_delay_update_latency", delay_bdev_name="D_L2",
                              latency_type=f"{measure}_write", latency_us=20_000)
            call = self.app.call_in_background("raid1_remove_base_bdev", name=legs[0])
            self.pause(0.1)
            self.happened["killed while metadata was written"] += call.is_alive()
        self.kill()

    def end(self):
        """Ends the process, and looks at what clients saw."""
        self.draw(4 * [self.kill] + 2 * [self.kill_while_it_records] + [self.stop])()
        for load in self.loads:
            load.join(60)
            assert not load.is_alive(), "a client hangs"
            assert load.trouble is None, f"a client: {load.trouble!r}"
            assert not load.errors, f"requests failed: {load.errors[:4]}"
        self.loads = []

    # Lives that are over soon.

    def none(self):
        """There is no such life."""

    def kill_early(self):
        """In assembly, in resync, in a rebuild, or not even started."""
        self.start(wait=False)
        self.pause(0.3)
        self.kill()

    def kill_while_it_copies(self):
        """In resync, or in a rebuild, which take long."""
        self.start(limit=1)
        self.wait("a mirror", lambda mirror: mirror["state"] == "online")
        self.pause(0.2)
        mirror = self.mirror()
        self.happened["killed in a resync"] += mirror["unequal_regions"] > 0
        self.happened["killed in a rebuild"] += "rebuilding" in [
            leg["state"] for leg in mirror["base_bdevs_list"]]
        self.kill()

    def draw(self, choices):
        """One of these; each comes as often as it is there, before any comes again."""
        names = tuple(choice.__name__ for choice in choices)
        deck = self.decks.setdefault(names, [])
        if not deck:
            deck += self.random.sample(choices, len(choices))
        choice = deck.pop()
        self.happened[choice.__name__] += 1
        return choice

    def cycle(self):
        """Load, something that happens, an end; perhaps a life that is over soon; all is well."""
        self.loads = self.load()
        self.pause(0.15)
        kind = self.draw([self.nothing, self.fail, self.vanish, self.absent])
        self.kind = kind.__name__
        kind()
        self.pause(0.15)
        self.end()
        self.draw([self.none, self.kill_early, self.kill_while_it_copies])()
        self.start()
        self.check()


def is_whole(mirror):
    """All legs are in sync."""
    return mirror["state"] == "online" and all(
        leg["state"] == "in_sync" for leg in mirror["base_bdevs_list"])


def is_equal(mirror):
    """And none may differ from another, as far as the mirror keeps a record of that."""
    return is_whole(mirror) and mirror.get("unequal_regions", 0) == 0


def kept(scratch, seed):
    """Where the files of a failed test are kept."""
    place = f"/tmp/barespdk-crash-{seed}"
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(scratch, place, ignore=shutil.ignore_patterns("*.sock"))
    return place


@pytest.fixture
def cycles(request, quick):
    """How many there are."""
    return request.config.getoption("--cycles") or (15 if quick else 300)


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


@pytest.mark.timeout(7200)
def test_killed_under_load(scratch, program, cycles, seed, capsys):
    crashing = Crashing(*program("raid1"), scratch, seed)
    crashing.kind = "create"
    began = time.monotonic()

    def act(cycle):
        if cycle == 0:
            crashing.create()
        crashing.cycle()

    run(scratch, seed, crashing, cycles, act)
    acknowledged = crashing.history.acknowledged
    with capsys.disabled():
        print(f"\nseed {seed}: {cycles} cycles, {crashing.starts} starts, {acknowledged} writes "
              f"acknowledged and read back from each leg, {time.monotonic() - began:.0f} s; "
              f"{dict(sorted(crashing.happened.items()))}")
    assert acknowledged > 50 * cycles, "hardly any load"
    # What is left to chance happens often enough.
    for what in ("while metadata was written", "in a resync", "in a rebuild"):
        assert crashing.happened[f"killed {what}"] > 0 or cycles < 15, f"never killed {what}"


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
        mirror = crashing.mirror()
        if mirror is None or mirror["state"] != "online":
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
