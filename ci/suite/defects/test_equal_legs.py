"""Rows of legs that are to be equal, and found again: 7 to 11 and 16."""

import random

import nbd_client as nbd
import pytest
from harness.application import Error
from history import SECTOR, History
from test_crash import Load, is_equal, is_whole
from world import MIB, NEW, OLD, OTHER, World, answers, read_all, wait_for


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
