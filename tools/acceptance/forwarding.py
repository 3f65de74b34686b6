"""Connections go on to another host: --sink forward."""
import os
import socket
import subprocess
import threading
import time

from harness import (Ended, Failed, Receiver, Scratch, check, connect, equal, random_file, require,
                     send, tool)

LAST = len(os.sched_getaffinity(0)) - 1
PLACES = ["", f"sink=cpu{LAST}", f"checksum=cpu{LAST} sink=cpu0"]
NEAR, FAR = "10.77.1", "10.77.2"


class Hosts:
    """Three hosts in a row, each a network namespace: sender, middle, receiver."""

    def __enter__(self):
        self.names = [f"ingest-{part}-{os.getpid()}" for part in ("tx", "mid", "rx")]
        tx, middle, rx = self.names
        try:
            for name in self.names:
                ip("netns", "add", name)
                ip("-n", name, "link", "set", "lo", "up")
            for left, right, net in ((tx, middle, NEAR), (middle, rx, FAR)):
                ip("-n", left, "link", "add", "right", "type", "veth", "peer", "name", "left",
                   "netns", right)
                for name, device, host in ((left, "right", 1), (right, "left", 2)):
                    ip("-n", name, "address", "add", f"{net}.{host}/24", "dev", device)
                    ip("-n", name, "link", "set", device, "up")
        except Failed:
            self.__exit__()
            raise
        self.tx, self.middle, self.rx = (["ip", "netns", "exec", name] for name in self.names)
        return self

    def __exit__(self, *_):
        for name in self.names:
            subprocess.run(["ip", "netns", "delete", name], capture_output=True, check=False)

    def forward(self, port, *arguments, place="", options=""):
        """`ingest` on the middle host, which sends on to the third one's port."""
        sink = f"forward:{FAR}.2:{port}{options}"
        return Receiver("--sink", sink, *arguments, *(["--place", *place.split()] if place else []),
                        listen=f"{NEAR}.2", prefix=self.middle)


def ip(*arguments):
    done = subprocess.run([tool("ip"), *arguments], capture_output=True, text=True, check=False)
    require(done.returncode == 0, f"ip {' '.join(arguments)}: {done.stderr.strip()} (needs root)")


TAKER = """
import hashlib, socket, sys, time
rests = float(sys.argv[2])
listener = socket.create_server((sys.argv[1], 0))
print(listener.getsockname()[1], flush=True)
peer, _ = listener.accept()
digest, count, ended = hashlib.sha256(), 0, "finished"
try:
    while True:
        data = peer.recv(1 << 20)
        if not data:
            break
        digest.update(data)
        count += len(data)
        if rests and count >= 1 << 20:
            print("rests", flush=True)
            time.sleep(rests)
            rests = 0
except OSError as error:
    ended = error.strerror
print(count, digest.hexdigest(), ended, flush=True)
"""


class Taker(Ended):
    """A receiver that is none of ours: takes one connection, and may rest after a mebibyte."""

    def __init__(self, prefix, host, rests=0.0):
        self.process = subprocess.Popen(
            [*prefix, "python3", "-c", TAKER, host, str(rests)], stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, text=True)
        self.port = int(self.process.stdout.readline())

    def line(self):
        return self.process.stdout.readline().strip()

    def end(self):
        """Bytes, digest, how it ended."""
        count, digest, ended = self.line().split(" ", 2)
        self.process.wait(20)
        return int(count), digest, ended


def digest_of(path):
    return subprocess.run(["sha256sum", path], capture_output=True, text=True,
                          check=True).stdout.split()[0]


def went_on(receiver, size, copies=0):
    """Holds the sink's counters to the bytes; says what the kernel did."""
    counters = receiver.counters
    equal(counters["sinkBytes"], size, "bytes sent on")
    equal(counters["sinkCopiedBytes"], copies, "bytes copied in user space")
    equal(counters["sinkZeroCopyBytes"], size, "bytes by zero-copy sends")
    share = counters["sinkKernelCopiedBytes"] * 100 // size
    return f"zero-copy sends took all, the kernel copied {share} % of it"


@check
def forwarding_moves_a_gibibyte_byte_by_byte():
    with Hosts() as hosts, Scratch() as scratch:
        source = os.path.join(scratch, "in")
        random_file(source, 1 << 30)
        with Taker(hosts.rx, f"{FAR}.2") as taker, hosts.forward(taker.port, "-1") as receiver:
            started = time.monotonic()
            send("--to", f"{NEAR}.2:{receiver.port}", "--file", source, prefix=hosts.tx)
            equal(receiver.finish(), 0, "exit code")
            took = time.monotonic() - started
            count, digest, ended = taker.end()
        equal((count, ended), (1 << 30, "finished"), "what arrived")
        equal(digest, digest_of(source), "digest")
        return f"1 GiB in {took:.1f} s; {went_on(receiver, 1 << 30)}"


@check
def forwarding_by_plain_send_says_so():
    with Hosts() as hosts, Scratch() as scratch:
        source = os.path.join(scratch, "in")
        random_file(source, 64 << 20)
        with Taker(hosts.rx, f"{FAR}.2") as taker, hosts.forward(
                taker.port, "-1", options=",method=send") as receiver:
            send("--to", f"{NEAR}.2:{receiver.port}", "--file", source, prefix=hosts.tx)
            equal(receiver.finish(), 0, "exit code")
            equal(taker.end()[1], digest_of(source), "digest")
        counters = receiver.counters
        equal(counters["sinkZeroCopyBytes"], 0, "bytes by zero-copy sends")
        equal(counters["sinkKernelCopiedBytes"], 64 << 20, "bytes that the kernel copied")


@check
def forwarding_without_memory_to_pin_sends_plainly():
    """RLIMIT_MEMLOCK bounds what zero-copy sends may pin, for those without CAP_IPC_LOCK."""
    with Scratch() as scratch:
        source = os.path.join(scratch, "in")
        random_file(source, 64 << 20)
        with Taker([], "127.0.0.1") as taker, Receiver(
                "--sink", f"forward:127.0.0.1:{taker.port}", "-1",
                prefix=[tool("prlimit"), "--memlock=1200000:1200000", tool("setpriv"),
                        "--inh-caps=-ipc_lock", "--bounding-set=-ipc_lock"]) as receiver:
            send("--to", f"127.0.0.1:{receiver.port}", "--file", source)
            equal(receiver.finish(), 0, "exit code")
            equal(taker.end(), (64 << 20, digest_of(source), "finished"), "what went on")
        counters = receiver.counters
        equal(counters["sinkBytes"], 64 << 20, "bytes sent on")
        equal(counters["sinkCopiedBytes"], 0, "bytes copied in user space")
        pinned = counters["sinkZeroCopyBytes"]
        require(pinned < 64 << 20, "every send pinned its memory, whatever the limit")
        return f"{pinned >> 10} KiB by zero-copy sends, the rest by plain ones"


@check
def forwarding_to_a_receiver_that_rests_holds_the_sender_back():
    said = []
    for place in PLACES[:2]:
        with Hosts() as hosts, Scratch() as scratch:
            source = os.path.join(scratch, "in")
            random_file(source, 256 << 20)
            with Taker(hosts.rx, f"{FAR}.2", rests=4.0) as taker, hosts.forward(
                    taker.port, "-1", place=place) as receiver:
                before = receiver.resident()
                sender = threading.Thread(target=send, args=(
                    "--to", f"{NEAR}.2:{receiver.port}", "--file", source),
                    kwargs={"prefix": hosts.tx})
                sender.start()
                equal(taker.line(), "rests", "the receiver")
                most = 0
                until = time.monotonic() + 3.5
                while time.monotonic() < until:
                    most = max(most, receiver.resident())
                    time.sleep(0.05)
                sender.join(60)
                equal(receiver.finish(), 0, "exit code")
                count, digest, ended = taker.end()
            equal((count, ended), (256 << 20, "finished"), "what arrived")
            equal(digest, digest_of(source), "digest")
            counters = receiver.counters
            require(counters["pauses"] > 0, "receives never paused")
            require(most - before < 64 << 20, f"{(most - before) >> 20} MiB more resident")
            said.append(f"{most >> 20} MiB resident ({(most - before) >> 20} more), "
                        f"{counters['pauses']} pauses")
    return "; spread: ".join(said)


@check
def forwarding_records_that_the_far_end_verifies():
    said = []
    for place in PLACES:
        with Hosts() as hosts:
            with Receiver("--parse", "wire", "--checksum", "crc32c:verify", "--connections", 8,
                          listen=f"{FAR}.2", prefix=hosts.rx) as far:
                with hosts.forward(far.port, "--parse", "wire", "--checksum", "crc32c:verify",
                                   "--connections", 8, place=place) as middle:
                    done = send("--to", f"{NEAR}.2:{middle.port}", "--bytes", "256M",
                                "--streams", 8, prefix=hosts.tx)
                    equal(middle.finish(), 0, f"exit code with {place}")
                equal(far.finish(), 0, "the far end's exit code")
            wanted = done["end"]["send"]["counters"]["records"]
            equal(far.counters["records"], wanted, "records at the far end")
            equal(far.counters["bytes"], middle.counters["bytes"], "bytes at the far end")
            equal(far.counters["faults"], 0, "faults")
            equal({one["ended"] for one in far.closed()}, {"finished"}, "ends at the far end")
            went_on(middle, middle.counters["bytes"])
            said.append(f"{place or 'one thread'}: {wanted} records")
    return "; ".join(said)


@check
def forwarding_many_connections_of_small_receives():
    """Each connection trickles, so that leases are small and run out before the area does."""
    with Receiver("--parse", "lines", "--connections", 200) as far:
        with Receiver("--sink", f"forward:127.0.0.1:{far.port}", "--connections", 200) as middle:
            peers = [connect(middle.port) for _ in range(200)]
            for peer in peers:
                peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for step in range(200):
                for peer in peers:
                    peer.sendall(b"%d\n" % step)
            for peer in peers:
                peer.close()
            equal(middle.finish(), 0, "exit code")
        equal(far.finish(), 0, "the far end's exit code")
    equal(far.counters["records"], 200 * 200, "lines at the far end")
    equal(middle.counters["sinkCopiedBytes"], 0, "bytes copied in user space")
    return f"{middle.counters['leases']} leases"
