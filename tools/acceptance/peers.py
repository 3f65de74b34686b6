"""Who may connect and how much of it is taken: --allow and the limits, against many addresses."""
import os
import socket
import struct
import time

from harness import Receiver, Scratch, check, connect, equal, require, run, send
from isolation import wait_until


def dial(port, source, host="127.0.0.1"):
    """A connection from one of the loopback's many addresses."""
    return socket.create_connection((host, port), timeout=30, source_address=(source, 0))


def is_reset(port, source, host="127.0.0.1"):
    """Whether a connection is answered with a reset, which may come before connecting is over."""
    try:
        with dial(port, source, host) as peer:
            return peer.recv(1) == b"impossible"
    except ConnectionResetError:
        return True


def turned_away(receiver):
    return [(e["peer"], e["reason"]) for e in receiver.events("event")
            if e.get("kind") == "turned-away"]


@check
def only_allowed_peers_are_served():
    """One socket for both families, so that IPv4 peers come as ::ffff:a.b.c.d; several threads."""
    for extra in ((), ("--threads", 2), ("-4",)):
        with Receiver("--parse", "lines", "--allow", "127.0.0.0/30", "--allow", "127.9.0.1",
                      *extra, listen=None) as receiver:
            for source, good in (("127.0.0.1", 1), ("127.0.0.3", 1), ("127.0.0.4", 0),
                                 ("127.9.0.1", 1), ("127.9.0.2", 0), ("127.0.0.4", 0),
                                 ("127.9.0.2", 0)):
                if not good:
                    require(is_reset(receiver.port, source), f"{source} is not reset")
                    continue
                with dial(receiver.port, source) as peer:
                    peer.sendall(b"a line\n")
                    peer.shutdown(socket.SHUT_WR)
                    equal(peer.recv(1), b"", f"{source}: the end")
            if not extra:
                require(is_reset(receiver.port, "::1", "::1"), "IPv6 passes IPv4 networks")
            wait_until(lambda: len(receiver.closed()) == 3, "three ends")
            equal(receiver.stop(), 0, "exit code")
        counters = receiver.counters
        equal((counters["accepted"], counters["records"]), (3, 3), "connections and records")
        equal(counters["notAllowed"], 4 if extra else 5, "turned away")
        told = turned_away(receiver)
        wanted = {("127.0.0.4", "not-allowed"), ("127.9.0.2", "not-allowed")}
        equal(set(told), wanted | (set() if extra else {("::1", "not-allowed")}), "told")
        equal(len(told), len(set(told)), "each is told once")
    text = "\n".join(receiver.text)
    require("turned away 127.0.0.4: --allow does not name it" in text, text)
    return f"{told}"


@check
def allowed_networks_of_ipv6():
    with Receiver("--parse", "lines", "--allow", "::/127", listen="::1") as receiver:
        with socket.create_connection(("::1", receiver.port), timeout=30) as peer:
            peer.sendall(b"x\n")
        wait_until(lambda: receiver.closed(), "the end")
        equal(receiver.stop(), 0, "exit code")
    equal(receiver.counters["records"], 1, "records")


@check
def a_crowd_that_is_not_allowed_is_counted_and_named_in_bounds():
    """2000 addresses: each is reset, 1024 are named, all are counted; who is allowed is served."""
    with Receiver("--parse", "lines", "--allow", "127.0.0.1") as receiver:
        for number in range(2000):
            require(is_reset(receiver.port, f"127.1.{number >> 8}.{number & 255}"),
                    f"peer {number} is not reset")
        before = receiver.resident()
        with connect(receiver.port) as peer:
            peer.sendall(b"still here\n")
        wait_until(lambda: receiver.closed(), "the end")
        equal(receiver.stop(), 0, "exit code")
    equal(receiver.counters["notAllowed"], 2000, "turned away")
    equal(len(turned_away(receiver)), 1024, "named")
    require(any("further ones are only counted" in line for line in receiver.text), "the last word")
    return f"{before >> 20} MiB resident"


@check
def a_peer_has_so_many_connections():
    with Receiver("--parse", "lines", "--threads", 2, "--connections-per-peer", 3) as receiver:
        mine = [dial(receiver.port, "127.0.0.1") for _ in range(3)]
        for peer in mine:
            peer.sendall(b"1\n")
        wait_until(lambda: sum(e.get("kind") == "opened" for e in receiver.events("event")) == 3,
                   "three connections")
        require(is_reset(receiver.port, "127.0.0.1"), "the fourth is not reset")
        with dial(receiver.port, "127.0.0.2") as peer:
            peer.sendall(b"another host\n")
            peer.shutdown(socket.SHUT_WR)
            equal(peer.recv(1), b"", "the other host's end")
        mine.pop().close()
        wait_until(lambda: len(receiver.closed()) == 2, "a place that is free again")
        with dial(receiver.port, "127.0.0.1") as peer:
            peer.sendall(b"again\n")
            peer.shutdown(socket.SHUT_WR)
            equal(peer.recv(1), b"", "the end of one that came later")
        for peer in mine:
            peer.close()
        wait_until(lambda: len(receiver.closed()) == 5, "all ends")
        equal(receiver.stop(), 0, "exit code")
    counters = receiver.counters
    equal((counters["records"], counters["peerConnections"]), (5, 1), "records, turned away")
    equal(turned_away(receiver), [("127.0.0.1", "connections")], "told")


@check
def connections_are_bounded_over_all_threads():
    with Receiver("--parse", "lines", "--threads", 2, "--max-connections", 5) as receiver:
        for round_of in range(3):
            several = [connect(receiver.port) for _ in range(5)]
            for peer in several:
                peer.sendall(b"1\n")
            wait_until(lambda: sum(e.get("kind") == "opened" for e in receiver.events("event"))
                       == 5 * (round_of + 1), "five connections")
            for _ in range(4):
                require(is_reset(receiver.port, "127.0.0.1"), "one too many is not reset")
            for peer in several:
                peer.shutdown(socket.SHUT_WR)
                equal(peer.recv(1), b"", "the end")
                peer.close()
        equal(receiver.stop(), 0, "exit code")
    equal((receiver.counters["accepted"], receiver.counters["rejected"]), (15, 12),
          "accepted and turned away")


@check
def a_peer_has_so_many_bytes():
    """To the byte, over its connections and threads; the files have all of them and no more."""
    limit = 3_000_001
    piece = bytes(range(256)) * 4096  # 1 MiB
    last = len(os.sched_getaffinity(0)) - 1
    for place in ((), ("--threads", 2), ("--place", f"sink=cpu{last}")):
        with Scratch() as folder:
            with Receiver("--sink", f"file:{folder}/%t-%c", "--max-bytes-per-peer", limit,
                          *place) as receiver:
                steady = dial(receiver.port, "127.0.0.2")
                steady.sendall(piece)
                for _ in range(2):
                    with dial(receiver.port, "127.0.0.1") as peer:
                        peer.sendall(piece)
                        peer.shutdown(socket.SHUT_WR)
                        equal(peer.recv(1), b"", "the end of one below the limit")
                greedy = dial(receiver.port, "127.0.0.1")
                try:
                    for _ in range(16):
                        greedy.sendall(piece)
                except OSError:
                    pass  # it is reset when it is over
                wait_until(lambda: any("--max-bytes-per-peer" in c["ended"]
                                       for c in receiver.closed()), "the end of the greedy one")
                require(is_reset(receiver.port, "127.0.0.1"),
                        "a peer that has sent its share may come again")
                steady.sendall(piece)
                steady.close()
                greedy.close()
                wait_until(lambda: len(receiver.closed()) == 4, "all ends")
                equal(receiver.stop(), 6, "exit code")
            by_peer = {}
            for one in receiver.closed():
                address = one["peer"].rsplit(":", 1)[0]
                by_peer[address] = by_peer.get(address, 0) + one["bytes"]
                [name] = [n for n in os.listdir(folder) if n.endswith(f"-{one['id']}")]
                with open(f"{folder}/{name}", "rb") as file:
                    content = file.read()
                equal(len(content), one["bytes"], "size of a file")
                require(content == (piece * 4)[:len(content)], "other bytes than were sent")
            equal(by_peer, {"127.0.0.1": limit, "127.0.0.2": 2 << 20}, "bytes of each address")
            counters = receiver.counters
            equal((counters["limited"], counters["peerBytes"]), (1, 1), "limited and turned away")
            equal(counters["bytes"], limit + (2 << 20) + counters["discardedBytes"], "bytes")
    return receiver.end["failure"]


@check
def one_bound_for_records_of_any_framing():
    """A longer record ends its connection with its fault; others go on."""
    long = 5000
    described = os.path.join(os.path.dirname(__file__), "../../configs/kafka-like.json5")
    for parse, good, bad, kind in (
            ("lines", b"x" * 100 + b"\n", b"y" * long + b"\n", "line-too-long"),
            ("lines:max=1M", b"x" * 100 + b"\n", b"y" * long + b"\n", "line-too-long"),
            ("length", struct.pack(">I", 4096) + bytes(4096), struct.pack(">I", long),
             "record-too-long"),
            (f"described:{described}", struct.pack(">I", 4096) + bytes(4096),
             struct.pack(">I", long), "record-too-long")):
        with Receiver("--parse", parse, "--max-record", "4K", "--connections", 2) as receiver:
            with connect(receiver.port) as peer:
                peer.sendall(good * 10)
            with connect(receiver.port) as peer:
                try:
                    peer.sendall(good + bad)
                except OSError:
                    pass
                equal(receiver.finish(), 6, f"exit code of {parse}")
        equal([f["kind"] for f in receiver.events("fault")], [kind], f"faults of {parse}")
        equal(receiver.counters["records"], 11, f"records of {parse}")
    with Receiver("--parse", "wire", "--max-record", "4K", "--connections", 1) as receiver:
        send("--to", f"127.0.0.1:{receiver.port}", "-l", "16K", "--records", 2, expect=None)
        equal(receiver.finish(), 6, "exit code of wire")
    equal([f["kind"] for f in receiver.events("fault")], ["record-too-long"], "faults of wire")
    code, _, error = run("run", "--port", 0, "--max-record", "1K", "--parse", "fixed:size=2K")
    equal(code, 2, "exit code of a size beyond the bound")
    return error.splitlines()[0]
