"""Wrong input, tried as a new user would: an error that names field and value, and it serves on."""

import json
import time

import pytest

from harness import config
from harness.application import Error

INVALID_PARAMS, METHOD_NOT_FOUND, PARSE_ERROR, INVALID_REQUEST = -32602, -32601, -32700, -32600
EPERM, EEXIST, ENODEV, EINVAL = -1, -17, -19, -22

UUID_IN_USE = "11111111-2222-4333-8444-555555555555"
LONG = "n" * 5000

# What, parameters, code, words that the message must have.
CREATE = [
    ("no name", {"base_bdevs": ["L0", "L1"]}, INVALID_PARAMS, ["name"]),
    ("no legs", {"name": "M"}, INVALID_PARAMS, ["base_bdevs"]),
    ("no parameters", {}, INVALID_PARAMS, ["name"]),
    ("name a number", {"name": 7, "base_bdevs": ["L0", "L1"]}, INVALID_PARAMS, ["name", "7"]),
    ("name null", {"name": None, "base_bdevs": ["L0", "L1"]}, INVALID_PARAMS, ["name", "null"]),
    ("name empty", {"name": "", "base_bdevs": ["L0", "L1"]}, INVALID_PARAMS, ["name"]),
    ("name a list", {"name": ["M"], "base_bdevs": ["L0", "L1"]}, INVALID_PARAMS, ["name"]),
    ("legs a string", {"name": "M", "base_bdevs": "L0 L1"}, INVALID_PARAMS,
     ["base_bdevs", "L0 L1"]),
    ("legs an object", {"name": "M", "base_bdevs": {"L0": 1}}, INVALID_PARAMS, ["base_bdevs"]),
    ("a leg a number", {"name": "M", "base_bdevs": ["L0", 42]}, INVALID_PARAMS,
     ["base_bdevs", "42"]),
    ("a leg null", {"name": "M", "base_bdevs": ["L0", None]}, INVALID_PARAMS,
     ["base_bdevs", "null"]),
    ("a leg empty", {"name": "M", "base_bdevs": ["L0", ""]}, INVALID_PARAMS,
     ["base_bdevs"]),
    ("0 legs", {"name": "M", "base_bdevs": []}, INVALID_PARAMS, ["base_bdevs", "0"]),
    ("17 legs", {"name": "M", "base_bdevs": [f"L{n}" for n in range(17)]},
     INVALID_PARAMS, ["base_bdevs", "16"]),
    ("1000 legs", {"name": "M", "base_bdevs": [f"L{n}" for n in range(1000)]},
     INVALID_PARAMS, ["base_bdevs", "16"]),
    ("unknown leg", {"name": "M", "base_bdevs": ["L0", "nowhere"]}, ENODEV, ["nowhere"]),
    ("the same leg twice", {"name": "M", "base_bdevs": ["L0", "L0"]},
     INVALID_PARAMS, ["base_bdevs", "L0"]),
    ("a claimed leg", {"name": "M", "base_bdevs": ["L0", "C0"]}, EPERM, ["C0"]),
    ("block sizes that differ", {"name": "M", "base_bdevs": ["L0", "B4096"]}, EINVAL,
     ["B4096", "512", "4096"]),
    ("a name in use", {"name": "L1", "base_bdevs": ["L0"]}, EEXIST, ["L1"]),
    ("a mirror's name in use", {"name": "taken", "base_bdevs": ["L0", "L1"]}, EEXIST, ["taken"]),
    ("a leg that is the mirror", {"name": "M", "base_bdevs": ["M", "L1"]}, ENODEV, ["M"]),
    ("name too long", {"name": LONG, "base_bdevs": ["L0", "L1"]}, INVALID_PARAMS,
     ["name", "nnnn"]),
    ("a leg's name too long", {"name": "M", "base_bdevs": ["L0", LONG]},
     INVALID_PARAMS, ["nnnn"]),
    ("name with NUL", {"name": "M\0x", "base_bdevs": ["L0", "L1"]}, INVALID_PARAMS,
     ["name"]),
    ("a leg's name with NUL", {"name": "M", "base_bdevs": ["L0\0", "L1"]},
     INVALID_PARAMS, ["base_bdevs"]),
    ("uuid not one", {"name": "M", "base_bdevs": ["L0", "L1"], "uuid": "not-a-uuid"},
     INVALID_PARAMS, ["uuid", "not-a-uuid"]),
    ("uuid a number", {"name": "M", "base_bdevs": ["L0", "L1"], "uuid": 5}, INVALID_PARAMS,
     ["uuid", "5"]),
    ("uuid in use", {"name": "M", "base_bdevs": ["L0", "L1"], "uuid": UUID_IN_USE}, EEXIST,
     ["uuid", UUID_IN_USE]),
    ("the same leg by name and by alias", {"name": "M", "base_bdevs": ["U", UUID_IN_USE]}, EPERM,
     ["base_bdevs[1]", UUID_IN_USE]),
    ("metadata that differs", {"name": "M", "base_bdevs": ["L0", "MD"]}, EINVAL,
     ["base_bdevs", "MD", "0", "8"]),
    ("a zoned leg", {"name": "M", "base_bdevs": ["L0", "Z"]}, EINVAL, ["base_bdevs", "Z", "zoned"]),
    ("superblock a string", {"name": "M", "base_bdevs": ["L0", "L1"], "superblock": "yes"},
     INVALID_PARAMS, ["superblock", "yes"]),
    ("an unknown sync", {"name": "M", "base_bdevs": ["L0", "L1"], "sync": "clean"},
     INVALID_PARAMS, ["sync", "clean", "full", "assume_clean"]),
    ("sync a boolean", {"name": "M", "base_bdevs": ["L0", "L1"], "sync": True}, INVALID_PARAMS,
     ["sync", "true"]),
    ("sync without a superblock",
     {"name": "M", "base_bdevs": ["L0", "L1"], "sync": "full", "superblock": False},
     INVALID_PARAMS, ["sync", "superblock"]),
    ("force a string", {"name": "M", "base_bdevs": ["L0", "L1"], "force": "true"},
     INVALID_PARAMS, ["force", "true"]),
    ("regions of no size", {"name": "M", "base_bdevs": ["L0", "L1"], "region_size_kib": 0},
     INVALID_PARAMS, ["region_size_kib", "0"]),
    ("regions of an odd size", {"name": "M", "base_bdevs": ["L0", "L1"], "region_size_kib": 100},
     INVALID_PARAMS, ["region_size_kib", "100"]),
    ("regions below 0", {"name": "M", "base_bdevs": ["L0", "L1"], "region_size_kib": -4},
     INVALID_PARAMS, ["region_size_kib", "-4"]),
    ("regions of a word", {"name": "M", "base_bdevs": ["L0", "L1"], "region_size_kib": "4k"},
     INVALID_PARAMS, ["region_size_kib", "4k"]),
    ("regions beyond all sizes",
     {"name": "M", "base_bdevs": ["L0", "L1"], "region_size_kib": 1 << 63}, INVALID_PARAMS,
     ["region_size_kib", str(1 << 63)]),
    ("no room for metadata", {"name": "M", "base_bdevs": ["L0", "S"]}, EINVAL,
     ["base_bdevs", "S", "2048"]),
    ("another raid level", {"name": "M", "base_bdevs": ["L0", "L1"], "raid_level": "raid0"},
     INVALID_PARAMS, ["raid_level", "raid0"]),
    ("strips", {"name": "M", "base_bdevs": ["L0", "L1"], "strip_size_kb": 64}, INVALID_PARAMS,
     ["strip_size_kb", "64"]),
    ("an unknown parameter", {"name": "M", "base_bdevs": ["L0", "L1"], "legs": 2},
     INVALID_PARAMS, ["legs"]),
]

OTHER = [
    ("delete without a name", "raid1_delete", {}, INVALID_PARAMS, ["name"]),
    ("delete a number", "raid1_delete", {"name": 1}, INVALID_PARAMS, ["name", "1"]),
    ("delete what is not there", "raid1_delete", {"name": "nowhere"}, ENODEV, ["nowhere"]),
    ("delete what is not ours", "raid1_delete", {"name": "L0"}, ENODEV, ["L0"]),
    ("delete with NUL", "raid1_delete", {"name": "taken\0"}, INVALID_PARAMS, ["name"]),
    ("delete with a word", "raid1_delete", {"name": "taken", "keep_metadata": "yes"},
     INVALID_PARAMS, ["keep_metadata", "yes"]),
    ("delete with a typo", "raid1_delete", {"name": "taken", "keep_metdata": True},
     INVALID_PARAMS, ["keep_metdata", "keep_metadata"]),
    ("add to nothing", "raid1_add_base_bdev", {"raid_bdev": "nowhere", "base_bdev": "L0"}, ENODEV,
     ["raid_bdev", "nowhere"]),
    ("add nothing", "raid1_add_base_bdev", {"raid_bdev": "taken", "base_bdev": "nowhere"}, ENODEV,
     ["base_bdev", "nowhere"]),
    ("add without a base bdev", "raid1_add_base_bdev", {"raid_bdev": "taken"}, INVALID_PARAMS,
     ["base_bdev"]),
    ("add a number", "raid1_add_base_bdev", {"raid_bdev": "taken", "base_bdev": 3},
     INVALID_PARAMS, ["base_bdev", "3"]),
    ("add with a typo", "raid1_add_base_bdev",
     {"raid_bdev": "taken", "base_bdev": "L0", "forced": True}, INVALID_PARAMS, ["forced", "force"]),
    ("add a leg that it has", "raid1_add_base_bdev", {"raid_bdev": "taken", "base_bdev": "T0"},
     EPERM, ["base_bdev", "T0"]),
    ("add one that another has", "raid1_add_base_bdev", {"raid_bdev": "taken", "base_bdev": "C0"},
     EPERM, ["base_bdev", "C0"]),
    ("add one of other blocks", "raid1_add_base_bdev",
     {"raid_bdev": "taken", "base_bdev": "B4096"}, EINVAL, ["base_bdev", "B4096"]),
    ("add one that is too small", "raid1_add_base_bdev", {"raid_bdev": "taken", "base_bdev": "S"},
     EINVAL, ["base_bdev", "S", "2048", "8192"]),
    ("list without a category", "raid1_get_bdevs", {}, INVALID_PARAMS, ["category"]),
    ("list an unknown category", "raid1_get_bdevs", {"category": "some"},
     INVALID_PARAMS, ["category", "some"]),
    ("list a category that is no string", "raid1_get_bdevs", {"category": True}, INVALID_PARAMS,
     ["category", "true"]),
    ("remove without a name", "raid1_remove_base_bdev", {}, INVALID_PARAMS, ["name"]),
    ("remove what is not there", "raid1_remove_base_bdev", {"name": "nowhere"}, ENODEV,
     ["nowhere"]),
    ("remove what is no leg", "raid1_remove_base_bdev", {"name": "L0"}, ENODEV, ["L0"]),
    ("an unknown method", "raid1_frobnicate", {"name": "M"}, METHOD_NOT_FOUND, []),
]

TABLE = [(what, "raid1_create", params, code, words) for what, params, code, words in CREATE]
TABLE += OTHER


@pytest.fixture(autouse=True)
def ours_alone(stock):
    """SPDK's own module keeps few of these promises."""
    if stock:
        pytest.skip("the promises are ours")


def has_zones(app):
    """Whether there are zoned bdevs; the embedded backend has none."""
    return "bdev_zone_block_create" in app.call("rpc_get_methods")


@pytest.fixture
def world(app, mirrors):
    """Two free legs, a mirror named taken on two others, and legs that do not fit."""
    calls = [config.malloc(name, 4) for name in ("L0", "L1", "T0", "T1", "C0", "C1")]
    calls += [config.malloc("B4096", 4, 4096), config.malloc("S", 1), config.passthru("P", "C0")]
    calls += [("bdev_malloc_create", {"name": "U", "num_blocks": 8192, "block_size": 512,
                                      "uuid": UUID_IN_USE}),
              ("bdev_malloc_create", {"name": "MD", "num_blocks": 8192, "block_size": 512,
                                      "md_size": 8, "md_interleave": False})]
    if has_zones(app):
        calls.append(("bdev_zone_block_create", {
            "name": "Z", "base_bdev": "C1", "zone_capacity": 1024, "optimal_open_zones": 1}))
    for method, params in calls:
        app.call(method, **params)
    # Nothing is copied: what is listed changes by what a test does alone.
    mirrors.create("taken", ["T0", "T1"], sync="assume_clean")
    # What was made is still looked at after the answer.
    app.call("bdev_wait_for_examine")
    return app


def snapshot(app):
    """Everything that an attempt must leave as it was."""
    return app.call("bdev_get_bdevs"), app.call("raid1_get_bdevs", category="all")


def request(method, params):
    """A request with these parameters as they are."""
    return json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()


def settled(app):
    """The state when nothing of the last call goes on: bdevs are closed shortly after the answer."""
    now = snapshot(app)
    for _ in range(200):
        time.sleep(0.01)
        now, before = snapshot(app), now
        if now == before:
            break
    return now


def assert_refused(app, method, params, code, words):
    """An error with the code and all of the words; all else stays as it was."""
    before = settled(app)
    error = app.raw(request(method, params))["error"]
    assert error["code"] == code, error
    for word in words:
        assert word in error["message"], error
    assert len(error["message"]) < 1024, "a message quotes a value, not a book"
    assert settled(app) == before


def test_all_of_the_table(world):
    wrong = []
    for what, method, params, code, words in TABLE:
        if what == "a zoned leg" and not has_zones(world):
            continue
        try:
            assert_refused(world, method, params, code, words)
        except (AssertionError, KeyError) as error:
            wrong.append(f"{what}: {error}")
    assert not wrong, "\n\n".join(wrong)
    assert world.call("raid1_create", name="M", base_bdevs=["L0", "L1"]) is True
    assert world.stop() == 0


def test_what_callers_of_bdev_raid_create_send(world):
    """A tool written for SPDK's own module needs only the new name of the method."""
    params = {"name": "M", "raid_level": "raid1", "strip_size_kb": 0, "base_bdevs": ["L0", "L1"],
              "superblock": False}
    assert world.call("raid1_create", **params) is True


def test_the_same_creation_twice(world):
    params = {"name": "M", "base_bdevs": ["L0", "L1"], "sync": "assume_clean"}
    assert world.call("raid1_create", **params) is True
    assert_refused(world, "raid1_create", params, EEXIST, ["M"])


@pytest.mark.parametrize("method", ["raid1_create", "raid1_delete", "raid1_get_bdevs",
                                    "raid1_remove_base_bdev"])
@pytest.mark.parametrize("params", [b"", b', "params": null', b', "params": []', b', "params": {}',
                                    b', "params": "M"', b', "params": 3', b', "params": [[]]'])
def test_parameters_of_another_form(world, method, params):
    before = snapshot(world)
    text = b'{"jsonrpc": "2.0", "id": 1, "method": "' + method.encode() + b'"' + params + b"}"
    response = world.raw(text)
    assert response["error"]["code"] in (INVALID_PARAMS, INVALID_REQUEST)
    assert snapshot(world) == before


@pytest.mark.parametrize("name", [b"\xff\xfe", b"M\xc3", b"\xed\xa0\x80", b"M\x00", b"\\u0000",
                                  b"\\ud800"])
def test_names_that_are_no_text(world, name):
    before = snapshot(world)
    for params in (b'{"name": "' + name + b'", "base_bdevs": ["L0", "L1"]}',
                   b'{"name": "M", "base_bdevs": ["L0", "' + name + b'"]}'):
        response = world.raw(b'{"jsonrpc": "2.0", "id": 1, "method": "raid1_create", "params": '
                             + params + b"}")
        codes = (INVALID_PARAMS, EINVAL, PARSE_ERROR)
        assert response is None or response["error"]["code"] in codes
        assert snapshot(world) == before


@pytest.mark.parametrize("length", [1, 63, 64, 255, 256, 1024, 5000])
def test_names_of_any_length(world, length):
    """Made and found again by that name, or refused; never cut."""
    name = "m" * length
    try:
        world.call("raid1_create", name=name, base_bdevs=["L0", "L1"])
    except Error as error:
        assert error.code in (INVALID_PARAMS, EINVAL)
        assert "name" in error.message
    else:
        names = [entry["name"] for entry in world.call("raid1_get_bdevs", category="online")]
        assert name in names
        assert world.call("raid1_delete", name=name) is True


def test_a_flood_of_nonsense(world):
    """A thousand refusals in a row leave nothing behind."""
    before = snapshot(world)
    for number in range(1000):
        with pytest.raises(Error):
            world.call("raid1_create", name=f"M{number}", base_bdevs=["L0", f"nowhere{number}"])
    assert snapshot(world) == before
    assert world.stop() == 0
