"""`raid1 --bdev-raid-rpc` answers as SPDK's own module does: the same calls are made to both.

With the backend `embedded` they go to raid1, with `spdk` to SPDK's own module in a stock spdk_tgt.
"""

import time

import pytest

from harness import config, spdk
from harness.application import Application, Error

LEGS = ["L0", "L1", "L2"]
NOT_DECODED = "spdk_json_decode_object failed"
SECONDS_MAX = 60


@pytest.fixture
def served(start, scratch, backend):
    """An application that serves those methods, and its legs."""
    if backend == "embedded":
        app = start("raid1", "--bdev-raid-rpc")
    else:
        path = spdk.program("spdk_tgt")
        if path is None:
            pytest.skip("spdk_tgt is neither in SPDK_DIR nor in PATH")
        app = Application(path, scratch / "stock").ready()
    for leg in LEGS:
        method, params = config.malloc(leg, mebibytes=16)
        app.call(method, **params)
    yield app
    app.kill()


def refusal(app, method, **params):
    """Code and message."""
    with pytest.raises(Error) as error:
        app.call(method, **params)
    return error.value.code, error.value.message


def create(app, **changes):
    """Makes an array."""
    params = {"name": "A", "raid_level": "raid1", "base_bdevs": LEGS[:2], **changes}
    return app.call("bdev_raid_create", **params)


def test_an_array_is_made_listed_and_deleted(served):
    assert create(served) is True
    (entry,) = served.call("bdev_raid_get_bdevs", category="all")
    assert served.call("bdev_raid_get_bdevs", category="ONLINE") == [entry]
    assert served.call("bdev_raid_get_bdevs", category="configuring") == []
    assert served.call("bdev_raid_get_bdevs", category="offline") == []
    bdevs = [served.call("bdev_get_bdevs", name=leg)[0] for leg in LEGS[:2]]
    (mirror,) = served.call("bdev_get_bdevs", name="A")
    assert entry == {
        "name": "A",
        "uuid": mirror["uuid"],
        "strip_size_kb": 0,
        "state": "online",
        "raid_level": "raid1",
        "superblock": False,
        "num_base_bdevs": 2,
        "num_base_bdevs_discovered": 2,
        "num_base_bdevs_operational": 2,
        "base_bdevs_list": [
            {"name": bdev["name"], "uuid": bdev["uuid"], "is_configured": True, "data_offset": 0,
             "data_size": 16 << 20 >> 9}
            for bdev in bdevs
        ],
    }
    assert served.call("bdev_raid_delete", name="A") is True
    assert served.call("bdev_raid_get_bdevs", category="all") == []
    assert create(served, raid_level="1", strip_size_kb=0) is True


def test_with_a_superblock(served):
    assert create(served, superblock=True, uuid="12345678-9abc-4def-8123-456789abcdef") is True
    (entry,) = served.call("bdev_raid_get_bdevs", category="all")
    assert entry["superblock"] is True
    assert entry["uuid"] == "12345678-9abc-4def-8123-456789abcdef"
    assert {leg["data_offset"] for leg in entry["base_bdevs_list"]} == {2048}
    assert {leg["data_size"] for leg in entry["base_bdevs_list"]} == {30720}


def test_a_leg_is_removed_and_added(served):
    create(served)
    assert served.call("bdev_raid_remove_base_bdev", name="L1") is True
    (entry,) = served.call("bdev_raid_get_bdevs", category="all")
    assert entry["num_base_bdevs_operational"] == 1
    (_, gone) = entry["base_bdevs_list"]
    assert (gone["name"], gone["is_configured"]) == (None, False)
    assert served.call("bdev_raid_add_base_bdev", raid_bdev="A", base_bdev="L2") is True
    deadline = time.monotonic() + SECONDS_MAX
    while "process" in entry or entry["num_base_bdevs_operational"] != 2:
        (entry,) = served.call("bdev_raid_get_bdevs", category="all")
        assert time.monotonic() < deadline
    assert [leg["name"] for leg in entry["base_bdevs_list"]] == ["L0", "L2"]


@pytest.mark.parametrize(("changes", "code", "reason"), [
    ({"base_bdevs": LEGS[:1]}, -22, "Invalid argument"),
    ({"strip_size_kb": 4}, -22, "Invalid argument"),
    ({"name": "A" * 64}, -22, "Invalid argument"),
    ({"name": "taken"}, -17, "File exists"),
    ({"base_bdevs": ["L1", "L2"]}, -1, "Operation not permitted"),
])
def test_what_cannot_be_made(served, changes, code, reason):
    create(served, name="taken", base_bdevs=["L2", "L0"])
    name = changes.get("name", "A")
    changes = {"base_bdevs": ["L1", "x"], **changes}
    with pytest.raises(Error) as error:
        create(served, **changes)
    assert (error.value.code, error.value.message) == (
        code, f"Failed to create RAID bdev {name}: {reason}")


@pytest.mark.parametrize("changes", [
    {"raid_level": "raid7"}, {"raid_level": None}, {"name": None}, {"name": 1},
    {"base_bdevs": "L0"}, {"superblock": 1}, {"uuid": "x"}, {"more": True},
])
def test_what_is_not_understood(served, changes):
    with pytest.raises(Error) as error:
        create(served, **changes)
    assert (error.value.code, error.value.message) == (-32700, NOT_DECODED)


def test_an_empty_name(served):
    with pytest.raises(Error) as error:
        create(served, base_bdevs=["L0", ""])
    assert (error.value.code, error.value.message) == (
        -22, "The base bdev name cannot be empty: Invalid argument")


def test_what_is_not_there(served):
    create(served)
    assert refusal(served, "bdev_raid_delete", name="x") == (-19, "raid bdev x not found")
    assert refusal(served, "bdev_raid_add_base_bdev", raid_bdev="x", base_bdev="L2") == (
        -19, "raid bdev x is not found in config")
    assert refusal(served, "bdev_raid_remove_base_bdev", name="x") == (
        -19, "Failed to remove base bdev from raid bdev")
    assert refusal(served, "bdev_raid_remove_base_bdev", name="L2") == (
        -19, "Failed to remove base bdev from raid bdev")
    assert refusal(served, "bdev_raid_get_bdevs", category="x") == (-22, "Invalid argument")
    for method in ["delete", "remove_base_bdev", "get_bdevs"]:
        assert refusal(served, f"bdev_raid_{method}", more=1) == (-32700, NOT_DECODED)
    assert refusal(served, "bdev_raid_add_base_bdev", more=1) == (-32603, NOT_DECODED)


def test_options(served):
    assert served.call("bdev_raid_set_options", process_window_size_kb=2048,
                       process_max_bandwidth_mb_sec=0) is True
    assert served.call("bdev_raid_set_options") is True
    assert refusal(served, "bdev_raid_set_options", process_window_size_kb=0) == (
        -22, "Invalid argument")
    assert refusal(served, "bdev_raid_set_options", more=0) == (-32700, NOT_DECODED)


def test_spdks_own_module_is_not_covered(start, backend, stock):
    if backend != "spdk" or stock:
        pytest.skip("there is no module of SPDK")
    app = start("raid1", "--bdev-raid-rpc", wait=False)
    assert app.wait(60) == 2
    assert "bdev_raid_create is served already, by the module bdev_raid" in app.output()
