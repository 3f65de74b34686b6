"""A reader that is behind: what has no room waits aside (full=spill) or is dropped (full=drop)."""
import os
import socket
import threading

from harness import (Receiver, Scratch, check, connect, equal, random_file, require, same_file,
                     send)

MIB = 1 << 20


class LateReader:
    """Listens at a unix socket and reads nothing until it is told to."""

    def __init__(self, path):
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.listener.bind(path)
        self.listener.listen(1)
        self.go = threading.Event()
        self.received = bytearray()
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _read(self):
        connection, _ = self.listener.accept()
        with connection:
            self.go.wait(120)
            while part := connection.recv(MIB):
                self.received += part

    def end(self):
        self.go.set()
        self.thread.join(60)
        require(not self.thread.is_alive(), "the reader saw no end")
        self.listener.close()
        return bytes(self.received)


@check
def what_a_slow_reader_leaves_is_spilled_and_follows():
    with Scratch() as scratch:
        path, source = os.path.join(scratch, "sock"), os.path.join(scratch, "in")
        spill = os.path.join(scratch, "spill")
        os.mkdir(spill)
        random_file(source, 64 * MIB)
        reader = LateReader(path)
        with Receiver("--sink", f"unix:{path},full=spill,spill={spill}", "-1") as receiver:
            # The sender gets through though nothing is read.
            send("--to", f"127.0.0.1:{receiver.port}", "--file", source)
            equal(os.listdir(spill), [], "files with a name")
            reader.go.set()
            equal(receiver.finish(), 0, "exit code")
        with open(source, "rb") as file:
            require(reader.end() == file.read(), "the bytes differ")
        counters = receiver.counters
        require(counters["sinkSpilledBytes"] > 32 * MIB, counters["sinkSpilledBytes"])
        equal(counters["sinkReplayedBytes"], counters["sinkSpilledBytes"], "bytes that followed")
        equal(counters["sinkBytes"], 64 * MIB, "bytes written")
        return f"{counters['sinkSpilledBytes'] >> 20} of 64 MiB waited aside"


@check
def records_for_a_slow_reader_are_dropped_whole():
    lines = [b"%07d %s\n" % (number, b"x" * (number % 900)) for number in range(40_000)]
    with Scratch() as scratch:
        path = os.path.join(scratch, "sock")
        reader = LateReader(path)
        with Receiver("--parse", "lines", "--sink", f"unix:{path},full=drop,queue=64K",
                      "-1") as receiver:
            with connect(receiver.port) as peer:
                peer.sendall(b"".join(lines))
                peer.shutdown(socket.SHUT_WR)
                while peer.recv(1):
                    pass
            reader.go.set()
            equal(receiver.finish(), 0, "exit code")
        got = reader.end().splitlines(keepends=True)
        numbers = [int(line[:7]) for line in got]
        require(numbers == sorted(set(numbers)), "out of order")
        require(all(lines[number] == line for number, line in zip(numbers, got)), "a cut line")
        counters = receiver.counters
        equal(counters["sinkDroppedRecords"], len(lines) - len(got), "dropped records")
        equal(counters["sinkDroppedBytes"] + counters["sinkBytes"], sum(map(len, lines)), "bytes")
        faults = [line["data"]["text"] for line in receiver.lines if line.get("event") == "fault"]
        equal(len(faults), 1, f"faults {faults}")
        require("connection 1" in faults[0] and "dropped" in faults[0], faults[0])
        return f"{len(lines) - len(got)} of {len(lines)} lines dropped"


@check
def a_slow_branch_of_a_tee_need_not_set_the_pace():
    with Scratch() as scratch:
        path, source = os.path.join(scratch, "sock"), os.path.join(scratch, "in")
        out = os.path.join(scratch, "out")
        os.mkdir(out)
        random_file(source, 32 * MIB)
        reader = LateReader(path)
        with Receiver("--sink", f"tee:file:{out}|unix:{path},full=drop", "-1") as receiver:
            send("--to", f"127.0.0.1:{receiver.port}", "--file", source)
            reader.go.set()
            equal(receiver.finish(), 0, "exit code")
        reader.end()
        [name] = os.listdir(out)
        require(same_file(source, os.path.join(out, name)), "the file differs")
        require(receiver.counters["sinkDroppedBytes"] > 0, "nothing was dropped")
        return f"{receiver.counters['sinkDroppedBytes'] >> 20} MiB dropped for the socket"
