"""What `ingest doctor` finds on the virtual NIC, against what a start then does."""
import collections
import contextlib
import json
import os
import random
import subprocess
import tempfile

from harness import BIN, check, equal, require
from zcrx_matrix import reserve
from zcrx_port import PATIENCE, PORT, Place, wait_until  # sets the path of genetlink
from zcrx_refusals import xdp_object

import genetlink  # noqa: E402

STATES = 50
SEED = 20


def command(place, name, *arguments, queue=None, prefix=()):
    """`ingest doctor` or `ingest run` about a queue of the receiving port."""
    words = [*prefix, os.path.join(BIN, "ingest"), name,
             "--ifname", place.DEVICE, "--queue", place.queue if queue is None else queue,
             "--nic", "keep", "--port", PORT, *arguments]
    # Cheaper than `ip netns exec`, which mounts a /sys for each.
    with genetlink.inside(place.RX):
        return subprocess.run([str(word) for word in words], capture_output=True, text=True,
                              stdin=subprocess.DEVNULL, timeout=PATIENCE)


def doctor(place, *arguments, queue=None, prefix=()):
    """The findings by their subject; the exit code must say whether one blocks."""
    done = command(place, "doctor", "--json", *arguments, queue=queue, prefix=prefix)
    require(done.returncode in (0, 3), f"exit code {done.returncode}: {done.stderr.strip()}")
    document = json.loads(done.stdout)
    require(document["schema"] and document["machine"], f"no head in {sorted(document)}")
    found = {finding["subject"]: finding for finding in document["findings"]}
    equal(len(found), len(document["findings"]), "findings with a subject of their own")
    for finding in found.values():
        require(finding["verdict"] in ("ok", "warning", "blocks") and finding["fact"],
                f"half a finding: {finding}")
    equal(done.returncode, 3 if blocking(found) else 0, f"exit code beside {blocking(found)}")
    return found


def blocking(found):
    return [finding for finding in found.values() if finding["verdict"] == "blocks"]


def finds(found, subject, verdict, fact, remedy=None):
    """The finding of this subject must say these words."""
    finding = found.get(subject)
    require(finding, f"nothing about {subject!r} in {sorted(found)}")
    equal(finding["verdict"], verdict, f"verdict of {finding}")
    require(fact in finding["fact"], f"no {fact!r} in {finding}")
    require(remedy is None or remedy in finding.get("remedy", ""), f"no {remedy!r} in {finding}")


def start(place, *arguments, queue=None, prefix=()):
    """A start that stops at once if it is not refused: exit code and what it said."""
    done = command(place, "run", "-i", "0", "--time", "0.01", *arguments, queue=queue,
                   prefix=prefix)
    return done.returncode, done.stderr


@contextlib.contextmanager
def attached(place, mode="xdpgeneric"):
    """An XDP program on the receiving port."""
    with tempfile.NamedTemporaryFile(suffix=".o") as file:
        file.write(xdp_object())
        file.flush()
        place.call_inside("ip", "link", "set", "dev", place.DEVICE, mode, "object", file.name,
                          "section", "xdp.frags")
        try:
            yield
        finally:
            place.call_inside("ip", "link", "set", "dev", place.DEVICE, mode, "off")


def without(capability):
    """A prefix for a command that must do without a capability."""
    return ["setpriv", "--bounding-set", f"-{capability}", "--inh-caps", f"-{capability}"]


@check
def nic_doctor_ready_queue():
    with Place(queue=3) as place:
        place.steer(PORT)
        found = doctor(place)
        equal(blocking(found), [], "what blocks on a queue that is ready")
        finds(found, "tcp-data-split", "ok", "on")
        finds(found, "hds-thresh", "ok", "0")
        finds(found, "rx-ntuple-filter", "ok", "on")
        finds(found, "queue 3", "ok", "one of 4")
        finds(found, "queue 3 owner", "ok", "free")
        finds(found, "queue 3 RSS", "ok", "no hash")
        finds(found, "queue 3 rules", "ok", "2 n-tuple rules")
        finds(found, "hardware", "ok", "memory node 0")
        finds(found, "driver", "warning", "zcnic", "--probe-bind")
        finds(found, "RDMA", "ok", "not applicable")
        equal(start(place)[0], 0, "exit code of the start")
        people = command(place, "doctor")
        require("queue 3 owner" in people.stdout, people.stdout)
        return f"{len(found)} findings"


@check
def nic_doctor_names_what_blocks():
    with Place(queue=3) as place:
        place.ethtool("-G", "tcp-data-split", "off")
        finds(doctor(place), "tcp-data-split", "blocks", "header split of zc0 is off",
              "`ethtool -G zc0 tcp-data-split on`")
        place.ethtool("-G", "tcp-data-split", "on")
        place.threshold(100)
        finds(doctor(place), "hds-thresh", "blocks", "more than 100 bytes", "hds-thresh 0")
        place.threshold(0)
        with attached(place):
            finds(doctor(place), "XDP", "blocks", "XDP program is attached", "xdpgeneric off")
        finds(doctor(place, queue=9), "queue 9", "blocks", "zc0 has no queue 9", "ethtool -L zc0")
        with place.receiver() as first:
            finds(doctor(place), "queue 3 owner", "blocks", f"(process {first.process.pid})",
                  f"`ps -fp {first.process.pid}`")
            equal(first.stop(), 0, "exit code of the first")
        found = doctor(place, prefix=without("net_admin"))
        finds(found, "CAP_NET_ADMIN", "blocks", "needs the capability", "setcap")
        locked = [*without("ipc_lock"), "prlimit", "--memlock=1048576:1048576"]
        finds(doctor(place, prefix=locked), "locked memory", "blocks", "1 MiB are allowed",
              "ulimit -l")
        finds(doctor(place, "--memory", "huge2m"), "memory", "blocks", "in pages of 2 MiB",
              "/nr_hugepages")
        finds(doctor(place, "--cpus", "77"), "CPU", "blocks", "CPU 77", "taskset")
        with sysctl("kernel.io_uring_disabled", 2):
            finds(doctor(place), "kernel.io_uring_disabled", "blocks", "switched off", "sysctl")
        lo = subprocess.run(
            [*place.inside(place.RX), os.path.join(BIN, "ingest"), "doctor", "--ifname", "lo",
             "--queue", "0"], capture_output=True, text=True, timeout=PATIENCE)
        equal(lo.returncode, 3, "exit code for lo")
        require("loopback interface" in lo.stdout, lo.stdout)
        equal(blocking(doctor(place)), [], "what blocks when all is put right")


@check
def nic_doctor_warns():
    with Place(queue=3, mtu=9000) as place:
        found = doctor(place)
        finds(found, "queue 3 rules", "warning", "neither a rule nor a hash",
              f"dst-port {PORT} action 3")
        finds(found, "buffers", "warning", "MTU 9000", "huge2m")
        place.ethtool("-X", "equal", 4)
        found = doctor(place)
        finds(found, "queue 3 RSS", "warning", "hash buckets", "`ethtool -X zc0 equal 3`")
        finds(found, "queue 3 rules", "warning", "whose hash happens to")
        # What it says to do is what mends it.
        place.call_inside(*found["queue 3 RSS"]["remedy"].strip("`").split())
        place.ethtool("-K", "ntuple", "off")
        found = doctor(place)
        finds(found, "queue 3 RSS", "ok", "no hash")
        finds(found, "rx-ntuple-filter", "warning", "off", "ethtool -K zc0 ntuple on")
        place.ethtool("-K", "ntuple", "on")
        place.spread(PORT, [2, 3])
        finds(doctor(place), "queue 3 rules", "ok", "2 n-tuple rules")
        place.call_inside("ip", "link", "set", place.DEVICE, "down")
        found = doctor(place)
        finds(found, "link", "warning", "zc0 is down", "`ip link set zc0 up`")
        finds(found, "queue 3 owner", "warning", "while zc0 is up")
        place.call_inside("ip", "link", "set", place.DEVICE, "up")
        return "rules, RSS, ntuple, MTU, link"


@check
def nic_doctor_probe_bind():
    with Place(queue=3) as place:
        finds(doctor(place, "--probe-bind"), "queue 3 probe", "ok", "bound and released")
        place.ethtool("-G", "tcp-data-split", "off")
        found = doctor(place, "--probe-bind")
        finds(found, "queue 3 probe", "blocks", "tcp-data-split is disabled",
              "ethtool -G zc0 tcp-data-split on")
        said = found["queue 3 probe"]["fact"]
        place.ethtool("-G", "tcp-data-split", "on")
        with attached(place):
            finds(doctor(place, "--probe-bind"), "queue 3 probe", "blocks", "XDP", "xdpgeneric")
        with place.receiver() as first:
            finds(doctor(place, "--probe-bind"), "queue 3 probe", "blocks", "the kernel says")
            equal(first.stop(), 0, "exit code of one that was probed meanwhile")
        wait_until(lambda: not place.bound(), 10, "queue released")
        finds(doctor(place, "--probe-bind"), "queue 3 probe", "ok", "bound and released")
        # Nothing of it is left: the queue is free, and a start gets it.
        finds(doctor(place), "queue 3 owner", "ok", "free")
        equal(start(place)[0], 0, "exit code of a start after the probes")
        return said


@contextlib.contextmanager
def sysctl(name, value):
    path = "/proc/sys/" + name.replace(".", "/")
    with open(path) as file:
        before = file.read()
    with open(path, "w") as file:
        file.write(f"{value}\n")
    try:
        yield
    finally:
        with open(path, "w") as file:
            file.write(before)


class State:
    """A random state of port, host and wish, most of whose parts are as they should be."""

    def __init__(self, generator):
        def mostly(good, *bad):
            return good if generator.random() < 0.8 else generator.choice(bad)

        self.split = mostly("on", "off")
        self.threshold = mostly(0, 1, 100, 1000)
        self.channels = mostly(4, 2, 8, 1)
        self.queue = generator.randrange(5)
        self.xdp = mostly(False, True)
        self.up = mostly(True, False)
        # What holds a queue of an interface that is down cannot be seen.
        self.bound = self.up and mostly(False, True)
        self.ntuple = mostly("on", "off")
        self.memory = mostly("pages", "huge2m", "udmabuf", "thp")
        self.pages = generator.choice([0, 4, 16])
        self.area = generator.choice(["2M", "8M", "32M"])
        self.buffer = mostly(None, "4K", "16K") if self.memory == "huge2m" else None
        self.capability = mostly(None, "net_admin", "ipc_lock")
        self.disabled = mostly(0, 2)
        if self.bound:
            # Only a queue that is ready can be.
            self.split, self.threshold, self.xdp = "on", 0, False
            self.queue %= self.channels

    def __str__(self):
        return " ".join(f"{name}={value}" for name, value in vars(self).items())

    @contextlib.contextmanager
    def made(self, place):
        with contextlib.ExitStack() as stack:
            undo = stack.callback
            # Only what is not as it should be: each of these is a process.
            if self.channels != 4:
                place.ethtool("-L", "combined", self.channels)
                undo(place.ethtool, "-L", "combined", 4)
            if self.split != "on":
                place.ethtool("-G", "tcp-data-split", self.split)
                undo(place.ethtool, "-G", "tcp-data-split", "on")
            if self.threshold != 0:
                place.threshold(self.threshold)
                undo(place.threshold, 0)
            if self.ntuple != "on":
                place.ethtool("-K", "ntuple", self.ntuple)
                undo(place.ethtool, "-K", "ntuple", "on")
            reserve(self.pages)
            undo(reserve, 0)
            if self.bound:
                first = stack.enter_context(
                    place.receiver("--port", PORT + 1, "--area", "8M", queue=self.queue))
                # The next state needs the queue free.
                undo(wait_until, lambda: not place.bound(), 10, "queue released")
                undo(first.stop)
            elif self.xdp:
                stack.enter_context(attached(place))
            if not self.up:
                place.call_inside("ip", "link", "set", place.DEVICE, "down")
                undo(place.call_inside, "ip", "link", "set", place.DEVICE, "up")
            stack.enter_context(sysctl("kernel.io_uring_disabled", self.disabled))
            yield

    @property
    def arguments(self):
        buffer = ["--buffer", self.buffer] if self.buffer else []
        return ["--memory", self.memory, "--area", self.area, *buffer]

    @property
    def prefix(self):
        if self.capability == "ipc_lock":
            return [*without("ipc_lock"), "prlimit", f"--memlock={4 << 20}:{4 << 20}"]
        return without(self.capability) if self.capability else []


def agree(place, state):
    """Doctor and start, on the same state; returns whether it was refused, and for what."""
    found = doctor(place, *state.arguments, queue=state.queue, prefix=state.prefix)
    code, said = start(place, *state.arguments, queue=state.queue, prefix=state.prefix)
    facts = blocking(found)
    require(bool(facts) == (code != 0),
            f"the start ended with {code} ({said.strip()}), the doctor said {facts}; {state}")
    if code == 0:
        return None
    require(any(finding["fact"] in said for finding in facts),
            f"the start said {said.strip()!r}, the doctor {facts}; {state}")
    cause = next(finding["subject"] for finding in facts if finding["fact"] in said)
    return cause.replace(f"queue {state.queue}", "queue")


@check
def nic_doctor_agrees_with_the_start():
    generator = random.Random(SEED)
    causes = collections.Counter()
    with Place(queue=3) as place:
        # Fewer channels are refused while a table that was set leads to the others.
        place.ethtool("-X", "default")
        for _ in range(STATES):
            state = State(generator)
            with state.made(place):
                causes[agree(place, state)] += 1
    free = causes.pop(None, 0)
    require(free >= STATES // 10 and len(causes) >= 6 and causes["queue owner"],
            f"one-sided: {free} free, {dict(causes)}")
    return f"{free} of {STATES} started; refused: " + ", ".join(
        f"{cause} {count}" for cause, count in causes.most_common())
