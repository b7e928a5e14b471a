"""bdevperf under remote control: it waits, and works on bdevs that the test has made."""

from harness import spdk
from harness.mirror import Mirrors

MEBIBYTE = 1 << 20
CHECKS = ("Buffer mismatch", "md_buf")


class Mismatch(Exception):
    """What was read is not what was written."""


class Bdevperf:
    """bdevperf on a mirror named M."""

    def __init__(self, start, stock, workload, *, io_bytes=4096, depth=32, cores=1, seconds=3,
                 args=(), mebibytes=0):
        self.cores, self.depth, self.io_bytes = cores, depth, io_bytes
        self.seconds = seconds
        # Twice: what is written, and what is read back.
        buffers = 2 * depth * io_bytes * cores // MEBIBYTE
        every_core = ["-C"] if cores > 1 else []
        # -U: each write writes something new, so that old data that is read is seen as such.
        self.app = start("bdevperf", "-z", "-T", "M", "-U", *every_core, "-w", workload,
                         "-q", depth, "-o", io_bytes, "-t", seconds, *args,
                         cores=hex((1 << cores) - 1),
                         memory=spdk.memory_args(900 + mebibytes + buffers))
        self.mirrors = Mirrors(self.app, stock)
        self.under_way = None

    def begin(self):
        """Starts the workload."""
        self.under_way = self.app.call_in_background("perform_tests")

    def results(self):
        """Waits for the end of the workload and returns its jobs."""
        try:
            return self.under_way.result(self.seconds + 120)["results"]
        finally:
            # Said first, because bdevperf ends itself when data differ.
            self.assert_no_mismatch()

    def assert_clean(self):
        """No request failed, none was lost, no data differed, and it ends well."""
        jobs = self.results()
        assert len(jobs) == self.cores
        for job in jobs:
            assert job["io_failed"] == 0, job
            assert job["iops"] > 0, job
            assert job["queue_depth"] == self.depth, job
        assert self.app.stop() == 0

    def assert_no_mismatch(self):
        """Nothing that was read differed from what was written."""
        lines = self.app.output().splitlines()
        found = [line for line in lines if any(word in line for word in CHECKS)]
        if found:
            raise Mismatch("\n".join(found[:10]))
