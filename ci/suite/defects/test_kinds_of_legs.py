"""Row 14: what legs can do, and what their blocks have."""

import itertools

import nbd_client as nbd
import pytest
from harness import config
from history import SECTOR
from perf import Bdevperf
from test_crash import is_equal
from world import MIB, NEW, answers, read_all, wait_for


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
