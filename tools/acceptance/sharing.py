"""Another process consumes records in the memory they were received into: --sink shm."""
import os
import signal
import threading
import time

from consumers import Consumer
from harness import (Receiver, Scratch, check, connect, equal, random_file,
                     require, same_file, send)


def deliver(port, path, failures=None):
    """Sends a file; a receiver that refuses is a failure where it is not expected."""
    try:
        with connect(port) as peer, open(path, "rb") as file:
            peer.settimeout(60)
            peer.sendfile(file)
    except OSError as error:
        if failures is None:
            raise
        failures.append(error)


def start(target, *arguments):
    thread = threading.Thread(target=target, args=arguments, daemon=True)
    thread.start()
    return thread


def identity(kind):
    """Several connections at a time, 72 MiB in all."""
    with Scratch() as scratch:
        meeting = os.path.join(scratch, "sock")
        sizes = [40 << 20, 24 << 20, (8 << 20) - 4096]
        files = [os.path.join(scratch, f"in{index}") for index in range(len(sizes))]
        for index, path in enumerate(files):
            random_file(path, sizes[index], seed=index)
        with Receiver("--sink", f"shm:{meeting},ring=512", "--parse", "fixed:size=4096",
                      "--checksum", "crc32c", "--connections", 3) as receiver:
            with Consumer(kind, scratch, meeting) as consumer:
                threads = [start(deliver, receiver.port, path) for path in files]
                for thread in threads:
                    thread.join(60)
                equal(receiver.finish(), 0, "exit code")
                status, said = consumer.finish()
                equal(status, 0, f"the consumer's status ({said[-200:]})")
                matched = [path for path in files
                           if any(same_file(path, consumer.path(name))
                                  for name in os.listdir(consumer.folder))]
                equal(len(matched), 3, "connections whose bytes are the same")
                counters = receiver.counters
                equal(counters["sinkBytes"], sum(sizes), "bytes the consumer gave back")
                equal(counters["sinkCopiedBytes"], 0, "bytes the sink copied")
                equal(counters["sinkLostBytes"], 0, "bytes lost")
                told = sum(int(line.split()[2]) for line in said.splitlines())
                equal(told, sum(sizes) // 4096, "records the consumer counted")
                if kind == "c":
                    digests = sorted("0x" + line.split()[-1] for line in said.splitlines())
                    wanted = sorted(c["digest"] for c in receiver.closed())
                    equal(digests, wanted, "CRC-32C of both sides")
                require(not os.path.exists(meeting), "the socket is left behind")
                return f"{sum(sizes) >> 20} MiB, {told} records, {counters['pauses']} pauses"


@check
def shared_memory_with_a_consumer_in_C():
    return identity("c")


@check
def shared_memory_with_a_consumer_in_Swift():
    return identity("swift")


@check
def shared_memory_of_each_kind_and_thread():
    with Scratch() as scratch:
        source = os.path.join(scratch, "in")
        random_file(source, 8 << 20)
        for memory in ("pages", "thp"):
            meeting = os.path.join(scratch, f"{memory}-%t")
            with Receiver("--sink", f"shm:{meeting}", "--memory", memory, "--threads", 2,
                          "--connections", 4) as receiver:
                consumers = [Consumer("c", scratch, meeting.replace("%t", str(thread)),
                                      f"{memory}{thread}") for thread in (0, 1)]
                for thread in [start(deliver, receiver.port, source) for _ in range(4)]:
                    thread.join(60)
                equal(receiver.finish(), 0, "exit code")
                for consumer in consumers:
                    equal(consumer.finish()[0], 0, "the consumer's status")
                got = [c.path(name) for c in consumers for name in os.listdir(c.folder)]
                equal([same_file(source, path) for path in got], [True] * 4, f"files, {memory}")
    return "pages and thp, two threads each"


@check
def verified_records_in_shared_memory():
    with Scratch() as scratch:
        meeting = os.path.join(scratch, "sock")
        with Receiver("--sink", f"shm:{meeting}", "--parse", "wire", "--checksum", "crc32c:verify",
                      "--connections", 2) as receiver, \
                Consumer("c", scratch, meeting) as consumer:
            sent = send("--to", f"127.0.0.1:{receiver.port}", "--records", 20000, "-P", 2, "-l",
                        "16K")["end"]["send"]["counters"]["records"]
            equal(receiver.finish(), 0, "exit code")
            status, said = consumer.finish()
            equal(status, 0, "the consumer's status")
            told = sum(int(line.split()[2]) for line in said.splitlines())
            equal((told, receiver.counters["records"]), (sent, sent), "records")
            return f"{sent} records"


@check
def data_wait_for_a_consumer():
    with Scratch() as scratch:
        meeting, source = os.path.join(scratch, "sock"), os.path.join(scratch, "in")
        random_file(source, 32 << 20)
        with Receiver("--sink", f"shm:{meeting}", "-1") as receiver:
            sender = start(deliver, receiver.port, source)
            time.sleep(1)
            require(sender.is_alive(), "32 MiB went into an area of 8 MiB")
            with Consumer("c", scratch, meeting) as consumer:
                equal(receiver.finish(), 0, "exit code")
                equal(consumer.finish()[0], 0, "the consumer's status")
                require(same_file(source, consumer.path(1)), "the bytes differ")
        # Nobody comes: a stop is a stop.
        with Receiver("--sink", f"shm:{meeting}") as receiver:
            with connect(receiver.port) as peer:
                peer.sendall(b"x" * 1000)
                time.sleep(0.5)
                asked = time.monotonic()
                equal(receiver.stop(20), 1, "exit code without a consumer")
            require("no consumer came" in (receiver.end.get("failure") or ""),
                    f"said: {receiver.end.get('failure')}")
            equal(receiver.counters["sinkLostBytes"], 1000, "bytes lost")
            return f"held 32 MiB back; a stop took {time.monotonic() - asked:.1f} s"


@check
def a_killed_consumer_ends_the_run():
    with Scratch() as scratch:
        meeting, source = os.path.join(scratch, "sock"), os.path.join(scratch, "in")
        random_file(source, 64 << 20)
        failures = []
        with Receiver("--sink", f"shm:{meeting},on-death=stop") as receiver, \
                Consumer("c", scratch, meeting) as consumer:
            sender = start(deliver, receiver.port, source, failures)
            consumer.wait_taken(4 << 20)
            consumer.signal(signal.SIGKILL)
            killed = time.monotonic()
            equal(receiver.finish(20), 1, "exit code")
            took = time.monotonic() - killed
            said = receiver.end.get("failure") or ""
            require("went away" in said and "on-death=continue" in said, f"said: {said}")
            sender.join(20)
            require(failures and not sender.is_alive(), "the sender was not refused")
            counters = receiver.counters
            equal(counters["sinkBytes"] + counters["sinkLostBytes"]
                  + counters["discardedBytes"], counters["bytes"], "bytes accounted for")
            return f"ended {took:.1f} s later, {counters['sinkLostBytes']} bytes lost: {said[:60]}…"


def follows(*place):
    """A consumer is killed with records at hand; the next one goes on after them."""
    with Scratch() as scratch:
        meeting, source = os.path.join(scratch, "sock"), os.path.join(scratch, "in")
        random_file(source, 64 << 20)
        with Receiver("--sink", f"shm:{meeting},on-death=continue", "-1",
                      *place) as receiver, Consumer("c", scratch, meeting, "first") as first:
            sender = start(deliver, receiver.port, source)
            first.wait_taken(4 << 20)
            # Stopped first, so that it has something when it dies.
            first.signal(signal.SIGSTOP)
            time.sleep(0.3)
            first.signal(signal.SIGKILL)
            with Consumer("c", scratch, meeting, "next") as following:
                equal(receiver.finish(60), 1, "exit code: bytes were lost")
                equal(following.finish()[0], 0, "the next consumer's status")
                sender.join(20)
                counters = receiver.counters
                equal(counters["bytes"], 64 << 20, "bytes received")
                lost = counters["sinkLostBytes"]
                require(0 < lost <= 16 << 20, f"{lost} bytes lost, more than the area has")
                equal(counters["sinkBytes"] + lost, 64 << 20, "bytes accounted for")
                got = os.path.getsize(following.path(1))
                with open(source, "rb") as file, open(following.path(1), "rb") as tail:
                    file.seek((64 << 20) - got)
                    require(file.read() == tail.read(), "the next consumer's bytes differ")
                said = receiver.end.get("failure") or ""
                require(f"of {lost} bytes in all are lost" in said, f"said: {said}")
                return f"{lost >> 10} KiB lost, {got >> 20} MiB to the next"


@check
def a_killed_consumer_is_followed_by_the_next():
    last = len(os.sched_getaffinity(0)) - 1
    return "; on another thread: ".join(follows(*place)
                                        for place in ([], ["--place", f"sink=cpu{last}"]))


@check
def a_slow_consumer_holds_memory_bounded():
    with Scratch() as scratch:
        meeting, source = os.path.join(scratch, "sock"), os.path.join(scratch, "in")
        random_file(source, 96 << 20)
        with Receiver("--sink", f"shm:{meeting}", "-1") as receiver, \
                Consumer("c", scratch, meeting) as consumer:
            sender = start(deliver, receiver.port, source)
            consumer.wait_taken(1 << 20)
            most = 0
            for _ in range(4):  # asleep for most of the time
                consumer.signal(signal.SIGSTOP)
                for _ in range(5):
                    time.sleep(0.1)
                    most = max(most, receiver.resident())
                before = consumer.taken()
                require(sender.is_alive() or before > 64 << 20, "nobody held the sender back")
                consumer.signal(signal.SIGCONT)
                time.sleep(0.02)
            cpu = receiver.cpu_seconds()
            consumer.signal(signal.SIGSTOP)
            time.sleep(1)
            busy = receiver.cpu_seconds() - cpu
            consumer.signal(signal.SIGCONT)
            equal(receiver.finish(), 0, "exit code")
            equal(consumer.finish()[0], 0, "the consumer's status")
            require(same_file(source, consumer.path(1)), "the bytes differ")
            require(most < 64 << 20, f"{most >> 20} MiB resident")
            require(busy < 0.5, f"{busy:.2f} CPU seconds in a second of waiting")
            return f"at most {most >> 20} MiB resident, {busy:.2f} CPU s per second of waiting"


@check
def a_second_signal_ends_a_wait_for_a_consumer():
    with Scratch() as scratch:
        meeting, source = os.path.join(scratch, "sock"), os.path.join(scratch, "in")
        random_file(source, 32 << 20)
        with Receiver("--sink", f"shm:{meeting},ring=16") as receiver, \
                Consumer("c", scratch, meeting) as consumer:
            start(deliver, receiver.port, source, [])
            consumer.wait_taken(1 << 20)
            consumer.signal(signal.SIGSTOP)
            time.sleep(0.5)
            receiver.signal(signal.SIGINT)
            time.sleep(0.5)
            require(receiver.process.poll() is None, "ended although the consumer has data")
            receiver.signal(signal.SIGINT)
            equal(receiver.finish(20), 1, "exit code")
            consumer.signal(signal.SIGCONT)
            consumer.finish(20)
    return "the first waits for the consumer, the second ends"


@check
def a_killed_receiver_is_told_and_replaced():
    with Scratch() as scratch:
        meeting = os.path.join(scratch, "sock")
        for kind in ("c", "swift"):
            with Receiver("--sink", f"shm:{meeting}") as receiver, \
                    Consumer(kind, scratch, meeting, kind) as consumer:
                with connect(receiver.port) as peer:
                    peer.sendall(b"line\n" * 100)
                    consumer.wait_taken(500)
                    receiver.signal(signal.SIGKILL)
                    receiver.process.wait()
                status, said = consumer.finish(20)
                equal((status, "went away" in said), (1, True),
                      f"the {kind} consumer's end ({said})")
            require(os.path.exists(meeting), "nobody removed the socket")
    return "both consumers say so; the next receiver takes the path over"
