"""Chains over several threads: the same bytes, faults and ends as on one."""
import os
import signal
import socket
import subprocess
import threading
import time

from harness import BIN, Receiver, Scratch, check, connect, equal, require, run, send
from sinks_and_signals import small_tmpfs

LAST = len(os.sched_getaffinity(0)) - 1
PLACES = [f"sink=cpu{LAST}", f"checksum=cpu{LAST}", f"checksum=cpu{LAST} sink=cpu0"]


def received(place, size="64M", streams=4):
    """The files of a run, sorted by content, and what it counted."""
    with Scratch() as folder:
        os.mkdir(f"{folder}/out")
        with Receiver("--parse", "wire", "--checksum", "crc32c:verify", "--sink",
                      f"file:{folder}/out", "--connections", streams,
                      *(["--place", *place.split()] if place else [])) as receiver:
            done = send("--to", f"127.0.0.1:{receiver.port}", "--bytes", size, "--streams",
                        streams, "--seed", 7)
            equal(receiver.finish(), 0, f"exit code with {place}")
        sums = subprocess.run(["sha256sum", *(f"{folder}/out/{name}"
                                              for name in os.listdir(f"{folder}/out"))],
                              capture_output=True, text=True, check=True).stdout
        counters = receiver.counters
        equal(counters["records"], done["end"]["send"]["counters"]["records"], "records")
        equal(counters["faults"], 0, "faults")
        equal(counters["sinkBytes"], counters["bytes"], "bytes that the sink wrote")
        equal(len(receiver.closed()), streams, "connections told of")
        return sum(one["records"] for one in receiver.closed()), len(sums.splitlines())


@check
def spread_writes_what_one_thread_writes():
    said = []
    for place in PLACES:
        records, files = received(place)
        equal(files, 4, "files")
        said.append(f"{place}: {records} records")
    return "; ".join(said)


@check
def spread_digest_is_that_of_the_bytes():
    text = os.urandom(3 << 20)
    digests = set()
    for place in ["", *PLACES]:
        with Receiver("--checksum", "xxh3", "-1",
                      *(["--place", *place.split()] if place else [])) as receiver:
            with connect(receiver.port) as peer:
                peer.sendall(text)
            equal(receiver.finish(), 0, "exit code")
        [one] = receiver.closed()
        equal(one["bytes"], len(text), "bytes")
        digests.add(one["digest"])
    equal(len(digests), 1, f"digests {digests}")
    return digests.pop()


@check
def spread_faults_name_record_and_byte():
    texts = set()
    for place in ["", *PLACES]:
        with Receiver("--parse", "length:bytes=4,max=100", "--checksum", "crc32c", "-1",
                      *(["--place", *place.split()] if place else [])) as receiver:
            with connect(receiver.port) as peer:
                peer.sendall(b"\0\0\0\3abc" * 5 + b"\0\0\1\0")
                peer.settimeout(10)
                try:
                    peer.recv(1)
                except OSError:
                    pass
            equal(receiver.finish(), 6, "exit code")
        [fault] = receiver.events("fault")
        texts.add(fault["text"].split(", ", 1)[1])
        equal(receiver.closed()[0]["records"], 5, "records")
    equal(len(texts), 1, f"{texts}")
    return texts.pop()[:80]


@check
def spread_a_full_disk_refuses_its_connections():
    with Scratch() as scratch:
        disk = os.path.join(scratch, "disk")
        os.mkdir(disk)
        small_tmpfs(disk, "8m")
        try:
            with Receiver("--sink", f"file:{disk}", "--connections", 2, "--place",
                          f"sink=cpu{LAST}") as receiver:
                def push():
                    try:
                        with connect(receiver.port) as peer:
                            for _ in range(32):
                                peer.sendall(bytes(1 << 20))
                    except OSError:
                        pass
                threads = [threading.Thread(target=push) for _ in range(2)]
                for thread in threads:
                    thread.start()
                for thread in threads:
                    thread.join(30)
                equal(receiver.finish(), 1, "exit code")
            equal({one["ended"] for one in receiver.closed()}, {"refused"}, "ends")
            equal(receiver.counters["refused"], 2, "refused")
            return receiver.end["failure"][:100]
        finally:
            subprocess.run(["umount", disk], check=False)


@check
def spread_stops_while_it_is_busy():
    """TERM under load: what was acknowledged is in the files; nothing hangs."""
    with Scratch() as folder:
        os.mkdir(f"{folder}/out")
        with Receiver("--sink", f"file:{folder}/out", "--place", *PLACES[2].split()) as receiver:
            sent = [0]

            def push():
                try:
                    with connect(receiver.port) as peer:
                        while True:
                            sent[0] += peer.send(bytes(1 << 16))
                except OSError:
                    pass
            thread = threading.Thread(target=push)
            thread.start()
            time.sleep(0.5)
            started = time.monotonic()
            code = receiver.stop(30)
            took = time.monotonic() - started
            thread.join(10)
        equal(code, 0, f"exit code ({receiver.end.get('failure')})")
        size = sum(os.path.getsize(f"{folder}/out/{n}") for n in os.listdir(f"{folder}/out"))
        equal(size, receiver.counters["bytes"], "bytes in the file")
        require(size > 1 << 20, f"only {size} bytes came")
        return f"{size >> 20} MiB, ended within {took:.1f} s"


@check
def spread_a_reader_that_does_not_read_holds_the_sender_back():
    """The sink's thread waits in write(2): memory stays bounded, a second signal ends the run."""
    reader, writer = os.pipe()
    with Receiver("--sink", "stdout", "--place", f"sink=cpu{LAST}", stdout=writer) as receiver:
        os.close(writer)
        peer = socket.create_connection(("127.0.0.1", receiver.port))
        peer.settimeout(2)
        sent = 0
        try:
            while sent < 1 << 30:
                sent += peer.send(bytes(1 << 20))
        except TimeoutError:
            pass
        require(sent < 200 << 20, f"{sent >> 20} MiB went into a chain that nobody empties")
        resident = receiver.resident()
        require(resident < 256 << 20, f"{resident >> 20} MiB resident")
        stalled = None
        until = time.monotonic() + 20
        while not stalled and time.monotonic() < until:
            stalled = next((event["text"] for event in receiver.events("event")
                            if event["kind"] == "stalled"), None)
            time.sleep(0.1)
        require(stalled and "the sink's thread" in stalled, "nothing is said of it")
        receiver.signal(signal.SIGTERM)
        time.sleep(0.3)
        receiver.signal(signal.SIGTERM)
        equal(receiver.finish(15), 1, "exit code")
        peer.close()
    os.close(reader)
    return f"{sent >> 20} MiB on the way, {resident >> 20} MiB resident"


@check
def spread_a_reader_that_ends_refuses_the_connections():
    """The sink says so for the lease in hand, on its own thread."""
    reader, writer = os.pipe()
    with Receiver("--sink", "stdout", "--place", f"sink=cpu{LAST}", "--connections", 2,
                  stdout=writer) as receiver:
        os.close(writer)
        os.close(reader)
        for _ in range(2):
            try:
                with connect(receiver.port) as peer:
                    peer.settimeout(20)
                    for _ in range(64):
                        peer.sendall(bytes(1 << 20))
            except OSError:
                pass
        equal(receiver.finish(30), 1, "exit code")
    equal([one["ended"] for one in receiver.closed()], ["refused"] * 2, "ends")
    return receiver.end["failure"][:100]


@check
def spread_places_that_make_no_sense():
    said = []
    for place, words in [
            ("parse=cpu0", "parse reads what the ring completes"),
            ("checksum=cpu0,sink=own", "records do not come back"),
            ("sink=cpu9999", "is not one that this process may run on"),
            ("sink=here", "here is no place"), ("tail=cpu0", "names no part"),
            ("sink=cpu0,sink=own", "placed twice")]:
        code, _, text = run("run", "--port", 0, "--place", place)
        equal(code, 2, f"exit code of {place}: {text}")
        require(words in text, f"{place}: {text}")
        said.append(place)
    return ", ".join(said)


@check
def spread_prices_name_the_slowest_part():
    """CRC32C reads every byte, counting does not; behind a queue its thread bears it."""
    said = []
    for place, thread in [("", "own"), (PLACES[1], "checksum"), (PLACES[2], "checksum")]:
        with Receiver("--parse", "wire", "--checksum", "crc32c:verify", "--connections", 2,
                      *(["--place", *place.split()] if place else [])) as receiver:
            send("--to", f"127.0.0.1:{receiver.port}", "--bytes", "512M", "--streams", 2)
            equal(receiver.finish(), 0, "exit code")
        stages = receiver.end["receive"]["stages"]
        [price] = [one for one in stages if one["part"] == "checksum"]
        equal(price["place"], thread, "the checksum's thread")
        slowest = max((one for one in stages if one["place"] == thread),
                      key=lambda one: one["share"])
        equal(slowest["part"], "checksum", f"the slowest part with {place}")
        require(0 < price["share"] <= 1 and price["nanosecondsPerKiB"] > 5, f"{price}")
        require(any(one["part"] == "hand-over" for one in stages) == bool(place), f"{stages}")
        [load] = receiver.end["receive"]["loads"]
        equal(load["heldLeases"], 0, "leases held at the end")
        equal([one["name"] for one in load["places"]],
              [part.split("=")[0] for part in place.split()], "threads in order")
        said.append(f"{price['nanosecondsPerKiB']:.0f} ns/KiB")
    return ", ".join(said)


@check
def spread_plain_text_runs_show_the_places():
    code, out, _ = run("run", "--place", "sink=cpu0", "--show-config")
    equal(code, 0, "exit code")
    require('"place" : "sink=cpu0"' in out or '"place": "sink=cpu0"' in out, out)
    return os.path.basename(BIN)
