"""A thousand connections whose data nobody takes for a while, beside one that goes on."""
import os
import socket
import subprocess
import threading
import time

import genetlink
from behind import MIB, SlowHost, lines, send_all
from faults_peer import wait_until
from forwarding import ip
from harness import Receiver, Scratch, check, connect, equal, require

LINES, LENGTH = 300, 900


class Tight:
    """A network namespace whose sockets hold little: windows of a thousand fill soon."""

    def __enter__(self):
        self.name = f"ingest-tight-{os.getpid()}"
        ip("netns", "add", self.name)
        self.prefix = ("ip", "netns", "exec", self.name)
        ip("-n", self.name, "link", "set", "lo", "up")
        for key in ("tcp_rmem", "tcp_wmem"):
            ip("netns", "exec", self.name, "sysctl", "-qw", f"net.ipv4.{key}=4096 16384 16384")
        return self

    def __exit__(self, *_):
        subprocess.run(["ip", "netns", "delete", self.name], capture_output=True, check=False)

    def inside(self, function, *arguments):
        with genetlink.inside(self.name):
            return function(*arguments)


def held(tight, count, active, release, sink):
    """Fills what `count` connections have room for, has another one go on meanwhile where it can,
    then releases all; returns the receiver, what had been sent before that, and how many MiB more
    were resident."""
    with Receiver("--parse", "lines", "--sink", sink, "--connections", count + 1,
                  "--area", "4M", prefix=tight.prefix) as receiver:
        before = most = receiver.resident()
        peers, left, sent = [], {}, {}
        for number in range(count):
            peer = tight.inside(connect, receiver.port)
            peer.setblocking(False)
            peers.append(peer)
            left[number] = b"".join(lines(number, LINES, LENGTH))
            sent[number] = 0
        until = time.monotonic() + 4
        # Until nobody can send any more, or everything is sent.
        quiet = 0
        while quiet < 10 and any(sent[n] < len(left[n]) for n in left):
            moved = 0
            for number, peer in enumerate(peers):
                try:
                    moved += (part := peer.send(left[number][sent[number]:]))
                    sent[number] += part
                except BlockingIOError:
                    pass
            quiet = 0 if moved else quiet + 1
            most = max(most, receiver.resident())
            if not moved:
                time.sleep(0.02)
            require(time.monotonic() < until + 30, "the windows never filled")
        before_release = sum(sent.values())
        thread = threading.Thread(
            target=tight.inside, args=(send_all, receiver.port, active))
        thread.start()
        release(thread)
        for number, peer in enumerate(peers):
            peer.setblocking(True)
            peer.settimeout(60)
            peer.sendall(left[number][sent[number]:])
            peer.shutdown(socket.SHUT_WR)
        thread.join(60)
        require(not thread.is_alive(), "the active connection hangs")
        for peer in peers:
            equal(peer.recv(1), b"", "the end that a peer sees")
            peer.close()
        most = max(most, receiver.resident())
        equal(receiver.finish(), 0, f"exit code {receiver.text[-3:]}")
        return receiver, before_release, (most - before) >> 20


@check
def a_thousand_full_windows_do_not_stop_the_one_that_goes_on():
    """Their receivers read nothing; the active one's does, and has all before they are released."""
    count = 1000
    active = b"".join(lines(999_999, 30_000, 1000))
    with Tight() as tight, Scratch() as scratch:
        host = tight.inside(SlowHost, lambda first: first.startswith(b"999999"))

        def release(thread):
            thread.join(60)
            require(not thread.is_alive(), "the active connection is held up")
            wait_until(lambda: host.count() == 1, "all of the active connection")
            require(host.received[0] == active, "the active connection's bytes differ")
            host.go.set()
        receiver, sent, grown = held(
            tight, count, active, release,
            f"forward:127.0.0.1:{host.port},full=spill,spill={scratch},queue=1G")
        got = host.end(count + 1)
    wanted = sorted([b"".join(lines(number, LINES, LENGTH)) for number in range(count)] + [active])
    require(got == wanted, "a stream differs")
    require(grown < 64, f"{grown} MiB more resident")
    spilled = receiver.counters["sinkSpilledBytes"]
    require(spilled > sent // 2, f"only {spilled} of {sent} bytes waited aside")
    return f"{spilled >> 20} of {sent >> 20} MiB waited aside, {grown} MiB more resident"


@check
def a_thousand_full_windows_arrive_when_the_sink_reads_again():
    """The reader of all rests until every window is full; the active one waits with them."""
    count, active = 1000, b"".join(lines(999_999, 30_000, 1000))
    with Tight() as tight, Scratch() as scratch:
        path = os.path.join(scratch, "sock")
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.bind(path)
        listener.listen(1)
        received, go = bytearray(), threading.Event()

        def read():
            peer, _ = listener.accept()
            go.wait(120)
            while part := peer.recv(MIB):
                received.extend(part)
        reader = threading.Thread(target=read, daemon=True)
        reader.start()
        receiver, sent, grown = held(
            tight, count, active, lambda _: go.set(), f"unix:{path}")
        reader.join(30)
        listener.close()
    streams = {}
    for line in bytes(received).splitlines(keepends=True):
        streams.setdefault(line[:6], []).append(line)
    equal(len(streams), count + 1, "connections that arrived")
    for number in range(count):
        require(streams[b"%06d" % number] == lines(number, LINES, LENGTH),
                f"connection {number} differs")
    require(b"".join(streams[b"999999"]) == active, "the active connection differs")
    require(grown < 64, f"{grown} MiB more resident")
    whole = sum(map(len, (b"".join(lines(number, LINES, LENGTH)) for number in range(count))))
    require(sent < whole * 3 // 4, f"{sent} of {whole} bytes had room: no window was full")
    return (f"{sent >> 20} MiB before it read, {receiver.counters['pauses']} pauses, "
            f"{grown} MiB more resident")
