"""Receivers and consumers that are behind: forward and shm with full=spill and full=drop."""
import os
import signal
import socket
import subprocess
import threading
import time

from consumers import Consumer
from faults_peer import acknowledged, wait_until
from harness import BIN, Failed, Receiver, Scratch, check, connect, equal, require, run

MIB = 1 << 20


class SlowHost:
    """Takes connections, and reads each one only when it is told to, or at once where `ready` says
    so of its first bytes."""

    def __init__(self, ready=lambda first: False):
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
        self.port = self.listener.getsockname()[1]
        self.ready, self.go = ready, threading.Event()
        self.received, self.lock, self.threads = [], threading.Lock(), []
        self.taken = 0
        threading.stack_size(256 << 10)
        self.accepting = threading.Thread(target=self._accept, daemon=True)
        self.accepting.start()

    def _accept(self):
        while True:
            try:
                peer, _ = self.listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._read, args=(peer,), daemon=True)
            thread.start()
            self.threads.append(thread)

    def _read(self, peer):
        with peer:
            # Enough to tell who it is; the rest stays where it is.
            first = peer.recv(16, socket.MSG_PEEK)
            if not self.ready(first):
                self.go.wait(120)
            data = bytearray()
            try:
                while part := peer.recv(MIB):
                    data += part
                    with self.lock:
                        self.taken += len(part)
            except OSError as error:
                data += str(error).encode()
            with self.lock:
                self.received.append(bytes(data))

    def count(self):
        with self.lock:
            return len(self.received)

    def end(self, connections):
        self.go.set()
        wait_until(lambda: self.count() == connections, "the ends of all connections", 60)
        # A listening socket that is only closed keeps whoever is in accept(2).
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.accepting.join(10)
        return sorted(self.received)


def lines(connection, count, length):
    """Lines that name their connection and number."""
    return [b"%06d %08d %s\n" % (connection, number, b"x" * ((number * 131) % length))
            for number in range(count)]


def send_all(port, data, piece=None, wait=lambda sent: None):
    """Sends all of it; with `piece` that much at a time, waiting after each."""
    with connect(port) as peer:
        for start in range(0, len(data), piece or len(data)):
            peer.sendall(data[start:start + (piece or len(data))])
            wait(min(start + (piece or len(data)), len(data)))
        peer.shutdown(socket.SHUT_WR)
        peer.settimeout(60)
        while peer.recv(1):
            pass


@check
def what_a_slow_receiver_leaves_is_spilled_and_follows():
    facts = []
    for place in ((), ("--place", "sink=cpu0")):
        with Scratch() as scratch:
            host = SlowHost()
            streams = [b"".join(lines(number, 9000, 2000)) for number in range(4)]
            with Receiver("--sink", f"forward:127.0.0.1:{host.port},full=spill,spill={scratch}",
                          "--connections", 4, *place) as receiver:
                # The senders get through though nothing is read.
                threads = [threading.Thread(target=send_all, args=(receiver.port, data))
                           for data in streams]
                for thread in threads:
                    thread.start()
                for thread in threads:
                    thread.join(60)
                    require(not thread.is_alive(), "a sender was held back")
                equal(os.listdir(scratch), [], "files with a name")
                equal(host.count(), 0, "connections that were read")
                got = host.end(4)
                equal(receiver.finish(), 0, "exit code")
            equal(got, sorted(streams), "the streams")
            counters, size = receiver.counters, sum(map(len, streams))
            require(counters["sinkSpilledBytes"] > size // 4, counters["sinkSpilledBytes"])
            equal(counters["sinkReplayedBytes"], counters["sinkSpilledBytes"], "what followed")
            equal(counters["sinkBytes"], size, "bytes sent on")
            facts.append(f"{counters['sinkSpilledBytes'] >> 20} of {size >> 20} MiB waited aside")
    return ", ".join(facts)


@check
def a_spill_file_at_its_limit_holds_the_senders_back():
    with Scratch() as scratch:
        host = SlowHost()
        data = b"".join(lines(1, 40_000, 2000))
        sink = f"forward:127.0.0.1:{host.port},full=spill,spill={scratch},queue=1M"
        with Receiver("--sink", sink, "-1") as receiver:
            sender = threading.Thread(target=send_all, args=(receiver.port, data))
            sender.start()
            sender.join(3)
            require(sender.is_alive(), "nobody was held back")
            require(receiver.resident() < 400 * MIB, f"{receiver.resident() >> 20} MiB resident")
            got = host.end(1)
            sender.join(30)
            equal(receiver.finish(), 0, "exit code")
        require(got == [data], "the bytes differ")
        counters = receiver.counters
        require(counters["sinkSpillWaits"] > 0 and counters["sinkWaits"] > 0, counters)
        return f"{len(data) >> 20} MiB, waited {counters['sinkWaits']} times"


@check
def a_spill_folder_on_a_full_disk_loses_nothing():
    """The file takes part of what it is given, then nothing."""
    if os.geteuid() != 0:
        raise Failed("mounting a small tmpfs needs root")
    with Scratch() as scratch:
        small = os.path.join(scratch, "small")
        os.mkdir(small)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3M,mode=1777", "none", small],
                       check=True)
        try:
            for sink in ("forward", "unix"):
                data = b"".join(lines(1, 20_000, 2000))
                if sink == "forward":
                    host = SlowHost()
                    spelled = f"forward:127.0.0.1:{host.port}"
                else:
                    path = os.path.join(scratch, "sock")
                    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
                    listener.bind(path)
                    listener.listen(1)
                    spelled = f"unix:{path}"
                with Receiver("--sink", f"{spelled},full=spill,spill={small},queue=1G",
                              "-1") as receiver:
                    sender = threading.Thread(target=send_all, args=(receiver.port, data))
                    sender.start()
                    sender.join(2)
                    require(sender.is_alive(), "nobody was held back")
                    if sink == "forward":
                        [got] = host.end(1)
                    else:
                        peer, _ = listener.accept()
                        got = b""
                        while part := peer.recv(MIB):
                            got += part
                    sender.join(30)
                    equal(receiver.finish(), 0, f"exit code {receiver.text[-3:]}")
                require(got == data, f"{sink}: the bytes differ ({len(got)} of {len(data)})")
                require(receiver.counters["sinkSpillWaits"] > 0, "the disk was not full")
        finally:
            subprocess.run(["umount", "-l", small], check=False)


@check
def records_for_a_slow_receiver_are_dropped_whole():
    with Scratch():
        # One of two receivers reads on: it loses nothing.
        host = SlowHost(ready=lambda first: first.startswith(b"000002"))
        streams = {number: lines(number, 9000, 2000) for number in (1, 2)}
        with Receiver("--parse", "lines", "--sink",
                      f"forward:127.0.0.1:{host.port},full=drop,queue=4M",
                      "--connections", 2) as receiver:
            send_all(receiver.port, b"".join(streams[1]))
            # Never more at once than its queue takes; a line that is not whole waits for its rest.
            send_all(receiver.port, b"".join(streams[2]), MIB, lambda sent: wait_until(
                lambda: host.taken > sent - 4096, "the one that reads"))
            wait_until(lambda: host.count() == 1, "the end of the one that reads")
            got = {int(data[:6]): data.splitlines(keepends=True) for data in host.end(2)}
            equal(receiver.finish(), 0, "exit code")
        require(got[2] == streams[2], "the receiver that reads has not all")
        numbers = [int(line[7:15]) for line in got[1]]
        require(numbers == sorted(set(numbers)), "out of order")
        require(all(streams[1][number] == line for number, line in zip(numbers, got[1])),
                "a cut line")
        counters = receiver.counters
        dropped = len(streams[1]) - len(got[1])
        require(dropped > 0, "nothing was dropped")
        equal(counters["sinkDroppedRecords"], dropped, "dropped records")
        equal(counters["sinkDroppedBytes"] + counters["sinkBytes"], counters["bytes"], "bytes")
        [fault] = receiver.events("fault")
        require("connection 1" in fault["text"] and "dropped" in fault["text"], fault["text"])
        return f"{dropped} of {len(streams[1])} lines dropped"


@check
def a_consumer_that_is_behind_loses_whole_records():
    with Scratch() as scratch:
        meeting = os.path.join(scratch, "meeting")
        records = lines(1, 60_000, 2000)
        with Receiver("--parse", "lines", "--sink", f"shm:{meeting},full=drop", "--area", "8M",
                      "-1") as receiver:
            with Consumer("c", scratch, meeting) as consumer:
                with connect(receiver.port) as peer:
                    half = len(records) // 2
                    consumer.signal(signal.SIGSTOP)
                    # All of it gets through though nothing is taken.
                    peer.sendall(b"".join(records[:half]))
                    wait_until(lambda: acknowledged(peer), "what was sent to be received")
                    time.sleep(0.5)
                    consumer.signal(signal.SIGCONT)
                    peer.sendall(b"".join(records[half:]))
                equal(receiver.finish(), 0, "exit code")
                equal(consumer.finish()[0], 0, "the consumer's status")
            with open(consumer.path(1), "rb") as file:
                got = file.read().splitlines(keepends=True)
        numbers = [int(line[7:15]) for line in got]
        require(numbers == sorted(set(numbers)), "out of order")
        require(all(records[number] == line for number, line in zip(numbers, got)), "a cut line")
        counters = receiver.counters
        equal(counters["sinkDroppedRecords"], len(records) - len(got), "dropped records")
        equal(counters["sinkDroppedBytes"] + counters["sinkBytes"], counters["bytes"], "bytes")
        require(0 < len(got) < len(records), f"{len(got)} records arrived")
        faults = receiver.events("fault")
        require(len(faults) == 1 and "dropped" in faults[0]["text"], f"{faults}")
        return f"{len(records) - len(got)} of {len(records)} lines dropped"


@check
def policies_that_make_no_sense_are_refused_with_the_reason():
    for arguments, why in (
            (("--sink", "shm:/tmp/s,full=spill,spill=/tmp"), "copied back into that memory"),
            (("--sink", "file:/tmp/f,full=drop"), "is not for files"),
            (("--sink", "forward:h:1,full=drop,method=send-zc"), "contradict each other"),
            (("--sink", "forward:127.0.0.1:1,full=drop"), "--parse raw has none"),
            (("--sink", "tee:file:/tmp/f|shm:/tmp/s,full=drop"), "--parse raw has none"),
            (("--sink", "forward:127.0.0.1:1,full=spill,spill=/no/such"), "No such file")):
        code, _, said = run("run", "--port", 0, *arguments)
        require(code in (1, 2) and why in said, f"{arguments}: {code} {said}")


@check
def a_sink_that_is_waited_for_is_told_in_every_form():
    """In the intervals and counters of --json-stream, and in the lines for people."""
    with Scratch() as scratch:
        path = os.path.join(scratch, "sock")
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.bind(path)
        listener.listen(1)
        data = b"".join(lines(1, 20_000, 1000))

        def late():
            peer, _ = listener.accept()
            time.sleep(1)
            while peer.recv(MIB):
                pass
        for arguments in (("-i", "0.2"), ()):
            reader = threading.Thread(target=late, daemon=True)
            reader.start()
            if arguments:
                with Receiver("--sink", f"unix:{path}", "-1", *arguments) as receiver:
                    send_all(receiver.port, data)
                    equal(receiver.finish(), 0, "exit code")
                waits = [part["receive"]["pressure"]["sinkWaits"]
                         for part in receiver.events("interval")]
                require(any(waits), f"no interval tells of a wait: {waits}")
                require(receiver.counters["sinkWaits"] > 0, "the counter is 0")
            else:
                with socket.create_server(("127.0.0.1", 0)) as taken:
                    port = taken.getsockname()[1]
                done = subprocess.Popen(
                    [os.path.join(BIN, "ingest"), "run", "--listen", "127.0.0.1", "--port",
                     str(port), "--sink", f"unix:{path}", "-1", "-i", "0.2"],
                    stdout=subprocess.PIPE, text=True)
                try:
                    require("listening" in done.stdout.readline(), "it does not listen")
                    send_all(port, data)
                    said, _ = done.communicate(timeout=60)
                finally:
                    done.kill()
                    done.wait()
                require("(sink waited for)" in said, said)
                [told] = [line for line in said.splitlines() if line.startswith("waited ")]
            reader.join(30)
        listener.close()
        return told
