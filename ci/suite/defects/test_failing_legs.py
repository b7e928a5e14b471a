"""Rows of legs that fail: 1 to 6, 12 and 13."""

import contextlib
import os
import select
import time

import nbd_client as nbd
import pytest
from harness.freeze import frozen
from test_crash import is_equal, is_whole
from world import MANY, MIB, NEW, OFFSET, OLD, World, answers, read_all


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
