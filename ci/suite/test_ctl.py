"""raid1ctl on applications that run: the whole of a mirror's life, by its users' words."""

import json
import signal
import subprocess
import time

import pytest

from harness import config, spdk

pytestmark = pytest.mark.usefixtures("ours")
RAID1CTL = spdk.TARGET / "release" / "raid1ctl"


@pytest.fixture
def ours(stock):
    """SPDK's own module has other methods."""
    if stock:
        pytest.skip("raid1ctl is for mirrors of ours")
    assert RAID1CTL.is_file(), f"{RAID1CTL} was not built"


def run(app, *words, code=0):
    """What raid1ctl printed: on the standard output, or with an error, on the standard error."""
    command = [RAID1CTL, "-s", app.address, *words]
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True,
                          check=False, timeout=60)
    assert done.returncode == code, (words, done.returncode, done.stdout, done.stderr)
    return done.stderr if code in (1, 2, 3) else done.stdout


def run_json(app, *words, code=0):
    """The same, as JSON."""
    return json.loads(run(app, "--json", *words, code=code))


def wait_until_equal(app):
    """Until all legs are copied and nothing is dirty, so that what is listed stays as it is."""
    def changes(mirror):
        return mirror["dirty_regions"] or \
            not all(leg["is_configured"] for leg in mirror["base_bdevs_list"])

    deadline = time.monotonic() + 60
    while any(changes(mirror) for mirror in app.call("raid1_get_bdevs", category="all")):
        assert time.monotonic() < deadline, "still not so"
        time.sleep(0.2)


@pytest.fixture
def legs(app, scratch):
    """Names of three bdevs in files."""
    names = ["Leg0", "Leg1", "Spare"]
    for name in names:
        with (scratch / name).open("wb") as file:
            file.truncate(16 << 20)
        method, params = config.aio(name, scratch / name)
        app.call(method, **params)
    return names


def test_a_mirrors_life(app, scratch, legs):
    assert "There are no mirrors." in run(app, "status")
    assert run_json(app, "list") == []
    assert "m0: made of Leg0, Leg1" in run(app, "create", "m0", *legs[:2])
    wait_until_equal(app)
    assert run_json(app, "list") == app.call("raid1_get_bdevs", category="all")
    text = run(app, "status", "m0")
    assert "m0: online, 2 of 2 legs" in text
    assert "15 MiB, 30720 blocks of 512 bytes" in text
    assert str(scratch / "Leg1") in text
    run(app, "remove", "Leg1")
    text = run(app, "status", code=4)
    assert "degraded, 1 of 2 legs" in text
    (status,) = run_json(app, "status", code=4)
    assert status["degraded"] is True
    assert status["size_bytes"] == 15 << 20
    assert "EBUSY" in run(app, "remove", "Leg0", code=1)
    run(app, "delete", "m0")
    assert run_json(app, "status") == []


def test_create_takes_what_the_method_takes(app, legs):
    uuid = "0e2b9e14-1ad9-4f10-a26f-b7aa870ad45e"
    assert run_json(app, "create", "m0", legs[0], "--uuid", uuid) is True
    assert run_json(app, "list")[0]["uuid"] == uuid


def test_typing_errors_get_a_hint(app, legs):
    text = run(app, "create", "m0", "Leg0", "leg1", code=1)
    assert "bdev 'leg1' does not exist" in text
    assert "did you mean 'Leg1'? The unclaimed bdevs are: Leg0, Leg1, Spare" in text
    run(app, "create", "m0", *legs[:2])
    assert "did you mean 'Leg0'? The legs are: Leg0, Leg1" in run(app, "remove", "leg0", code=1)
    assert "raid1ctl delete m0" in run(app, "remove", "m0", code=1)
    assert "did you mean 'm0'?" in run(app, "delete", "mO", code=1)
    assert "did you mean 'm0'?" in run(app, "status", "mO", code=1)
    error = run_json_error(app, "delete", "mO")
    assert (error["kind"], error["method"], error["code"]) == ("rpc", "raid1_delete", -19)


def run_json_error(app, *words):
    """The error, from the standard error."""
    return json.loads(run(app, "--json", *words, code=1))["error"]


def test_exports(app, scratch, legs, tool):
    run(app, "create", "m0", *legs[:2])
    wait_until_equal(app)
    address = f"unix:{scratch}/nbd.sock"
    uri = f"nbd+unix:///m0?socket={scratch}/nbd.sock"
    assert uri in run(app, "export", "start", "m0", address)
    assert uri in run(app, "export", "list")
    assert uri in run(app, "status")
    subprocess.run([tool("nbdinfo"), uri], check=True, stdout=subprocess.DEVNULL)
    assert "EEXIST" in run(app, "export", "start", "m0", address, code=1)
    text = run(app, "export", "start", "M0", f"unix:{scratch}/other", code=1)
    assert "did you mean 'm0'? The unclaimed bdevs are: Spare, m0" in text
    assert "did you mean 'm0'?" in run(app, "export", "stop", "mm0", code=1)
    run(app, "export", "stop", "m0")
    assert run_json(app, "export", "list") == []
    assert not (scratch / "nbd.sock").exists()


def load(scratch, tool, uri):
    """A process that reads and writes for some seconds."""
    command = [tool("fio"), "--name=load", "--ioengine=nbd", f"--uri={uri}", "--rw=randrw",
               "--bs=4k", "--iodepth=8", "--time_based", "--runtime=20", "--minimal"]
    return subprocess.Popen(  # pylint: disable=consider-using-with
        command, cwd=scratch, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def test_stats_and_watch_under_load(app, scratch, legs, tool):
    run(app, "create", "m0", *legs[:2])
    run(app, "export", "start", "m0", f"unix:{scratch}/nbd.sock")
    with load(scratch, tool, f"nbd+unix:///m0?socket={scratch}/nbd.sock") as fio:
        # fio takes its time to start where there is much else to do.
        deadline = time.monotonic() + 6
        while not app.call("bdev_get_iostat", name="m0")["bdevs"][0]["num_write_ops"]:
            assert time.monotonic() < deadline, "fio does not write"
            time.sleep(0.1)
        words = ["--json", "watch", "m0", "-i", "0.5", "-n", "3"]
        frames = [json.loads(line) for line in run(app, *words).splitlines()]
        text = run(app, "watch", "-i", "0.3", "-n", "1")
        fio.kill()
    assert len(frames) == 3
    for frame in frames:
        assert frame["seconds"] == pytest.approx(0.5, abs=0.4)
        (mirror,) = frame["mirrors"]
        assert mirror["rates"]["read"]["ops_per_second"] > 0
        assert mirror["rates"]["write"]["latency_us"] > 0
        rates = [leg["rates"] for leg in mirror["legs"]]
        # Each leg takes every write, and the reads are shared.
        for leg in rates:
            assert leg["write"]["ops_per_second"] == pytest.approx(
                mirror["rates"]["write"]["ops_per_second"], rel=0.2)
    assert "1 Leg1" in text and "\x1b" not in text
    (stats,) = run_json(app, "stats", "m0")
    assert stats["mirror"]["num_read_ops"] > 0
    assert stats["mirror"]["write_latency_us_mean"] > 0
    assert [leg["name"] for leg in stats["legs"]] == legs[:2]
    assert "m0" in run(app, "stats")


def test_watch_ends_with_the_application(app, legs):
    run(app, "create", "m0", *legs[:2])
    command = [RAID1CTL, "-s", app.address, "watch", "-i", "0.1"]
    with subprocess.Popen([str(word) for word in command], stdout=subprocess.DEVNULL,
                          stderr=subprocess.PIPE, text=True) as watch:
        time.sleep(1)
        assert watch.poll() is None
        app.stop()
        _, text = watch.communicate(timeout=20)
    assert watch.returncode == 3, text
    assert "hung up" in text
    text = run(app, "list", code=3)
    assert "no application listens there" in text and "raid1 --mirror" in text


def test_an_application_that_was_killed(app):
    app.stop(signal.SIGKILL)
    assert "the application that did has ended" in run(app, "list", code=3)


def test_an_spdk_that_hosts_the_module(start, scratch):
    app = start("spdk_tgt")
    for name in ("Leg0", "Leg1"):
        method, params = config.malloc(name, mebibytes=16)
        app.call(method, **params)
    run(app, "create", "m0", "Leg0", "Leg1")
    assert "Malloc disk" in run(app, "status")
    run(app, "export", "start", "m0", f"unix:{scratch}/nbd.sock")
    run(app, "delete", "m0")


def test_an_spdk_without_the_module(request, start, scratch):
    path, _ = request.getfixturevalue("program")("spdk_tgt")
    del start
    from harness.application import Application  # pylint: disable=import-outside-toplevel
    with Application(path, scratch / "plain").ready() as app:
        text = run(app, "list", code=1)
    assert "Method not found" in text and "LD_PRELOAD" in text
