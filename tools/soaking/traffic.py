"""Who sends in a round, and who takes what the sink sends on: each byte known in advance."""
import contextlib
import json
import os
import random
import socket
import struct
import subprocess
import threading
import time

from consumers import Consumer
from faults_peer import acknowledged
from harness import Failed, equal, require
from zcrx_port import PATIENCE

import genetlink  # noqa: I100  (zcrx_port sets the path)

PIECE = 16384
# What a stream starts with tells it from all others in whatever file it ends up in.
MARK = 16


def content(seed, parse, size, slow=0):
    """Bytes of a stream for a way to parse; `slow` of its lines take a slow stage long."""
    source = random.Random(f"content {seed}")
    if parse.startswith("fixed"):
        return source.randbytes(max(size // 4096, 1) * 4096)
    if parse.startswith("length"):
        made = bytearray()
        while len(made) < size:
            record = source.randbytes(source.randrange(1, 20000))
            made += struct.pack(">I", len(record)) + record
        # The first record tells the stream: its length alone would not.
        return struct.pack(">I", MARK) + source.randbytes(MARK) + bytes(made)
    made = source.randbytes(max(size, 4 * MARK))
    if parse.startswith("lines") and slow:
        step = len(made) // slow
        made = b"".join(made[at:at + step] + b"\nSLOW\n" for at in range(0, len(made), step))
    return made


class Stream(threading.Thread):
    """One connection that sends its content, evenly over so many seconds or all at once.

    `breaks` ends it on purpose: "reset" breaks off when all that it sent is acknowledged, "vanish"
    leaves it open for its host to go.
    """

    def __init__(self, name, data, seconds=0.0, breaks=None):
        super().__init__(daemon=True, name=name)
        self.data, self.seconds, self.breaks = data, seconds, breaks
        self.go = threading.Event()
        self.stopped = threading.Event()
        self.sent = 0
        self.error = None
        self.acknowledged = False
        self.socket = None
        self.port = 0

    def connect(self, ground, port, source=None):
        self.socket = ground.connect(port, source)
        self.socket.settimeout(PATIENCE)
        self.port = self.socket.getsockname()[1]

    def run(self):
        self.go.wait()
        try:
            self._send()
            if self.breaks == "vanish":
                self.stopped.wait(PATIENCE)
            elif self.breaks == "reset":
                self._reset()
            else:
                self.socket.shutdown(socket.SHUT_WR)
                # The receiver's end of the connection.
                while self.socket.recv(4096):
                    pass
        except OSError as error:
            self.error = error
        finally:
            self.socket.close()

    def _send(self):
        began = time.monotonic()
        while self.sent < len(self.data) and not self.stopped.is_set():
            self.sent += self.socket.send(self.data[self.sent:self.sent + PIECE])
            ahead = began + self.seconds * self.sent / len(self.data) - time.monotonic()
            if ahead > 0:
                self.stopped.wait(ahead)
        until = time.monotonic() + PATIENCE
        while self.breaks and not self.stopped.is_set():
            self.acknowledged = acknowledged(self.socket)
            if self.acknowledged or time.monotonic() > until:
                return
            time.sleep(0.01)

    def _reset(self):
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def abandon(self):
        """Ends it, whatever it is at."""
        self.stopped.set()
        self.go.set()
        with contextlib.suppress(OSError, AttributeError):
            self.socket.shutdown(socket.SHUT_RDWR)
        if self.is_alive():
            self.join(20)

    def judge(self, data, whole):
        """Holds what came of it to what was sent."""
        if data == self.data:
            return
        at = next((i for i, pair in enumerate(zip(data, self.data)) if pair[0] != pair[1]),
                  min(len(data), len(self.data)))
        require(at == len(data), f"{self.name}: byte {at} is not what was sent")
        require(not whole, f"{self.name}: {len(data)} of {len(self.data)} bytes are there")


class Wire:
    """`ingest-send`: numbered, signed records over several streams."""

    def __init__(self, ground, port, size, streams, seconds, seed):
        self.size = size
        rate = max(int(size * 8 / max(seconds, 0.1)), 1 << 20)
        self.process = ground.sender(
            port, "--bytes", size, "--streams", streams, "--seed", seed, "--bitrate",
            rate, "--record-minimum", 1, "--record-maximum", "48K")

    def finish(self):
        """Records that were sent; Failed where it did not end well."""
        try:
            out, said = self.process.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            self.end()
            raise Failed("ingest-send did not end") from None
        equal(self.process.returncode, 0, f"ingest-send's exit code ({said[-300:]})")
        return json.loads(out)["end"]["send"]["counters"]["records"]

    def end(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()


class Taker:
    """Takes the connections that come and keeps what each brings; rests while it is told to."""

    def __init__(self, listener):
        self.listener = listener
        self.taken = []
        self.reads = threading.Event()
        self.reads.set()
        self.threads = []
        self.closing = threading.Thread(target=self._accept, daemon=True)
        self.closing.start()

    def _accept(self):
        while True:
            try:
                peer, _ = self.listener.accept()
            except OSError:
                return
            data = bytearray()
            self.taken.append(data)
            thread = threading.Thread(target=self._take, args=(peer, data), daemon=True)
            self.threads.append(thread)
            thread.start()

    def _take(self, peer, data):
        with peer, contextlib.suppress(OSError):
            while self.reads.wait() and (part := peer.recv(1 << 18)):
                data += part

    def rest(self, is_at_rest):
        (self.reads.clear if is_at_rest else self.reads.set)()

    def finish(self):
        self.reads.set()
        for thread in self.threads:
            thread.join(PATIENCE)
            require(not thread.is_alive(), "what is sent on has no end")
        return [bytes(data) for data in self.taken]

    def end(self):
        self.reads.set()
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.closing.join(10)
        for thread in self.threads:
            thread.join(10)


class Files:
    """Takes connections as sealed files, as --sink unix:PATH,mode=fd hands them over."""

    def __init__(self, path):
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.listener.bind(path)
        self.listener.listen(8)
        os.chmod(path, 0o777)
        self.taken = []
        self.reads = threading.Event()
        self.reads.set()
        self.threads = []
        self.closing = threading.Thread(target=self._accept, daemon=True)
        self.closing.start()

    _accept, rest, finish, end = Taker._accept, Taker.rest, Taker.finish, Taker.end

    def _take(self, peer, _):
        self.taken.pop()
        with peer:
            while self.reads.wait():
                message, descriptors, _, _ = socket.recv_fds(peer, 64, 4)
                if not message:
                    return
                for descriptor in descriptors:
                    with open(descriptor, "rb") as file:
                        self.taken.append(file.read())


class Folder:
    """What files a sink left, each connection's in order."""

    def __init__(self, path):
        self.path = path
        os.mkdir(path)

    def rest(self, _):
        pass

    def finish(self):
        parts = {}
        for name in sorted(os.listdir(self.path)):
            with open(os.path.join(self.path, name), "rb") as file:
                parts.setdefault(name.split("-")[0], bytearray()).extend(file.read())
        return [bytes(data) for data in parts.values()]

    def end(self):
        pass


class Shared:
    """Consumers of shared memory, one after the other where the first is killed."""

    def __init__(self, scratch, meetings):
        self.scratch, self.meetings = scratch, meetings
        self.consumers, self.lost = [], []

    def begin(self):
        """Once `ingest` listens for them."""
        for meeting in self.meetings:
            self.consumers.append(
                Consumer("c", self.scratch, meeting, f"shm-{len(self.consumers) + len(self.lost)}"))

    def signal(self, number):
        for consumer in self.consumers:
            if consumer.process.poll() is None:
                consumer.signal(number)

    def rest(self, is_at_rest):
        self.signal(19 if is_at_rest else 18)

    def replace(self):
        """The consumers are killed and others come."""
        self.signal(9)
        for consumer in self.consumers:
            consumer.finish()
        self.lost += self.consumers
        self.consumers = []
        self.begin()

    def finish(self):
        found = []
        for consumer in self.consumers:
            status, said = consumer.finish(PATIENCE)
            equal(status, 0, f"the consumer's status ({said[-200:]})")
            found += self.content(consumer)
        return found

    def content(self, consumer):
        found = []
        for name in os.listdir(consumer.folder):
            with open(consumer.path(name), "rb") as file:
                found.append(file.read())
        return found

    def end(self):
        self.signal(18)
        for consumer in [*self.consumers, *self.lost]:
            consumer.__exit__()


def inside(namespace, action):
    """Calls something in a network namespace."""
    with genetlink.inside(namespace):
        return action()
