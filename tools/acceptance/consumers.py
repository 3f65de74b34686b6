"""The sample consumers of shared memory, as processes."""
import os
import subprocess
import time

from harness import BIN, ROOT, Ended, require, tool

SAMPLE = os.path.join(ROOT, "tools/samples/shm-consumer/consumer.c")
HEADER = os.path.join(ROOT, "Sources/CIngestShm/include")


class Consumer(Ended):
    """One of the sample consumers, writing each connection's bytes to a file."""

    def __init__(self, kind, scratch, meeting, name="got"):
        self.folder = os.path.join(scratch, name)
        os.mkdir(self.folder)
        program = os.path.join(BIN, "shm-consumer")
        if kind == "c":
            program = os.path.join(scratch, "consumer")
            if not os.path.exists(program):
                subprocess.run([tool("cc"), "-O2", "-std=c11", "-Wall", "-Wextra", "-Werror",
                                "-I", HEADER, SAMPLE, "-o", program], check=True)
        self.process = subprocess.Popen(
            [program, meeting, self.folder], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True)

    def finish(self, seconds=60):
        """Exit status and output."""
        said, _ = self.process.communicate(timeout=seconds)
        return self.process.returncode, said

    def path(self, serial):
        return os.path.join(self.folder, str(serial))

    def taken(self):
        return sum(os.path.getsize(self.path(name)) for name in os.listdir(self.folder))

    def wait_taken(self, count, seconds=30):
        until = time.monotonic() + seconds
        while self.taken() < count:
            require(time.monotonic() < until, f"the consumer took {self.taken()} of {count} bytes")
            time.sleep(0.01)

    def signal(self, number):
        self.process.send_signal(number)
