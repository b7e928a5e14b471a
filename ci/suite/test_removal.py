"""Legs and mirrors that go while requests are in flight."""

import time

import pytest

from harness import config
from harness.application import Error
from harness.mirror import Mirrors
from perf import Bdevperf

LEGS = ["L0", "L1", "L2", "L3"]


@pytest.fixture
def loaded(start, stock, quick):
    """A mirror of four legs in memory under load on two cores."""
    perf = Bdevperf(start, stock, "verify", io_bytes=4096, depth=128, cores=2,
                    seconds=4 if quick else 20)
    for leg in LEGS:
        method, params = config.malloc(leg, 16)
        perf.app.call(method, **params)
    perf.mirrors.create("M", LEGS)
    perf.begin()
    time.sleep(1)
    return perf


def claimed(app, leg):
    """Whether something holds a leg."""
    return app.call("bdev_get_bdevs", name=leg)[0]["claimed"]


def test_a_leg_is_removed_by_rpc(loaded):
    assert loaded.mirrors.remove_leg("L1") is True
    assert not claimed(loaded.app, "L1")
    assert loaded.mirrors.legs("M") == ["L0", "L2", "L3"]
    loaded.assert_clean()


def test_all_legs_but_one_disappear(loaded):
    for number, leg in enumerate(["L2", "L0", "L3"], start=1):
        loaded.app.call("bdev_malloc_delete", name=leg)
        assert loaded.mirrors.get("M")["num_base_bdevs_operational"] == len(LEGS) - number
        time.sleep(0.2)
    loaded.results()
    assert loaded.mirrors.legs("M") == ["L1"]
    assert loaded.mirrors.get("M")["state"] == "online"
    loaded.assert_clean()


def test_all_legs_disappear(loaded):
    """Nothing is left to serve: requests end, with errors or because the mirror goes too."""
    for leg in LEGS:
        loaded.app.call("bdev_malloc_delete", name=leg)
    loaded.under_way.join(60)
    assert not loaded.under_way.is_alive(), "a request hangs"
    loaded.assert_no_mismatch()
    assert loaded.app.call("spdk_get_version")["fields"]["major"] == 26
    loaded.app.stop()


def test_the_mirror_is_deleted(loaded):
    assert loaded.mirrors.delete("M") is True
    assert loaded.mirrors.list() == []
    loaded.under_way.join(60)
    assert not loaded.under_way.is_alive(), "a request hangs"
    loaded.assert_no_mismatch()
    assert not any(claimed(loaded.app, leg) for leg in LEGS)
    loaded.mirrors.create("M", LEGS)
    assert loaded.mirrors.legs("M") == LEGS
    loaded.app.stop()


def test_created_and_deleted_again_and_again(app, mirrors):
    for leg in LEGS:
        method, params = config.malloc(leg, 4)
        app.call(method, **params)
    for _ in range(100):
        mirrors.create("M", LEGS)
        mirrors.delete("M")
    assert mirrors.list() == []
    assert app.stop() == 0


def test_two_deletions_at_once(app, mirrors):
    for leg in LEGS:
        method, params = config.malloc(leg, 4)
        app.call(method, **params)
    mirrors.create("M", LEGS)
    calls = [app.call_in_background(mirrors.method("delete"), name="M") for _ in range(4)]
    outcomes = []
    for call in calls:
        try:
            outcomes.append(call.result(30))
        except Error as error:
            outcomes.append(error.code)
    assert outcomes.count(True) >= 1, outcomes
    assert mirrors.list() == []
    assert app.stop() == 0


def test_errors_of_the_last_leg_are_errors_of_requests(start, stock):
    """The last leg stays, whatever it answers; once it works again, so does the mirror."""
    if stock:
        pytest.skip("SPDK's own module unregisters the mirror")
    perf = Bdevperf(start, stock, "randrw", depth=16, seconds=3, args=["-M", 50, "-f"])
    for leg in ("L0", "L1"):
        method, params = config.malloc(leg, 16)
        perf.app.call(method, **params)
    perf.app.call("bdev_error_create", base_name="L1")
    perf.mirrors.create("M", ["L0", "EE_L1"])
    perf.app.call("bdev_malloc_delete", name="L0")
    perf.begin()
    time.sleep(1)
    perf.app.call("bdev_error_inject_error", name="EE_L1", io_type="all", error_type="failure",
                  num=1000)
    (job,) = perf.results()
    assert job["io_failed"] > 0
    assert job["iops"] > 0
    assert perf.mirrors.legs("M") == ["EE_L1"]
    assert perf.mirrors.get("M")["state"] == "online"

    perf.begin()
    (job,) = perf.results()
    assert job["io_failed"] == 0
    perf.app.stop()


def test_the_last_leg_is_not_removed_by_rpc(start, stock):
    if stock:
        pytest.skip("SPDK's own module takes it out and the mirror with it")
    app = start("raid1")
    mirrors = Mirrors(app, stock)
    for leg in ("L0", "L1"):
        method, params = config.malloc(leg, 16)
        app.call(method, **params)
    mirrors.create("M", ["L0", "L1"])
    assert mirrors.remove_leg("L0") is True
    with pytest.raises(Error) as refused:
        mirrors.remove_leg("L1")
    assert "L1" in refused.value.message
    assert mirrors.legs("M") == ["L1"]
    assert app.stop() == 0
