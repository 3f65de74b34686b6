"""The virtual NIC as a place to work in: two ports, each other's wire, a namespace for each.

    with Lab(queue=3) as lab:
        lab.steer(5301)
        lab.run(lab.RX, ["ingest", "--ifname", lab.DEVICE, "--queue", "3", …])

Everything is undone at the end. For the guest (tools/guest/run); it needs root and the module.
"""

import contextlib
import os
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../guest"))

import genetlink  # noqa: E402  (its path is set above)

DEBUGFS = "/sys/kernel/debug/zcnic"
ETHTOOL_MSG_RINGS_SET, RINGS_HEADER, RINGS_HDS_THRESH, HEADER_DEV_NAME = 16, 1, 17, 2
NETDEV_CMD_QUEUE_GET, QUEUE_ID, QUEUE_IO_URING = 10, 1, 6


class LabError(Exception):
    """The port refused something; the text says what, and what it said."""


def call(command, **options):
    """A command's output; LabError with what it said where it fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, **options)
    except FileNotFoundError as error:
        raise LabError(f"{command[0]} is not on the PATH; inside of the guest it is: "
                       f"tools/guest/run -- …") from error
    if done.returncode != 0:
        said = (done.stderr.strip() or done.stdout.strip()).replace("\n", "; ")
        raise LabError(f"`{' '.join(command)}`: {said or f'exit code {done.returncode}'}")
    return done.stdout


class Lab:
    """The pair of ports, from `up` to `down`.

    `queue` is set apart for zero-copy receive on the receiving port: header split on, threshold 0,
    no hash leads to it; `steer` sends connections there. None leaves the port as it comes.
    """

    DEVICE, PEER = "zc0", "zc1"
    RX, TX = "zcnic-rx", "zcnic-tx"
    RX_ADDRESS, TX_ADDRESS = "10.79.0.1", "10.79.0.2"
    RX_ADDRESS6, TX_ADDRESS6 = "fd79::1", "fd79::2"

    def __init__(self, queue=None, queues=4, mtu=1500, buffer=None):
        self.queue, self.queues, self.mtu, self.buffer = queue, queues, mtu, buffer
        self.loaded = False
        self.rules = []

    def __enter__(self):
        try:
            self.up()
        except BaseException:
            # What went wrong first is what to tell.
            with contextlib.suppress(LabError):
                self.down()
            raise
        return self

    def __exit__(self, *_):
        self.down()

    # -- the ports --------------------------------------------------------------------------------

    def up(self):
        """Loads the module, puts the ports in their namespaces, and sets the queue apart."""
        if not os.path.exists("/sys/module/zcnic"):
            call(["modprobe", "zcnic"])
            self.loaded = True
        self.await_ports()
        for device in (self.DEVICE, self.PEER):
            self.clear_faults(device)
        ends = ((self.RX, self.DEVICE, self.RX_ADDRESS, self.RX_ADDRESS6),
                (self.TX, self.PEER, self.TX_ADDRESS, self.TX_ADDRESS6))
        for namespace, device, address, address6 in ends:
            call(["ip", "netns", "add", namespace])
            call(["ip", "link", "set", device, "netns", namespace])
            call(["ip", "-n", namespace, "-batch", "-"], input=(
                f"link set lo up\n"
                f"link set {device} mtu {self.mtu}\n"
                f"address add {address}/24 dev {device}\n"
                f"address add {address6}/64 dev {device} nodad\n"
                f"link set {device} up\n"))
        # The kernel switched it off for whoever had an XDP program there.
        self.ethtool("-K", "rx-gro-hw", "on")
        if self.queue is not None:
            self.set_apart(self.queue)

    def await_ports(self, seconds=10):
        """Ports come back from a namespace that was deleted some time later."""
        until = time.monotonic() + seconds
        while not all(os.path.exists(f"/sys/class/net/{device}")
                      for device in (self.DEVICE, self.PEER)):
            if time.monotonic() > until:
                raise LabError(f"{self.DEVICE} and {self.PEER} are not both in this namespace")
            time.sleep(0.02)

    def clear_faults(self, device):
        """Whoever used the port before may have left some on."""
        for name in os.listdir(os.path.join(DEBUGFS, device)):
            if name.endswith(("_nth", "_once")) or name in ("fail_mem_alloc", "fail_start"):
                self.knob(name, 0, device=device)
        self.knob("exhaust", "N", device=device)
        self.knob("link", 1, device=device)

    def set_apart(self, queue):
        """As the queue of a NIC is made ready for zero-copy receive, in the order that works."""
        if not 0 <= queue < self.queues:
            raise LabError(f"queue {queue} of {self.queues}: they count from 0")
        self.ethtool("-L", "combined", self.queues)
        self.ethtool("-G", "tcp-data-split", "on",
                     *(["rx-buf-len", self.buffer] if self.buffer else []))
        self.threshold(0)
        self.ethtool("-K", "ntuple", "on")
        if self.queues > 1:
            weights = [int(index != queue) for index in range(self.queues)]
            self.ethtool("-X", "weight", *weights)

    def threshold(self, value):
        """Sets hds-thresh of the receiving port, which ethtool cannot before its version 6.15."""
        name = genetlink.attribute(HEADER_DEV_NAME, self.DEVICE.encode() + b"\0")
        with genetlink.inside(self.RX), genetlink.Channel("ethtool") as channel:
            try:
                channel.do(ETHTOOL_MSG_RINGS_SET,
                           genetlink.attribute(RINGS_HEADER | genetlink.NLA_F_NESTED, name)
                           + genetlink.attribute(RINGS_HDS_THRESH, value))
            except OSError as error:
                raise LabError(f"hds-thresh {value} of {self.DEVICE}: {error.strerror}") from error

    def steer(self, port, queue=None):
        """Has TCP to this port arrive at the queue, over IPv4 and IPv6."""
        queue = self.queue if queue is None else queue
        for flow in ("tcp4", "tcp6"):
            said = self.ethtool("-N", "flow-type", flow, "dst-port", port, "action", queue)
            self.rules.append(said.split()[-1])

    def unsteer(self):
        """Takes the rules back."""
        while self.rules:
            self.ethtool("-N", "delete", self.rules.pop())

    def down(self):
        """Undoes all of it. Whoever still runs in the namespaces is ended first."""
        problems = []

        def attempt(action, *arguments):
            try:
                action(*arguments)
            except LabError as error:
                problems.append(error)

        names = [line.split()[0] for line in call(["ip", "netns", "list"]).splitlines()]
        for namespace in (self.TX, self.RX):
            if namespace in names:
                for process in call(["ip", "netns", "pids", namespace]).split():
                    subprocess.run(["kill", "-KILL", process], stderr=subprocess.DEVNULL)
        if self.RX in names and self.queue is not None:
            attempt(self.settle)
            attempt(self.unsteer)
            attempt(self.ethtool, "-X", "default")
            attempt(self.ethtool, "-K", "ntuple", "off")
            attempt(self.ethtool, "-G", "tcp-data-split", "off")
        for namespace in (self.TX, self.RX):
            if namespace in names:
                attempt(call, ["ip", "netns", "delete", namespace])
        if self.loaded:
            attempt(self.unload)
        if problems:
            raise LabError("; ".join(map(str, problems)))

    def bound(self):
        """The queues of the receiving port that an io_uring instance holds."""
        with genetlink.inside(self.RX), genetlink.Channel("netdev") as channel:
            queues = channel.dump(NETDEV_CMD_QUEUE_GET)
        return [int.from_bytes(queue[QUEUE_ID], "little") for queue in queues
                if QUEUE_IO_URING in queue]

    def settle(self, seconds=10):
        """Waits until no queue is held: a dead receiver's ring closes in the background."""
        until = time.monotonic() + seconds
        while self.bound():
            if time.monotonic() > until:
                raise LabError(f"queues {self.bound()} are still held {seconds} s after the last "
                               f"process in {self.RX} ended")
            time.sleep(0.05)

    def unload(self):
        """Removes the module, which it refuses while anybody uses it."""
        until = time.monotonic() + 10
        while True:
            try:
                call(["modprobe", "-r", "zcnic"])
                return
            except LabError:
                if time.monotonic() > until:
                    raise
                time.sleep(0.1)

    # -- what is done with them -------------------------------------------------------------------

    def ethtool(self, option, *words, device=None):
        """ethtool on the receiving port, or on the other where `device` names it."""
        device = device or self.DEVICE
        # Without `ip netns exec`, which mounts a /sys for each: a third of a second when emulated.
        try:
            with genetlink.inside(self.namespace(device)):
                return call(["ethtool", option, device, *map(str, words)])
        except OSError as error:
            raise LabError(f"{self.namespace(device)}: {error}") from error

    def namespace(self, device):
        return self.RX if device == self.DEVICE else self.TX

    def run(self, namespace, command, **options):
        """A process in a namespace, as subprocess.Popen has it."""
        return subprocess.Popen(["ip", "netns", "exec", namespace, *map(str, command)], **options)

    def knob(self, name, value=None, device=None):
        """Reads or sets a fault of the receiving port, such as drop_nth; see tools/zcnic."""
        path = os.path.join(DEBUGFS, device or self.DEVICE, name)
        try:
            if value is None:
                with open(path) as file:
                    return file.read().strip()
            with open(path, "w") as file:
                file.write(f"{value}\n")
        except OSError as error:
            raise LabError(f"{path}: {error.strerror}") from error
        return None

    def counters(self, device=None):
        """All counters of a port by name; those of queue 3 begin with rx3_ and tx3_."""
        rows = (line.rsplit(" ", 1) for line in self.knob("counters", device=device).splitlines())
        return {name: int(value) for name, value in rows}
