"""The virtual NIC under `ingest` and `ingest-send`, and what must be true of every transfer."""
import contextlib
import os
import socket
import subprocess
import sys
import threading
import time

from harness import BIN, ROOT, Receiver, equal, require, send

sys.path.insert(0, os.path.join(ROOT, "tools", "zcnic"))
sys.path.insert(0, os.path.join(ROOT, "tools", "guest"))

import lab  # noqa: E402  (its path is set above)
import pools  # noqa: E402

PORT = 5301
# include/uapi/linux/netdev.h
NETDEV_A_PAGE_POOL_IO_URING = 8
MIB = 1 << 20
# The emulated CPUs are slow, and CI runs other work beside them.
PATIENCE = 240


class Place(lab.Lab):
    """The pair of ports, with `ingest` on the one and `ingest-send` on the other."""

    def spread(self, port, queues):
        """Has TCP to this port arrive at several queues by its hash, and nothing else there."""
        self.ethtool("-X", "equal", queues[0])
        weights = [int(index in queues) for index in range(self.queues)]
        context = self.ethtool("-X", "context", "new", "weight", *weights).split()[-1]
        for flow in ("tcp4", "tcp6"):
            said = self.ethtool("-N", "flow-type", flow, "dst-port", port, "context", context)
            self.rules.append(said.split()[-1])
        self.contexts.append(context)

    contexts = ()

    def up(self):
        self.contexts = []
        super().up()
        self.first = self.counters()

    def unsteer(self):
        super().unsteer()
        while self.contexts:
            self.ethtool("-X", "context", self.contexts.pop(), "delete")

    def receiver(self, *arguments, queue=None, nic="keep", **options):
        """`ingest` bound to the queue set apart, or to those given ("3-6")."""
        queue = self.queue if queue is None else queue
        return Receiver(
            "--ifname", self.DEVICE, "--queue", queue, "--nic", nic, *arguments, listen=None,
            prefix=self.inside(self.RX), port=PORT, **options)

    def send(self, *arguments, family=4, seconds=PATIENCE, port=PORT, **options):
        host = self.RX_ADDRESS if family == 4 else f"[{self.RX_ADDRESS6}]"
        return send(
            "--to", f"{host}:{port}", *arguments, seconds=seconds, prefix=self.inside(self.TX),
            **options)

    def call_inside(self, *command):
        """A command in the receiver's namespace, which must succeed."""
        return lab.call([*self.inside(self.RX), *map(str, command)])

    def inside(self, namespace):
        return ["ip", "netns", "exec", namespace]

    def refused(self, *arguments, queue=None, wanted, text, remedy=None, prefix=None):
        """`ingest` must end with this exit code and say these words."""
        queue = self.queue if queue is None else queue
        command = [*(self.inside(self.RX) if prefix is None else prefix),
                   os.path.join(BIN, "ingest"), "run", "--ifname", self.DEVICE, "--queue", queue,
                   "--nic", "keep", "--port", PORT, *arguments]
        done = subprocess.run([str(word) for word in command], capture_output=True, text=True,
                              stdin=subprocess.DEVNULL, timeout=PATIENCE)
        said = done.stderr.strip()
        equal(done.returncode, wanted, f"exit code of a refusal that says: {said}\nexit code")
        for words in [text, remedy]:
            require(words is None or words.lower() in said.lower(), f"no {words!r} in: {said}")
        return said.splitlines()[-2 if remedy else -1][:110]

    @contextlib.contextmanager
    def later(self, seconds, knob, value):
        """Turns a fault's knob while something else goes on; waits until it is turned."""
        timer = threading.Timer(seconds, self.knob, [knob, value])
        timer.start()
        try:
            yield
        finally:
            timer.join()

    def pool_buffers(self):
        """Buffers that page pools of the receiving port have out."""
        return sum(pools.number(pool, pools.INFLIGHT) for pool in pools.everywhere())

    def queue_counters(self, queues):
        """The NIC's own counters since this place is there, summed over receive queues."""
        sums = {}
        for name, value in self.counters().items():
            value -= self.first.get(name, 0)
            head, _, rest = name.partition("_")
            if head in [f"rx{queue}" for queue in queues]:
                sums[rest] = sums.get(rest, 0) + value
        return sums


def bound_pools():
    """Page pools whose buffers are an io_uring's."""
    return [pool for pool in pools.everywhere() if NETDEV_A_PAGE_POOL_IO_URING in pool]


def stir():
    """Has every CPU receive a packet.

    A CPU keeps packets that were freed for it on a list until it next receives something
    (net/core/skbuff.c, skb_attempt_defer_free). On an idle machine the last packets of a transfer
    would hold their buffers, and the page pool, for as long as it stays idle.
    """
    allowed = os.sched_getaffinity(0)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.bind(("127.0.0.1", 0))
        for cpu in allowed:
            os.sched_setaffinity(0, {cpu})
            one.sendto(b"", one.getsockname())
    os.sched_setaffinity(0, allowed)


def released():
    """Whether no page pool is an io_uring's any more."""
    stir()
    return not bound_pools()


def wait_until(condition, seconds, what):
    until = time.monotonic() + seconds
    while not condition():
        require(time.monotonic() < until, f"{what}: not within {seconds} s")
        time.sleep(0.05)


def transfer(place, size, *arguments, connections=1, queues=None, family=4, sender=(),
             split=True, seconds=PATIENCE):
    """Moves `size` bytes of wire records through the bound queues and proves how they came.

    Every CRC right, no byte copied, the NIC's split counter up and its unsplit one not, the page
    pool the io_uring's while it ran and gone afterwards.
    """
    numbers = queues or [place.queue]
    spelled = ",".join(map(str, numbers))
    before = place.queue_counters(numbers)
    require(not bound_pools(), "a queue was bound before the test")
    with place.receiver(
            "--parse", "wire", "--checksum", "crc32c:verify", "--connections", connections,
            *arguments, queue=spelled) as receiver:
        equal(len(bound_pools()), len(numbers), "page pools with the io-uring attribute")
        done = place.send(
            "--bytes", size, "--streams", connections, *sender, family=family, seconds=seconds)
        code = receiver.finish(seconds)
    end = receiver.end
    equal(code, 0, f"exit code ({end.get('failure')})")
    counters = receiver.counters
    require(counters["payloadBytes"] > 0 and counters["bytes"] >= size, "too few bytes came")
    equal(counters["records"], done["end"]["send"]["counters"]["records"], "records")
    equal(counters["faults"], 0, "faults")
    equal(counters["closed"], connections, "connections")
    after = place.queue_counters(numbers)
    moved = {name: after[name] - before.get(name, 0) for name in after}
    if split:
        equal(counters["copiedBytes"], 0, "bytes that the kernel copied")
        # Only other traffic of the NIC, such as ARP, can leave a doubt.
        require(counters["truth"]["zeroCopy"] > 0.99 * counters["bytes"], counters["truth"])
        equal(moved["nosplit"], 0, "packets that the NIC did not split")
        # What the NIC split came through the bound queues, and nothing came beside it.
        require(moved["bytes"] >= counters["bytes"], f"the NIC's queues saw {moved['bytes']} bytes")
        require(moved["split"] > 0, "the NIC split no packet")
    wait_until(released, 60, "page pool of the bound queue gone")
    remarks = receiver.events("start")[0]["remarks"]
    return {**end["receive"], "remarks": remarks}, moved


def rate(part):
    counters = part["counters"]
    return (f"{counters['bytes'] >> 20} MiB in {counters['completions']} completions, "
            f"{counters['refillFlushes']} flushes")
