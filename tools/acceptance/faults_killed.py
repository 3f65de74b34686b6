"""Runs that are killed: what was told to be safe by then is in the files, byte by byte."""
import glob
import os
import random
import re
import signal
import threading
import time

from harness import Receiver, Scratch, check, connect, equal, require, run

SEED = int(os.environ.get("INGEST_SEED", "1"))
LAST = len(os.sched_getaffinity(0)) - 1


def line(connection, number):
    return b"%d %d %s\n" % (connection, number, b"x" * (number * 7919 % 3000))


class Writer(threading.Thread):
    """Lines over one connection until it breaks."""

    def __init__(self, port, number):
        super().__init__(daemon=True)
        self.number = number
        self.sent = bytearray()
        self.peer = connect(port)
        self.start()

    def run(self):
        count = 0
        try:
            while True:
                text = line(self.number, count)
                self.sent += text
                self.peer.sendall(text)
                count += 1
                time.sleep(0.0003)
        except OSError:
            self.peer.close()


def synced(receiver):
    """The last word about each file, by connection, sink and file; none ever takes one back."""
    last = {}
    for event in receiver.events("event"):
        if event["kind"] != "synced":
            continue
        key = (event.get("connection"), event["sink"], event["file"])
        require(event["bytes"] > last.get(key, 0), f"{key}: {event['bytes']} after {last[key]}"
                if key in last else f"{key}: nothing")
        last[key] = event["bytes"]
    return last


def killed(arguments, generator, peers=3):
    """Kills a run at a random time after the first word of safe bytes."""
    with Receiver("--parse", "lines", *arguments) as receiver:
        writers = [Writer(receiver.port, number) for number in range(peers)]
        until = time.monotonic() + 20
        while not synced(receiver):
            require(time.monotonic() < until, f"nothing is told to be safe: {receiver.text}")
            time.sleep(0.01)
        time.sleep(generator.random() * 0.6)
        receiver.signal(signal.SIGKILL)
        receiver.finish()
        for writer in writers:
            writer.join(20)
        return synced(receiver), writers


def each(folder, said, writers, pattern="connection-{0}"):
    """Files of single connections: what is safe is the start of what was sent."""
    writer_of = {}
    for (serial, _, file), safe in sorted(said.items()):
        content = b""
        # Those before it of the same connection were whole when it began.
        for number in range(1, file + 1):
            before = len(content)
            [name] = glob.glob(f"{folder}/{pattern.format(serial, number)}") or glob.glob(
                f"{folder}/{pattern.format(serial, number)}.part")
            with open(name, "rb") as stream:
                content += stream.read()
        safe += before
        require(len(content) >= safe, f"{name}: {len(content)} bytes, {safe} were safe")
        number = writer_of.setdefault(serial, int(content.split(b" ", 1)[0]))
        require(writers[number].sent[:safe] == content[:safe], f"{name}: not what was sent")


@check
def a_kill_leaves_what_was_told_to_be_safe():
    generator = random.Random(SEED)
    safe = 0
    for options, pattern, more in (
            ("sync-every=50ms", "connection-{0}", ()),
            ("sync-every=50ms", "connection-{0}", ("--place", f"sink=cpu{LAST}")),
            ("sync-every=30ms,direct,block=64K", "connection-{0}", ()),
            ("sync-every=50ms,rotate=300K,sync=rename", "connection-{0}-{1:06}", ()),
            ("sync-every=50ms", "connection-?-{0}", ("--threads", 2))):
        for _ in range(2):
            with Scratch() as folder:
                said, writers = killed(["--sink", f"file:{folder},{options}", *more], generator)
                each(folder, said, writers, pattern)
                safe += sum(said.values())
    return f"{safe >> 10} KiB safe in 10 runs"


@check
def a_kill_leaves_the_safe_part_of_one_file_for_all():
    generator = random.Random(SEED + 1)
    for sink in ("file:{0}/all,layout=one,sync-every=50ms",
                 "tee:file:{0}/all,layout=one,sync-every=50ms|file:{0}/%c,sync-every=80ms"):
        with Scratch() as folder:
            said, writers = killed(["--sink", sink.format(folder)], generator)
            with open(f"{folder}/all", "rb") as file:
                content = file.read()
            count = said[(None, 0, 1)]
            require(len(content) >= count, f"{len(content)} bytes, {count} were safe")
            streams = {}
            for text in content[:count].splitlines(keepends=True):
                streams.setdefault(int(text.split(b" ", 1)[0]), bytearray()).extend(text)
            for number, stream in streams.items():
                require(writers[number].sent[:len(stream)] == stream, f"writer {number}: differs")
            each(folder, {key: at for key, at in said.items() if key[1] == 1}, writers, "{0}")
            if "tee" in sink:
                require(any(key[1] == 1 for key in said), f"nothing of the second sink: {said}")
    return f"{count >> 10} KiB in {len(streams)} streams"


@check
def the_end_of_a_run_tells_that_all_is_safe():
    with Scratch() as folder:
        with Receiver("--parse", "lines", "--sink", f"file:{folder},sync-every=100ms",
                      "--connections", 2) as receiver:
            with connect(receiver.port) as one, connect(receiver.port) as two:
                one.sendall(b"first\n")
                until = time.monotonic() + 20
                # Nothing more comes: the time alone has it fsynced.
                while not synced(receiver):
                    require(time.monotonic() < until, "the first line is never told to be safe")
                    time.sleep(0.01)
                equal(synced(receiver), {(1, 0, 1): 6}, "safe while it is open")
                time.sleep(0.5)
                busy = receiver.cpu_seconds()
                time.sleep(1)
                require(receiver.cpu_seconds() - busy < 0.1, "an idle run is busy")
                one.sendall(b"second\n")
                two.sendall(b"a line of two\n")
            equal(receiver.finish(), 0, "exit code")
        equal(synced(receiver), {(1, 0, 1): 13, (2, 0, 1): 14}, "safe at the end")
        code, _, said = run("run", "--sink", f"file:{folder},sync=none,sync-every=1s")
        require(code == 2 and "contradict" in said, said)
        return re.sub(r"\s+", " ", said)[:100]
