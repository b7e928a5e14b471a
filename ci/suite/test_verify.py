"""bdevperf writes, reads back and compares, while legs fail, leave and are reset."""

import filecmp
import time

import pytest

from harness import config
from perf import MEBIBYTE, Bdevperf, Mismatch

SIZES = [512, 4096, 65536, MEBIBYTE]
DEPTHS = [1, 256]
CORES = [1, 2]
MANY = 1_000_000_000


@pytest.fixture
def seconds(quick, io_bytes, depth):
    """Length of a run. A quick one still shows some requests to each part of the test."""
    short = 12 if io_bytes * depth > 64 * MEBIBYTE else 4
    return short if quick else 60


def leg_mebibytes(io_bytes, depth, cores):
    """Room for each request in flight to have a place of its own, and some more."""
    return max(16, 5 * io_bytes * depth * cores // (4 * MEBIBYTE))


def begin(start, stock, workload, io_bytes, depth, cores, seconds):
    """A mirror of EE_L0 (that can be told to fail), L1 and L2, under load."""
    mebibytes = leg_mebibytes(io_bytes, depth, cores)
    perf = Bdevperf(start, stock, workload, io_bytes=io_bytes, depth=depth, cores=cores,
                    seconds=seconds, mebibytes=3 * mebibytes)
    for name in ("L0", "L1", "L2"):
        method, params = config.malloc(name, mebibytes)
        perf.app.call(method, **params)
    perf.app.call("bdev_error_create", base_name="L0")
    perf.mirrors.create("M", ["EE_L0", "L1", "L2"])
    perf.begin()
    return perf


def inject(perf, io_type, number=MANY, error_type="failure", **further):
    """Lets EE_L0 fail."""
    perf.app.call("bdev_error_inject_error", name="EE_L0", io_type=io_type, error_type=error_type,
                  num=number, **further)


@pytest.mark.parametrize("cores", CORES)
@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize("io_bytes", SIZES)
def test_reads_fail_then_writes_then_a_leg_goes(start, stock, seconds, io_bytes, depth, cores):
    perf = begin(start, stock, "verify", io_bytes, depth, cores, seconds)
    phase = seconds / 4
    time.sleep(phase)
    inject(perf, "read")
    time.sleep(phase)
    inject(perf, "clear", 0)
    inject(perf, "write")
    time.sleep(phase)
    perf.app.call("bdev_malloc_delete", name="L2")
    perf.results()
    assert perf.mirrors.legs("M") == ["L1"]
    perf.assert_clean()


def resets(quick):
    """bdevperf resets every ten seconds."""
    return 12 if quick else 60


@pytest.mark.parametrize("io_bytes, depth, cores", [
    (512, 256, 2), (4096, 1, 1), (4096, 256, 2), (65536, 256, 1), (MEBIBYTE, 1, 2),
    (MEBIBYTE, 256, 1),
])
def test_resets_in_between(start, stock, quick, io_bytes, depth, cores):
    if quick and (io_bytes, depth, cores) not in [(4096, 256, 2), (MEBIBYTE, 256, 1)]:
        pytest.skip("one of the longer runs")
    perf = begin(start, stock, "reset", io_bytes, depth, cores, resets(quick))
    # A reset aborts what waits in the bdev layer, so that requests fail; legs do not.
    assert all(job["iops"] > 0 for job in perf.results())
    assert perf.mirrors.legs("M") == ["EE_L0", "L1", "L2"]
    assert perf.app.stop() == 0


def test_a_reset_frees_what_a_leg_holds_back(start, stock):
    """Writes that a leg never answers are ended by the reset; data must not differ after that."""
    perf = begin(start, stock, "reset", 4096, 32, 1, 14)
    time.sleep(8)
    inject(perf, "write", 16, "pending")
    perf.results()
    assert "L1" in perf.mirrors.legs("M") and "L2" in perf.mirrors.legs("M")
    assert perf.app.stop() == 0


@pytest.mark.parametrize("io_type", ["read", "write"])
def test_a_single_error_is_no_error_of_the_mirror(start, stock, quick, io_type):
    perf = begin(start, stock, "verify", 4096, 64, 2, 3 if quick else 20)
    time.sleep(1)
    inject(perf, io_type, 1)
    perf.assert_clean()


@pytest.mark.parametrize("io_type", ["read", "write"])
def test_a_leg_without_memory_is_no_failed_leg(start, stock, quick, io_type):
    """NOMEM says try again: no request fails, and the leg stays."""
    if stock:
        pytest.skip("SPDK's own module ejects it")
    perf = begin(start, stock, "verify", 4096, 64, 1, 3 if quick else 20)
    time.sleep(1)
    inject(perf, io_type, 1000, "nomem")
    perf.results()
    assert perf.mirrors.legs("M") == ["EE_L0", "L1", "L2"]
    perf.assert_clean()


@pytest.mark.parametrize("workload", ["verify", "write", "write_zeroes", "unmap"])
def test_legs_are_equal_afterwards(start, stock, scratch, workload):
    """Each leg was given each request: the files behind them are the same, byte by byte."""
    perf = Bdevperf(start, stock, workload, io_bytes=8192, depth=64, cores=2, seconds=2)
    for name in ("L0", "L1", "L2"):
        with (scratch / name).open("wb") as file:
            file.truncate(32 * MEBIBYTE)
        method, params = config.aio(name, scratch / name)
        perf.app.call(method, fallocate=True, **params)
    perf.mirrors.create("M", ["L0", "L1", "L2"], superblock=False)
    perf.begin()
    perf.assert_clean()
    for name in ("L1", "L2"):
        assert filecmp.cmp(scratch / "L0", scratch / name, shallow=False), name


def test_the_comparison_can_fail(start, stock):
    """The canary: a leg that alters what it is asked for must be seen."""
    perf = begin(start, stock, "verify", 4096, 8, 1, 4)
    inject(perf, "read", MANY, "corrupt_data", corrupt_offset=7, corrupt_value=0xA5)
    with pytest.raises(Mismatch):
        perf.results()
