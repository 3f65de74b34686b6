"""Where a soak takes place: the virtual NIC's two ports in the guest, or two namespaces here.

Both are a receiving and a sending side, each a network namespace, with a wire between them; the
guest's has a NIC with queues, whose settings are remembered and compared.
"""
import os
import socket
import subprocess
import time

import faults_peer
import harness
import zcrx_matrix
from forwarding import ip
from harness import BIN, Receiver, equal, require
from nic_transaction import Nic
from zcrx_port import PATIENCE, PORT, pools, stir

import genetlink  # noqa: I100  (zcrx_port sets the path)

HUGE_PAGES = 48
DRIVER = "/sys/bus/platform/drivers/zcnic"


class Ground:
    """What both have; a subclass sets namespaces and addresses."""

    has_nic = False
    # Whether the last round was found to have left everything as it was.
    is_clean = False

    def __init__(self):
        self.baselines = {}

    def baseline(self, plan):
        """Settings, and buffers of new page pools, as every round with such a ring must leave them.

        They are read once, so that a change cannot creep in from round to round.
        """
        self.prepare(plan)
        was_clean, self.is_clean = self.is_clean, False
        if not was_clean or plan.nic_ring not in self.baselines:
            self.renew()
            found = self.state(), self.pool_buffers()
            equal(found, self.baselines.setdefault(plan.nic_ring, found),
                  "the NIC that was set up once more")
        return self.baselines[plan.nic_ring]

    def connect(self, port, source=None):
        """A connection from the sending side; a socket stays where it was made."""
        with genetlink.inside(self.tx):
            return socket.create_connection(
                (self.address, port), PATIENCE, source_address=(source or self.source, 0))

    def listener(self):
        """A listening socket on the sending side, for what is sent on."""
        with genetlink.inside(self.tx):
            return socket.create_server((self.source, 0), backlog=64)

    def start(self, words, prefix=(), **options):
        """`ingest` on the receiving side, with the words that a plan comes to."""
        # `ip netns exec` mounts a /sys of its own, in which there are no cgroups.
        return Receiver(*words, listen=None, prefix=(*prefix, "ip", "netns", "exec", self.rx),
                        port=self.port, **options)

    def sender(self, port, *words):
        """`ingest-send` on the sending side, which ends by itself."""
        command = ["ip", "netns", "exec", self.tx, os.path.join(BIN, "ingest-send"), "--to",
                   f"{self.address}:{port}", "--json", "-i", "0", "-C", "reno", *words]
        return subprocess.Popen(list(map(str, command)), stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def appear(self):
        """An address more on the sending side, which can vanish."""
        ip("-n", self.tx, "address", "replace", f"{self.other}/24", "dev", self.far)

    def vanish(self):
        """It answers nothing any more, not even with a reset."""
        subprocess.run(["ip", "-n", self.tx, "address", "delete", f"{self.other}/24", "dev",
                        self.far], capture_output=True, check=False)

    def down_and_up(self, seconds):
        """Somebody sets the receiving interface down for a while."""
        ip("-n", self.rx, "link", "set", self.near, "down")
        time.sleep(seconds)
        ip("-n", self.rx, "link", "set", self.near, "up")

    def residents(self):
        """Who runs in the namespaces."""
        return [int(word) for name in (self.rx, self.tx)
                for word in subprocess.run(["ip", "netns", "pids", name], capture_output=True,
                                           text=True, check=True).stdout.split()]


class Guest(Ground):
    """The virtual NIC; its module stays loaded from round to round."""

    has_nic = True
    port = PORT

    def __enter__(self):
        subprocess.run(["modprobe", "zcnic", "numa_node=0"], check=True)
        zcrx_matrix.reserve(HUGE_PAGES)
        self.place = Nic(queues=8)
        self.place.up()
        self.rx, self.tx = self.place.RX, self.place.TX
        self.near, self.far = self.place.DEVICE, self.place.PEER
        self.address, self.source = self.place.RX_ADDRESS, self.place.TX_ADDRESS
        self.other = "10.79.0.3"
        return self

    def __exit__(self, *_):
        self.place.down()
        zcrx_matrix.reserve(0)
        subprocess.run(["modprobe", "-r", "zcnic"], check=False, timeout=60)
        stir()

    def binding(self, plan):
        """The flags that say where to listen and what to bind."""
        if plan.engine != "zcrx":
            return ["--listen", self.address, "--engine", plan.engine]
        return ["--ifname", self.near, "--queue", ",".join(map(str, plan.queues))]

    def prepare(self, plan):
        """The NIC as this round wants to find it: nothing set, a ring of this size."""
        if not self.is_clean:
            self.place.clear()
        self.place.ethtool("-G", "rx", plan.nic_ring)

    def undo(self):
        """What faults left behind, once whoever ran has ended."""
        self.vanish()
        self.place.clear_faults(self.near)

    def state(self):
        """All settings as ethtool and the kernel tell them, and what was noted of them."""
        texts = dict(self.place.snapshot())
        texts["journals"] = [name for name in os.listdir("/run/ingest") if name.endswith(".json")
                             ] if os.path.isdir("/run/ingest") else []
        return texts

    def renew(self):
        """Both ports get new page pools; the old ones go once all of their buffers are back.

        A pool counts what it keeps for itself as well, so only a new one's figure says something.
        """
        for name, device in ((self.rx, self.near), (self.tx, self.far)):
            ip("-n", name, "link", "set", device, "down")
            ip("-n", name, "link", "set", device, "up")
        stir()

    def pool_buffers(self):
        return self.place.pool_buffers()

    def detached_pools(self):
        """Page pools whose queue is gone and whose buffers have not come back."""
        stir()
        return [pools.number(pool, pools.ID) for pool in pools.everywhere()
                if pools.DETACHED in pool]

    def unbind(self):
        """Takes the receiving port away, as unplugging would; says what to bring back."""
        device = sorted(one for one in os.listdir(DRIVER) if one.startswith("zcnic."))[0]
        with open(f"{DRIVER}/unbind", "w") as file:
            file.write(device)
        return device

    def bind(self, device):
        with open(f"{DRIVER}/bind", "w") as file:
            file.write(device)
        until = time.monotonic() + 20
        while not os.path.exists(f"/sys/class/net/{self.near}"):
            require(time.monotonic() < until, f"{self.near} does not come back")
            time.sleep(0.02)
        ip("link", "set", self.near, "netns", self.rx)
        ip("-n", self.rx, "address", "add", f"{self.address}/24", "dev", self.near)
        ip("-n", self.rx, "link", "set", self.near, "up")
        self.place.first = self.place.counters()


class Host(faults_peer.Pair, Ground):
    """Two namespaces with a pair of interfaces, on this machine: engine `copy`."""

    port = 0
    near, far = "near", "far"
    address, source, other = faults_peer.NEAR, faults_peer.PEER, faults_peer.OTHER

    # The pair's own are for its checks.
    connect, vanish = Ground.connect, Ground.vanish

    def __enter__(self):
        super().__enter__()
        self.rx, self.tx = self.here, self.there
        self.vanish()
        return self

    def binding(self, plan):
        return ["--listen", self.address, "--engine", plan.engine]

    def prepare(self, plan):
        pass

    def undo(self):
        self.vanish()

    def state(self):
        return {"links": "\n".join(
            subprocess.run(["ip", "-n", name, "-br", "address", "show", "dev", device],
                           capture_output=True, text=True, check=True).stdout.split("fe80")[0]
            for name, device in ((self.rx, self.near), (self.tx, self.far)))}

    def renew(self):
        pass

    def pool_buffers(self):
        return 0

    def detached_pools(self):
        return []


def own_programs():
    """Processes, by their number, that run a program of the build under test."""
    found = {}
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            program = os.readlink(f"/proc/{name}/exe")
        except OSError:
            continue
        if program.startswith(os.path.realpath(harness.BIN) + os.sep):
            with open(f"/proc/{name}/cmdline", "rb") as file:
                found[int(name)] = file.read().replace(b"\0", b" ").decode(errors="replace").strip()
    return found
