"""A run of `ingest` that serves every round of a soak: what leaks slowly shows in it.

A round's own receiver lives for seconds. This one lives as long as the soak, over loopback, through
the same clock jumps, lost CPUs and short memory; after each round it has to be as it was after the
first: the same descriptors, no more memory than a few pages, every record verified.
"""
import os

from faults_peer import wait_until
from harness import Receiver, equal, require, send
from zcrx_port import MIB, PATIENCE

# What allocators may keep, and threads that have not run before may touch.
GROWTH = 6 * MIB


class Steady:
    def __enter__(self):
        self.receiver = Receiver("--engine", "copy", "--parse", "wire", "--checksum",
                                 "crc32c:verify", "--area", "1M")
        self.first = None
        self.records = self.connections = 0
        return self

    def __exit__(self, *_):
        self.receiver.__exit__()

    @property
    def process(self):
        return self.receiver.process.pid

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.process}/fd"))

    def serve(self):
        """A transfer; then it must be as it was after the first one. Says what it is."""
        done = send("--to", f"127.0.0.1:{self.receiver.port}", "--bytes", MIB, "--streams", 3,
                    seconds=PATIENCE)
        self.records += done["end"]["send"]["counters"]["records"]
        self.connections += 3
        wait_until(lambda: len(self.receiver.closed()) == self.connections,
                   "the ends of a steady run's connections", PATIENCE)
        found = (self.descriptors(), self.receiver.resident())
        if self.first is None:
            self.first = found
        equal(found[0], self.first[0], "descriptors of the run that serves every round")
        require(found[1] <= self.first[1] + GROWTH,
                f"the run that serves every round grew from {self.first[1] >> 10} KiB to "
                f"{found[1] >> 10} KiB resident")
        return f"{found[0]} descriptors, {found[1] >> 10} KiB resident"

    def finish(self):
        equal(self.receiver.stop(PATIENCE), 0, f"exit code of the steady run {self.receiver.text}")
        equal(self.receiver.counters["records"], self.records, "records of the steady run")
        return f"steady run: {self.connections} connections, {self.records} records verified"
