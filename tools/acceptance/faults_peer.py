"""Peers that break off or vanish, and interfaces and namespaces that go while a run uses them."""
import contextlib
import fcntl
import os
import socket
import struct
import subprocess
import sys
import termios
import time

from forwarding import ip
from harness import BIN, ROOT, Failed, Receiver, Scratch, check, connect, equal, require

sys.path.insert(0, os.path.join(ROOT, "tools/guest"))
import genetlink  # noqa: E402

NEAR, PEER, OTHER = "10.78.1.1", "10.78.1.2", "10.78.1.3"


class Pair:
    """A host with two addresses, and the one that `ingest` runs on: two network namespaces."""

    def __enter__(self):
        self.names = [f"ingest-{part}-{os.getpid()}" for part in ("here", "there")]
        here, there = self.names
        try:
            for name in self.names:
                ip("netns", "add", name)
                ip("-n", name, "link", "set", "lo", "up")
            self.here, self.there = here, there
            self.wire()
        except Failed:
            self.__exit__()
            raise
        return self

    def wire(self):
        here, there = self.names
        ip("-n", here, "link", "add", "near", "type", "veth", "peer", "name", "far", "netns", there)
        for name, device, address in ((here, "near", NEAR), (there, "far", PEER),
                                      (there, "far", OTHER)):
            ip("-n", name, "address", "add", f"{address}/24", "dev", device)
            ip("-n", name, "link", "set", device, "up")

    def __exit__(self, *_):
        for name in self.names:
            subprocess.run(["ip", "netns", "delete", name], capture_output=True, check=False)

    def receiver(self, *arguments):
        return Receiver(*arguments, listen=NEAR, prefix=("ip", "netns", "exec", self.here))

    def connect(self, port, address=PEER):
        """A connection from the other host; a socket stays in the namespace it was made in."""
        with genetlink.inside(self.there):
            return socket.create_connection((NEAR, port), 30, source_address=(address, 0))

    def vanish(self):
        """The other host's first address answers nothing any more, not even with a reset."""
        ip("-n", self.there, "address", "delete", f"{PEER}/24", "dev", "far")
        ip("-n", self.there, "address", "replace", f"{OTHER}/24", "dev", "far")


def wait_until(holds, what, seconds=30):
    until = time.monotonic() + seconds
    while not holds():
        require(time.monotonic() < until, f"not within {seconds} s: {what}")
        time.sleep(0.02)


def acknowledged(peer):
    """Whether the other end's kernel has all that was sent."""
    left = struct.unpack("i", fcntl.ioctl(peer, termios.TIOCOUTQ, bytes(4)))[0]
    return left == 0


def content(folder, serial):
    with open(f"{folder}/connection-{serial}", "rb") as file:
        return file.read()


@check
def a_peer_that_vanishes_ends_and_its_place_is_free():
    with Pair() as pair, Scratch() as folder:
        with pair.receiver("--parse", "lines", "--sink", f"file:{folder}", "--peer-timeout", "2s",
                           "--max-connections", 2, "--connections", 3) as receiver:
            steady, lost = pair.connect(receiver.port, OTHER), pair.connect(receiver.port)
            lost.sendall(b"whole\nhalf a li")
            wait_until(lambda: acknowledged(lost), "an acknowledgement")
            pair.vanish()
            until = time.monotonic() + 60
            sent = b""
            while not receiver.closed():
                require(time.monotonic() < until, "a peer that is gone keeps its connection")
                sent += b"tick\n"
                steady.sendall(b"tick\n")
                time.sleep(0.05)
            [ended] = receiver.closed()
            with pair.connect(receiver.port, OTHER) as later:
                later.sendall(b"later\n")
            steady.close()
            equal(receiver.finish(), 6, "exit code")
        equal(receiver.counters["rejected"], 0, "connections turned away")
        require("the peer vanished" in ended["ended"] and "--peer-timeout" in ended["ended"],
                ended["ended"])
        require("1 peer vanished" in receiver.end["failure"], receiver.end["failure"])
        equal(content(folder, ended["id"]), b"whole\nhalf a li", "what had come of it")
        equal(sorted(content(folder, one["id"]) for one in receiver.closed()),
              sorted([b"whole\nhalf a li", sent, b"later\n"]), "files")
        return ended["ended"]


@check
def a_peer_that_is_alive_and_silent_stays():
    """Its host answers the probes, also while nobody takes what it sends."""
    with Pair() as pair:
        reader, writer = os.pipe()
        with Receiver("--sink", "stdout", "--peer-timeout", "1s", "-1", stdout=writer, listen=NEAR,
                      prefix=("ip", "netns", "exec", pair.here)) as receiver:
            os.close(writer)
            with pair.connect(receiver.port) as peer:
                peer.sendall(b"a")
                equal(os.read(reader, 1), b"a", "the first byte")
                time.sleep(4)
                peer.settimeout(1)
                sent = 1
                try:
                    while True:  # until the pipe, the area and the socket are full
                        sent += peer.send(bytes(1 << 16))
                except TimeoutError:
                    pass
                time.sleep(3)
                equal(receiver.closed(), [], "connections ended")
                count = 1
                while count < sent:
                    count += len(os.read(reader, 1 << 20))
            equal(receiver.finish(), 0, "exit code")
        os.close(reader)
        equal(receiver.counters["bytes"], sent, "bytes")
        return f"4 s without a byte, 4 s with {sent >> 20} MiB that nobody read"


@check
def resets_lose_nothing_that_was_acknowledged():
    sizes = [1, 4096, 100_000, 1_000_000]
    with Scratch() as folder:
        with Receiver("--sink", f"file:{folder}", "--connections", len(sizes) + 1) as receiver:
            steady = connect(receiver.port)
            steady.sendall(b"before ")
            for size in sizes:
                peer = connect(receiver.port)
                peer.sendall(b"r" * size)
                wait_until(lambda: acknowledged(peer), "an acknowledgement")
                peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                peer.close()
            wait_until(lambda: len(receiver.closed()) == len(sizes), "the ends")
            steady.sendall(b"after")
            steady.close()
            equal(receiver.finish(), 6, "exit code")
        ends = {one["ended"] for one in receiver.closed()}
        equal(ends, {"Connection reset by peer", "finished"}, "ends")
        require(f"{len(sizes)} connections broke off" in receiver.end["failure"],
                receiver.end["failure"])
        got = sorted(len(content(folder, one["id"])) for one in receiver.closed())
        equal(got, sorted([*sizes, len(b"before after")]), "file sizes")
    return receiver.end["failure"]


@contextlib.contextmanager
def sending(pair, port, *arguments):
    """`ingest-send` on the other host meanwhile."""
    sender = subprocess.Popen(
        ["ip", "netns", "exec", pair.there, os.path.join(BIN, "ingest-send"), "--to",
         f"{NEAR}:{port}", "-i", "0", "-C", "reno", "-b", "100M", *arguments],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        yield sender
    finally:
        sender.kill()
        sender.communicate()


VERIFIED = ("--parse", "wire", "--checksum", "crc32c:verify")


@check
def a_link_that_is_down_for_a_while_delays_and_no_more():
    with Pair() as pair:
        with pair.receiver(*VERIFIED, "--ifname", "near", "--connections", 2) as receiver:
            with sending(pair, receiver.port, "-t", "5", "-P", "2") as sender:
                time.sleep(0.7)
                ip("-n", pair.there, "link", "set", "far", "down")
                time.sleep(1.2)
                ip("-n", pair.there, "link", "set", "far", "up")
                _, said = sender.communicate(timeout=60)
                equal(sender.returncode, 0, f"the sender's exit code ({said[-200:]})")
            equal(receiver.finish(), 0, f"exit code {receiver.text}")
        told = [e["text"] for e in receiver.events("event") if e["kind"] == "link"]
        equal(told, ["the link is down: no carrier", "the link is up"], "told")
        return f"{receiver.counters['records']} records"


@check
def an_interface_that_is_deleted_ends_the_run():
    """What its sockets held is in the sink, and an orderly end says what was lost: nothing."""
    with Pair() as pair, Scratch() as folder:
        with pair.receiver("--parse", "lines", "--sink", f"file:{folder}", "--ifname",
                           "near") as receiver:
            idle, busy = pair.connect(receiver.port, OTHER), pair.connect(receiver.port)
            idle.sendall(b"one line\n")
            sent = b"".join(b"line %d\n" % number for number in range(200_000))
            busy.sendall(sent[:1 << 20])
            wait_until(lambda: acknowledged(busy) and acknowledged(idle), "an acknowledgement")
            ip("-n", pair.here, "link", "delete", "near")
            began = time.monotonic()
            equal(receiver.finish(), 1, "exit code")
            took = time.monotonic() - began
        equal(len(receiver.closed()), 2, "connections that ended")
        require("interface near is gone" in receiver.end["failure"], receiver.end["failure"])
        require([e for e in receiver.events("event") if e["kind"] == "removed"], "not told")
        equal(sorted(content(folder, one["id"]) for one in receiver.closed()),
              sorted([b"one line\n", sent[:1 << 20]]), "files")
        return f"after {took:.1f} s: {receiver.end['failure']}"


@check
def an_interface_that_comes_back_with_its_address_delays_and_no_more():
    """Without --ifname nothing is bound to the interface itself."""
    with Pair() as pair:
        with pair.receiver(*VERIFIED, "-1") as receiver:
            with sending(pair, receiver.port, "-t", "4") as sender:
                time.sleep(0.7)
                ip("-n", pair.here, "link", "delete", "near")
                time.sleep(0.5)
                pair.wire()
                _, said = sender.communicate(timeout=60)
                equal(sender.returncode, 0, f"the sender's exit code ({said[-200:]})")
            equal(receiver.finish(), 0, f"exit code {receiver.text}")
        return f"{receiver.counters['records']} records"


@check
def namespaces_may_be_deleted_under_a_run():
    """Its own lives as long as it runs; the peer's takes the peer along."""
    with Pair() as pair:
        with pair.receiver(*VERIFIED, "--connections", 2, "--peer-timeout", "2s") as receiver:
            with sending(pair, receiver.port, "-t", "60") as lost:
                with sending(pair, receiver.port, "-t", "2") as sender:
                    wait_until(lambda: len(receiver.events("event")) >= 2, "two connections")
                    for name in pair.names:
                        ip("netns", "delete", name)
                    _, said = sender.communicate(timeout=60)
                    equal(sender.returncode, 0, f"the sender's exit code ({said[-200:]})")
                lost.kill()
                lost.wait()
            began = time.monotonic()
            code = receiver.finish()
            took = time.monotonic() - began
        ends = sorted(one["ended"] for one in receiver.closed())
        require(code in (0, 6) and "finished" in ends, f"exit code {code}, ends {ends}")
        return f"exit code {code} after {took:.1f} s, the ends: {ends}"
