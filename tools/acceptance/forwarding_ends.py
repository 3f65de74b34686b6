"""Forwarded connections that do not end well: receivers that go, never come, never read; stops."""
import os
import signal
import socket
import struct
import subprocess
import threading
import time

from forwarding import FAR, NEAR, PLACES, Hosts, Taker
from harness import BIN, Receiver, check, connect, equal, require, run, send



@check
def forwarding_to_a_receiver_that_is_killed_ends_the_sender():
    with Hosts() as hosts:
        with Taker(hosts.rx, f"{FAR}.2", rests=30.0) as taker, hosts.forward(
                taker.port, "--connections", 1) as receiver:
            sender = subprocess.Popen(
                [*hosts.tx, os.path.join(BIN, "ingest-send"), "--to",
                 f"{NEAR}.2:{receiver.port}", "-t", "60", "-C", "reno"],
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
            try:
                equal(taker.line(), "rests", "the receiver")
                taker.process.send_signal(signal.SIGKILL)
                killed = time.monotonic()
                sender.communicate(timeout=20)
                took = time.monotonic() - killed
                equal(sender.returncode, 6, "the sender's exit code")
            finally:
                if sender.poll() is None:
                    sender.kill()
                    sender.wait()
            equal(receiver.finish(), 1, "exit code")
        [one] = receiver.closed()
        equal(one["ended"], "refused", "the connection's end")
        failure = " ".join([receiver.end["failure"], *receiver.text])
        require("Connection reset by peer" in failure, failure)
        require("before it had everything" in failure, failure)
        return f"after {took:.1f} s; {failure[:100]}"


@check
def forwarding_where_nobody_listens_refuses():
    with Hosts() as hosts:
        with hosts.forward(9, "--connections", 1) as receiver:
            send("--to", f"{NEAR}.2:{receiver.port}", "-t", 10, prefix=hosts.tx, expect=6)
            equal(receiver.finish(), 1, "exit code")
        equal(receiver.counters["refused"], 1, "refused")
        failure = " ".join([receiver.end["failure"], *receiver.text])
        require("Connection refused" in failure and "start the receiver" in failure, failure)
    code, _, said = run("run", "--port", "0", "--sink", "forward:no.such.host.invalid:1")
    equal(code, 1, "exit code with an unknown host")
    require("unknown host no.such.host.invalid" in said and "getent" in said, said)
    return failure[:100]


@check
def forwarding_stops_while_it_is_busy():
    """TERM under load: what the sender got acknowledged goes on, then a reset says it was cut."""
    with Taker([], "127.0.0.1") as taker, Receiver(
            "--sink", f"forward:127.0.0.1:{taker.port}") as receiver:
        def push():
            try:
                with connect(receiver.port) as peer:
                    while True:
                        peer.send(bytes(1 << 16))
            except OSError:
                pass
        thread = threading.Thread(target=push)
        thread.start()
        time.sleep(0.5)
        equal(receiver.stop(30), 0, "exit code")
        thread.join(10)
        count, _, ended = taker.end()
    equal(count, receiver.counters["bytes"], "bytes that went on")
    equal(ended, "Connection reset by peer", "the end at the receiver")
    require(count > 1 << 20, f"only {count} bytes came")
    return f"{count >> 20} MiB"


class Crowd:
    """A receiver that takes any number of connections and reads nothing."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=600)
        self.port = self.listener.getsockname()[1]
        self.peers = []
        threading.Thread(target=self._take, daemon=True).start()

    def _take(self):
        try:
            while True:
                self.peers.append(self.listener.accept()[0])
        except OSError:
            pass

    def reset(self):
        self.listener.close()
        for peer in self.peers:
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            peer.close()


@check
def forwarding_refuses_hundreds_whose_receiver_goes():
    crowd, wanted = Crowd(), 400
    with Receiver("--sink", f"forward:127.0.0.1:{crowd.port}", "--connections", wanted) as receiver:
        peers = [connect(receiver.port) for _ in range(wanted)]
        for peer in peers:
            peer.sendall(bytes(1000))
        until = time.monotonic() + 20
        while len(crowd.peers) < wanted:
            require(time.monotonic() < until, f"{len(crowd.peers)} connections went on")
            time.sleep(0.01)
        crowd.reset()
        for peer in peers:
            # The second byte that a reset link is given says so at the latest.
            try:
                while True:
                    peer.sendall(b"x")
                    time.sleep(0.001)
            except OSError:
                peer.close()
        equal(receiver.finish(), 1, "exit code")
    equal(receiver.counters["refused"], wanted, "connections refused")
    return f"{wanted} connections"


@check
def forwarding_a_second_signal_ends_a_wait_for_the_receiver():
    said = []
    for place in PLACES[:2]:
        crowd = Crowd()
        with Receiver("--sink", f"forward:127.0.0.1:{crowd.port}",
                      *(["--place", place] if place else [])) as receiver:
            peer = connect(receiver.port)
            peer.settimeout(1)
            sent = 0
            try:
                while sent < 1 << 30:
                    sent += peer.send(bytes(1 << 20))
            except TimeoutError:
                pass
            require(sent < 200 << 20, f"{sent >> 20} MiB went where nobody reads")
            busy = receiver.cpu_seconds()
            time.sleep(1)
            busy = receiver.cpu_seconds() - busy
            require(busy < 0.2, f"{busy:.2f} CPU seconds in a second of waiting")
            receiver.signal(signal.SIGTERM)
            time.sleep(0.5)
            require(receiver.process.poll() is None, "it ended with bytes that nobody has")
            receiver.signal(signal.SIGTERM)
            equal(receiver.finish(15), 1, "exit code")
            peer.close()
        crowd.reset()
        said.append(f"{sent >> 20} MiB on the way, {busy:.2f} CPU s per second of waiting")
    return "; spread: ".join(said)
