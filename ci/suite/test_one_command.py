"""`raid1 --mirror`: a mirror of files, exported, in one command. What needs no SPDK of its own, such
as wrong arguments and files, is tested by the Rust tests of that name on either backend."""

import os
import signal
import subprocess

import pytest

from harness import spdk
from harness.mirror import Mirrors

pytestmark = pytest.mark.usefixtures("ours")
MIB = 1 << 20
MEMORY = {"huge": ["-s", "512"], "no-huge": ["--no-huge", "-s", "1024"], "as it is": []}


@pytest.fixture
def ours(stock):
    """SPDK's own programs have no such option."""
    if stock:
        pytest.skip("an option of raid1")


@pytest.fixture(params=MEMORY)
def memory(request):
    """Arguments for each kind of memory that this machine has, and none."""
    if request.param == "huge" and spdk.huge_pages_free() < 256:
        pytest.skip("fewer than 256 huge pages of 2 MiB are free")
    return MEMORY[request.param]


@pytest.fixture
def arguments(scratch):
    """Of a mirror of two new files, exported."""
    return ["--mirror", f"m={scratch}/a,{scratch}/b", "--size", "64MiB",
            "--nbd", f"unix:{scratch}/nbd.sock"]


@pytest.fixture
def uri(scratch):
    """Where that is exported."""
    return f"nbd+unix:///m?socket={scratch}/nbd.sock"


def equal(scratch):
    """Whether both legs hold the same data, which is behind the metadata."""
    return (scratch / "a").read_bytes()[MIB:] == (scratch / "b").read_bytes()[MIB:]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_made_used_stopped_and_started_again(start, scratch, tool, memory, arguments, uri, number):
    app = start("raid1", *arguments, memory=memory)
    (entry,) = Mirrors(app).list()
    assert [leg["name"] for leg in entry["base_bdevs_list"]] == ["m-leg0", "m-leg1"]
    (bdev,) = app.call("bdev_get_bdevs", name="m")
    assert (bdev["block_size"], bdev["num_blocks"]) == (4096, 64 * MIB >> 12)
    image = scratch / "image"
    image.write_bytes(os.urandom(64 * MIB))
    subprocess.run([tool("nbdcopy"), image, uri], check=True)
    assert app.stop(number) == 0
    assert "(new)" in app.output() and uri in app.output()
    assert (scratch / "a").read_bytes()[MIB:] == image.read_bytes()
    assert equal(scratch)
    assert not (scratch / "nbd.sock").exists()

    app = start("raid1", *arguments, memory=memory)
    (again,) = Mirrors(app).list()
    assert again["uuid"] == entry["uuid"]
    subprocess.run([tool("nbdcopy"), uri, scratch / "back"], check=True)
    assert (scratch / "back").read_bytes() == image.read_bytes()
    assert app.stop(number) == 0
    assert "(new)" not in app.output() and "not stopped in order" not in app.output()


def test_stopped_while_a_client_writes(start, scratch, tool, arguments, uri):
    app = start("raid1", *arguments)
    command = [tool("fio"), "--name=load", "--ioengine=nbd", f"--uri={uri}", "--rw=randwrite",
               "--bs=4k", "--iodepth=16", "--time_based", "--runtime=60"]
    with subprocess.Popen(command, cwd=scratch, stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL) as fio:
        Waiting(app).for_writes("m", 1000)
        assert app.stop() == 0
        # fio sees a connection that is gone, which is an error.
        assert fio.wait(60) != 0
    assert equal(scratch)


class Waiting:
    """Waits for what an application counts."""

    def __init__(self, app):
        self.app = app

    def for_writes(self, bdev, count):
        """Until a bdev has served so many writes."""
        for _ in range(10000):
            (stat,) = self.app.call("bdev_get_iostat", name=bdev)["bdevs"]
            if stat["num_write_ops"] >= count:
                return
        raise AssertionError(f"{bdev}: fewer than {count} writes")


def test_several_mirrors_at_several_addresses(start, scratch, tool):
    app = start("raid1", "--mirror", f"m={scratch}/a,{scratch}/b", f"--mirror=n={scratch}/c,"
                f"{scratch}/d,{scratch}/e", "--size=8MiB", "--nbd", f"unix:{scratch}/one.sock",
                "--nbd", f"unix:{scratch}/two.sock", "--block-size", "512")
    for name in ("m", "n"):
        for place in ("one", "two"):
            command = [tool("nbdinfo"), "--size", f"nbd+unix:///{name}?socket={scratch}/{place}.sock"]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            assert int(done.stdout) == 8 * MIB
    assert len(Mirrors(app).legs("n")) == 3
    (bdev,) = app.call("bdev_get_bdevs", name="n")
    assert bdev["block_size"] == 512
    assert app.stop() == 0


def test_the_configuration_can_be_saved_and_used_instead(start, scratch, tool, arguments, uri):
    app = start("raid1", *arguments)
    calls = app.call("framework_get_config", name="bdev")
    methods = [call["method"] for call in calls]
    assert methods.count("bdev_aio_create") == 2 and "raid1_create" not in methods
    saved = scratch / "saved.json"
    with app.client() as client, saved.open("w", encoding="utf-8") as file:
        from spdk.rpc.config import save_config  # pylint: disable=import-outside-toplevel
        save_config(client, file, indent=1)
    assert app.stop() == 0
    app = start("raid1", "--json", saved)
    assert Mirrors(app).legs("m") == ["m-leg0", "m-leg1"]
    subprocess.run([tool("nbdinfo"), uri], check=True, stdout=subprocess.DEVNULL)
    assert app.stop() == 0


def test_a_start_that_fails_says_so(start, scratch, arguments):
    (scratch / "nbd.sock").write_text("a file")
    app = start("raid1", *arguments, wait=False)
    assert app.wait(60) != 0
    assert f"raid1: --nbd unix:{scratch / 'nbd.sock'}: there is something else" in app.output()
    assert (scratch / "nbd.sock").read_text() == "a file"


def test_too_few_huge_pages_are_said(start, scratch, arguments, backend):
    if backend != "spdk" or spdk.huge_pages_free() >= 256:
        pytest.skip("there are enough huge pages, or it does not need them")
    app = start("raid1", *arguments, memory=[])
    assert "taking ordinary memory (--no-huge -s 1024)" in app.output()
    assert app.stop() == 0
    app = start("raid1", *arguments, memory=["-s", "100000"], wait=False)
    assert app.wait(60) != 0
    assert "Reserve some" in app.output()
    del scratch
