"""Two ports in two network namespaces, and streams of known bytes between them."""

import ctypes
import hashlib
import os
import socket
import struct
import subprocess
import threading
import time

from netlink import Netlink
from port import Port

KNOBS = "/sys/kernel/debug/zcnic"
BLOCK = 1 << 16
LIMIT = 120
libc = ctypes.CDLL(None, use_errno=True)


def run(*command):
    subprocess.run(command, check=True)


class Namespace:
    """Where this thread is while in its `with` block."""

    def __init__(self, name):
        self.path = f"/run/netns/{name}"

    def enter(self, path):
        with open(path) as file:
            if libc.setns(file.fileno(), 0):
                raise OSError(ctypes.get_errno(), path)

    def __enter__(self):
        self.enter(self.path)

    def __exit__(self, *unused):
        self.enter("/proc/1/ns/net")


class End:
    """A port, in a namespace of its own; `number` is the last part of its addresses."""

    def __init__(self, name, number):
        self.name, self.number = name, number
        self.namespace = f"{name}-check"
        run("ip", "netns", "add", self.namespace)
        self.inside = Namespace(self.namespace)
        self.plug()

    def plug(self):
        run("ip", "link", "set", self.name, "netns", self.namespace)
        for address in (f"192.0.2.{self.number}/24", f"2001:db8::{self.number}/64"):
            run("ip", "-n", self.namespace, "address", "add", address, "dev", self.name,
                *(["nodad"] if ":" in address else []))
        self.set("up")
        with self.inside:
            self.port, self.netlink = Port(self.name), Netlink(self.name)

    def set(self, *what):
        run("ip", "-n", self.namespace, "link", "set", self.name, *what)

    def unplug(self):
        run("ip", "netns", "delete", self.namespace)

    def address(self, family):
        return f"192.0.2.{self.number}" if family == socket.AF_INET else \
            f"2001:db8::{self.number}"

    def knob(self, name, value=None):
        with open(f"{KNOBS}/{self.name}/{name}", "r" if value is None else "w") as file:
            return int(file.read()) if value is None else file.write(str(value))

    def count(self, name):
        """A counter of the port, or the sum over its queues (`rx_split`)."""
        counters = self.port.counters()
        if name in counters:
            return counters[name]
        side, field = name.split("_", 1)
        return sum(value for key, value in counters.items()
                   if key.startswith(side) and key.split("_", 1)[1] == field)

    def carrier(self):
        return struct.unpack("<II", self.port.call(struct.pack("<II", 0x0a, 0)))[1]

    def tcp(self, name):
        """A counter of the TCP of this namespace."""
        lines = []
        for section in ("snmp", "netstat"):
            with self.inside, open(f"/proc/thread-self/net/{section}") as file:
                lines += [line.split() for line in file]
        for names, values in zip(lines[::2], lines[1::2]):
            if names[0].startswith("Tcp") and name in names:
                return int(values[names.index(name)])
        raise KeyError(name)


class Stream(threading.Thread):
    """Bytes from one end to the other, for as long as the `with` block, but `size` at least."""

    def __init__(self, source, sink, size=1 << 20, family=socket.AF_INET):
        super().__init__(daemon=True)
        self.size, self.ending, self.failure = size, threading.Event(), None
        with sink.inside:
            listener = socket.create_server((sink.address(family), 0), family=family)
            listener.settimeout(LIMIT)
        with source.inside:
            self.out = socket.create_connection(listener.getsockname()[:2], timeout=LIMIT)
        self.inward = listener.accept()[0]
        self.inward.settimeout(LIMIT)
        listener.close()
        self.receiver = threading.Thread(target=self.receive, daemon=True)

    def run(self):
        try:
            block, sent, self.sent = os.urandom(BLOCK), 0, hashlib.sha256()
            while sent < self.size or not self.ending.is_set():
                at = sent // BLOCK % BLOCK
                piece = block[at:] + block[:at]
                self.out.sendall(piece)
                self.sent.update(piece)
                sent += BLOCK
                if sent > self.size:
                    time.sleep(0.01)
            self.out.shutdown(socket.SHUT_WR)
        except OSError as failure:
            self.failure = failure

    def receive(self):
        try:
            self.received = hashlib.sha256()
            while piece := self.inward.recv(BLOCK):
                self.received.update(piece)
        except OSError as failure:
            self.failure = failure

    def __enter__(self):
        self.start()
        self.receiver.start()
        return self

    def close(self):
        self.ending.set()
        self.out.close()
        self.inward.close()

    def __exit__(self, kind, *unused):
        self.ending.set()
        if kind is None:
            for thread in (self, self.receiver):
                thread.join(LIMIT)
                assert not thread.is_alive(), "the stream did not end"
            assert not self.failure, self.failure
            assert self.sent.digest() == self.received.digest(), "other bytes arrived"
        self.close()
