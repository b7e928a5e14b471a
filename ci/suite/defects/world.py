"""An application with a mirror, and what is looked at of its legs."""

import time

from harness import config
from history import SECTOR
from nbd_client import Client
from test_crash import is_equal

MIB = 1 << 20
OFFSET = MIB
MANY = 1_000_000
OLD, NEW, OTHER = b"old " * 1024, b"new " * 1024, b"else" * 1024


class World:
    """An application, the mirror M in it, and a client of M."""

    def __init__(self, start, scratch, **options):
        self.starter, self.scratch = start, scratch
        self.app = start("raid1", **options)

    def restart(self, *names):
        """A new process with these files."""
        self.app = self.starter("raid1")
        for name in names:
            self.aio(name)
        self.app.call("bdev_wait_for_examine")

    def malloc(self, *names, mebibytes=9, **further):
        """Bdevs in memory."""
        for name in names:
            method, params = config.malloc(name, mebibytes)
            self.app.call(method, **params, **further)

    def aio(self, name, content=None, mebibytes=8):
        """A bdev of a file, which is made if it is not there."""
        path = self.scratch / name
        if not path.exists():
            path.write_bytes(bytes(MIB) + (content or bytes(mebibytes * MIB)))
        method, params = config.aio(name, path)
        self.app.call(method, fallocate=True, **params)

    def failing(self, name):
        """A bdev above another that can be told to fail."""
        self.app.call("bdev_error_create", base_name=name)
        return f"EE_{name}"

    def inject(self, name, io_type, num=MANY, error_type="failure"):
        """Lets a bdev fail."""
        self.app.call("bdev_error_inject_error", name=name, io_type=io_type, error_type=error_type,
                      num=num)

    def delayed(self, name, write_us=0, read_us=0):
        """A bdev above another that is slow: what it does is done at once, and told late."""
        self.app.call("bdev_delay_create", name=f"D_{name}", base_bdev_name=name,
                      avg_read_latency=read_us, p99_read_latency=read_us,
                      avg_write_latency=write_us, p99_write_latency=write_us)
        return f"D_{name}"

    def delay(self, name, kind, us):
        """Makes such a bdev slower, or faster."""
        for measure in ("avg", "p99"):
            self.app.call("bdev_delay_update_latency", delay_bdev_name=name,
                          latency_type=f"{measure}_{kind}", latency_us=us)

    def limit(self, mib_s):
        """How fast rebuilds are; 0: as they can."""
        self.app.call("raid1_set_options", rebuild_limit_mib_s=mib_s)

    def iostat(self, name):
        """What a bdev was asked for so far."""
        return self.app.call("bdev_get_iostat", name=name)["bdevs"][0]

    def create(self, *legs, **further):
        """Makes M, and waits for its first sync."""
        self.app.call("raid1_create", name="M", base_bdevs=list(legs), **further)
        self.wait(is_equal)

    def mirror(self):
        """What is said of M."""
        return next(iter(self.app.call("raid1_get_bdevs", category="all")), None)

    def states(self):
        """Of its legs."""
        return [leg["state"] for leg in self.mirror()["base_bdevs_list"]]

    def wait(self, condition, seconds=30):
        """Until M is in some state."""
        deadline = time.monotonic() + seconds
        while not (self.mirror() and condition(self.mirror())):
            assert time.monotonic() < deadline, f"still {self.mirror()}"
            time.sleep(0.01)

    @property
    def address(self):
        """Where M is exported."""
        return self.app.scratch / "nbd.sock"

    def client(self):
        """A client of M."""
        if not self.app.call("nbd_exports_get"):
            self.app.call("nbd_export_start", bdev_name="M", address=f"unix:{self.address}")
        return Client(self.address).go("M")

    def data(self, name):
        """What a file holds behind its metadata."""
        return (self.scratch / name).read_bytes()[OFFSET:]

    def content(self, leg):
        """What a leg that is no file holds of M, asked past the mirror."""
        path = self.app.scratch / "leg.sock"
        offset = self.mirror()["base_bdevs_list"][0]["data_offset"] * SECTOR
        self.app.call("nbd_export_start", bdev_name=leg, address=f"unix:{path}", read_only=True)
        with Client(path).go(leg) as client:
            content = read_all(client)[offset:]
        self.app.call("nbd_export_stop", bdev_name=leg)
        return content

    def kill(self):
        """At once."""
        self.app.kill()


def wait_for(condition, seconds=30):
    """Until something is so."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


def read_all(client):
    """All that is on the mirror."""
    return b"".join(client.read(offset, MIB) for offset in range(0, client.size, MIB))


def answers(client, count=64, step=0):
    """What so many reads at once are answered, of the first block or of as many: so many that each
    leg which is read from gets some."""
    client.reads(count, 4096, step)
    found = set()
    for _ in range(count):
        error, _ = client.reply()
        found.add(error or client.receive(4096))
    return found
