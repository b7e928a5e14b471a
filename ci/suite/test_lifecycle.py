"""A mirror's life: created, listed, saved, restored, deleted; the application's start and end."""

import io
import signal
import subprocess
import uuid

import pytest
from spdk.rpc.config import save_config

from harness import config, spdk
from harness.mirror import Mirrors

HOSTS = ["raid1", "spdk_tgt"]
MEMORY = {"huge": ["-s", "512"], "no-huge": ["--no-huge", "-s", "1024"]}
STATES = ["online", "configuring", "offline"]


@pytest.fixture(params=MEMORY)
def memory(request):
    """Arguments for each kind of memory that this machine has."""
    if request.param == "huge" and spdk.huge_pages_free() < 256:
        pytest.skip("fewer than 256 huge pages of 2 MiB are free")
    return MEMORY[request.param]


def make_legs(app, scratch, kind, count=2):
    """Names of new legs of 16 MiB."""
    names = [f"{kind}{number}" for number in range(count)]
    for name in names:
        if kind == "aio":
            with (scratch / name).open("wb") as file:
                file.truncate(16 << 20)
            method, params = config.aio(name, scratch / name)
        else:
            method, params = config.malloc(name, mebibytes=16)
        app.call(method, **params)
    return names


def shape(value):
    """Types instead of values."""
    if isinstance(value, dict):
        return {key: shape(item) for key, item in value.items()}
    if isinstance(value, list):
        return [shape(item) for item in value]
    return type(value).__name__


def assert_holds(ours, theirs):
    """Every key of `theirs` is in `ours` with the same type; further keys are fine."""
    if isinstance(theirs, dict):
        assert theirs.keys() <= ours.keys()
        for key, value in theirs.items():
            assert_holds(ours[key], value)
    elif isinstance(theirs, list):
        for mine, other in zip(ours, theirs, strict=True):
            assert_holds(mine, other)
    else:
        assert ours == theirs


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("kind", ["malloc", "aio"])
def test_created_listed_and_deleted(start, stock, scratch, host, kind, memory):
    app = start(host, memory=memory)
    mirrors = Mirrors(app, stock)
    legs = make_legs(app, scratch, kind)
    assert mirrors.create("M", legs, superblock=False) is True
    (entry,) = mirrors.list()
    assert entry["name"] == "M"
    assert entry["state"] == "online"
    assert entry["raid_level"] == "raid1"
    assert entry["superblock"] is False
    assert [leg["name"] for leg in entry["base_bdevs_list"]] == legs
    counts = ("num_base_bdevs", "num_base_bdevs_discovered", "num_base_bdevs_operational")
    assert [entry[count] for count in counts] == [2, 2, 2]
    (bdev,) = app.call("bdev_get_bdevs", name="M")
    assert bdev["num_blocks"] == 16 << 20 >> 9
    assert bdev["block_size"] == 512
    for kind_of_io in ("read", "write", "reset"):
        assert bdev["supported_io_types"][kind_of_io]
    assert all(app.call("bdev_get_bdevs", name=leg)[0]["claimed"] for leg in legs)
    assert mirrors.delete("M") is True
    assert mirrors.list() == []
    assert not any(app.call("bdev_get_bdevs", name=leg)[0]["claimed"] for leg in legs)
    assert mirrors.create("M", legs, superblock=False) is True
    assert app.stop() == 0


def test_same_shapes_as_spdks_own_module(app, mirrors, scratch):
    legs = make_legs(app, scratch, "malloc", 4)
    mirrors.create("ours", legs[:2], superblock=False)
    theirs = Mirrors(app, stock=True)
    try:
        theirs.create("theirs", legs[2:])
    except Exception:  # pylint: disable=broad-exception-caught
        pytest.skip("this application does not have SPDK's own module")
    assert_holds(shape(mirrors.get("ours")), shape(theirs.get("theirs")))
    specific = [app.call("bdev_get_bdevs", name=name)[0]["driver_specific"]
                for name in ("ours", "theirs")]
    (ours,) = specific[0].values()
    assert_holds(shape(ours), shape(specific[1]["raid"]))


def test_categories(app, mirrors, scratch):
    mirrors.create("M", make_legs(app, scratch, "malloc"))
    assert [len(mirrors.list(state)) for state in STATES] == [1, 0, 0]


def test_a_given_uuid_is_used(app, mirrors, scratch):
    given = str(uuid.uuid4())
    mirrors.create("M", make_legs(app, scratch, "malloc"), uuid=given)
    assert mirrors.get("M")["uuid"] == given
    assert app.call("bdev_get_bdevs", name=given)[0]["name"] == "M"


@pytest.mark.parametrize("count", [1, 2, 3, 16])
def test_number_of_legs(app, mirrors, scratch, stock, count):
    if stock and count == 1:
        pytest.skip("SPDK's own module wants two legs")
    legs = make_legs(app, scratch, "aio", count)
    mirrors.create("M", legs)
    assert mirrors.legs("M") == legs


def test_capacity_of_the_smallest_leg(app, mirrors):
    for name, mebibytes in (("L0", 32), ("L1", 8), ("L2", 16)):
        method, params = config.malloc(name, mebibytes)
        app.call(method, **params)
    mirrors.create("M", ["L0", "L1", "L2"], superblock=False)
    assert app.call("bdev_get_bdevs", name="M")[0]["num_blocks"] == 8 << 20 >> 9


@pytest.mark.parametrize("host", HOSTS)
def test_saved_and_restored(start, stock, scratch, host, memory):
    first = start(host, memory=memory)
    mirrors = Mirrors(first, stock)
    mirrors.create("A", make_legs(first, scratch, "aio", 3), superblock=False)
    mirrors.create("B", make_legs(first, scratch, "malloc"), superblock=False)
    saved = scratch / "saved.json"
    with first.client() as client, saved.open("w", encoding="utf-8") as file:
        save_config(client, file)
    before = mirrors.list()
    assert first.stop() == 0

    second = start(host, "--json", saved, memory=memory)
    after = Mirrors(second, stock).list()
    assert after == before
    again = io.StringIO()
    with second.client() as client:
        save_config(client, again)
    assert again.getvalue() == saved.read_text(encoding="utf-8")
    assert second.stop() == 0


def test_a_leg_that_was_taken_out_does_not_come_back(start, stock, scratch):
    """It misses what was written since: restored as an equal, it would be read."""
    if stock:
        pytest.skip("SPDK's own module brings it back")
    first = start("raid1")
    mirrors = Mirrors(first, stock)
    mirrors.create("M", make_legs(first, scratch, "aio", 3), superblock=False)
    mirrors.remove_leg("aio1")
    saved = scratch / "saved.json"
    with first.client() as client, saved.open("w", encoding="utf-8") as file:
        save_config(client, file)
    assert first.stop() == 0
    second = start("raid1", "--json", saved)
    assert Mirrors(second, stock).legs("M") == ["aio0", "aio2"]


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ends_cleanly_with_a_mirror(start, stock, scratch, host, number):
    app = start(host)
    Mirrors(app, stock).create("M", make_legs(app, scratch, "malloc"))
    assert app.stop(number) == 0


def test_ends_cleanly_when_told_by_rpc(app, mirrors, scratch):
    mirrors.create("M", make_legs(app, scratch, "malloc"))
    app.call("spdk_kill_instance", sig_name="SIGTERM")
    assert app.wait(30) == 0


def test_raid1_is_a_full_target(start):
    """Bdev modules, NVMe-oF, iSCSI, vhost and the rest: every method that spdk_tgt serves."""
    methods = [set(start(host).call("rpc_get_methods")) for host in HOSTS]
    assert methods[0] >= methods[1], methods[1] - methods[0]


def test_help(program):
    path, _ = program("raid1")
    done = subprocess.run([path, "--help"], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0
    assert "--rpc-socket" in done.stdout + done.stderr


def test_an_unknown_option_is_refused(program):
    path, _ = program("raid1")
    done = subprocess.run([path, "--no-such-option"], capture_output=True, text=True, timeout=30,
                          check=False)
    assert done.returncode != 0
    assert "--no-such-option" in done.stdout + done.stderr


def test_a_bad_configuration_file_is_refused(start, scratch):
    bad = scratch / "bad.json"
    bad.write_text(config.document([config.mirror("M", ["nowhere"])]), encoding="utf-8")
    app = start("raid1", "--json", bad, wait=False)
    assert app.wait(30) != 0
