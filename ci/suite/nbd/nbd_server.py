"""An NBD server under test, and what its tests have in common."""

import os
import subprocess
import time

import nbd_client as nbd
from harness import config
from nbd_client import Client


class Server:
    """An application with a bdev of 64 MiB, exported at a unix socket."""

    def __init__(self, app, path, block_size=512):
        self.app = app
        self.path = path
        self.address = f"unix:{path}"
        method, params = config.malloc("M0", 64, block_size)
        app.call(method, **params)
        self.export = self.start("M0")
        self.uri = self.export["uri"]

    def start(self, bdev, address=None, **further):
        """Exports a bdev."""
        return self.app.call("nbd_export_start", bdev_name=bdev, address=address or self.address,
                             **further)

    def stop(self, **which):
        """Ends exports."""
        return self.app.call("nbd_export_stop", **which)

    def get(self, name="M0"):
        """What the application says of an export."""
        return next(entry for entry in self.app.call("nbd_exports_get")
                    if entry["export_name"] == name)

    def client(self, name="", seconds=20):
        """A client in the transmission phase."""
        return Client(self.path, seconds).go(name)

    def assert_well(self):
        """Whether an honest client is served."""
        data = os.urandom(8192)
        with self.client() as client:
            assert client.write(4096, data, nbd.FUA) == 0
            assert client.read(4096, 8192) == data


def run(*words, **options):
    """Runs a program and returns what it printed."""
    done = subprocess.run([str(word) for word in words], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, check=False, timeout=200, **options)
    assert done.returncode == 0, f"{words}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def wait(condition, seconds=20):
    """Until something holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "still not so"
        time.sleep(0.05)
