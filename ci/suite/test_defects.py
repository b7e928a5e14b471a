"""What SPDK v26.01's own raid1 gets wrong, row by row: the same steps, the right outcome."""

import contextlib
import itertools
import os
import random
import select
import time

import nbd_client as nbd
import pytest
from harness import config
from harness.application import Error
from harness.freeze import frozen
from history import SECTOR, History
from nbd_client import Client
from perf import Bdevperf
from test_crash import Load, is_equal, is_whole

MIB = 1 << 20
OFFSET = MIB
MANY = 1_000_000
OLD, NEW, OTHER = b"old " * 1024, b"new " * 1024, b"else" * 1024


@pytest.fixture(autouse=True)
def ours(stock):
    """They are its defects."""
    if stock:
        pytest.skip("SPDK's own module fails these")


class World:
    """An application, the mirror M in it, and a client of M."""

    def __init__(self, start, scratch, **options):
        self.starter, self.scratch = start, scratch
        self.app = start("raid1", **options)

    def restart(self, *names):
        """A new process with these files."""
        self.app = self.starter("raid1")
        for name in names:
            self.aio(name)
        self.app.call("bdev_wait_for_examine")

    def malloc(self, *names, mebibytes=9, **further):
        """Bdevs in memory."""
        for name in names:
            method, params = config.malloc(name, mebibytes)
            self.app.call(method, **params, **further)

    def aio(self, name, content=None, mebibytes=8):
        """A bdev of a file, which is made if it is not there."""
        path = self.scratch / name
        if not path.exists():
            path.write_bytes(bytes(MIB) + (content or bytes(mebibytes * MIB)))
        method, params = config.aio(name, path)
        self.app.call(method, fallocate=True, **params)

    def failing(self, name):
        """A bdev above another that can be told to fail."""
        self.app.call("bdev_error_create", base_name=name)
        return f"EE_{name}"

    def inject(self, name, io_type, num=MANY, error_type="failure"):
        """Lets a bdev fail."""
        self.app.call("bdev_error_inject_error", name=name, io_type=io_type, error_type=error_type,
                      num=num)

    def delayed(self, name, write_us=0, read_us=0):
        """A bdev above another that is slow: what it does is done at once, and told late."""
        self.app.call("bdev_delay_create", name=f"D_{name}", base_bdev_name=name,
                      avg_read_latency=read_us, p99_read_latency=read_us,
                      avg_write_latency=write_us, p99_write_latency=write_us)
        return f"D_{name}"

    def delay(self, name, kind, us):
        """Makes such a bdev slower, or faster."""
        for measure in ("avg", "p99"):
            self.app.call("bdev_delay_update_latency", delay_bdev_name=name,
                          latency_type=f"{measure}_{kind}", latency_us=us)

    def limit(self, mib_s):
        """How fast rebuilds are; 0: as they can."""
        self.app.call("raid1_set_options", rebuild_limit_mib_s=mib_s)

    def iostat(self, name):
        """What a bdev was asked for so far."""
        return self.app.call("bdev_get_iostat", name=name)["bdevs"][0]

    def create(self, *legs, **further):
        """Makes M, and waits for its first sync."""
        self.app.call("raid1_create", name="M", base_bdevs=list(legs), **further)
        self.wait(is_equal)

    def mirror(self):
        """What is said of M."""
        return next(iter(self.app.call("raid1_get_bdevs", category="all")), None)

    def states(self):
        """Of its legs."""
        return [leg["state"] for leg in self.mirror()["base_bdevs_list"]]

    def wait(self, condition, seconds=30):
        """Until M is in some state."""
        deadline = time.monotonic() + seconds
        while not (self.mirror() and condition(self.mirror())):
            assert time.monotonic() < deadline, f"still {self.mirror()}"
            time.sleep(0.01)

    @property
    def address(self):
        """Where M is exported."""
        return self.app.scratch / "nbd.sock"

    def client(self):
        """A client of M."""
        if not self.app.call("nbd_exports_get"):
            self.app.call("nbd_export_start", bdev_name="M", address=f"unix:{self.address}")
        return Client(self.address).go("M")

    def data(self, name):
        """What a file holds behind its metadata."""
        return (self.scratch / name).read_bytes()[OFFSET:]

    def content(self, leg):
        """What a leg that is no file holds of M, asked past the mirror."""
        path = self.app.scratch / "leg.sock"
        offset = self.mirror()["base_bdevs_list"][0]["data_offset"] * SECTOR
        self.app.call("nbd_export_start", bdev_name=leg, address=f"unix:{path}", read_only=True)
        with Client(path).go(leg) as client:
            content = read_all(client)[offset:]
        self.app.call("nbd_export_stop", bdev_name=leg)
        return content

    def kill(self):
        """At once."""
        self.app.kill()


@pytest.fixture
def world(start, scratch):
    """With nothing in it yet."""
    return World(start, scratch)


def wait_for(condition, seconds=30):
    """Until something is so."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


def read_all(client):
    """All that is on the mirror."""
    return b"".join(client.read(offset, MIB) for offset in range(0, client.size, MIB))


def answers(client, count=64, step=0):
    """What so many reads at once are answered, of the first block or of as many: so many that each
    leg which is read from gets some."""
    client.reads(count, 4096, step)
    found = set()
    for _ in range(count):
        error, _ = client.reply()
        found.add(error or client.receive(4096))
    return found


def test_row_01_target_of_a_rebuild_fails(world):
    world.malloc("L0", "L1", mebibytes=65)
    target = world.failing("L1")
    world.create("L0", target)
    with world.client() as client:
        for _ in range(5):
            world.app.call("raid1_remove_base_bdev", name=target)
            world.app.call("raid1_add_base_bdev", raid_bdev="M", base_bdev=target, force=True)
            world.inject(target, "write")
            for offset in range(0, 8 * MIB, MIB):
                assert client.write(offset, NEW) == 0
            world.wait(lambda mirror: world.states() == ["in_sync", "failed"])
            world.inject(target, "clear", 0)
            world.app.call("raid1_add_base_bdev", raid_bdev="M", base_bdev=target, force=True)
            world.wait(is_whole)
        assert client.read(0, 4096) == NEW
    assert world.app.stop() == 0


def test_row_02_two_legs_are_rebuilt_at_once(world):
    """The second comes back by itself while the first is copied to."""
    for name in ("L0", "L1", "L2"):
        world.aio(name)
    world.create("L0", "L1", "L2")
    with world.client() as client:
        for leg in ("L1", "L2"):
            world.app.call("bdev_aio_delete", name=leg)
        world.wait(lambda mirror: world.states() == ["in_sync", "failed", "failed"])
        for offset in range(0, client.size, MIB):
            assert client.write(offset, NEW * 256) == 0
        world.limit(1)
        world.aio("L1")
        world.wait(lambda mirror: world.states() == ["in_sync", "rebuilding", "failed"])
        world.aio("L2")
        world.wait(lambda mirror: world.states() == ["in_sync", "rebuilding", "rebuilding"])
        assert answers(client, 512, 4096) == {NEW}
        world.limit(0)
        world.wait(is_equal)
        assert answers(client, 512, 4096) == {NEW}
        assert read_all(client) == world.data("L0") == world.data("L1") == world.data("L2")
    assert world.app.stop() == 0


def test_row_03_metadata_is_not_written_while_a_leg_goes(world):
    world.malloc("L0", "L1", "L2")
    leg = world.failing("L1")
    world.create("L0", leg, "L2")
    with world.client() as client:
        for num in (1, MANY):
            world.inject(leg, "write", num)
            world.app.call("raid1_remove_base_bdev", name="L2")
            assert client.write(0, NEW) == 0
            assert client.read(0, 4096) == NEW
            world.inject(leg, "clear", 0)
            if num == 1:
                world.app.call("raid1_add_base_bdev", raid_bdev="M", base_bdev="L2", force=True)
                world.wait(is_whole)
    assert world.states() == ["in_sync", "failed", "failed"]
    assert world.app.stop() == 0


def test_row_04_read_error_of_the_last_leg(world):
    world.malloc("L0", "L1")
    leg = world.failing("L0")
    world.create(leg, "L1")
    with world.client() as client:
        assert client.write(0, OLD) == 0
        world.app.call("raid1_remove_base_bdev", name="L1")
        world.inject(leg, "read")
        for _ in range(3):
            assert client.read(0, 4096) == nbd.EIO
        # It is there still, for whoever can do without reads.
        assert client.write(0, NEW) == 0
        assert world.mirror()["state"] == "online"
        assert world.states() == ["in_sync", "failed"]
        world.inject(leg, "clear", 0)
        assert client.read(0, 4096) == NEW
    assert world.app.stop() == 0


def test_row_04_read_error_of_the_source_of_a_rebuild(world):
    """The rebuild waits for the source to answer again; nobody reads from its target meanwhile."""
    world.malloc("L0", "L1")
    leg = world.failing("L0")
    world.create("L1", leg)
    with world.client() as client:
        assert client.write(0, OLD) == 0
        world.app.call("raid1_remove_base_bdev", name="L1")
        assert client.write(0, NEW) == 0
        world.inject(leg, "read")
        world.app.call("raid1_add_base_bdev", raid_bdev="M", base_bdev="L1", force=True)
        world.wait(lambda mirror: mirror["base_bdevs_list"][0]["rebuild"]["failed_windows"] > 0)
        assert answers(client) == {nbd.EIO}
        assert world.states() == ["rebuilding", "in_sync"]
        world.inject(leg, "clear", 0)
        assert answers(client) == {NEW}
        world.wait(is_whole)
        assert answers(client) == {NEW}
    assert world.content("L0") == world.content("L1")
    assert world.app.stop() == 0


def test_row_05_ack_before_eject(start, scratch):
    """The leg that fails, late, is the one that is read from first; clients are on two threads."""
    world = World(start, scratch, cores="0x3")
    world.malloc("L0", "L1")
    failing = world.failing("L0")
    slow = world.delayed(failing)
    world.create(slow, "L1")
    world.delay(slow, "write", 30_000)
    with world.client() as writer, world.client() as reader:
        assert writer.write(0, OLD) == 0
        assert answers(writer) == answers(reader) == {OLD}
        world.inject(failing, "write")
        assert writer.write(0, NEW) == 0
        for client in (reader, writer, reader):
            assert answers(client) == {NEW}
    assert world.states() == ["failed", "in_sync"]
    assert world.app.stop() == 0


def test_row_05_ack_before_eject_while_a_thread_stands_still(start, scratch):
    """It is the one that takes legs out: until it goes on, who wrote waits, or is not told old
    data."""
    world = World(start, scratch, cores="0x3")
    world.malloc("L0", "L1")
    failing = world.failing("L0")
    world.create(failing, "L1")
    with world.client() as one, world.client() as other:
        # Where all is marked already, writes need nobody else.
        assert one.write(0, OLD * 2) == 0
        world.inject(failing, "write")
        acknowledged = []
        with contextlib.ExitStack() as still:
            try:
                still.enter_context(frozen(world.app.process.pid))
            except PermissionError:
                pytest.skip("no process may be traced here")
            for place, client in enumerate((one, other)):
                client.request(nbd.WRITE, place * 4096, 4096, NEW)
            for place, client in enumerate((one, other)):
                if select.select([client.socket], [], [], 1)[0]:
                    assert client.reply() == (0, 1)
                    assert client.read(place * 4096, 4096) == NEW
                    acknowledged.append(client)
        for client in (one, other):
            assert client in acknowledged or client.reply() == (0, 1)
        assert one.read(0, 8192) == other.read(0, 8192) == NEW * 2
    assert world.states() == ["failed", "in_sync"]
    assert world.app.stop() == 0


@pytest.mark.parametrize("slot", [0, 1])
def test_row_06_ack_before_the_fault_is_recorded(world, slot):
    """The leg that missed an acknowledged write is there after a crash, and is not believed. The
    other takes its time to record what it knows."""
    names = ["L0", "L1"]
    for name in names:
        world.aio(name)
    failing, slow = world.failing(names[slot]), world.delayed(names[1 - slot])
    world.create(*((failing, slow) if slot == 0 else (slow, failing)))
    with world.client() as client:
        assert client.write(0, OLD) == 0
        world.inject(failing, "write")
        world.delay(slow, "write", 100_000)
        assert client.write(0, NEW) == 0
        world.kill()
    assert world.data(names[slot])[:4096] == OLD
    world.restart(*names)
    with world.client() as client:
        assert answers(client) == {NEW}
        world.wait(is_equal)
        assert answers(client) == {NEW}
        assert read_all(client) == world.data("L0") == world.data("L1")


@pytest.mark.parametrize("superblock", [True, False])
def test_row_07_channels_made_while_ranges_are_held(start, scratch, superblock):
    """Clients come, on threads that had nothing to do with the mirror, while what they ask for is
    being copied: they see nothing of the leg that is copied to, and what they write is not
    overwritten by what was read before."""
    world = World(start, scratch, cores="0x3")
    world.malloc("L0", "L1")
    slow = world.delayed("L1")
    # The first is the one that is read from first.
    world.create("L0", slow, superblock=superblock)
    places = range(0, 8 * MIB, MIB)
    with world.client() as client:
        assert all(client.write(place, OLD * 256) == 0 for place in places)
    world.app.call("raid1_remove_base_bdev", name="L0")
    with world.client() as client:
        assert all(client.write(place, NEW * 256) == 0 for place in places)
    # Each window is held for so long between its read and its write.
    world.delay(slow, "read", 300_000)
    world.app.call("raid1_add_base_bdev", raid_bdev="M", base_bdev="L0")
    written = under_way = 0
    while not is_whole(world.mirror()):
        with world.client() as one, world.client() as other:
            for client in (one, other):
                for place in places:
                    client.request(nbd.READ, place + MIB // 2, 4096, cookie=1)
                    client.request(nbd.WRITE, place + written, 4096, OTHER, cookie=2)
                written += 4096
            under_way += not is_whole(world.mirror())
            for client in (one, other):
                for _ in range(2 * len(places)):
                    error, cookie = client.reply()
                    assert error == 0
                    assert cookie == 2 or client.receive(4096) == NEW
    assert under_way > 0, "it was over too soon"
    world.delay(slow, "read", 0)
    with world.client() as client:
        content = read_all(client)
    assert all(content[place:].startswith(OTHER * (written // 4096) + NEW) for place in places)
    assert content == world.content("L0") == world.content("L1")
    assert world.app.stop() == 0


def test_row_08_kill_under_writes(world):
    """What was being written is made equal after a crash, and nothing else is even read; after a
    clean stop nothing is."""
    def resynced():
        """Starts it again; how many bytes of its legs were read until they were equal."""
        world.restart("L0", "L1")
        world.wait(is_equal)
        return sum(world.iostat(leg)["bytes_read"] for leg in ("L0", "L1"))

    for name in ("L0", "L1"):
        world.aio(name, mebibytes=64)
    stuck = world.failing("L1")
    world.create("L0", stuck, region_size_kib=16)
    # Its first sync has dirtied all; that is forgotten when it has been quiet for a while.
    world.wait(lambda mirror: mirror["dirty_regions"] == 0)
    with world.client() as client:
        history = History(read_all(client)[:MIB])
        # Far from there: what lies between is not touched.
        assert client.write(client.size - 4096, NEW) == 0
    load = Load(world.address, history, 1)
    wait_for(lambda: load.acknowledged > 200)
    # What one leg does from now on, the other does not.
    world.inject(stuck, "write", error_type="pending")
    wait_for(lambda: world.data("L0") != world.data("L1"))
    world.kill()
    load.join(30)
    assert not load.errors and load.trouble is None
    read_after_kill = resynced()
    with world.client() as client:
        content = read_all(client)
    assert not history.wrong(content[:MIB])
    assert content.endswith(NEW)
    assert content == world.data("L0") == world.data("L1")
    assert world.app.stop() == 0
    # Metadata, and what others look for on a disk that appears.
    read_after_stop = resynced()
    assert world.mirror()["dirty_regions"] == 0
    assert 0 < read_after_kill - read_after_stop <= MIB + (16 << 10)


def test_row_09_legs_of_different_content(world):
    contents = [random.Random(seed).randbytes(8 * MIB) for seed in range(3)]
    for number, content in enumerate(contents):
        world.aio(f"L{number}", content)
    # Time to look before the copies are made.
    world.limit(1)
    world.app.call("raid1_create", name="M", base_bdevs=["L0", "L1", "L2"])
    with world.client() as client:
        assert answers(client) == {contents[0][:4096]}
        assert not is_equal(world.mirror())
        world.limit(0)
        assert read_all(client) == contents[0]
        world.wait(is_equal)
        assert answers(client) == {contents[0][:4096]}
        assert read_all(client) == contents[0]
    assert all(world.data(f"L{number}") == contents[0] for number in range(3))
    assert world.app.stop() == 0


def test_row_10_a_leg_is_missing_at_the_start(world):
    for name in ("L0", "L1", "L2"):
        world.aio(name)
    world.create("L0", "L1", "L2")
    with world.client() as client:
        assert client.write(0, OLD) == 0
    assert world.app.stop() == 0

    world.restart("L0", "L2")
    mirror = world.mirror()
    assert mirror["state"] == "configuring"
    assert "slot 1" in mirror["waits_for"] and "L1" in mirror["waits_for"], mirror
    assert world.app.call("raid1_start", name="M") is True
    with world.client() as client:
        assert client.write(0, NEW) == 0
        # Late: the stale leg is rebuilt.
        world.aio("L1")
        world.wait(is_whole)
        assert client.read(0, 4096) == NEW
    assert world.app.stop() == 0

    # Early: the stale leg is there first.
    world.restart("L0", "L2")
    world.app.call("raid1_start", name="M")
    with world.client() as client:
        assert client.write(4096, NEW) == 0
    assert world.app.stop() == 0
    world.restart("L1", "L0", "L2")
    world.wait(is_equal)
    with world.client() as client:
        assert read_all(client) == world.data("L0") == world.data("L1") == world.data("L2")
        assert client.read(4096, 4096) == NEW
    assert world.app.stop() == 0


def test_row_10_nobody_needs_to_be_asked(world):
    for name in ("L0", "L1"):
        world.aio(name)
    world.create("L0", "L1")
    assert world.app.stop() == 0
    world.app = world.starter("raid1")
    world.app.call("raid1_set_options", assemble_timeout_s=1)
    world.aio("L0")
    world.wait(lambda mirror: mirror["state"] == "online", 10)
    assert world.states() == ["in_sync", "failed"]
    world.aio("L1")
    world.wait(is_whole)
    assert world.app.stop() == 0


def test_row_11_deleted_and_made_again(world):
    legs = ["L0", "L1"]
    for name in legs:
        world.aio(name)
    world.create(*legs)
    assert world.app.call("raid1_delete", name="M") is True
    world.create(*legs)
    assert world.app.call("raid1_delete", name="M", keep_metadata=True) is True
    with pytest.raises(Error) as refused:
        world.app.call("raid1_create", name="N", base_bdevs=legs)
    assert "L0" in refused.value.message and "force" in refused.value.message
    assert world.app.call("raid1_create", name="N", base_bdevs=legs, force=True) is True
    assert world.app.call("raid1_delete", name="N") is True
    assert world.app.stop() == 0
    # Nothing is left of any.
    world.restart(*legs)
    assert world.mirror() is None
    assert world.app.stop() == 0


def test_row_12_a_repair_and_a_newer_write(world):
    """A leg fails a read and is to be repaired; what is read for that is told late, and all is
    written anew meanwhile."""
    for name in ("L0", "L1"):
        world.aio(name)
    bad, slow = world.failing("L0"), world.delayed("L1")
    world.create(bad, slow)
    with world.client() as reader, world.client() as writer:
        assert writer.write(0, NEW) == 0
        world.delay(slow, "read", 20_000)
        for number in range(40):
            data = b"%4d" % number * 1024
            world.inject(bad, "read", 1)
            reader.request(nbd.READ, 0, 4096)
            # At any moment of the read, and of the repair after it.
            time.sleep(0.0015 * number)
            assert writer.write(0, data) == 0
            assert reader.reply()[0] == 0
            reader.receive(4096)
            assert answers(writer, 4) == {data}
            assert world.data("L0")[:4096] == world.data("L1")[:4096] == data
    assert world.states() == ["in_sync", "in_sync"]
    assert world.app.stop() == 0


def test_row_12_all_bad_legs_are_repaired(world):
    """What two of three legs cannot read is not there any more, and comes back from the third."""
    for name in ("L0", "L1", "L2"):
        world.aio(name)
    bad = [world.failing("L0"), world.failing("L1")]
    world.create(*bad, "L2")
    with world.client() as client:
        assert client.write(0, NEW) == 0
        for name in ("L0", "L1"):
            with (world.scratch / name).open("r+b") as file:
                file.seek(OFFSET)
                file.write(OLD)
                os.fsync(file.fileno())
        for leg in bad:
            world.inject(leg, "read", 1)
        assert client.read(0, 4096) == NEW
        assert answers(client) == {NEW}
    assert all(world.data(name)[:4096] == NEW for name in ("L0", "L1", "L2"))
    assert world.states() == ["in_sync"] * 3
    assert world.app.stop() == 0


def test_row_13_one_unmap_error(world):
    """The submitter learns of it; the leg stays, and is made equal to the other."""
    for name in ("L0", "L1"):
        world.aio(name)
    leg = world.failing("L1")
    world.create("L0", leg)
    with world.client() as client:
        assert client.write(0, NEW) == 0
        world.inject(leg, "unmap", 1)
        assert client.call(nbd.TRIM, 0, 4096) == nbd.EIO
        assert world.states() == ["in_sync", "in_sync"]
        world.wait(is_equal)
        assert len(answers(client)) == 1
        assert world.data("L0") == world.data("L1")
        assert client.call(nbd.TRIM, 0, 4096) == 0
        assert world.states() == ["in_sync", "in_sync"]
        assert len(answers(client)) == 1
        assert world.data("L0") == world.data("L1")
    assert world.app.stop() == 0


@pytest.mark.parametrize("slot", [0, 1])
def test_row_13_one_flush_error(world, slot):
    """The leg may have lost what it was given: it is copied to, and comes back by itself."""
    world.malloc("L0", "L1")
    legs = ["L0", "L1"]
    legs[slot] = world.failing(legs[slot])
    world.create(*legs)
    with world.client() as client:
        for offset in range(0, client.size, MIB):
            assert client.write(offset, NEW * 256) == 0
        world.limit(1)
        world.inject(legs[slot], "flush", 1)
        assert client.call(nbd.FLUSH) == 0
        assert [world.states()[leg] for leg in (slot, 1 - slot)] == ["rebuilding", "in_sync"]
        world.limit(0)
        world.wait(is_whole)
        assert answers(client, 512, 4096) == {NEW}
    assert world.app.stop() == 0


def test_row_14_zeroes_are_not_written(world):
    """Legs make them themselves, and are not given any."""
    world.malloc("L0", "L1")
    world.create("L0", "L1")
    (bdev,) = world.app.call("bdev_get_bdevs", name="M")
    assert all(bdev["supported_io_types"][kind] for kind in ("write_zeroes", "unmap", "flush"))
    with world.client() as client:
        for offset in range(0, client.size, MIB):
            assert client.write(offset, NEW * 256) == 0
        before = [world.iostat(leg)["bytes_written"] for leg in ("L0", "L1")]
        assert client.call(nbd.WRITE_ZEROES, 0, client.size) == 0
        after = [world.iostat(leg)["bytes_written"] for leg in ("L0", "L1")]
        # Metadata at most.
        assert all(now - then < MIB // 4 for then, now in zip(before, after))
        assert not any(read_all(client))
    assert not any(world.content("L0")) and not any(world.content("L1"))
    assert world.app.stop() == 0


def test_row_14_legs_with_metadata(world):
    world.malloc("L0", "L1", md_size=8)
    world.create("L0", "L1")
    (bdev,) = world.app.call("bdev_get_bdevs", name="M")
    assert (bdev["block_size"], bdev["md_size"], bdev["md_interleave"]) == (512, 8, False)
    with world.client() as client:
        assert client.write(0, NEW) == 0
        assert answers(client) == {NEW}
    assert world.content("L0") == world.content("L1")
    assert world.app.stop() == 0


@pytest.mark.parametrize("dif_type", range(4))
def test_row_14_legs_with_interleaved_metadata(world, backend, dif_type):
    """A mirror is found on them."""
    if dif_type and backend == "embedded":
        pytest.skip("its bdevs have no protection information")
    world.malloc("A0", "A1", md_size=8, md_interleave=True, dif_type=dif_type)

    def see():
        for base, leg in (("A0", "L0"), ("A1", "L1")):
            world.app.call("bdev_passthru_create", name=leg, base_bdev_name=base)
        world.app.call("bdev_wait_for_examine")

    def unsee():
        for leg in ("L0", "L1"):
            world.app.call("bdev_passthru_delete", name=leg)

    see()
    world.create("L0", "L1")
    (bdev,) = world.app.call("bdev_get_bdevs", name="M")
    assert (bdev["block_size"], bdev["md_size"], bdev["md_interleave"]) == (520, 8, True)
    assert bdev["num_blocks"] == 8 * MIB // SECTOR
    world.app.call("raid1_stop", name="M")
    world.app.call("raid1_start", name="M")
    world.wait(is_equal)
    world.app.call("raid1_delete", name="M", keep_metadata=True)
    unsee()
    see()
    world.wait(is_equal)
    world.app.call("raid1_delete", name="M")
    unsee()
    see()
    assert world.mirror() is None
    assert world.app.stop() == 0


@pytest.mark.parametrize("dif_type", [1, 2, 3])
def test_row_14_what_is_left_on_legs_with_protection_information(start, stock, dif_type):
    """Metadata of a mirror, which has none, is no bad block to those who read such a leg later."""
    perf = Bdevperf(start, stock, "read", seconds=1, mebibytes=32)
    for leg in ("L0", "L1"):
        method, params = config.malloc(leg, 9)
        perf.app.call(method, **params, md_size=8, md_interleave=True, dif_type=dif_type)
    perf.app.call("raid1_create", name="Mirror", base_bdevs=["L0", "L1"])
    wait_for(lambda: is_equal(perf.mirrors.get("Mirror")))
    perf.app.call("raid1_delete", name="Mirror", keep_metadata=True)
    # As if it were the mirror, which is what it works on.
    perf.app.call("bdev_passthru_create", name="M", base_bdev_name="L0")
    perf.begin()
    perf.assert_clean()


@pytest.mark.parametrize("dif_type, interleave, superblock", itertools.product(
    (1, 2, 3), (True, False), (True, False)))
def test_row_14_legs_with_protection_information(start, stock, dif_type, interleave, superblock):
    """bdevperf makes it and checks it, as these legs do themselves; also on one that was
    rebuilt."""
    perf = Bdevperf(start, stock, "verify", seconds=3, mebibytes=32)
    for leg in ("L0", "L1"):
        method, params = config.malloc(leg, 16)
        perf.app.call(method, **params, md_size=8, md_interleave=interleave, dif_type=dif_type)
    perf.app.call("raid1_create", name="M", base_bdevs=["L0", "L1"], superblock=superblock)
    (bdev,) = perf.app.call("bdev_get_bdevs", name="M")
    assert (bdev["md_size"], bdev["md_interleave"], bdev["dif_type"]) == (8, interleave, dif_type)
    perf.begin()
    perf.app.call("raid1_remove_base_bdev", name="L1")
    perf.app.call("raid1_add_base_bdev", raid_bdev="M", base_bdev="L1")
    wait_for(lambda: is_equal(perf.mirrors.get("M")))
    perf.app.call("raid1_remove_base_bdev", name="L0")
    perf.assert_clean()


def test_row_16_overlapping_writes(start, scratch):
    """Writes from two threads overlap, on legs of which one does them at once, and the other in
    many small pieces that take their time: the pieces of one write would come among those of the
    other."""
    world = World(start, scratch, cores="0x3")
    world.malloc("L0")
    world.malloc("L1", optimal_io_boundary=8)
    world.create("L0", "L1")
    world.app.call("bdev_set_qos_limit", name="L1", w_mbytes_per_sec=20)
    with world.client() as one, world.client() as other:
        history = History(read_all(one)[:MIB])
        for _ in range(10):
            # The second begins where the first comes to late.
            writes = [history.begin(0, 2048), history.begin(1024, 1024)]
            for client, write in zip((one, other), writes):
                client.request(nbd.WRITE, write.first * SECTOR, write.count * SECTOR, write.data())
            for client, write in zip((one, other), writes):
                assert client.reply() == (0, 1)
                history.end(write)
            content = read_all(one)
            equal = content == world.content("L0") == world.content("L1")
            assert equal, "legs differ"
            assert not history.wrong(content[:MIB])
    assert world.app.stop() == 0


def test_foreign_data_is_refused(world, tool):
    """A file system, or a leg of another mirror, is overwritten only on purpose."""
    import subprocess  # pylint: disable=import-outside-toplevel
    path = world.scratch / "L0"
    subprocess.run([tool("mkfs.ext4"), "-q", path, "9M"], check=True)
    before = path.read_bytes()
    world.aio("L0")
    world.aio("L1")
    with pytest.raises(Error) as refused:
        world.app.call("raid1_create", name="M", base_bdevs=["L1", "L0"])
    for word in ("L0", "ext4", "force"):
        assert word in refused.value.message, refused.value.message
    assert path.read_bytes() == before
    assert not any((world.scratch / "L1").read_bytes()[:MIB])
    world.create("L1", "L0", force=True)
    assert world.app.stop() == 0
