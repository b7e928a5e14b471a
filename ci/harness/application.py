"""Starts SPDK applications on a private RPC socket, and always stops them."""

import json
import os
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path

from spdk.rpc.client import JSONRPCClient, JSONRPCException

from harness import spdk

START_SECONDS_MAX = 60
STOP_SECONDS_MAX = 60


class Error(Exception):
    """An error response: its `code` and `message` as the application sent them."""

    def __init__(self, error):
        super().__init__(f"{error['code']}: {error['message']}")
        self.code = error["code"]
        self.message = error["message"]


class Call(threading.Thread):
    """A call on a connection of its own, under way while others are made."""

    def __init__(self, application, method, params):
        super().__init__(daemon=True)
        self.work = lambda: application.call(method, **params)
        self.answer = self.error = None
        self.start()

    def run(self):
        try:
            self.answer = self.work()
        except Exception as error:  # pylint: disable=broad-exception-caught
            self.error = error

    def result(self, seconds):
        """The answer; raises what the call raised."""
        self.join(seconds)
        if self.is_alive():
            raise TimeoutError(f"no answer after {seconds} s")
        if self.error is not None:
            raise self.error
        return self.answer


class Application:
    """A running program of SPDK, or ours, with an RPC server."""

    def __init__(self, program, scratch, *args, preload=(), memory=None, cores="0x1"):
        self.scratch = Path(scratch)
        self.scratch.mkdir(parents=True, exist_ok=True)
        self.address = self.scratch / "rpc.sock"
        self.address.unlink(missing_ok=True)
        self.log = self.scratch / "log"
        memory = spdk.memory_args() if memory is None else memory
        command = [program, "-r", self.address, "-m", cores, "--disable-cpumask-locks", *memory,
                   *args]
        environment = dict(os.environ)
        if preload:
            environment["LD_PRELOAD"] = ":".join(str(item) for item in preload)
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(  # pylint: disable=consider-using-with
                [str(word) for word in command], env=environment, stdout=log, stderr=log,
                stdin=subprocess.DEVNULL)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()

    def output(self):
        """All that it has printed."""
        return self.log.read_text(encoding="utf-8", errors="replace")

    def ready(self):
        """Waits until it has started, its configuration included."""
        deadline = time.monotonic() + START_SECONDS_MAX
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise AssertionError(f"exited {self.process.returncode} at start:\n{self.output()}")
            try:
                self.call("framework_wait_init")
                return self
            except (OSError, JSONRPCException):
                time.sleep(0.05)
        raise AssertionError(f"not ready after {START_SECONDS_MAX} s:\n{self.output()}")

    def client(self, seconds=60):
        """A connection of SPDK's own client library."""
        return JSONRPCClient(str(self.address), timeout=seconds)

    def call(self, method, /, **params):
        """Result of a call by SPDK's client library; an error response raises `Error`."""
        with self.client(600) as client:
            request = client.send(method, {k: v for k, v in params.items() if v is not None})
            response = client.recv()
        assert response["id"] == request
        if "error" in response:
            raise Error(response["error"])
        return response["result"]

    def call_in_background(self, method, /, **params):
        """Starts a call."""
        return Call(self, method, params)

    def raw(self, request):
        """Sends bytes as they are and returns the decoded response, or None if it hung up."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(10)
            connection.connect(str(self.address))
            connection.sendall(request)
            received = b""
            while chunk := connection.recv(65536):
                received += chunk
                try:
                    return json.loads(received)
                except ValueError:
                    continue
        return None

    def stop(self, number=signal.SIGTERM):
        """Asks it to end and returns its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.wait(STOP_SECONDS_MAX)

    def wait(self, seconds):
        """Exit code, once it has ended by itself."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still runs after {seconds} s:\n{self.output()}") from None

    def kill(self):
        """Ends it at once, if it still runs."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
